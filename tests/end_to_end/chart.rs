//! The chart in a cluster: the real Helm installs it and waits, upgrades it, rolls it back, and takes it away; what it leaves is what its notes say.
#![allow(clippy::print_stdout, reason = "what was asked and what came of it belongs into the log of a run")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use harness::folder::Folder;
use harness::helm::Helm;
use harness::kubectl::Kubectl;
use harness::switchboard::Switchboard;
use harness::wait;
use serde_json::{Value, json};

const NAMESPACE: &str = "switchboard-system";
const SELECTOR: &str = "app.kubernetes.io/instance=switchboard,app.kubernetes.io/component=operator";
/// Bound for what starts, replaces or ends whole replicas.
const ROLLOUT: Duration = Duration::from_secs(120);
/// What a chart like this one is made of.
const KINDS: &str = "crd,clusterrole,clusterrolebinding,validatingadmissionpolicy,validatingadmissionpolicybinding,deployment,replicaset,pod,service,\
    serviceaccount,secret,configmap,persistentvolumeclaim,role,rolebinding,poddisruptionbudget,networkpolicy,lease";
/// Biggest Secret that an API server takes.
const MEBIBYTE: usize = 1 << 20;

struct Scene {
    plane: Switchboard,
    kubectl: Kubectl,
    helm: Helm,
    /// Values of every call: the simulator, and a store whose address is known without DNS.
    values: Vec<String>,
}

impl Scene {
    fn start() -> Self {
        let plane = Switchboard::start(&["--bare"]);
        let kubectl = plane.kubectl();
        let helm = Helm::new(&plane.kubeconfig(), NAMESPACE);
        let first = kubectl.field("default", "service/kubernetes", "{.spec.clusterIP}");
        let (network, _) = first.split_once(".128.").expect("services have the upper half of the plane's network");
        let address = format!("store.service.clusterIP={network}.200.7");
        let values = ["--set", "simulator.enabled=true,store.enabled=true", "--set", &address].map(str::to_owned).to_vec();
        Self { plane, kubectl, helm, values }
    }

    fn helm(&self, command: &str, chart: &Path, more: &[&str]) -> String {
        let chart = chart.to_string_lossy();
        let mut arguments = vec![command, "switchboard", &chart, "--wait", "--timeout", "2m"];
        arguments.extend(self.values.iter().map(String::as_str));
        arguments.extend(more);
        self.helm.ok(&arguments)
    }

    /// Pods of the operator that are not ending.
    fn replicas(&self) -> Vec<Value> {
        let list = self.kubectl.ok(&["get", "pods", "-n", NAMESPACE, "-l", SELECTOR, "-o", "json"]);
        let list: Value = serde_json::from_str(&list).unwrap();
        list["items"].as_array().unwrap().iter().filter(|pod| pod["metadata"]["deletionTimestamp"].is_null()).cloned().collect()
    }

    fn ready(&self) -> usize {
        let ready = |pod: &Value| {
            let conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
            conditions.into_iter().any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
        };
        self.replicas().iter().filter(|pod| ready(pod)).count()
    }

    /// `switchboard_leader` of each replica.
    fn leaders(&self) -> Vec<String> {
        let address = |pod: &Value| pod["status"]["podIP"].as_str().unwrap_or_default().to_owned();
        let metrics = |address: String| harness::metrics::page(&address, 8080).unwrap_or_default();
        let line =
            |page: String| page.lines().find_map(|line| line.strip_prefix("switchboard_leader ").map(str::to_owned)).unwrap_or_default();
        let mut found: Vec<String> = self.replicas().iter().map(address).map(metrics).map(line).collect();
        found.sort();
        found
    }

    fn one_of(&self, replicas: usize) {
        let expected: Vec<String> = std::iter::repeat_n("0", replicas - 1).chain(["1"]).map(str::to_owned).collect();
        wait::until_true(&format!("one leader of {replicas} replicas"), ROLLOUT, || self.ready() == replicas && self.leaders() == expected);
        let holder = self.kubectl.field(NAMESPACE, "lease/switchboard", "{.spec.holderIdentity}");
        assert!(
            self.replicas().iter().any(|pod| pod["metadata"]["name"].as_str().is_some_and(|name| holder.starts_with(name))),
            "{holder} holds the Lease"
        );
    }

    /// Everything in the cluster that could be of the release, by kind, namespace and name; not what every namespace has.
    fn objects(&self) -> BTreeSet<String> {
        let line = "jsonpath={range .items[*]}{.kind} {.metadata.namespace}/{.metadata.name}{\"\\n\"}{end}";
        let found = self.kubectl.ok(&["get", KINDS, "-A", "-o", line]);
        let ours = |line: &&str| line.contains("switchboard") && !line.ends_with("/kube-root-ca.crt") && !line.ends_with("/default");
        found.lines().filter(ours).map(str::to_owned).collect()
    }
}

