//! A plane, an operator in a process of its own, one system that is green, and proxies before everything.

use std::ops::{Deref, DerefMut};
use std::path::PathBuf;
use std::time::Duration;

use harness::cluster::{Cluster, condition};
use harness::operator::Operator;
use harness::proxy::Proxy;
use harness::switchboard::{Switchboard, program};
use harness::{objects, wait};
use kube::config::Kubeconfig;
use object_client::{Addressing, ObjectClient, Options};
use serde_json::{Value, json};

/// Namespace of all that is made here.
pub const NAMESPACE: &str = "night";
/// The system.
pub const SYSTEM: &str = "hq";
/// Secret with the key of the store.
pub const STORE_SECRET: &str = "store-key";
/// What `switchboard up` calls access key and bucket.
const STORE: &str = "switchboard";
/// Bound for a backup or a restore on a loaded machine, with a restart of the system in it.
pub const LONG: Duration = Duration::from_secs(120);

/// All of it. The fields end in this order.
pub struct Scene {
    /// The operator.
    pub operator: Operator,
    stage: Stage,
}

impl Deref for Scene {
    type Target = Stage;
    fn deref(&self) -> &Stage {
        &self.stage
    }
}

impl DerefMut for Scene {
    fn deref_mut(&mut self) -> &mut Stage {
        &mut self.stage
    }
}

/// Everything but the operator. The fields end in this order.
pub struct Stage {
    /// Between the operator and the API server.
    pub api: Proxy,
    /// Between the operator and the object store.
    pub store: Proxy,
    /// Between systems and the object store.
    pub transfers: Proxy,
    /// The object store itself.
    pub objects: ObjectClient,
    /// The API itself.
    pub cluster: Cluster,
    /// Everything but the operator.
    pub plane: Switchboard,
}

/// What `up` wrote into its kubeconfig.
pub struct Way {
    pub server: std::net::SocketAddr,
    pub authority: String,
    pub token: String,
}

pub fn way(plane: &Switchboard) -> Way {
    use base64::Engine as _;
    let kubeconfig = Kubeconfig::read_from(plane.kubeconfig()).unwrap();
    let cluster = kubeconfig.clusters[0].cluster.as_ref().unwrap();
    let server = cluster.server.as_ref().unwrap().trim_start_matches("https://").parse().unwrap();
    let authority = cluster.certificate_authority_data.as_ref().unwrap();
    let authority = String::from_utf8(base64::engine::general_purpose::STANDARD.decode(authority).unwrap()).unwrap();
    let token: Value = serde_json::to_value(kubeconfig.auth_infos[0].auth_info.as_ref().unwrap()).unwrap();
    Way { server, authority, token: token["token"].as_str().unwrap().to_owned() }
}

/// The kubeconfig that leads through the proxy.
pub fn kubeconfig(plane: &Switchboard, proxy: &Proxy, token: &str, name: &str) -> PathBuf {
    let path = plane.data().with_file_name(name);
    let text = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "proxy",
        "clusters": [{"name": "proxy", "cluster": {"server": proxy.url()}}],
        "users": [{"name": "proxy", "user": {"token": token}}],
        "contexts": [{"name": "proxy", "context": {"cluster": "proxy", "user": "proxy"}}],
    });
    std::fs::write(&path, text.to_string()).unwrap();
    path
}

impl Scene {
    /// One with a system that has these causes, and an operator with these options. Waits until all is green.
    pub fn new(causes: &Value, options: &[&str]) -> Self {
        let (stage, token) = Stage::new();
        let operator = Operator::start(&stage.plane, &kubeconfig(&stage.plane, &stage.api, &token, "kubeconfig-by-proxy"), options);
        let scene = Self { operator, stage };
        scene.add_system(SYSTEM, causes);
        scene.wait_until_green();
        scene
    }

    /// Starts the operator again after it was killed, and waits until it is ready.
    pub fn start_operator_again(&mut self) {
        self.operator.start_again();
        self.operator.wait_until_ready();
    }
}

