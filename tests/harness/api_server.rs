//! Any API server, started for the test or there already, and beside it what `switchboard up` has in one: the operator, the object store, and a
//! node agent.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose};
use serde_json::{Value, json};

use crate::existing::Existing;
use crate::folder::Folder;
use crate::kubectl::Kubectl;
use crate::kubernetes;
use crate::metrics;
use crate::node::Node;
use crate::processes;
use crate::switchboard::{Ports, program};
use crate::wait;

/// Bound for the start of the API server on a loaded machine.
const START: Duration = Duration::from_secs(120);
/// Token of the administrator.
const TOKEN: &str = "of-a-test-only";
/// Namespace of the operator, as with `switchboard up`.
pub const NAMESPACE: &str = "switchboard-system";
/// Account of the operator, and name of its binding. It may do everything: which rights it needs is what the chart's tests are about.
pub const ACCOUNT: &str = "switchboard";
/// Access key and bucket, as `switchboard up` names them.
const STORE: &str = "switchboard";
/// All of it. The fields end in this order.
#[derive(Debug)]
pub struct ApiServer {
    operator: Process,
    _node: Node,
    _existing: Option<Existing>,
    _others: Vec<Process>,
    /// Ports, as those of `up`.
    pub ports: Ports,
    folder: Folder,
}

/// A process that ends with this value; its log is shown where the test failed.
#[derive(Debug)]
struct Process {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

impl Process {
    fn start(folder: &Path, name: &'static str, command: &mut Command) -> Self {
        let log = folder.join(format!("{name}.log"));
        let output = File::create(&log).unwrap();
        command.stdin(Stdio::null()).stdout(output.try_clone().unwrap()).stderr(output);
        let child = command.spawn().unwrap_or_else(|error| panic!("cannot start {name}: {error}"));
        Self { name, child, log }
    }

    /// Fails where it has ended.
    fn must_run(&mut self) {
        if let Some(status) = self.child.try_wait().unwrap() {
            panic!("{} ended with {status}: {}", self.name, std::fs::read_to_string(&self.log).unwrap_or_default());
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            processes::show_end_of_log(self.name, &std::fs::read_to_string(&self.log).unwrap_or_default());
        }
    }
}

impl ApiServer {
    /// Starts all of it with the programs of a folder, and waits until it is ready.
    ///
    /// # Panics
    /// A program is missing, or does not start.
    pub fn start(assets: &Path) -> Self {
        let (folder, data) = folders();
        let (ports, more) = (Ports::free(), Ports::free());
        let authority = Authority::write(&data);
        std::fs::write(data.join("tokens.csv"), format!("{TOKEN},admin,admin,system:masters\n")).unwrap();
        let etcd = Process::start(folder.path(), "etcd", &mut kubernetes::etcd(assets, folder.path(), more));
        let manager = assets.join("kube-controller-manager");
        let mut server = kubernetes::kube_apiserver(assets, &data, ports.api, more, manager.exists());
        let mut server = Process::start(folder.path(), "kube-apiserver", &mut server);
        let cluster = json!({"server": format!("https://127.0.0.1:{}", ports.api), "certificate-authority-data": STANDARD.encode(authority.issuer.pem())});
        write_kubeconfig(&data.join("kubeconfig"), &cluster, TOKEN);
        let kubectl = kubectl(&folder);
        wait::until_true("the API server", START, || {
            server.must_run();
            kubectl.run(&["get", "--raw", "/readyz"]).out == "ok"
        });
        let mut others = Vec::new();
        if manager.exists() {
            let mut manager = kubernetes::controller_manager(&manager, &data, more.store);
            others.push(Process::start(folder.path(), "kube-controller-manager", &mut manager));
        }
        others.extend([server, etcd]);
        Self::beside(folder, &authority, ports, others, None)
    }

    /// Starts what belongs beside a cluster that is there already, once no other test uses it. What it makes there goes with it.
    ///
    /// # Panics
    /// Switchboard is in the cluster, the cluster has nodes that would run simulated systems, or something does not start.
    pub fn existing(kubeconfig: &Path) -> Self {
        let (folder, data) = folders();
        let authority = Authority::write(&data);
        let existing = Existing::claim(kubeconfig, &data.join("kubeconfig"), kubectl(&folder));
        Self::beside(folder, &authority, Ports::free(), Vec::new(), Some(existing))
    }

    fn beside(folder: Folder, authority: &Authority, ports: Ports, mut others: Vec<Process>, existing: Option<Existing>) -> Self {
        let (data, kubectl) = (folder.path().join("data"), kubectl(&folder));
        others.insert(0, Process::start(folder.path(), "store", &mut store(&data, authority, ports)));
        install(&kubectl, &data, authority, ports);
        let node = Node::start(&data, &data.join("kubeconfig"), ports.api, existing.is_some());
        let operator = Process::start(folder.path(), "operator", &mut operator(&data, ports));
        let mut all = Self { operator, _node: node, _existing: existing, _others: others, ports, folder };
        all.wait_until_ready(&kubectl);
        all
    }

    fn wait_until_ready(&mut self, kubectl: &Kubectl) {
        wait::until_true("switchboard operator to be ready", START, || {
            self.operator.must_run();
            metrics::answer(self.ports.metrics, "GET", "/readyz", "").is_some_and(|(status, _)| status == 200)
        });
        kubectl.wait("default", "objectstore/default", "condition=Ready");
    }

    /// kubectl with all rights.
    pub fn kubectl(&self) -> Kubectl {
        kubectl(&self.folder)
    }