fn chart() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts/switchboard")
}

/// The chart as an earlier version might have been: a short name is another.
fn earlier(folder: &Folder) -> PathBuf {
    let to = folder.path().join("switchboard");
    copy(&chart(), &to);
    let kind = to.join("files/crds/customers.yaml");
    let text = std::fs::read_to_string(&kind).unwrap();
    assert!(text.contains("\n    - cust\n"), "the short name of customers is another now");
    std::fs::write(&kind, text.replace("\n    - cust\n", "\n    - earlier\n")).unwrap();
    to
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        if entry.path().is_dir() { copy(&entry.path(), &to) } else { std::fs::copy(entry.path(), to).map(drop).unwrap() }
    }
}

#[test]
fn helm_installs_upgrades_rolls_back_and_removes_the_chart() {
    let scene = Scene::start();
    let kubectl = &scene.kubectl;
    let before = scene.objects();
    let folder = Folder::new();

    let notes = scene.helm("install", &earlier(&folder), &["--create-namespace"]);
    assert!(notes.contains("STATUS: deployed"), "{notes}");
    // Helm waited: nothing is left to wait for.
    assert_eq!(scene.ready(), 2, "helm --wait came back early");
    scene.one_of(2);
    println!("{}", kubectl.ok(&["get", "deployments,pods,services,leases,pdb", "-n", NAMESPACE, "-o", "wide"]));
    kubectl.wait("", "objectstore/default", "condition=Ready");

    // Examples, systems, a backup: through the Service, into the chart's store.
    kubectl.ok(&["apply", "-f", "examples/"]);
    kubectl.wait_for_field("examples", "ipo/hull", "{.status.connection.colour}", "Green");
    kubectl.wait("examples", "backup/hull-before-change", "condition=Complete");
    let since = kubectl.field("examples", "ipo/hull", "{.status.conditions[?(@.type==\"Connected\")].lastTransitionTime}");
    let authority = kubectl.field(NAMESPACE, "secret/switchboard-authority", "{.metadata.uid}");
    let keys = kubectl.field(NAMESPACE, "secret/switchboard-store", "{.data}");

    upgrade_and_roll_back(&scene);
    // Systems were served all the time: no transition was written, and the authority and the store's keys are the same.
    let connected = kubectl.field("examples", "ipo/hull", "{.status.conditions[?(@.type==\"Connected\")].lastTransitionTime}");
    assert_eq!(connected, since, "the connection changed during rollouts");
    assert_eq!(kubectl.field("examples", "ipo/hull", "{.status.connection.colour}"), "Green");
    assert_eq!(kubectl.field(NAMESPACE, "secret/switchboard-authority", "{.metadata.uid}"), authority);
    assert_eq!(kubectl.field(NAMESPACE, "secret/switchboard-store", "{.data}"), keys);

    install_again(&scene);
    uninstall(&scene, &before);
}

/// Uninstalled by mistake, with a fleet there: nothing of it is lost, and the next installation goes on with it.
fn install_again(scene: &Scene) {
    let kubectl = &scene.kubectl;
    let enrolled = || kubectl.field("examples", "ipo/hull", "{.status.conditions[?(@.type==\"Enrolled\")].lastTransitionTime}");
    let since = enrolled();
    scene.helm.ok(&["uninstall", "switchboard", "--wait", "--timeout", "2m"]);
    wait::until_true("the end of the replicas", ROLLOUT, || scene.replicas().is_empty());
    scene.helm("install", &chart(), &[]);
    scene.one_of(2);
    kubectl.apply(&[json!({
        "apiVersion": "switchboard.dev/v1alpha1", "kind": "Backup", "metadata": {"name": "installed-again", "namespace": "examples"},
        "spec": {"ipOffice": "hull"},
    })]);
    kubectl.wait("examples", "backup/installed-again", "condition=Complete");
    assert_eq!(enrolled(), since, "the system enrolled anew: the authority is another");
}