impl Stage {
    /// With a store, and without an operator and systems. Also returns the token of whoever may do anything.
    pub fn new() -> (Self, String) {
        let plane = Switchboard::start(&["--bare"]);
        let kubectl = plane.kubectl();
        let definitions = std::process::Command::new(program()).arg("crds").output().unwrap();
        kubectl.ok_with(&["apply", "-f", "-"], &String::from_utf8(definitions.stdout).unwrap(), &[]);
        kubectl.ok(&["wait", "--for=condition=Established", "crds", "--all", "--timeout=60s"]);
        let way = way(&plane);
        let store_address = ([127, 0, 0, 1], plane.ports.store).into();
        let api = Proxy::start(way.server, &way.authority);
        let store = Proxy::start(store_address, &way.authority);
        let transfers = Proxy::start(store_address, &way.authority);
        let key = std::fs::read_to_string(plane.data().join("object-store.key")).unwrap();
        let objects = objects_of(&format!("https://{store_address}"), &way.authority, key.trim());
        kubectl.apply(&objects::tenancy(NAMESPACE));
        kubectl.apply(&[store_secret(key.trim()), object_store(&store.url(), &transfers.url())]);
        let cluster = Cluster::new(&plane.kubeconfig());
        (Self { api, store, transfers, objects, cluster, plane }, way.token)
    }

    /// One more system, which is a simulated one.
    pub fn add_system(&self, name: &str, causes: &Value) {
        let remote = json!({"remoteOperations": {"centralizedManagement": true, "remoteUpgradeBackup": true}});
        let objects = [objects::ip_office(NAMESPACE, name, &remote), objects::simulated_system(NAMESPACE, name, causes)];
        self.plane.kubectl().apply(&objects);
    }

    /// Waits until the store can be used, and the system is as it is ordered.
    pub fn wait_until_green(&self) {
        wait::until_true("a store that is ready", wait::SOON, || {
            self.cluster.get("", "objectstores", "default").is_some_and(|store| condition(&store, "Ready").starts_with("True"))
        });
        wait::until_true("settings on the system", LONG, || self.system()["status"]["remoteOperations"]["remoteUpgradeBackup"] == true);
        self.wait_until_settled();
    }

    /// The object of the system.
    pub fn system(&self) -> Value {
        self.cluster.get(NAMESPACE, "ipoffices", SYSTEM).unwrap_or_default()
    }

    /// Orders a backup of the system. `spec` is merged over what is needed.
    pub fn order_backup(&self, name: &str, spec: &Value) {
        self.order("Backup", "backups", name, spec);
    }

    /// Orders a restore onto the system.
    pub fn order_restore(&self, name: &str, spec: &Value) {
        self.order("Restore", "restores", name, spec);
    }

    fn order(&self, kind: &str, plural: &str, name: &str, spec: &Value) {
        let mut all = json!({"ipOffice": SYSTEM});
        for (field, value) in spec.as_object().into_iter().flatten() {
            all[field] = value.clone();
        }
        let metadata = json!({"name": name, "namespace": NAMESPACE});
        self.cluster.create(plural, &json!({"apiVersion": "switchboard.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": all}));
    }

    /// The phase of an action; empty where there is none.
    pub fn phase(&self, plural: &str, name: &str) -> String {
        let action = self.cluster.get(NAMESPACE, plural, name).unwrap_or_default();
        action["status"]["phase"].as_str().unwrap_or_default().to_owned()
    }

    /// Waits until an action is over, and returns it.
    pub fn wait_until_over(&self, plural: &str, name: &str) -> Value {
        wait::until_ok(LONG, || {
            let action = self.cluster.get(NAMESPACE, plural, name).unwrap_or_default();
            if is_over(&action) { Ok(action) } else { Err(format!("{plural} {name} is not over but: {}", action["status"])) }
        })
    }

    /// Waits until an action is over with this phase and this reason of `Complete`, and returns it.
    ///
    /// # Panics
    /// It ended otherwise.
    pub fn wait_until(&self, plural: &str, name: &str, phase: &str, reason: &str) -> Value {
        let action = self.wait_until_over(plural, name);
        let complete = condition(&action, "Complete");
        assert!(
            action["status"]["phase"] == phase && complete.ends_with(&format!(" {reason}")),
            "{plural} {name} is not {phase} ({reason}) but: {}",
            action["status"]
        );
        action
    }

    /// Waits until an action has this phase.
    pub fn wait_for_phase(&self, plural: &str, name: &str, phase: &str) {
        wait::until_true(&format!("{plural} {name} to be {phase}"), LONG, || self.phase(plural, name) == phase);
    }

    /// Waits until the condition `Complete` of an action has this reason.
    pub fn wait_for_reason(&self, plural: &str, name: &str, reason: &str) -> Value {
        wait::until(&format!("{plural} {name} to say {reason}"), LONG, || {
            let action = self.cluster.get(NAMESPACE, plural, name)?;
            condition(&action, "Complete").ends_with(&format!(" {reason}")).then_some(action)
        })
    }

