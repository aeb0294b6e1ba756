//! A real kube-apiserver with its etcd, and beside it what `switchboard up` has in one: the operator, the object store, and a node agent.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose};
use serde_json::json;

use crate::folder::Folder;
use crate::kubectl::Kubectl;
use crate::metrics;
use crate::node::Node;
use crate::processes;
use crate::switchboard::{Ports, program};
use crate::wait;

/// Bound for the start of the API server on a loaded machine.
const START: Duration = Duration::from_secs(120);
/// Token of the administrator.
const TOKEN: &str = "of-a-test-only";
/// Token of the operator. It may do everything too: which rights it needs is what the chart's tests are about.
const OPERATOR_TOKEN: &str = "of-a-tests-operator-only";
/// Who the operator is, as with `switchboard up`: policies know it by this name.
const OPERATOR: &str = "system:serviceaccount:switchboard-system:switchboard";
/// Access key and bucket, as `switchboard up` names them.
const STORE: &str = "switchboard";
/// Controllers of the controller manager that the tests' node agent or nobody is for.
const NO_CONTROLLERS: &str = "*,-persistentvolume-binder-controller,-node-ipam-controller,-node-lifecycle-controller,-service-lb-controller,\
-node-route-controller,-cloud-node-lifecycle-controller,-ttl-controller";

/// All of it. The fields end in this order.
#[derive(Debug)]
pub struct ApiServer {
    operator: Process,
    _node: Node,
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
        let folder = Folder::new();
        let data = folder.path().join("data");
        std::fs::create_dir_all(&data).unwrap();
        let (ports, more) = (Ports::free(), Ports::free());
        let authority = Authority::write(&data);
        let etcd = Process::start(folder.path(), "etcd", &mut etcd(assets, folder.path(), more));
        let manager = assets.join("kube-controller-manager");
        let mut server =
            Process::start(folder.path(), "kube-apiserver", &mut kube_apiserver(assets, &data, ports.api, more, manager.exists()));
        write_kubeconfig(&data.join("kubeconfig"), &authority, ports.api, TOKEN);
        write_kubeconfig(&data.join("kubeconfig-operator"), &authority, ports.api, OPERATOR_TOKEN);
        let kubectl = Kubectl::new(&data.join("kubeconfig"), &folder.path().join("kubectl-cache"));
        wait::until_true("the API server", START, || {
            server.must_run();
            kubectl.run(&["get", "--raw", "/readyz"]).out == "ok"
        });
        let mut others = Vec::new();
        if manager.exists() {
            others.push(Process::start(folder.path(), "kube-controller-manager", &mut controller_manager(&manager, &data, more.store)));
        }
        others.extend([Process::start(folder.path(), "store", &mut store(&data, &authority, ports)), server, etcd]);
        install(&kubectl, &data, &authority, ports);
        let node = Node::start(&data, &data.join("kubeconfig"), ports.api);
        let operator = Process::start(folder.path(), "operator", &mut operator(&data, ports));
        let mut all = Self { operator, _node: node, _others: others, ports, folder };
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
        Kubectl::new(&self.data().join("kubeconfig"), &self.folder.path().join("kubectl-cache"))
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
        let tokens = format!("{TOKEN},admin,admin,system:masters\n{OPERATOR_TOKEN},{OPERATOR},operator,system:masters\n");
        std::fs::write(data.join("tokens.csv"), tokens).unwrap();
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

fn etcd(assets: &Path, folder: &Path, ports: Ports) -> Command {
    let mut command = Command::new(assets.join("etcd"));
    let (client, peer) = (format!("http://127.0.0.1:{}", ports.api), format!("http://127.0.0.1:{}", ports.gateway));
    command.args(["--unsafe-no-fsync", "--log-level=error"]).arg(format!("--data-dir={}", folder.join("etcd").display()));
    command.arg(format!("--listen-client-urls={client}")).arg(format!("--advertise-client-urls={client}"));
    command.arg(format!("--listen-peer-urls={peer}")).arg(format!("--initial-advertise-peer-urls={peer}"));
    command.arg(format!("--initial-cluster=default={peer}"));
    command
}

fn kube_apiserver(assets: &Path, data: &Path, port: u16, etcd: Ports, accounts: bool) -> Command {
    let file = |name: &str| data.join(name).display().to_string();
    let mut command = Command::new(assets.join("kube-apiserver"));
    command.arg(format!("--etcd-servers=http://127.0.0.1:{}", etcd.api)).arg(format!("--secure-port={port}"));
    command.args(["--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", "--endpoint-reconciler-type=none"]);
    command.args(["--authorization-mode=Node,RBAC", "--allow-privileged", "--service-cluster-ip-range=10.0.0.0/24"]);
    command.arg(format!("--cert-dir={}", file("apiserver"))).arg(format!("--token-auth-file={}", file("tokens.csv")));
    command.arg(format!("--tls-cert-file={}", file("server/tls.crt"))).arg(format!("--tls-private-key-file={}", file("server/tls.key")));
    command.arg(format!("--client-ca-file={}", file("ca.crt"))).arg("--service-account-issuer=https://kubernetes.default.svc");
    command.arg(format!("--service-account-key-file={}", file("accounts.pub")));
    command.arg(format!("--service-account-signing-key-file={}", file("accounts.key")));
    if !accounts {
        // Nobody makes the account `default` of a namespace, which pods need otherwise.
        command.arg("--disable-admission-plugins=ServiceAccount");
    }
    command
}

fn controller_manager(program: &Path, data: &Path, port: u16) -> Command {
    let file = |name: &str| data.join(name).display().to_string();
    let mut command = Command::new(program);
    command.arg(format!("--kubeconfig={}", file("kubeconfig"))).arg(format!("--controllers={NO_CONTROLLERS}"));
    command.arg(format!("--service-account-private-key-file={}", file("accounts.key"))).arg(format!("--root-ca-file={}", file("ca.crt")));
    command.args(["--use-service-account-credentials", "--leader-elect=false", "--bind-address=127.0.0.1"]);
    command.arg(format!("--secure-port={port}")).arg(format!("--cert-dir={}", file("manager")));
    command
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

fn write_kubeconfig(path: &Path, authority: &Authority, port: u16, token: &str) {
    let cluster =
        json!({"server": format!("https://127.0.0.1:{port}"), "certificate-authority-data": STANDARD.encode(authority.issuer.pem())});
    let text = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "tests",
        "clusters": [{"name": "tests", "cluster": cluster}],
        "users": [{"name": "tests", "user": {"token": token}}],
        "contexts": [{"name": "tests", "context": {"cluster": "tests", "user": "tests"}}],
    });
    std::fs::write(path, text.to_string()).unwrap();
}

