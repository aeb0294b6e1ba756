//! A cache of one kind, fed by one watch, from which several controllers are triggered.
//!
//! kube's own shared streams hand on what was applied, but not what was deleted, and drop nothing when a reader is slow, so that one slow
//! reader stops all. Here each subscriber has a set of what it still has to look at: bounded by the number of objects, and never in the way.

use std::collections::HashMap;
use std::fmt::Debug;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use futures::{Stream, StreamExt as _};
use kube::core::{Resource, ResourceExt as _};
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::{WatchStreamExt as _, watcher};
use tokio::sync::Notify;

type Subscriber<K> = Box<dyn Fn(&K) + Send + Sync>;

/// A cache of one kind.
pub struct Cache<K>
where
    K: Resource<DynamicType = ()> + Clone + Send + Sync + 'static,
{
    store: Store<K>,
    subscribers: Mutex<Vec<Subscriber<K>>>,
}

/// Feeds a [`Cache`].
pub struct Feed<K>
where
    K: Resource<DynamicType = ()> + Clone + Send + Sync + 'static,
{
    cache: Arc<Cache<K>>,
    writer: reflector::store::Writer<K>,
}

impl<K> Cache<K>
where
    K: Resource<DynamicType = ()> + Clone + Debug + Send + Sync + 'static,
{
    /// An empty cache, and what feeds it.
    pub fn new() -> (Arc<Self>, Feed<K>) {
        let (store, writer) = reflector::store();
        let cache = Arc::new(Self { store, subscribers: Mutex::new(Vec::new()) });
        (Arc::clone(&cache), Feed { cache, writer })
    }

    /// The objects.
    pub fn store(&self) -> &Store<K> {
        &self.store
    }

    /// One object.
    pub fn get(&self, namespace: &str, name: &str) -> Option<Arc<K>> {
        let reference = ObjectRef::new(name);
        self.store.get(&if namespace.is_empty() { reference } else { reference.within(namespace) })
    }

    /// Calls back for every object that was applied or deleted, after the cache holds it. The call must be quick.
    pub fn subscribe(&self, call: impl Fn(&K) + Send + Sync + 'static) {
        self.subscribers.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(call));
    }

    /// Collects what a controller has to look at, as `map` says for every object that was applied or deleted.
    pub fn trigger<T: Eq + Hash + Send + 'static>(&self, into: &Arc<Pending<T>>, map: impl Fn(&K) -> Vec<T> + Send + Sync + 'static) {
        let pending = Arc::clone(into);
        self.subscribe(move |object| pending.add(map(object)));
    }

    fn tell(&self, object: &K) {
        for subscriber in self.subscribers.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            subscriber(object);
        }
    }
}

impl<K> Feed<K>
where
    K: Resource<DynamicType = ()> + Clone + Debug + Send + Sync + 'static,
{
    /// Feeds the cache from a watch, for ever: a watch that breaks is begun again with back-off.
    pub async fn run(mut self, watch: impl Stream<Item = watcher::Result<watcher::Event<K>>> + Send + 'static) {
        let mut watch = Box::pin(watch.default_backoff());
        // What was there before a watch began anew: what it does not bring again was deleted meanwhile.
        let mut before: HashMap<ObjectRef<K>, Arc<K>> = HashMap::new();
        while let Some(event) = watch.next().await {
            let event = match event {
                Ok(event) => event,
                Err(error) => {
                    tracing::info!(kind = %K::kind(&()), %error, "a watch broke and is begun again");
                    continue;
                }
            };
            if matches!(event, watcher::Event::Init) {
                before = self.cache.store.state().into_iter().map(|object| (ObjectRef::from_obj(object.as_ref()), object)).collect();
            }
            self.writer.apply_watcher_event(&event);
            match &event {
                watcher::Event::Apply(object) | watcher::Event::Delete(object) => self.cache.tell(object),
                watcher::Event::Init => {}
                watcher::Event::InitApply(object) => {
                    before.remove(&ObjectRef::from_obj(object));
                }
                watcher::Event::InitDone => {
                    for object in self.cache.store.state() {
                        self.cache.tell(&object);
                    }
                    for object in std::mem::take(&mut before).into_values() {
                        self.cache.tell(&object);
                    }
                }
            }
        }
    }
}