fn upgrade_and_roll_back(scene: &Scene) {
    let kubectl = &scene.kubectl;
    let short_name = || kubectl.field("", "crd/customers.switchboard.dev", "{.spec.names.shortNames[0]}");
    assert_eq!(short_name(), "earlier");
    let store = kubectl.field("", "objectstore/default", "{.metadata.uid}");

    scene.helm("upgrade", &chart(), &["--set", "replicas=3,operator.logLevel=DEBUG"]);
    assert_eq!(scene.ready(), 3, "helm --wait came back early");
    scene.one_of(3);
    assert_eq!(short_name(), "cust", "kinds are upgraded with the chart");
    let arguments = kubectl.field(NAMESPACE, "deployment/switchboard", "{.spec.template.spec.containers[0].args}");
    assert!(arguments.contains("--log-level=DEBUG"), "{arguments}");
    assert_eq!(kubectl.field("", "objectstore/default", "{.metadata.uid}"), store, "the ObjectStore was taken over, not made anew");

    // An upgrade that changes nothing rolls nothing.
    let pods = || scene.replicas().iter().map(|pod| pod["metadata"]["uid"].to_string()).collect::<BTreeSet<_>>();
    let (unchanged, generation) = (pods(), kubectl.field(NAMESPACE, "deployment/switchboard", "{.metadata.generation}"));
    scene.helm("upgrade", &chart(), &["--set", "replicas=3,operator.logLevel=DEBUG"]);
    assert_eq!(pods(), unchanged);
    assert_eq!(kubectl.field(NAMESPACE, "deployment/switchboard", "{.metadata.generation}"), generation);

    scene.helm.ok(&["rollback", "switchboard", "1", "--wait", "--timeout", "2m"]);
    scene.one_of(2);
    assert_eq!(kubectl.field("", "objectstore/default", "{.metadata.uid}"), store, "a rollback keeps the ObjectStore");
    println!("{}", scene.helm.ok(&["history", "switchboard"]));

    let secrets: Value = serde_json::from_str(&kubectl.ok(&["get", "secrets", "-n", NAMESPACE, "-l", "owner=helm", "-o", "json"])).unwrap();
    let sizes: Vec<usize> = secrets["items"].as_array().unwrap().iter().map(|secret| secret.to_string().len()).collect();
    println!("Secrets of releases, in bytes: {sizes:?}");
    assert!(sizes.len() == 4 && sizes.iter().all(|size| *size < MEBIBYTE), "{sizes:?}");
}

fn uninstall(scene: &Scene, before: &BTreeSet<String>) {
    let kubectl = &scene.kubectl;
    // As the notes say: first what there is, while the operator can end it.
    let all = "backups,restores,simulatedsystems,registrations,ipoffices,customers";
    kubectl.ok(&["delete", all, "--all", "-A", "--timeout=60s"]);
    kubectl.ok(&["delete", "namespace", "examples", "--timeout=60s"]);
    kubectl.ok(&["delete", "objectstore", "offsite", "--timeout=60s"]);
    println!("{}", scene.helm.ok(&["uninstall", "switchboard", "--wait", "--timeout", "2m"]));
    let kinds = "backups customers ipoffices objectstores registrations restores simulatedsystems.simulation";
    let others = ["Lease", "Secret", "PersistentVolumeClaim"].into_iter().zip(["", "-authority", "-store"]);
    let expected: BTreeSet<String> = kinds
        .split(' ')
        .map(|kind| format!("CustomResourceDefinition /{kind}.switchboard.dev"))
        .chain(others.map(|(kind, suffix)| format!("{kind} {NAMESPACE}/switchboard{suffix}")))
        .collect();
    // Replicas cannot delete their own Leases: their rights went before they did.
    let of_a_replica = format!("Lease {NAMESPACE}/switchboard-replica-");
    let left = || scene.objects().difference(before).filter(|line| !line.starts_with(&of_a_replica)).cloned().collect::<BTreeSet<_>>();
    // Pods end in their own time.
    if !wait::reached(ROLLOUT, || left() == expected) {
        assert_eq!(left(), expected, "left by helm uninstall");
    }
    kubectl.ok(&["get", "objectstore", "default"]);
    remove_the_rest(kubectl);
    assert!(scene.plane.simulated_systems().is_empty(), "processes of simulated systems go on");
}

/// As the notes say.
fn remove_the_rest(kubectl: &Kubectl) {
    kubectl.ok(&["delete", "crd", "-l", "app.kubernetes.io/part-of=switchboard", "--timeout=60s"]);
    kubectl.ok(&["delete", "secret/switchboard-authority", "lease/switchboard", "-n", NAMESPACE]);
    kubectl.ok(&["delete", "lease", "-l", "switchboard.dev/replica-of=switchboard", "-n", NAMESPACE]);
    kubectl.ok(&["delete", "namespace", NAMESPACE, "--timeout=60s"]);
}

#[test]
fn a_chart_that_cannot_get_ready_fails_and_the_running_one_goes_on() {
    let scene = Scene::start();
    scene.helm("install", &chart(), &["--create-namespace"]);
    scene.one_of(2);
    let chart = chart();
    let chart = chart.to_string_lossy();
    let mut arguments = vec!["upgrade", "switchboard", &chart, "--wait", "--timeout", "15s"];
    arguments.extend(scene.values.iter().map(String::as_str));
    arguments.extend(["--set", "image.repository=nowhere/telephones"]);
    let failed = scene.helm.run(&arguments).expect_err("an image that nobody has");
    println!("{failed}");
    assert!(scene.ready() >= 2, "maxUnavailable is 0: the old replicas stay");
    scene.helm.ok(&["rollback", "switchboard", "--wait", "--timeout", "2m"]);
    scene.one_of(2);
    let status = scene.helm.ok(&["status", "switchboard"]);
    assert!(status.contains("STATUS: deployed"), "{status}");
}
