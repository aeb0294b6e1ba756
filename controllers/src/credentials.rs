//! Notices when the credentials of systems change, on every replica: whichever holds the session of a system signs in again. That is no matter of the
//! leader's, because a change that came between two leaders would be noticed by none.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crds::{IPOffice, PAUSED_ANNOTATION};
use futures::StreamExt as _;
use kube::ResourceExt as _;
use kube::runtime::reflector::ObjectRef;
use protocol::link::SystemLink;
use runtime::cache::Pending;
use tokio_util::sync::CancellationToken;

use crate::caches::Caches;

/// Looks at what credentials come from.
pub struct Follower {
    caches: Arc<Caches>,
    link: Arc<dyn SystemLink>,
    pending: Arc<Pending<ObjectRef<IPOffice>>>,
    /// Where the credentials were at the last look, and which version of the Secret, by UID.
    seen: Mutex<HashMap<String, String>>,
}

impl std::fmt::Debug for Follower {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Follower")
    }
}

impl Follower {
    /// Subscribes to what credentials come from. Before the caches are fed.
    pub fn new(caches: &Arc<Caches>, link: Arc<dyn SystemLink>) -> Self {
        let pending = Arc::new(Pending::default());
        caches.systems.trigger(&pending, |system| vec![ObjectRef::from_obj(system)]);
        let weak = Arc::downgrade(caches);
        caches.secrets.trigger(&pending, move |secret| {
            let Some(caches) = weak.upgrade() else { return Vec::new() };
            crate::ipoffice::users_of_secret(&caches, secret)
        });
        Self { caches: Arc::clone(caches), link, pending, seen: Mutex::default() }
    }

    /// The first look at all: before the first session begins, so that no change falls between. Once the caches are filled.
    pub fn look_at_all(&self) {
        self.caches.systems.references().iter().for_each(|system| self.look(system));
    }

    /// Looks at what changes, until the shutdown.
    pub async fn run(&self, shutdown: CancellationToken) {
        let mut changes = Box::pin(Arc::clone(&self.pending).stream().take_until(shutdown.cancelled_owned()));
        while let Some(system) = changes.next().await {
            self.look(&system);
        }
    }

    fn look(&self, reference: &ObjectRef<IPOffice>) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(system) = self.caches.systems.store().get(reference) else { return };
        let uid = system.uid().unwrap_or_default();
        if system.metadata.deletion_timestamp.is_some() {
            seen.remove(&uid);
            return;
        }
        if system.annotations().contains_key(PAUSED_ANNOTATION) {
            return;
        }
        let now = self.source(&system);
        if seen.insert(uid, now.clone()).is_some_and(|before| before != now) {
            self.link.sign_in_again(&self.caches.key(&system));
        }
    }

    /// By place, and by version of the Secret.
    fn source(&self, system: &IPOffice) -> String {
        let namespace = system.namespace().unwrap_or_default();
        system.spec.service_user.as_ref().map_or_else(String::new, |user| {
            let secret = self.caches.secrets.get(&namespace, &user.password_secret.name);
            let version = secret.map(|secret| format!("{:?}{:?}", secret.uid(), secret.resource_version())).unwrap_or_default();
            format!("{}\n{}\n{}\n{version}", user.name, user.password_secret.name, user.password_secret.key)
        })
    }
}