    /// Waits until an object is gone.
    pub fn wait_until_gone(&self, plural: &str, name: &str) {
        wait::until_ok(LONG, || match self.cluster.get(NAMESPACE, plural, name) {
            None => Ok(()),
            Some(there) => Err(format!("{plural} {name} does not go: {} {}", there["metadata"], there["status"])),
        });
    }

    /// Waits until nothing is under way, nobody has the lock, and the system is green.
    pub fn wait_until_settled(&self) {
        wait::until_ok(LONG, || match self.unsettled() {
            why if why.is_empty() => Ok(()),
            why => Err(why),
        });
    }

    /// Why it is not settled; empty where it is.
    pub fn unsettled(&self) -> String {
        for plural in ["backups", "restores"] {
            if let Some(action) = self.cluster.list(NAMESPACE, plural).iter().find(|action| action["status"]["phase"] == "InProgress") {
                return format!("{plural} {} is in progress: {}", action["metadata"]["name"], action["status"]);
            }
        }
        let system = self.system();
        if !system["status"]["operation"].is_null() {
            return format!("the lock is held: {}", system["status"]["operation"]);
        }
        let green = condition(&system, "Ready").starts_with("True") && system["status"]["connection"]["colour"] == "Green";
        if green { String::new() } else { format!("the system is not green: {}", system["status"]) }
    }

    /// Keys of all objects, and those of unfinished uploads.
    pub fn keys(&self) -> (Vec<String>, Vec<String>) {
        self.cluster.block_on(async {
            let mut keys = Vec::new();
            self.objects.list("backups/", |key, _| keys.push(key.to_owned())).await.unwrap();
            let uploads = self.objects.find_uploads("backups/").await.unwrap();
            (keys, uploads.into_iter().map(|upload| upload.key).collect())
        })
    }

    /// The bytes of an object.
    pub fn read(&self, key: &str) -> Vec<u8> {
        self.cluster.block_on(self.objects.read(key, 200 << 20)).unwrap().unwrap_or_else(|| panic!("there is no {key}"))
    }

    /// Writes an object in the place of another.
    pub fn replace(&self, key: &str, bytes: Vec<u8>) {
        self.cluster.block_on(self.objects.write(key, bytes)).unwrap();
    }

    /// Changes the causes of the system, and waits until the system knows: it reports the address that changes with them.
    pub fn cause(&self, causes: &Value) {
        let number = self.cluster.get(NAMESPACE, "simulatedsystems", SYSTEM).unwrap()["metadata"]["generation"].clone();
        let address = format!("10.0.0.{number}");
        let mut all = causes.clone();
        all["address"] = json!(address);
        self.cause_unseen(&all);
        wait::until_true("the system to report its new address", wait::SOON, || self.system()["status"]["address"] == address);
    }

    /// Changes the causes of the system, and does not wait.
    pub fn cause_unseen(&self, causes: &Value) {
        self.cluster.patch(NAMESPACE, "simulatedsystems", SYSTEM, &json!({"spec": {"causes": causes}}));
    }
}

/// Whether nothing more happens to an action.
pub fn is_over(action: &Value) -> bool {
    matches!(action["status"]["phase"].as_str(), Some("Completed" | "Failed" | "Stopped"))
}

fn objects_of(endpoint: &str, authority: &str, key: &str) -> ObjectClient {
    ObjectClient::new(Options {
        endpoint: endpoint.to_owned(),
        system_endpoint: None,
        region: "us-east-1".to_owned(),
        bucket: STORE.to_owned(),
        prefix: String::new(),
        addressing: Addressing::Path,
        authority: Some(authority.to_owned()),
        encryption: None,
        object_lock: None,
        access_key_id: STORE.to_owned(),
        secret_access_key: model::secret::Secret::new(key),
        session_token: None,
    })
    .unwrap()
}

/// The Secret with the key of the store.
pub fn store_secret(key: &str) -> Value {
    use base64::Engine as _;
    let encode = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
    json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": STORE_SECRET, "namespace": NAMESPACE},
        "data": {"accessKeyId": encode(STORE), "secretAccessKey": encode(key)},
    })
}

fn object_store(endpoint: &str, system_endpoint: &str) -> Value {
    json!({
        "apiVersion": "switchboard.dev/v1alpha1", "kind": "ObjectStore", "metadata": {"name": "default"},
        "spec": {
            "endpoint": endpoint, "systemEndpoint": system_endpoint, "bucket": STORE, "allowPlainHttp": true,
            "credentialsSecret": {"namespace": NAMESPACE, "name": STORE_SECRET},
        },
    })
}
