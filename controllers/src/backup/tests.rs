#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
use std::time::{Duration, Instant};

use archive::layout::BackupId;
use crds::action::Phase;
use crds::conditions::is_true;
use crds::{Backup, BackupStatus, IPOffice};
use jiff::Timestamp;
use model::ids::SystemKey;
use serde_json::{Value, json};

use super::plan::{Next, Observed, Plan, Report, folder, plan};
use crate::action::Patience;
use crate::action::report::{Because, WAITING_FOR_TURN};
use crate::action::runs::{Outcome, State};

const CREATED: &str = "2026-11-22T02:13:05Z";

fn backup(spec: Value) -> Backup {
    let mut all = json!({"ipOffice": "hq", "objectStore": "default", "paused": false, "stopped": false, "deletionPolicy": "Retain"});
    all.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    serde_json::from_value(json!({
        "apiVersion": "switchboard.dev/v1alpha1", "kind": "Backup",
        "metadata": {"name": "b", "namespace": "n", "uid": "uid-b", "generation": 1, "creationTimestamp": CREATED},
        "spec": all
    }))
    .unwrap()
}

fn system(operation: Option<&str>) -> IPOffice {
    let condition = |kind: &str| json!({"type": kind, "status": "True", "reason": "R", "message": "", "lastTransitionTime": CREATED});
    let mut value = json!({
        "apiVersion": "switchboard.dev/v1alpha1", "kind": "IPOffice", "metadata": {"name": "hq", "namespace": "n", "uid": "uid-hq"}, "spec": {"customer": "acme"},
        "status": {
            "conditions": [condition("Connected"), condition("Authorized")],
            "connection": {"colour": "Green", "message": "Connection successful", "since": CREATED},
            "version": "11.1.3.2.0", "profile": "IP500 V2", "remoteOperations": {"remoteUpgradeBackup": true}
        }
    });
    if let Some(uid) = operation {
        value["status"]["operation"] = json!({"kind": "Backup", "name": "x", "uid": uid});
    }
    serde_json::from_value(value).unwrap()
}

fn at(seconds: i64) -> Timestamp {
    CREATED.parse::<Timestamp>().unwrap() + jiff::SignedDuration::from_secs(seconds)
}

fn observed<'a>(backup: &'a Backup, system: Option<&'a IPOffice>) -> Observed<'a> {
    Observed {
        backup,
        system,
        key: Some(SystemKey { customer: "acme1".parse().unwrap(), system: "hq1".parse().unwrap() }),
        store: Ok(()),
        run: State::Idle,
        clean_up: State::Idle,
        outnumbered: false,
        patience: Patience::default(),
        paused: false,
        now: at(10),
    }
}

fn complete(plan: &Plan) -> (Phase, String) {
    let condition = plan.status.conditions.iter().find(|condition| condition.type_ == "Complete").unwrap();
    (plan.status.phase.unwrap(), condition.reason.clone())
}

/// The object after the plan's status was written.
fn after(mut backup: Backup, plan: &Plan) -> Backup {
    backup.status = Some(plan.status.clone());
    backup
}

fn begun() -> Backup {
    let (backup, system) = (backup(json!({})), system(Some("uid-b")));
    let plan = plan(&observed(&backup, Some(&system)));
    after(backup, &plan)
}

fn report() -> Report {
    Report { elements: Vec::new(), size: 7, configuration_revision: 3, confirmed: "the store confirmed it".into() }
}

#[test]
fn it_waits_for_its_turn_and_says_where_the_backup_will_be_before_anything_is_done() {
    let (order, free) = (backup(json!({})), system(None));
    let waits = plan(&observed(&order, Some(&free)));
    assert_eq!(complete(&waits), (Phase::Waiting, WAITING_FOR_TURN.to_owned()));
    assert!(matches!(waits.next, Next::LookAgain(left) if left > Duration::from_secs(86_000)), "it gives up some day");
    let other = system(Some("uid-other"));
    let behind = plan(&observed(&order, Some(&other)));
    assert!(behind.status.conditions[0].message.contains("Backup x works on hq"), "{:?}", behind.status.conditions);
    let mine = system(Some("uid-b"));
    let begins = plan(&observed(&order, Some(&mine)));
    assert_eq!(begins.status.phase, Some(Phase::InProgress));
    let id = BackupId::new(at(0), "uid-b").unwrap();
    assert_eq!(begins.status.backup_id.as_deref(), Some(id.as_str()));
    assert_eq!(begins.status.folder.as_deref(), Some(format!("backups/acme1/hq1/{id}/").as_str()));
    assert!(matches!(&begins.next, Next::Run(folder) if folder.id == id));
}

