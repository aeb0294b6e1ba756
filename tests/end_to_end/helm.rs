//! The real Helm with a chart like many others (`tests/helm/sample`): hooks, waits, history, and what happens when something never gets ready.

use harness::helm::Helm;
use harness::kubectl::Kubectl;
use harness::switchboard::Switchboard;
use harness::wait;
use serde_json::Value;

const CHART: &str = "tests/helm/sample";

struct Scene {
    _plane: Switchboard,
    kubectl: Kubectl,
    helm: Helm,
}

impl Scene {
    fn start() -> Self {
        let plane = Switchboard::start(&["--bare"]);
        Self { kubectl: plane.kubectl(), helm: Helm::new(&plane.kubeconfig(), "apps"), _plane: plane }
    }

    fn install(&self, more: &[&str]) -> String {
        self.helm.ok(&[&["install", "web", CHART, "--create-namespace", "--wait", "--timeout", "90s"], more].concat())
    }

    fn upgrade(&self, timeout: &str, more: &[&str]) -> Result<String, String> {
        self.helm.run(&[&["upgrade", "web", CHART, "--wait", "--timeout", timeout], more].concat())
    }

    /// Revisions with their states.
    fn history(&self) -> Vec<(u64, String)> {
        let revisions: Value = serde_json::from_str(&self.helm.ok(&["history", "web", "-o", "json"])).unwrap();
        let of = |release: &Value| (release["revision"].as_u64().unwrap(), release["status"].as_str().unwrap().to_owned());
        revisions.as_array().unwrap().iter().map(of).collect()
    }

    fn field(&self, name: &str, path: &str) -> String {
        self.kubectl.field("apps", name, path)
    }

    fn names(&self, kinds: &str) -> Vec<String> {
        let names = self.kubectl.ok(&["get", kinds, "-n", "apps", "-o", "name"]);
        names.lines().map(str::to_owned).collect()
    }

    /// Greetings that the pods got, without those that are ending.
    fn greetings(&self) -> Vec<String> {
        let pods: Value = serde_json::from_str(&self.kubectl.ok(&["get", "pods", "-n", "apps", "-l", "app=web", "-o", "json"])).unwrap();
        let staying = pods["items"].as_array().unwrap().iter().filter(|pod| pod["metadata"]["deletionTimestamp"].is_null());
        let asked = staying.map(|pod| {
            let name = pod["metadata"]["name"].as_str().unwrap();
            self.kubectl.ok(&["exec", "-n", "apps", name, "--", "sh", "-c", "echo $GREETING"])
        });
        asked.map(|greeting| greeting.trim().to_owned()).collect()
    }
}

fn revisions(pairs: &[(u64, &str)]) -> Vec<(u64, String)> {
    pairs.iter().map(|(revision, state)| (*revision, (*state).to_owned())).collect()
}

#[test]
fn a_release_is_installed_upgraded_rolled_back_and_taken_away() {
    let scene = Scene::start();
    let shown = scene.install(&[]);
    assert!(shown.contains("STATUS: deployed") && shown.contains("web says hello."), "{shown}");
    // Helm came back when all was ready: nothing is waited for here.
    assert_eq!(scene.field("deployment/web", "{.status.readyReplicas}"), "2");
    assert_eq!(scene.field("gadget/web", "{.spec.size}"), "2");
    assert_eq!(scene.greetings(), ["hello", "hello"]);
    for hook in ["pre-install", "post-install"] {
        assert_eq!(scene.field(&format!("job/web-{hook}"), "{.status.succeeded}"), "1");
    }
    assert_eq!(scene.field("secret/sh.helm.release.v1.web.v1", "{.type} {.metadata.labels.status}"), "helm.sh/release.v1 deployed");

    scene.upgrade("90s", &["--set", "greeting=ahoy,replicas=1"]).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(scene.field("deployment/web", "{.status.updatedReplicas}/{.status.replicas}"), "1/1");
    assert_eq!(scene.field("deployment/web", "{.metadata.annotations.deployment\\.kubernetes\\.io/revision}"), "2");
    assert_eq!(scene.history(), revisions(&[(1, "superseded"), (2, "deployed")]));
    // Hooks that are to go once they have succeeded have gone.
    assert_eq!(scene.names("jobs"), ["job.batch/web-post-install", "job.batch/web-pre-install"]);

    scene.helm.ok(&["rollback", "web", "1", "--wait", "--timeout", "90s"]);
    assert_eq!(scene.field("configmap/web-settings", "{.data.greeting}"), "hello");
    assert_eq!(scene.field("deployment/web", "{.status.readyReplicas}"), "2");
    assert_eq!(scene.history(), revisions(&[(1, "superseded"), (2, "superseded"), (3, "deployed")]));

    scene.helm.ok(&["uninstall", "web", "--wait", "--timeout", "90s"]);
    // What the release's objects own, such as ReplicaSets, may be collected only after Helm is back.
    wait::until_ok(wait::SOON, || {
        let left = scene.names("deployments,replicasets,services,secrets,gadgets");
        if left.is_empty() { Ok(()) } else { Err(format!("left: {left:?}")) }
    });
    // What hooks made is not the release's: two Jobs stay, as their annotations say.
    assert_eq!(scene.names("jobs"), ["job.batch/web-post-install", "job.batch/web-pre-install"]);
    assert_eq!(scene.names("configmaps"), ["configmap/kube-root-ca.crt", "configmap/web-kept"]);
    scene.kubectl.ok(&["get", "crd", "gadgets.sample.example.org"]);
    assert!(scene.helm.run(&["status", "web"]).unwrap_err().contains("not found"));
}

#[test]
fn what_fails_says_so_and_what_ran_goes_on() {
    let scene = Scene::start();
    scene.install(&[]);
    // A hook that fails stops the upgrade before anything is changed.
    let failed = scene.upgrade("60s", &["--set", "hookSucceeds=false,greeting=ahoy"]).unwrap_err();
    assert!(failed.contains("pre-upgrade hooks failed"), "{failed}");
    assert_eq!(scene.field("configmap/web-settings", "{.data.greeting}"), "hello");
    assert_eq!(scene.history(), revisions(&[(1, "deployed"), (2, "failed")]));

    // Pods that never get ready: the old ones stay as they are until the rollback, which the failure brings. The time is the rollback's as well.
    let failed = scene.upgrade("30s", &["--set", "ready=false,greeting=ahoy", "--rollback-on-failure"]).unwrap_err();
    assert!(failed.contains("rolled back"), "{failed}");
    assert_eq!(scene.field("deployment/web", "{.status.readyReplicas} {.status.unavailableReplicas}"), "2 ");
    assert_eq!(scene.greetings(), ["hello", "hello"]);
    assert_eq!(scene.history(), revisions(&[(1, "superseded"), (2, "failed"), (3, "failed"), (4, "deployed")]));
    // And after all that an upgrade works.
    scene.upgrade("90s", &["--set", "greeting=ahoy"]).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(scene.greetings(), ["ahoy", "ahoy"]);
}