    /// As that of `switchboard up`: kubeconfig, authority, key of the store, and `node/`.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// What the operator wrote so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.operator.log).unwrap_or_default()
    }
}

/// A folder for all of it, and in it that for the data.
fn folders() -> (Folder, PathBuf) {
    let folder = Folder::new();
    let data = folder.path().join("data");
    std::fs::create_dir_all(&data).unwrap();
    (folder, data)
}

fn kubectl(folder: &Folder) -> Kubectl {
    Kubectl::new(&folder.path().join("data/kubeconfig"), &folder.path().join("kubectl-cache"))
}

/// The authority of the API server and of the store.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    /// Makes it, and the files that the servers need.
    fn write(data: &Path) -> Self {
        let mut parameters = CertificateParams::default();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // Another name than that of the certificates it issues: some clients take equal names for a certificate that signs itself.
        parameters.distinguished_name.push(DnType::CommonName, "authority of the tests");
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let issuer = CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap();
        std::fs::write(data.join("ca.crt"), issuer.pem()).unwrap();
        let accounts = KeyPair::generate().unwrap();
        std::fs::write(data.join("accounts.key"), accounts.serialize_pem()).unwrap();
        std::fs::write(data.join("accounts.pub"), accounts.public_key_pem()).unwrap();
        std::fs::write(data.join("object-store.key"), "a-secret-of-the-tests-store\n").unwrap();
        let authority = Self { issuer };
        authority.issue(&data.join("server"));
        authority
    }

    /// A certificate for a server of this machine, as a folder with `tls.crt` and `tls.key`.
    fn issue(&self, folder: &Path) {
        let names = ["localhost", "127.0.0.1", "10.0.0.1", "kubernetes.default.svc"].map(str::to_owned);
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &self.issuer).unwrap();
        std::fs::create_dir_all(folder).unwrap();
        std::fs::write(folder.join("tls.crt"), certificate.pem()).unwrap();
        std::fs::write(folder.join("tls.key"), key.serialize_pem()).unwrap();
    }
}

fn store(data: &Path, authority: &Authority, ports: Ports) -> Command {
    let credentials = data.join("credentials");
    std::fs::create_dir_all(&credentials).unwrap();
    std::fs::write(credentials.join("accessKeyId"), STORE).unwrap();
    std::fs::copy(data.join("object-store.key"), credentials.join("secretAccessKey")).unwrap();
    authority.issue(&data.join("store"));
    let mut command = Command::new(program());
    command.args(["store", "--listen=127.0.0.1"]).arg(format!("--port={}", ports.store)).arg(format!("--bucket={STORE}"));
    command.arg("--probe-port=0").arg("--data").arg(data.join("objects"));
    command.arg("--credentials").arg(credentials).arg("--certificate").arg(data.join("store"));
    command
}

fn operator(data: &Path, ports: Ports) -> Command {
    let mut command = crate::operator::command(&data.join("operator"), &data.join("kubeconfig-operator"), ports.metrics);
    command.arg(format!("--gateway-port={}", ports.gateway));
    command
}

fn write_kubeconfig(path: &Path, cluster: &Value, token: &str) {
    let text = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "tests",
        "clusters": [{"name": "tests", "cluster": cluster}],
        "users": [{"name": "tests", "user": {"token": token}}],
        "contexts": [{"name": "tests", "context": {"cluster": "tests", "user": "tests"}}],
    });
    std::fs::write(path, text.to_string()).unwrap();
}

/// The kinds, the policies, the operator's account with its kubeconfig, and the store named `default`.
fn install(kubectl: &Kubectl, data: &Path, authority: &Authority, ports: Ports) {
    kubectl.ok_with(&["apply", "--server-side", "-f", "-"], &definitions(), &[]);
    kubectl.ok(&["wait", "--for=condition=Established", "crds", "--all", "--timeout=60s"]);
    kubectl.ok_with(&["apply", "--server-side", "-f", "-"], &policies(), &[]);
    let secret = std::fs::read_to_string(data.join("object-store.key")).unwrap();
    kubectl.apply(&[
        crate::objects::namespace(NAMESPACE),
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": ACCOUNT, "namespace": NAMESPACE}}),
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": ACCOUNT},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
            "subjects": [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": NAMESPACE}],
        }),
        json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "object-store", "namespace": NAMESPACE},
            "data": {"accessKeyId": STANDARD.encode(STORE), "secretAccessKey": STANDARD.encode(secret.trim())},
        }),
        json!({
            "apiVersion": "switchboard.dev/v1alpha1", "kind": "ObjectStore", "metadata": {"name": "default"},
            "spec": {
                "endpoint": format!("https://127.0.0.1:{}", ports.store), "bucket": STORE, "certificateAuthority": authority.issuer.pem(),
                "credentialsSecret": {"namespace": NAMESPACE, "name": "object-store"},
            },
        }),
    ]);
    let token = kubectl.ok(&["create", "token", "-n", NAMESPACE, ACCOUNT, "--duration=2h"]);
    let administrator: Value = serde_json::from_str(&kubectl.ok(&["config", "view", "--raw", "-o", "json"])).unwrap();
    write_kubeconfig(&data.join("kubeconfig-operator"), &administrator["clusters"][0]["cluster"], token.trim());
}

/// The kinds, as documents of YAML.
pub fn definitions() -> String {
    String::from_utf8(Command::new(program()).arg("crds").output().unwrap().stdout).unwrap()
}

/// The admission policies for an operator of that account.
pub fn policies() -> String {
    let operator = format!("system:serviceaccount:{NAMESPACE}:{ACCOUNT}");
    crate::kubectl::documents(&crds::policies::all(&operator).unwrap())
}
