//! A small gateway of the tests' own, written from `protocol` alone, and a system to connect to it.
#![allow(clippy::unwrap_used, clippy::panic, dead_code, reason = "tests")]

pub mod gateway;
pub mod session;
pub mod store;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use simulator::{Options, SimulateArguments, SimulateError};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use gateway::TestGateway;

/// Longest time a state is waited for.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Waits for something that must come.
pub async fn soon<T>(what: &str, work: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, work).await.unwrap_or_else(|_| panic!("{what} did not come in time"))
}

/// One COMAdmin with the password in the key `com`.
pub const USER: &str = "serviceUsers: [{name: COMAdmin, passwordSecretKey: com}]\nlogging: {linesPerMinute: 0}\n";

/// The folders of one system, and the system when it runs.
pub struct Site {
    root: PathBuf,
    running: Option<(CancellationToken, JoinHandle<Result<(), SimulateError>>)>,
    pub options: Options,
    pub listen: Option<SocketAddr>,
}

impl Site {
    /// Folders with causes, the password `right` and a whole subscription.
    pub fn new(gateway: &TestGateway, causes: &str) -> Self {
        Self::for_gateway(&gateway.url(), &gateway.authority(), causes)
    }

    pub fn for_gateway(url: &str, authority: &str, causes: &str) -> Self {
        let root = std::env::temp_dir().join(format!("simulator-{}", uuid::Uuid::new_v4()));
        for folder in ["subscription", "passwords"] {
            std::fs::create_dir_all(root.join(folder)).unwrap();
        }
        let options = Options {
            tick: Duration::from_millis(20),
            first_retry: Duration::from_millis(10),
            longest_retry: Duration::from_millis(100),
            slow_retry: Duration::from_millis(100),
            good_session_after: Duration::from_millis(1),
            echo: false,
            ..Options::default()
        };
        let site = Self { root, running: None, options, listen: None };
        site.causes(causes);
        site.password("right");
        for (name, value) in
            [("gateway", url), ("ca.crt", authority), ("customerId", "acme"), ("systemId", "hq"), ("enrolmentCode", "code")]
        {
            site.subscription(name, value);
        }
        site
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    pub fn disk(&self) -> PathBuf {
        self.path("disk")
    }

    pub fn causes(&self, text: &str) {
        replace(&self.path("causes"), text);
    }

    pub fn password(&self, text: &str) {
        replace(&self.path("passwords/com"), text);
    }

    pub fn subscription(&self, name: &str, text: &str) {
        replace(&self.path("subscription").join(name), text);
    }

    pub fn arguments(&self) -> SimulateArguments {
        SimulateArguments {
            causes: self.path("causes"),
            subscription: self.path("subscription"),
            passwords: self.path("passwords"),
            data: self.disk(),
            listen: self.listen,
            options: self.options.clone(),
        }
    }

    /// Switches the system on.
    pub fn start(&mut self) {
        let shutdown = CancellationToken::new();
        let running = tokio::spawn(simulator::run(self.arguments(), shutdown.clone()));
        self.running = Some((shutdown, running));
    }

    /// Switches the system off.
    pub async fn stop(&mut self) {
        let (shutdown, running) = self.running.take().unwrap();
        shutdown.cancel();
        soon("the end of the system", running).await.unwrap().unwrap();
    }

    /// All of the log.
    pub fn log(&self) -> String {
        let mut files: Vec<_> =
            std::fs::read_dir(self.disk().join("log")).into_iter().flatten().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files.iter().map(|path| std::fs::read_to_string(path).unwrap()).collect()
    }

    /// Waits until the log says something.
    pub async fn logged(&self, text: &str) {
        let found = async {
            let mut ticks = tokio::time::interval(Duration::from_millis(10));
            while !self.log().contains(text) {
                ticks.tick().await;
            }
        };
        if tokio::time::timeout(PATIENCE, found).await.is_err() {
            panic!("the log does not say {text:?}:\n{}", self.log());
        }
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if let Some((_, running)) = self.running.take() {
            running.abort();
        }
        let _ = std::fs::remove_dir_all(&self.root);
    }
}

/// Replaces a file in one step, as mounted volumes do.
fn replace(path: &Path, text: &str) {
    let next = path.with_extension("next");
    std::fs::write(&next, text).unwrap();
    std::fs::rename(&next, path).unwrap();
}
