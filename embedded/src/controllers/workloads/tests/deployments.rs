//! Rollouts, played through without a server: plans are carried out on sets whose pods become available one after the other.

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet, ReplicaSetStatus};
use kube::ResourceExt;
use serde_json::{Value, json};

use super::{at, pod};
use crate::controllers::workloads::deployment::amounts::{self, Bounds};
use crate::controllers::workloads::deployment::plan::{Step, plan};
use crate::controllers::workloads::deployment::revision::{self, REVISION};
use crate::controllers::workloads::deployment::status::{Outcome, status};
use crate::controllers::workloads::replica_set::replicas;

fn deployment(image: &str, more: Value) -> Deployment {
    let mut value = json!({"metadata": {"name": "web", "namespace": "n", "uid": "d", "generation": 1}, "spec": {"replicas": 4, "progressDeadlineSeconds": 60,
        "selector": {"matchLabels": {"app": "web"}}, "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": image}]}}}});
    json_patch::merge(&mut value, &more);
    serde_json::from_value(value).unwrap()
}

/// Sets as they are on a server, whose pods are there at once and become available one at a look.
#[derive(Default)]
struct Stage {
    sets: Vec<ReplicaSet>,
    made: i64,
    /// Pods of this image never become available.
    broken: Option<&'static str>,
}

impl Stage {
    fn image(set: &ReplicaSet) -> String {
        set.spec.template.clone().unwrap().spec.unwrap().containers[0].image.clone().unwrap()
    }

    fn add(&mut self, mut set: ReplicaSet) {
        self.made += 1;
        set.metadata.uid = Some(format!("set-{}", self.made));
        set.metadata.creation_timestamp = serde_json::from_value(json!(at(self.made).to_string())).unwrap();
        self.sets.push(set);
    }

    /// Carries a plan out; returns whether there was anything to do.
    fn step(&mut self, deployment: &Deployment) -> bool {
        let before = self.sets.clone();
        let planned = plan(deployment, &before, &[]);
        let find = |set: &ReplicaSet| before.iter().position(|other| other.uid() == set.uid()).unwrap();
        for step in &planned.steps {
            match step {
                Step::Create(set) => self.add((**set).clone()),
                Step::Scale(set, size) => {
                    let set = &mut self.sets[find(set)];
                    set.spec.replicas = Some(*size);
                    set.annotations_mut().extend(revision::sized(&Bounds::of(deployment)));
                }
                Step::Follow(set, annotations) => self.sets[find(set)].metadata.annotations = Some(annotations.clone()),
                Step::Delete(_) => {}
            }
        }
        let gone = |set: &ReplicaSet| planned.steps.iter().any(|step| matches!(step, Step::Delete(gone) if gone.uid() == set.uid()));
        self.sets.retain(|set| !gone(set));
        !planned.steps.is_empty()
    }

    /// The sets' own controller, and a node that makes one pod available.
    fn breathe(&mut self) -> bool {
        let mut grown = false;
        for set in &mut self.sets {
            let size = replicas(set);
            let before = set.status.clone().unwrap_or_default();
            let mut available = before.available_replicas.unwrap_or(0).min(size);
            if available < size && !grown && self.broken != Some(Self::image(set).as_str()) {
                (available, grown) = (available + 1, true);
            }
            let after = ReplicaSetStatus {
                replicas: size,
                ready_replicas: Some(available),
                available_replicas: Some(available),
                ..ReplicaSetStatus::default()
            };
            grown |= after.replicas != before.replicas || after.available_replicas != before.available_replicas.or(Some(0));
            set.status = Some(after);
        }
        grown
    }

    fn sizes(&self) -> Vec<(String, i32)> {
        self.sets.iter().map(|set| (Self::image(set), replicas(set))).collect()
    }

    fn available(&self) -> i32 {
        self.sets.iter().map(amounts::available).sum()
    }

    /// Plays until nothing happens any more; what a rollout promises is checked at every look. Returns the looks.
    fn play(&mut self, deployment: &Deployment, least: i32) -> usize {
        for look in 0..200 {
            let worked = self.step(deployment);
            let pods: i32 = self.sets.iter().map(replicas).sum();
            assert!(pods <= Bounds::of(deployment).most(), "too many pods: {:?}", self.sizes());
            assert!(self.available() >= least, "too few available pods: {:?}", self.sizes());
            if !self.breathe() && !worked {
                return look;
            }
        }
        panic!("it goes on for ever: {:?}", self.sizes());
    }
}