/// The kinds, the policies, and the store named `default`.
fn install(kubectl: &Kubectl, data: &Path, authority: &Authority, ports: Ports) {
    let definitions = Command::new(program()).arg("crds").output().unwrap();
    kubectl.ok_with(&["apply", "--server-side", "-f", "-"], &String::from_utf8(definitions.stdout).unwrap(), &[]);
    kubectl.ok(&["wait", "--for=condition=Established", "crds", "--all", "--timeout=60s"]);
    let policies = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crds/policies");
    for file in std::fs::read_dir(policies).unwrap().map(|entry| entry.unwrap().path()) {
        let text = std::fs::read_to_string(file).unwrap().replace("${operator}", OPERATOR);
        kubectl.ok_with(&["apply", "--server-side", "-f", "-"], &text, &[]);
    }
    let secret = std::fs::read_to_string(data.join("object-store.key")).unwrap();
    kubectl.apply(&[
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "switchboard-system"}}),
        json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "object-store", "namespace": "switchboard-system"},
            "data": {"accessKeyId": STANDARD.encode(STORE), "secretAccessKey": STANDARD.encode(secret.trim())},
        }),
        json!({
            "apiVersion": "switchboard.dev/v1alpha1", "kind": "ObjectStore", "metadata": {"name": "default"},
            "spec": {
                "endpoint": format!("https://127.0.0.1:{}", ports.store), "bucket": STORE, "certificateAuthority": authority.issuer.pem(),
                "credentialsSecret": {"namespace": "switchboard-system", "name": "object-store"},
            },
        }),
    ]);
}