#[test]
fn a_set_time_is_waited_for_and_paused_and_stopped_count_until_it_begins() {
    let free = system(None);
    let later = |spec: Value| {
        let mut all = json!({"startTime": "2026-11-22T03:13:05Z"});
        all.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
        backup(all)
    };
    let scheduled = later(json!({}));
    let plan_of = |backup: &Backup, now| plan(&Observed { now, ..observed(backup, Some(&free)) });
    assert_eq!(plan_of(&scheduled, at(10)).next, Next::LookAgain(Duration::from_secs(3590)));
    assert_eq!(complete(&plan_of(&scheduled, at(10))).0, Phase::Scheduled);
    assert_eq!(complete(&plan_of(&scheduled, at(3600))), (Phase::Waiting, WAITING_FOR_TURN.to_owned()));
    assert_eq!(complete(&plan_of(&later(json!({"paused": true})), at(3600))).0, Phase::Paused);
    let stopped = plan_of(&later(json!({"stopped": true, "paused": true})), at(10));
    assert!(stopped.ended.as_ref().is_some_and(|(phase, _)| *phase == Phase::Stopped));
    let stopped = after(later(json!({"stopped": true})), &stopped);
    assert_eq!(plan_of(&stopped, at(4000)).status, stopped.status.clone().unwrap(), "final");
    // Begun is begun.
    let mut running = begun();
    running.spec.paused = true;
    running.spec.stopped = true;
    let mine = system(Some("uid-b"));
    assert!(matches!(plan(&observed(&running, Some(&mine))).next, Next::Run(_)));
}

#[test]
fn what_cannot_be_done_is_refused_with_its_reason_and_what_may_pass_is_waited_for_a_day() {
    let free = system(None);
    let refused = backup(json!({"elements": ["CustomPrompts"]}));
    let plan_of = |backup: &Backup, now| plan(&Observed { now, ..observed(backup, Some(&free)) });
    assert_eq!(complete(&plan_of(&refused, at(10))), (Phase::Failed, "ElementsRefused".to_owned()));
    let order = backup(json!({}));
    let down = Because::new("StoreUnreachable", "no answer");
    let waits = plan(&Observed { store: Err(down.clone()), ..observed(&order, Some(&free)) });
    assert_eq!(complete(&waits), (Phase::Waiting, "StoreUnreachable".to_owned()));
    let too_late = plan(&Observed { store: Err(down), now: at(24 * 3600), ..observed(&order, Some(&free)) });
    assert_eq!(complete(&too_late), (Phase::Failed, "NotBegun".to_owned()));
    assert_eq!(complete(&plan(&observed(&order, None))), (Phase::Waiting, "SystemNotFound".to_owned()));
}

#[test]
fn after_a_crash_it_is_begun_again_where_status_says_and_never_while_it_runs() {
    let (running, mine) = (begun(), system(Some("uid-b")));
    let place = folder(running.status.as_ref().unwrap()).unwrap();
    let plan_of = |run| plan(&Observed { run, ..observed(&running, Some(&mine)) });
    assert_eq!(plan_of(State::Idle).next, Next::Run(Box::new(place)));
    let works = plan_of(State::Running(Some("1 of 2 elements".into())));
    assert_eq!((works.next, works.status.progress.as_deref()), (Next::Wait, Some("1 of 2 elements")));
    let held = plan_of(State::Held(Some("1 of 2 elements".into()), Because::new("StoreFull", "no room")));
    assert_eq!((complete(&held), &held.next), ((Phase::InProgress, "StoreFull".to_owned()), &Next::Wait), "it says what it waits for");
    assert_eq!(held.status.progress.as_deref(), Some("1 of 2 elements"));
    let again = plan_of(State::Ended(Outcome::Again(Because::new("StoreBusy", "later")), Instant::now()));
    assert!(matches!(again.next, Next::LookAgain(_)));
    assert_eq!(complete(&again), (Phase::InProgress, "StoreBusy".to_owned()));
    let lost = system(Some("uid-other"));
    let waits = plan(&observed(&running, Some(&lost)));
    assert_eq!(
        (complete(&waits), waits.next.clone()),
        ((Phase::InProgress, WAITING_FOR_TURN.to_owned()), Next::Wait),
        "its lock is another's"
    );
    assert_eq!(complete(&plan(&observed(&running, None))), (Phase::Failed, "SystemDeleted".to_owned()));
    let mut made_anew = system(Some("uid-b"));
    made_anew.metadata.uid = Some("uid-of-another".into());
    assert_eq!(complete(&plan(&observed(&running, Some(&made_anew)))), (Phase::Failed, "SystemDeleted".to_owned()));
    let long = plan(&Observed {
        run: State::Ended(Outcome::Again(Because::new("NotPrepared", "gone")), Instant::now()),
        now: at(25 * 3600),
        ..observed(&running, Some(&mine))
    });
    assert_eq!(complete(&long), (Phase::Failed, "NotPrepared".to_owned()), "not for ever");
}