#[test]
fn a_rollout_keeps_to_its_bounds_and_ends_with_the_new_template() {
    for (replicas, surge, unavailable) in [
        (4, json!("25%"), json!("25%")),
        (4, json!(0), json!(1)),
        (3, json!(1), json!(0)),
        (1, json!("100%"), json!(0)),
        (10, json!("50%"), json!("50%")),
    ] {
        let more = json!({"spec": {"replicas": replicas, "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}}}});
        let (one, two) = (deployment("one", more.clone()), deployment("two", more));
        let mut stage = Stage::default();
        stage.play(&one, 0);
        assert_eq!(stage.sizes(), [("one".to_owned(), replicas)]);
        stage.play(&two, Bounds::of(&two).least());
        assert_eq!(stage.sizes(), [("one".to_owned(), 0), ("two".to_owned(), replicas)]);
        assert_eq!(stage.sets.iter().map(revision::revision).collect::<Vec<_>>(), [1, 2]);
        // Back again: the old set becomes the third revision, and tells that it was the first.
        stage.play(&one, Bounds::of(&one).least());
        assert_eq!(stage.sizes(), [("one".to_owned(), replicas), ("two".to_owned(), 0)]);
        assert_eq!(stage.sets.iter().map(revision::revision).collect::<Vec<_>>(), [3, 2]);
        assert_eq!(stage.sets[0].annotations()["deployment.kubernetes.io/revision-history"], "1");
    }
}

#[test]
fn a_template_that_does_not_come_up_leaves_the_old_pods() {
    let mut stage = Stage { broken: Some("bad"), ..Stage::default() };
    stage.play(&deployment("good", json!({})), 0);
    let bad = deployment("bad", json!({}));
    stage.play(&bad, 3);
    assert_eq!(stage.sizes(), [("good".to_owned(), 3), ("bad".to_owned(), 2)]);
    assert_eq!(stage.available(), 3);
    stage.play(&deployment("good", json!({})), 3);
    assert_eq!(stage.sizes(), [("good".to_owned(), 4), ("bad".to_owned(), 0)]);
}

#[test]
fn a_template_changed_in_the_middle_of_a_rollout_takes_over() {
    let mut stage = Stage::default();
    stage.play(&deployment("one", json!({})), 0);
    for _ in 0..2 {
        stage.step(&deployment("two", json!({})));
        stage.breathe();
    }
    stage.play(&deployment("three", json!({})), 3);
    assert_eq!(stage.sizes(), [("one".to_owned(), 0), ("two".to_owned(), 0), ("three".to_owned(), 4)]);
}

#[test]
fn a_deployment_scaled_in_the_middle_of_a_rollout_shares_the_difference_out() {
    let mut stage = Stage { broken: Some("two"), ..Stage::default() };
    stage.play(&deployment("one", json!({})), 0);
    stage.play(&deployment("two", json!({})), 3);
    assert_eq!(stage.sizes(), [("one".to_owned(), 3), ("two".to_owned(), 2)]);
    let larger = deployment("two", json!({"spec": {"replicas": 8}}));
    assert!(stage.step(&larger));
    assert_eq!(stage.sizes(), [("one".to_owned(), 6), ("two".to_owned(), 4)], "both grow, within 8 and a quarter");
    stage.play(&larger, 3);
    stage.broken = None;
    stage.play(&larger, 6);
    assert_eq!(stage.sizes(), [("one".to_owned(), 0), ("two".to_owned(), 8)]);
    stage.play(&deployment("two", json!({"spec": {"replicas": 0}})), 0);
    assert_eq!(stage.sizes(), [("one".to_owned(), 0), ("two".to_owned(), 0)]);
}

#[test]
fn a_paused_deployment_is_scaled_and_not_rolled_out() {
    let mut stage = Stage::default();
    stage.play(&deployment("one", json!({})), 0);
    stage.play(&deployment("two", json!({"spec": {"paused": true, "replicas": 6}})), 0);
    assert_eq!(stage.sizes(), [("one".to_owned(), 6)]);
    stage.play(&deployment("two", json!({"spec": {"replicas": 6}})), 4);
    assert_eq!(stage.sizes(), [("one".to_owned(), 0), ("two".to_owned(), 6)]);
}

#[test]
fn old_revisions_beyond_the_limit_go_once_the_rollout_is_through() {
    let mut stage = Stage::default();
    for image in ["one", "two", "three", "four"] {
        stage.play(&deployment(image, json!({"spec": {"revisionHistoryLimit": 1}})), 0);
    }
    assert_eq!(stage.sizes(), [("three".to_owned(), 0), ("four".to_owned(), 4)]);
}

#[test]
fn recreate_waits_until_the_last_old_pod_is_gone() {
    let recreate = |image: &str| deployment(image, json!({"spec": {"strategy": {"type": "Recreate"}}}));
    let mut stage = Stage::default();
    stage.play(&recreate("one"), 0);
    let owner = json!([{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "x", "uid": "set-1", "controller": true}]);
    let ending =
        pod("p", json!({"metadata": {"deletionTimestamp": at(0).to_string(), "ownerReferences": owner}, "status": {"phase": "Running"}}));
    let two = recreate("two");
    assert!(stage.step(&two));
    assert_eq!(stage.sizes(), [("one".to_owned(), 0)]);
    stage.breathe();
    assert_eq!(plan(&two, &stage.sets, &[ending]).steps, []);
    stage.play(&two, 0);
    assert_eq!(stage.sizes(), [("one".to_owned(), 0), ("two".to_owned(), 4)]);
}

#[test]
fn a_template_is_the_same_whatever_label_its_set_added() {
    let one = deployment("one", json!({}));
    let mut stage = Stage::default();
    stage.play(&one, 0);
    let set = &stage.sets[0];
    let hash = revision::hash(&one.spec.template, 0);
    assert_eq!(set.name_any(), format!("web-{hash}"));
    assert_eq!(set.labels()["pod-template-hash"], hash);
    assert_eq!(set.spec.selector.match_labels.as_ref().unwrap()["pod-template-hash"], hash);
    assert_eq!(revision::divide(&one, &stage.sets).0.unwrap().uid(), set.uid());
    assert_ne!(revision::hash(&one.spec.template, 1), hash, "after a collision it is another name");
    assert!(set.annotations()[REVISION] == "1" && hash.bytes().all(|letter| b"bcdfghjklmnpqrstvwxz2456789".contains(&letter)));
}

fn reasons(deployment: &Deployment) -> Vec<(String, String, String)> {
    let conditions = deployment.status.as_ref().and_then(|status| status.conditions.clone()).unwrap_or_default();
    conditions.into_iter().map(|one| (one.type_.unwrap(), one.status.unwrap(), one.reason.unwrap())).collect()
}

fn row(kind: &str, status: &str, reason: &str) -> (String, String, String) {
    (kind.to_owned(), status.to_owned(), reason.to_owned())
}

/// Writes the status that these sets lead to.
fn tell(watched: &mut Deployment, sets: &[ReplicaSet], outcome: &Outcome, second: i64) -> Option<std::time::Duration> {
    let (status, again) = status(watched, &plan(watched, sets, &[]), outcome, at(second));
    watched.status = Some(status);
    again
}

#[test]
fn conditions_tell_how_a_rollout_goes() {
    let mut stage = Stage { broken: Some("bad"), ..Stage::default() };
    let mut watched = deployment("good", json!({}));
    let created = Outcome { created: Some("web-x".into()), ..Outcome::default() };
    let again = tell(&mut watched, &[], &created, 0);
    assert_eq!(
        reasons(&watched),
        [row("Available", "False", "MinimumReplicasUnavailable"), row("Progressing", "True", "NewReplicaSetCreated")]
    );
    assert_eq!(again, Some(std::time::Duration::from_secs(61)));
    stage.step(&watched);
    stage.breathe();
    while stage.breathe() {}
    tell(&mut watched, &stage.sets, &Outcome::default(), 9);
    let done = [row("Available", "True", "MinimumReplicasAvailable"), row("Progressing", "True", "NewReplicaSetAvailable")];
    assert_eq!(reasons(&watched), done);
    let quiet = watched.status.clone();
    assert_eq!(tell(&mut watched, &stage.sets, &Outcome::default(), 500), None, "nothing is due when all is done");
    assert_eq!(watched.status, quiet, "and nothing changes with time");
    // A pod that is lost is no rollout.
    stage.sets[0].status.as_mut().unwrap().available_replicas = Some(2);
    tell(&mut watched, &stage.sets, &Outcome::default(), 600);
    assert_eq!(reasons(&watched)[0], row("Available", "False", "MinimumReplicasUnavailable"));
    assert_eq!(reasons(&watched)[1], done[1]);
    stage.breathe();
    while stage.breathe() {}
    // A template that does not come up is late after the deadline.
    watched.spec = deployment("bad", json!({})).spec;
    stage.step(&watched);
    tell(&mut watched, &stage.sets, &created, 700);
    stage.breathe();
    stage.play(&watched, 3);
    tell(&mut watched, &stage.sets, &Outcome::default(), 710);
    assert_eq!(reasons(&watched)[1], row("Progressing", "True", "ReplicaSetUpdated"));
    tell(&mut watched, &stage.sets, &Outcome::default(), 769);
    assert_eq!(reasons(&watched)[1], row("Progressing", "True", "ReplicaSetUpdated"));
    tell(&mut watched, &stage.sets, &Outcome::default(), 770);
    assert_eq!(reasons(&watched), [done[0].clone(), row("Progressing", "False", "ProgressDeadlineExceeded")]);
    let late = watched.status.clone();
    tell(&mut watched, &stage.sets, &Outcome::default(), 900);
    assert_eq!(watched.status, late);
    watched.spec.paused = Some(true);
    watched.spec.template = deployment("good", json!({})).spec.template;
    tell(&mut watched, &stage.sets, &Outcome::default(), 901);
    assert_eq!(reasons(&watched)[1], row("Progressing", "False", "ProgressDeadlineExceeded"), "what was late stays late while paused");
}

#[test]
fn percentages_round_as_kubernetes_rounds_them() {
    let percent = |text: &str| serde_json::from_value(json!(text)).unwrap();
    assert_eq!((amounts::amount(Some(&percent("25%")), 3, true), amounts::amount(Some(&percent("25%")), 3, false)), (1, 0));
    let bounds = |more: Value| Bounds::of(&deployment("x", more));
    let rolling = |surge: Value, unavailable: Value| json!({"spec": {"replicas": 1, "strategy": {"rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}}}});
    assert_eq!(bounds(rolling(json!("0%"), json!("10%"))), Bounds { replicas: 1, surge: 0, unavailable: 1, recreate: false });
    assert_eq!(bounds(rolling(json!(2), json!(5))).least(), 0);
}
