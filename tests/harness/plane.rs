//! The plane that a test of behaviour runs on: the embedded one, or any other API server. The same test code runs on each.

use std::path::{Path, PathBuf};

use crate::api_server::ApiServer;
use crate::kubectl::Kubectl;
use crate::metrics::Measured;
use crate::processes::{self, ProcessId};
use crate::store::Bucket;
use crate::switchboard::Switchboard;

/// Folder with `kube-apiserver` and `etcd` (and `kube-controller-manager`, where it is there), as envtest names it.
const ASSETS: &str = "KUBEBUILDER_ASSETS";
/// `true`: the cluster that `KUBECONFIG` names, as envtest names it too.
const EXISTING: &str = "USE_EXISTING_CLUSTER";

/// A plane with the operator, an object store and a node for simulated systems.
#[derive(Debug)]
pub enum Plane {
    /// `switchboard up`.
    Embedded(Switchboard),
    /// Another API server, with everything else beside it.
    Server(Box<ApiServer>),
}

impl Plane {
    /// Starts the plane that the environment asks for, and waits until it is ready.
    pub fn start() -> Self {
        let asked = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        if asked(EXISTING).is_some_and(|value| value == "true") {
            let kubeconfig =
                asked("KUBECONFIG").unwrap_or_else(|| panic!("{EXISTING} needs KUBECONFIG: the tests take no cluster that was not named"));
            return Self::Server(Box::new(ApiServer::existing(Path::new(&kubeconfig))));
        }
        match asked(ASSETS) {
            Some(assets) => Self::Server(Box::new(ApiServer::start(Path::new(&assets)))),
            None => Self::Embedded(Switchboard::start(&[])),
        }
    }

    /// kubectl for it.
    pub fn kubectl(&self) -> Kubectl {
        match self {
            Self::Embedded(plane) => plane.kubectl(),
            Self::Server(server) => server.kubectl(),
        }
    }

    /// Folder with the disks of simulated systems (`node/claims`) and their logs (`node/pods`).
    pub fn data(&self) -> PathBuf {
        match self {
            Self::Embedded(plane) => plane.data(),
            Self::Server(server) => server.data(),
        }
    }

    /// What the operator wrote so far.
    pub fn log(&self) -> String {
        match self {
            Self::Embedded(plane) => plane.log(),
            Self::Server(server) => server.log(),
        }
    }

    /// What a simulated system wrote, over its restarts: from its disk, because a kube-apiserver asks a kubelet for logs, and there is none.
    pub fn system_log(&self, namespace: &str, system: &str) -> String {
        let claim = self.kubectl().field(namespace, &format!("pvc/{system}-disk"), "{.metadata.uid}");
        let folder = self.data().join("node/claims").join(claim).join("log");
        let mut files: Vec<PathBuf> = std::fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files.iter().map(|file| String::from_utf8_lossy(&std::fs::read(file).unwrap()).into_owned()).collect()
    }

    /// The bucket of the ObjectStore `default`.
    pub fn bucket(&self) -> Bucket {
        let port = match self {
            Self::Embedded(plane) => plane.ports.store,
            Self::Server(server) => server.ports.store,
        };
        Bucket::of(&self.data(), port)
    }

    /// Processes of its simulated systems.
    pub fn simulated_systems(&self) -> Vec<ProcessId> {
        processes::simulated_systems(&self.data())
    }
}

impl Measured for Plane {
    fn metrics_port(&self) -> u16 {
        match self {
            Self::Embedded(plane) => plane.metrics_port(),
            Self::Server(server) => server.ports.metrics,
        }
    }

    fn requests(&self) -> (&'static str, String) {
        match self {
            Self::Embedded(plane) => plane.requests(),
            Self::Server(server) => ("apiserver_request_total", server.kubectl().ok(&["get", "--raw", "/metrics"])),
        }
    }
}
