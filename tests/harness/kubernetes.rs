//! The programs of Kubernetes itself, as the tests start them.

use std::path::Path;
use std::process::Command;

use crate::switchboard::Ports;

/// Controllers of the controller manager that the tests' node agent or nobody is for.
const NO_CONTROLLERS: &str = "*,-persistentvolume-binder-controller,-node-ipam-controller,-node-lifecycle-controller,-service-lb-controller,\
-node-route-controller,-cloud-node-lifecycle-controller,-ttl-controller";

/// The database of the API server.
pub fn etcd(assets: &Path, folder: &Path, ports: Ports) -> Command {
    let mut command = Command::new(assets.join("etcd"));
    let (client, peer) = (format!("http://127.0.0.1:{}", ports.api), format!("http://127.0.0.1:{}", ports.gateway));
    command.args(["--unsafe-no-fsync", "--log-level=error"]).arg(format!("--data-dir={}", folder.join("etcd").display()));
    command.arg(format!("--listen-client-urls={client}")).arg(format!("--advertise-client-urls={client}"));
    command.arg(format!("--listen-peer-urls={peer}")).arg(format!("--initial-advertise-peer-urls={peer}"));
    command.arg(format!("--initial-cluster=default={peer}"));
    command
}

/// The API server; `accounts` says whether somebody makes the accounts of namespaces.
pub fn kube_apiserver(assets: &Path, data: &Path, port: u16, etcd: Ports, accounts: bool) -> Command {
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

/// What collects garbage, empties namespaces and makes accounts.
pub fn controller_manager(program: &Path, data: &Path, port: u16) -> Command {
    let file = |name: &str| data.join(name).display().to_string();
    let mut command = Command::new(program);
    command.arg(format!("--kubeconfig={}", file("kubeconfig"))).arg(format!("--controllers={NO_CONTROLLERS}"));
    command.arg(format!("--service-account-private-key-file={}", file("accounts.key"))).arg(format!("--root-ca-file={}", file("ca.crt")));
    command.args(["--use-service-account-credentials", "--leader-elect=false", "--bind-address=127.0.0.1"]);
    command.arg(format!("--secure-port={port}")).arg(format!("--cert-dir={}", file("manager")));
    command
}
