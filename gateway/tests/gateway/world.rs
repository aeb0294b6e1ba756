//! A running gateway with one customer and one system, and bounded waits for what should become true.

use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::StreamExt as _;
use gateway::options::Times;
use gateway::{Gateway, Options, Replicas, RunError, SystemEntry, UnprovedPeers};
use model::ids::SystemKey;
use protocol::link::{SessionState, SessionView, SystemLink};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::client::{Credential, Session};
use crate::directory::TestDirectory;

pub const CODE: &str = "8fk2-right-code";
pub const BOUND: Duration = Duration::from_secs(20);

/// A folder of its own, removed afterwards.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new() -> Self {
        let folder = std::env::temp_dir().join(format!("switchboard-gateway-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir(&folder).unwrap();
        Self(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub struct World {
    pub address: SocketAddr,
    pub authority: String,
    pub link: Arc<dyn SystemLink>,
    pub metrics: prometheus::Registry,
    pub directory: Arc<TestDirectory>,
    pub peers: Arc<UnprovedPeers>,
    pub shutdown: CancellationToken,
    pub running: JoinHandle<Result<(), RunError>>,
    /// The other replicas, where there are any.
    pub replicas: Option<Arc<Replicas>>,
    pub replicas_running: Mutex<Option<JoinHandle<std::io::Result<()>>>>,
    /// The term in which this one leads; 0 while it does not.
    pub term: Arc<AtomicU64>,
    _folder: Folder,
}

pub fn key(system: &str) -> SystemKey {
    SystemKey { customer: "acme".parse().unwrap(), system: system.parse().unwrap() }
}

pub fn entry() -> SystemEntry {
    SystemEntry { enrolment_id: None, enrolment_allowed: true }
}

/// Long enough not to matter, so that a test makes short what it is about.
pub fn calm() -> Times {
    Times { sign_in_interval: Duration::from_millis(10), linger: Duration::from_millis(500), ..Times::default() }
}

impl World {
    pub async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub async fn with(change: impl FnOnce(&mut Options)) -> Self {
        let directory = Arc::new(TestDirectory::default());
        for system in ["hq", "branch"] {
            directory.systems.lock().unwrap().insert(key(system), entry());
        }
        Self::sharing(directory, change).await
    }

    /// With what others know too.
    pub async fn sharing(directory: Arc<TestDirectory>, change: impl FnOnce(&mut Options)) -> Self {
        let folder = Folder::new();
        let mut options = Options::new(SocketAddr::from(([127, 0, 0, 1], 0)), &folder.0);
        options.times = calm();
        change(&mut options);
        let gateway = Gateway::bind(options, directory.clone()).await.unwrap();
        let metrics = prometheus::Registry::new();
        gateway.metrics().register(&metrics).unwrap();
        let shutdown = CancellationToken::new();
        let term = Arc::new(AtomicU64::new(1));
        let leading = Arc::clone(&term);
        Self {
            address: gateway.address(),
            authority: gateway.authority_pem(),
            link: gateway.link_of_leader(move || Some(leading.load(Ordering::SeqCst)).filter(|term| *term > 0)),
            replicas: gateway.replicas(),
            replicas_running: Mutex::default(),
            term,
            peers: gateway.unproved_peers(),
            metrics,
            directory,
            running: tokio::spawn(gateway.run(shutdown.clone())),
            shutdown,
            _folder: folder,
        }
    }

    /// Enrols the system.
    pub async fn enrolled(&self, system: &str) -> Credential {
        Credential::enrol(self, system).await
    }

    /// A session of `hq` whose sign-in was decided because COM holds no credentials.
    pub async fn connected(&self, credential: &Credential, counter: u64) -> Session {
        let session = Session::open(self, credential, counter).await;
        self.view_becomes("hq", |view| matches!(view.state, SessionState::Connected { .. }) && view.session == counter).await;
        session
    }

    pub async fn view_becomes(&self, system: &str, wanted: impl Fn(&SessionView) -> bool) -> SessionView {
        let key = key(system);
        let mut changes = self.link.changes();
        let wait = async {
            loop {
                if let Some(view) = self.link.view(&key).filter(|view| wanted(view)) {
                    return view;
                }
                changes.next().await;
            }
        };
        let result = tokio::time::timeout(BOUND, wait).await;
        result.unwrap_or_else(|_| panic!("the view never became as wanted; it is {:?}", self.link.view(&key)))
    }

    /// Gone without a word, as far as the others can tell.
    pub fn die(&self) {
        self.running.abort();
        if let Some(running) = self.replicas_running.lock().unwrap().take() {
            running.abort();
        }
    }

    /// Other replicas, by how they stand.
    pub fn replica_count(&self, state: &str) -> f64 {
        let families = self.metrics.gather();
        let family = families.iter().find(|family| family.name() == "switchboard_replicas").unwrap();
        let of = |metric: &&prometheus::proto::Metric| metric.get_label().iter().any(|pair| pair.value() == state);
        family.get_metric().iter().find(of).map_or(0.0, |metric| metric.get_gauge().get_value())
    }

    /// Value of a counter or gauge with one label.
    pub fn metric(&self, name: &str, label: &str) -> f64 {
        let families = self.metrics.gather();
        let family = families.iter().find(|family| family.name() == format!("switchboard_gateway_{name}"));
        let metrics = family.map(|family| family.get_metric()).unwrap_or_default();
        let metric = metrics.iter().find(|metric| label.is_empty() || metric.get_label().iter().any(|pair| pair.value() == label));
        metric.map_or(0.0, |metric| metric.get_counter().get_value() + metric.get_gauge().get_value())
    }
}

/// Waits with a bound.
pub async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(BOUND, what).await.expect("it did not happen in time")
}
