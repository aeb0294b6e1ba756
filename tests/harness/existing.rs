//! A cluster that was there before the tests and is there after them.
//!
//! Kinds and policies belong to a whole cluster, so one test at a time uses it, and only where Switchboard is not installed: the namespace of the
//! operator, marked, says that all of Switchboard in the cluster is the tests'. What a test that was killed left is removed by the next.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use crate::api_server::{ACCOUNT, NAMESPACE, definitions, policies};
use crate::kubectl::Kubectl;
use crate::{node, objects, wait};

/// Marks namespaces that are the tests'; that of the operator among them says that all of Switchboard is.
pub const MARK: &str = "switchboard.dev/of-tests";
/// End of the names of all groups.
const GROUPS: &str = "switchboard.dev";
/// Namespace and name of each object.
const EACH: &str = "jsonpath={range .items[*]}{.metadata.namespace}/{.metadata.name} {end}";
/// For what was deleted to be gone: namespaces take their time.
const GONE: Duration = Duration::from_secs(120);

/// The cluster, for the test that uses it. It is left as it was found when this value goes.
#[derive(Debug)]
pub struct Existing {
    kubectl: Kubectl,
    /// Locked.
    _turn: File,
}

impl Existing {
    /// Waits for its turn, writes a kubeconfig of that one cluster for `kubectl`, and looks whether the tests may use it.
    ///
    /// # Panics
    /// They may not.
    pub fn claim(kubeconfig: &Path, own: &Path, kubectl: Kubectl) -> Self {
        let turn = File::create(std::env::temp_dir().join("switchboard-tests-of-an-existing-cluster")).unwrap();
        turn.lock().unwrap();
        let shown = Kubectl::new(kubeconfig, &own.with_file_name("kubectl-cache-of-others"));
        std::fs::write(own, shown.ok(&["config", "view", "--minify", "--flatten", "--raw"])).unwrap();
        let existing = Self { kubectl, _turn: turn };
        if existing.is_marked() {
            existing.clean();
        }
        if let Some(why) = existing.refusal() {
            // Nothing in it is the tests'.
            std::mem::forget(existing);
            panic!("the tests do not use the cluster of {}: {why}", kubeconfig.display());
        }
        existing.kubectl.apply(&[objects::namespace(NAMESPACE)]);
        existing
    }

    fn is_marked(&self) -> bool {
        self.namespaces(&["-l", MARK]).iter().any(|name| name == NAMESPACE)
    }

    fn refusal(&self) -> Option<String> {
        let found = self.kubectl.run(&["get", "namespace", NAMESPACE]).code == 0;
        if found || !self.definitions().is_empty() {
            return Some(
                "Switchboard is in it, and the tests would install and remove it; name another cluster, or remove it with its kinds"
                    .to_owned(),
            );
        }
        let nodes =
            self.kubectl.ok(&["get", "nodes", "--field-selector=spec.unschedulable!=true", "-o", "jsonpath={.items[*].metadata.name}"]);
        (!nodes.is_empty()).then(|| {
            format!("simulated systems run on a node that the tests bring, and its own nodes would get them too; first run kubectl cordon {nodes}")
        })
    }

    /// Names of Switchboard's kinds: `ipoffices.switchboard.dev`.
    fn definitions(&self) -> Vec<String> {
        let names = self.kubectl.ok(&["get", "crds", "-o", "jsonpath={.items[*].metadata.name}"]);
        names.split_whitespace().filter(|name| name.ends_with(&format!(".{GROUPS}"))).map(str::to_owned).collect()
    }

    fn namespaces(&self, chosen: &[&str]) -> Vec<String> {
        let arguments = [&["get", "namespaces", "-o", "jsonpath={.items[*].metadata.name}"], chosen].concat();
        self.kubectl.ok(&arguments).split_whitespace().map(str::to_owned).collect()
    }