impl<K> Debug for Cache<K>
where
    K: Resource<DynamicType = ()> + Clone + Send + Sync + 'static,
{
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Cache<{}>", K::kind(&()))
    }
}

impl<K> Debug for Feed<K>
where
    K: Resource<DynamicType = ()> + Clone + Send + Sync + 'static,
{
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Feed<{}>", K::kind(&()))
    }
}

/// What somebody still has to look at: each thing once, however often it was asked for.
#[derive(Debug)]
pub struct Pending<T> {
    set: Mutex<std::collections::HashSet<T>>,
    notify: Notify,
}

impl<T> Default for Pending<T> {
    fn default() -> Self {
        Self { set: Mutex::new(std::collections::HashSet::new()), notify: Notify::new() }
    }
}

impl<T: Eq + Hash + Send + 'static> Pending<T> {
    /// Asks for a look at these.
    pub fn add(&self, items: impl IntoIterator<Item = T>) {
        let mut set = self.set.lock().unwrap_or_else(PoisonError::into_inner);
        let before = set.len();
        set.extend(items);
        if set.len() > before {
            self.notify.notify_one();
        }
    }

    /// The things to look at, as they come. One reader.
    pub fn stream(self: Arc<Self>) -> impl Stream<Item = T> + Send + 'static {
        futures::stream::unfold((self, Vec::new()), |(pending, mut taken)| async move {
            loop {
                if let Some(item) = taken.pop() {
                    return Some((item, (pending, taken)));
                }
                let notified = pending.notify.notified();
                taken = pending.set.lock().unwrap_or_else(PoisonError::into_inner).drain().collect();
                if taken.is_empty() {
                    notified.await;
                }
            }
        })
    }
}

/// `namespace/name` of an object, for logs.
pub fn name_of<K: Resource>(object: &K) -> String {
    match object.namespace() {
        Some(namespace) => format!("{namespace}/{}", object.name_any()),
        None => object.name_any(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use futures::stream;
    use k8s_openapi::api::core::v1::ConfigMap;
    use watcher::Event;

    use super::*;

    fn config(name: &str) -> ConfigMap {
        serde_json::from_value(serde_json::json!({"metadata": {"name": name, "namespace": "n"}})).unwrap()
    }

    #[tokio::test]
    async fn what_vanished_while_a_watch_was_broken_is_told_too() {
        let (cache, feed) = Cache::<ConfigMap>::new();
        let pending = Arc::new(Pending::default());
        let told = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&told);
        cache.subscribe(move |object| log.lock().unwrap().push(object.name_any()));
        cache.trigger(&pending, |object| vec![object.name_any()]);
        let events = vec![
            Event::Init,
            Event::InitApply(config("a")),
            Event::InitApply(config("b")),
            Event::InitDone,
            Event::Init,
            Event::InitApply(config("b")),
            Event::InitDone,
            Event::Delete(config("b")),
        ];
        feed.run(stream::iter(events.into_iter().map(Ok))).await;
        let mut all = told.lock().unwrap().clone();
        all.sort();
        assert_eq!(all, ["a", "a", "b", "b", "b"]);
        assert!(cache.get("n", "a").is_none());
        let mut first: Vec<String> = Box::pin(pending.stream()).take(2).collect().await;
        first.sort();
        assert_eq!(first, ["a", "b"]);
    }

    #[tokio::test]
    async fn a_thing_asked_for_often_is_looked_at_once() {
        let pending = Arc::new(Pending::default());
        pending.add([1, 1, 1, 2]);
        pending.add([1]);
        let mut stream = Box::pin(Arc::clone(&pending).stream());
        let mut seen = vec![stream.next().await.unwrap(), stream.next().await.unwrap()];
        seen.sort_unstable();
        assert_eq!(seen, [1, 2]);
        assert!(futures::poll!(stream.next()).is_pending());
        pending.add([3]);
        assert_eq!(stream.next().await, Some(3));
    }
}
