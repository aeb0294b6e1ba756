//! What all connections of a gateway share.

use std::sync::Arc;

use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;

use crate::authority::Authority;
use crate::connections::PerAddress;
use crate::directory::Directory;
use crate::enrolment::Enrolments;
use crate::identity::Identity;
use crate::metrics::Metrics;
use crate::options::{Limits, Times};
use crate::peers::UnprovedPeers;
use crate::rate::SharedMeter;
use crate::replicas::Replicas;
use crate::sessions::table::Table;

pub(crate) struct Shared {
    pub(crate) limits: Limits,
    pub(crate) times: Times,
    pub(crate) directory: Arc<dyn Directory>,
    pub(crate) authority: Authority,
    /// What systems are told to trust, in PEM.
    pub(crate) trust: watch::Receiver<String>,
    /// The other replicas, if there may be any.
    pub(crate) replicas: Option<Arc<Replicas>>,
    pub(crate) table: Arc<Table>,
    pub(crate) metrics: Metrics,
    pub(crate) enrolments: Enrolments,
    pub(crate) peers: Arc<UnprovedPeers>,
    pub(crate) handshakes: Semaphore,
    pub(crate) sessions: Arc<Semaphore>,
    pub(crate) proofs: Arc<Semaphore>,
    pub(crate) per_address: Arc<PerAddress>,
    pub(crate) peer_log_lines: SharedMeter,
    /// Cancelled when the gateway goes down.
    pub(crate) closing: CancellationToken,
}

impl Shared {
    pub(crate) fn new(
        limits: Limits,
        times: Times,
        authority: Authority,
        trust: watch::Receiver<String>,
        directory: Arc<dyn Directory>,
    ) -> Result<Self, prometheus::Error> {
        let table = Arc::new(Table::default());
        let peers = Arc::new(UnprovedPeers::default());
        Ok(Self {
            metrics: Metrics::new(Arc::downgrade(&table), Arc::downgrade(&peers))?,
            table,
            peers,
            trust,
            replicas: None,
            enrolments: Enrolments::new(&limits),
            handshakes: Semaphore::new(limits.handshakes.max(1)),
            sessions: Arc::new(Semaphore::new(limits.sessions.max(1))),
            proofs: Arc::new(Semaphore::new(limits.proofs.max(1))),
            per_address: Arc::new(PerAddress::default()),
            peer_log_lines: SharedMeter::new(limits.peer_log_lines),
            closing: CancellationToken::new(),
            limits,
            times,
            authority,
            directory,
        })
    }

    /// Whether the certificate stands for a system that may connect now.
    pub(crate) fn may_connect(&self, identity: &Identity) -> bool {
        let entry = self.directory.system(&identity.key);
        entry.is_some_and(|entry| entry.enrolment_id.as_deref() == Some(&identity.enrolment_id))
    }

    /// The same, asked of the directory itself: another replica may have enrolled the system a moment ago. Bounded, because a certificate of a system
    /// that was deleted is proved as well.
    pub(crate) async fn may_connect_after_all(&self, identity: &Identity) -> bool {
        if self.replicas.is_none() || !self.enrolments.may_look(&identity.key) {
            return false;
        }
        let look = self.directory.look_again(&identity.key, &identity.enrolment_id);
        tokio::time::timeout(self.times.directory_timeout, look).await.unwrap_or(false)
    }
}
