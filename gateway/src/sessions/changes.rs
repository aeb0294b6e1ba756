//! Tells subscribers which views changed. A slow reader finds each changed system once, not each change: memory is bounded by the systems.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use model::ids::SystemKey;
use tokio::sync::Notify;

#[derive(Debug, Default)]
struct Subscriber {
    changed: Mutex<BTreeSet<SystemKey>>,
    notify: Notify,
}

impl Subscriber {
    fn changed(&self) -> MutexGuard<'_, BTreeSet<SystemKey>> {
        self.changed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn next(&self) -> SystemKey {
        loop {
            if let Some(key) = self.changed().pop_first() {
                return key;
            }
            // A change between the look and the wait leaves a permit behind.
            self.notify.notified().await;
        }
    }
}

/// Who wants to know.
#[derive(Debug, Default)]
pub(crate) struct Changes(Mutex<Vec<Weak<Subscriber>>>);

impl Changes {
    /// A stream that begins with `known` and goes on with what changes from now on.
    pub(crate) fn subscribe(&self, known: BTreeSet<SystemKey>) -> BoxStream<'static, SystemKey> {
        let subscriber = Arc::new(Subscriber { changed: Mutex::new(known), notify: Notify::new() });
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::downgrade(&subscriber));
        stream::unfold(subscriber, |subscriber| async move {
            let key = subscriber.next().await;
            Some((key, subscriber))
        })
        .boxed()
    }

    pub(crate) fn tell(&self, key: &SystemKey) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|subscriber| {
            let Some(subscriber) = subscriber.upgrade() else { return false };
            subscriber.changed().insert(key.clone());
            subscriber.notify.notify_one();
            true
        });
    }
}