#[test]
fn it_is_complete_only_by_a_report_and_a_final_phase_is_never_left() {
    let (running, mine) = (begun(), system(Some("uid-b")));
    let done = plan(&Observed { run: State::Ended(Outcome::Completed(report()), Instant::now()), ..observed(&running, Some(&mine)) });
    assert!(is_true(&done.status.conditions, "Complete") && !is_true(&done.status.conditions, "Failed"));
    assert_eq!((done.status.size, done.status.configuration_revision, done.status.progress.clone()), (Some(7), Some(3), None));
    let complete = after(running.clone(), &done);
    for run in [State::Idle, State::Ended(Outcome::Failed(Because::new("X", "x")), Instant::now())] {
        let later = plan(&Observed { run, now: at(99), ..observed(&complete, None) });
        assert_eq!((later.status, later.next, later.ended), (complete.status.clone().unwrap(), Next::Wait, None));
    }
    let failed = plan(&Observed {
        run: State::Ended(Outcome::Failed(Because::new("DiskFull", "the disk is full")), Instant::now()),
        ..observed(&running, Some(&mine))
    });
    assert!(is_true(&failed.status.conditions, "Failed") && !is_true(&failed.status.conditions, "Complete"));
    assert_eq!(plan(&Observed { outnumbered: true, ..observed(&complete, None) }).next, Next::Prune);
    let mut takes_its_backup = complete.clone();
    takes_its_backup.spec.deletion_policy = serde_json::from_value(json!("Delete")).unwrap();
    assert_eq!(
        plan(&Observed { outnumbered: true, ..observed(&takes_its_backup, None) }).next,
        Next::Wait,
        "bytes go by a person's order only"
    );
}

fn deleted(mut backup: Backup) -> Backup {
    backup.metadata.deletion_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(at(20)));
    backup
}

#[test]
fn deleting_waits_for_the_run_and_then_for_the_store_only_if_the_backup_is_to_go() {
    let mine = system(Some("uid-b"));
    let running = deleted(begun());
    let waits = plan(&Observed { run: State::Running(None), ..observed(&running, Some(&mine)) });
    assert!(waits.next == Next::Wait && waits.status.conditions.iter().any(|condition| condition.type_ == "Deletable"));
    let done = |policy: &str| {
        let mut backup = deleted(begun());
        backup.spec.deletion_policy = serde_json::from_value(json!(policy)).unwrap();
        let status = backup.status.take().unwrap();
        backup.status = Some(BackupStatus { phase: Some(Phase::Completed), ..status });
        backup
    };
    assert_eq!(plan(&observed(&done("Retain"), None)).next, Next::Release);
    let goes = done("Delete");
    assert!(matches!(plan(&observed(&goes, None)).next, Next::CleanUp(_)));
    let down = Outcome::Again(Because::new("StoreUnreachable", "no answer"));
    let stuck = plan(&Observed { clean_up: State::Ended(down.clone(), Instant::now()), ..observed(&goes, None) });
    let why = stuck.status.conditions.iter().find(|condition| condition.type_ == "Deletable").unwrap();
    assert!(why.reason == "StoreUnreachable" && why.message.contains("deletionPolicy: Retain"), "{why:?}");
    assert!(matches!(stuck.next, Next::LookAgain(_)));
    // What is left of a failed one is tidied, but never waited for.
    let mut failed = done("Retain");
    failed.status.as_mut().unwrap().phase = Some(Phase::Failed);
    assert!(matches!(plan(&observed(&failed, None)).next, Next::CleanUp(_)));
    assert_eq!(plan(&Observed { clean_up: State::Ended(down, Instant::now()), ..observed(&failed, None) }).next, Next::Release);
    assert_eq!(plan(&observed(&deleted(backup(json!({}))), None)).next, Next::Release, "never begun");
}

#[test]
fn at_rest_nothing_is_written() {
    let (order, free) = (backup(json!({})), system(None));
    let first = after(order, &plan(&observed(&backup(json!({})), Some(&free))));
    let second = plan(&Observed { now: at(500), ..observed(&first, Some(&free)) });
    assert_eq!(Some(second.status), first.status);
}