    /// Removes all that tests make. Operator and node are gone; what they would still have to do is not waited for.
    fn clean(&self) {
        let kubectl = &self.kubectl;
        let delete = |input: &str| kubectl.ok_with(&["delete", "--ignore-not-found", "--wait=false", "-f", "-"], input, &[]);
        self.mark_those_of_examples();
        delete(&policies());
        delete(&definitions());
        // A policy that is gone may be obeyed for a moment more.
        wait::until_true("the end of Switchboard's kinds", GONE, || {
            let kinds = self.definitions();
            kinds.iter().for_each(|kind| self.release(kind));
            kinds.is_empty()
        });
        kubectl.ok(&["delete", "persistentvolumes", "-l", node::VOLUMES, "--ignore-not-found", "--wait=false"]);
        kubectl.ok(&["delete", "clusterrolebinding", ACCOUNT, "--ignore-not-found"]);
        kubectl.ok(&["delete", "node", node::NAME, "--ignore-not-found"]);
        kubectl.ok(&["delete", "lease", "-n", "kube-node-lease", node::NAME, "--ignore-not-found"]);
        // Last: as long as there is one, the rest is known to be the tests'.
        let namespaces = self.namespaces(&["-l", MARK]);
        for namespace in &namespaces {
            kubectl.ok(&["delete", "namespace", namespace, "--ignore-not-found", "--wait=false"]);
        }
        let on_the_node = format!("--field-selector=spec.nodeName={}", node::NAME);
        wait::until_true(&format!("the end of the namespaces {}", namespaces.join(", ")), GONE, || {
            let pods = kubectl.ok(&["get", "pods", "-A", &on_the_node, "-o", EACH]);
            for (namespace, name) in pods.split_whitespace().filter_map(|pod| pod.split_once('/')) {
                kubectl.run(&["delete", "pod", "-n", namespace, name, "--ignore-not-found", "--grace-period=0", "--force"]);
            }
            self.namespaces(&["-l", MARK]).is_empty()
        });
    }

    /// Namespaces that a test made otherwise than with [`objects::namespace`]: they hold objects of Switchboard, and are no older than the tests.
    fn mark_those_of_examples(&self) {
        let holding = |kind: &String| self.kubectl.run(&["get", kind, "-A", "-o", "jsonpath={.items[*].metadata.namespace}"]).out;
        let used = self.definitions().iter().map(holding).collect::<Vec<_>>().join(" ");
        let format = "jsonpath={range .items[*]}{.metadata.name} {.metadata.creationTimestamp}{\"\\n\"}{end}";
        let times = self.kubectl.ok(&["get", "namespaces", "-o", format]);
        let times: Vec<(&str, &str)> = times.lines().filter_map(|line| line.split_once(' ')).collect();
        // Times in UTC and to the second compare as texts.
        let began = times.iter().find(|(name, _)| *name == NAMESPACE).map_or("", |(_, time)| *time);
        for (name, _) in times.iter().filter(|(name, time)| *time >= began && used.split(' ').any(|used| used == *name)) {
            self.kubectl.ok(&["label", "namespace", name, &format!("{MARK}=true"), "--overwrite"]);
        }
    }

    /// Nobody does any more what the finalizers of a kind's objects stand for.
    fn release(&self, kind: &str) {
        let held = self.kubectl.run(&["get", kind, "-A", "-o", &EACH.replace("[*]", "[?(@.metadata.finalizers)]")]).out;
        for (namespace, name) in held.split_whitespace().filter_map(|object| object.split_once('/')) {
            let patch = r#"{"metadata":{"finalizers":null}}"#;
            self.kubectl.run(&["patch", kind, name, "-n", namespace, "--type=merge", "-p", patch]);
        }
    }
}

impl Drop for Existing {
    fn drop(&mut self) {
        let cleaned = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.clean()));
        if cleaned.is_err() {
            eprintln!("what the test made in the cluster is still there; the next test removes it");
        }
    }
}
