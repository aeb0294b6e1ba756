//! What a node agent is told at its start.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::PathBuf;
use std::time::Duration;

pub use super::images::{Images, Program};

/// Settings of a node agent.
#[derive(Debug, Clone)]
pub struct NodeOptions {
    /// Name of the Node object.
    pub name: String,
    /// Folder for pods (`pods/<uid>`) and persistent volume claims (`claims/<uid>`). Claims outlive pods and restarts.
    pub data: PathBuf,
    /// Which image is which program.
    pub images: Images,
    /// How a missing image is mapped, for whoever reads that it is missing: `start the node with --image NAME=PROGRAM`.
    pub image_remedy: String,
    /// How children are started, so that they die with this process.
    pub launcher: Launcher,
    /// Where pods find the API server; without it they get neither its address nor a token.
    pub api_server: Option<ApiServer>,
    /// Pods get their addresses from here.
    pub network: PodNetwork,
    /// Address of the node itself (`status.hostIP`).
    pub address: Ipv4Addr,
    /// When a container that ended starts again.
    pub restarts: RestartDelays,
    /// Size at which a log file is rotated; a container instance keeps two files, and the instance before it two more.
    pub log_file_bytes: u64,
    /// At shutdown, pods get their own grace period but never more than this.
    pub shutdown_bound: Duration,
    /// `nodeInfo.kubeletVersion`.
    pub version: String,
}

impl NodeOptions {
    /// Usual settings for everything but where the data is, which programs there are and how they are started.
    pub fn new(data: impl Into<PathBuf>, images: Images, launcher: Launcher) -> Self {
        Self {
            name: "switchboard".to_owned(),
            data: data.into(),
            images,
            image_remedy: "map it to a program in the node's image map".to_owned(),
            launcher,
            api_server: None,
            network: PodNetwork::default(),
            address: Ipv4Addr::LOCALHOST,
            restarts: RestartDelays::default(),
            log_file_bytes: 10 * 1024 * 1024,
            shutdown_bound: Duration::from_secs(10),
            version: format!("{}+embedded.{}", crate::api::VERSION, env!("CARGO_PKG_VERSION")),
        }
    }
}

/// What pods are told of the API server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiServer {
    /// Where it listens: goes into the kubeconfig of pods (`https://127.0.0.1:6550`).
    pub url: String,
    /// Certificates by which it is recognised, PEM.
    pub authority: String,
    /// `KUBERNETES_SERVICE_HOST` and `KUBERNETES_SERVICE_PORT`: the Service `kubernetes`, or the server's own address where that cannot be opened.
    pub service: SocketAddrV4,
}

/// The program that becomes a container's program: it must call [`launcher_main`](super::launcher::launcher_main) with what
/// follows `arguments`.
#[derive(Debug, Clone)]
pub struct Launcher {
    /// Usually the running binary itself ([`std::env::current_exe`]).
    pub program: PathBuf,
    /// What selects the launcher in it (`["pod-launcher"]`).
    pub arguments: Vec<String>,
}

/// Addresses for pods: `count` addresses from `first` on, inside 127.0.0.0/8, which Linux serves without any set-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PodNetwork {
    /// The first address given out.
    pub first: Ipv4Addr,
    /// How many there are; also the node's `pods` capacity, up to 110 shown.
    pub count: u32,
}

impl Default for PodNetwork {
    fn default() -> Self {
        Self { first: Ipv4Addr::new(127, 20, 0, 1), count: 65_000 }
    }
}

/// When a container that ended is started again. Kubernetes starts at 10 s; on one's own machine the first restart is immediate
/// and the delays that follow begin at one second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RestartDelays {
    /// Before the first restart.
    pub first: Duration,
    /// Before the second; doubled for each one after.
    pub second: Duration,
    /// Never longer than this.
    pub longest: Duration,
    /// A container that ran this long starts anew at `first`.
    pub reset_after: Duration,
}

impl Default for RestartDelays {
    fn default() -> Self {
        Self {
            first: Duration::ZERO,
            second: Duration::from_secs(1),
            longest: Duration::from_secs(300),
            reset_after: Duration::from_secs(600),
        }
    }
}
