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
    /// The system's UID at the last look, where its credentials were, and which version of the Secret.
    seen: Mutex<HashMap<ObjectRef<IPOffice>, (String, String)>>,
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
        let system = self.caches.systems.store().get(reference).filter(|system| system.metadata.deletion_timestamp.is_none());
        let Some(system) = system else {
            seen.remove(reference);
            return;
        };
        if system.annotations().contains_key(PAUSED_ANNOTATION) {
            return;
        }
        let now = (system.uid().unwrap_or_default(), self.source(&system));
        // Another system of that name signs in by itself.
        if seen.insert(reference.clone(), now.clone()).is_some_and(|before| before.0 == now.0 && before.1 != now.1) {
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::time::Duration;

    use async_trait::async_trait;
    use futures::stream::BoxStream;
    use http::{Request, Response};
    use kube::Client;
    use kube::client::Body;
    use model::ids::SystemKey;
    use protocol::link::{Done, LinkError, SessionView};
    use protocol::message::Command;
    use serde_json::{Value, json};
    use tokio::sync::{Notify, mpsc};

    use super::*;
    use crate::caches::Scope;

    /// Reaches nobody.
    struct Nowhere;

    #[async_trait]
    impl SystemLink for Nowhere {
        fn view(&self, _: &SystemKey) -> Option<SessionView> {
            None
        }
        async fn request(&self, _: &SystemKey, _: &str, _: Command) -> Result<Done, LinkError> {
            Err(LinkError::NotConnected)
        }
        fn sign_in_again(&self, _: &SystemKey) {}
        fn forget(&self, _: &SystemKey) {}
        fn changes(&self) -> BoxStream<'static, SystemKey> {
            futures::stream::pending().boxed()
        }
    }

    fn system() -> Value {
        json!({
            "apiVersion": "switchboard.dev/v1alpha1", "kind": "IPOffice",
            "metadata": {"name": "hq", "namespace": "north", "uid": "u", "resourceVersion": "1"},
            "spec": {"customer": "acme"}
        })
    }

    /// A server that has one system, and deletes it at once when told so.
    fn server(delete: Arc<Notify>) -> Client {
        Client::new(
            tower::service_fn(move |request: Request<Body>| {
                let delete = Arc::clone(&delete);
                async move {
                    let of_systems = request.uri().path().ends_with("/ipoffices");
                    let watches = request.uri().query().is_some_and(|query| query.contains("watch=true"));
                    if watches && !of_systems {
                        std::future::pending::<()>().await;
                    }
                    let answer = if watches {
                        delete.notified().await;
                        json!({"type": "DELETED", "object": system()})
                    } else {
                        let items = if of_systems { vec![system()] } else { Vec::new() };
                        json!({"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": "1"}, "items": items})
                    };
                    Ok::<_, std::convert::Infallible>(Response::new(Body::from(format!("{answer}\n").into_bytes())))
                }
            }),
            "default",
        )
    }

    #[tokio::test]
    async fn nothing_is_kept_of_a_system_that_is_gone_before_anybody_looks() {
        let (delete, shutdown) = (Arc::new(Notify::new()), CancellationToken::new());
        let (caches, feeds) = Caches::new();
        let follower = Follower::new(&caches, Arc::new(Nowhere));
        let (told, mut changes) = mpsc::unbounded_channel();
        caches.systems.subscribe(move |system| told.send(ObjectRef::from_obj(system)).unwrap());
        let mut change = async || tokio::time::timeout(Duration::from_secs(20), changes.recv()).await.unwrap().unwrap();
        let feeding = tokio::spawn(feeds.run(server(Arc::clone(&delete)), Scope::default(), shutdown.clone()));
        change().await;
        follower.look_at_all();
        assert_eq!(follower.seen.lock().unwrap().len(), 1);
        delete.notify_one();
        let gone = change().await;
        follower.look(&gone);
        assert!(follower.seen.lock().unwrap().is_empty());
        shutdown.cancel();
        feeding.await.unwrap();
    }
}
