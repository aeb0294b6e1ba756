//! A cache of one kind, fed by one watch, from which several controllers are triggered.
//!
//! kube's own shared streams hand on what was applied, but not what was deleted, and drop nothing when a reader is slow, so that one slow
//! reader stops all. Here each subscriber has a set of what it still has to look at: bounded by the number of objects, and never in the way.

use std::collections::{HashMap, HashSet};
use std::fmt::Debug;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use futures::stream::BoxStream;
use futures::{Stream, StreamExt as _};
use kube::core::{Resource, ResourceExt as _};
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::{WatchStreamExt as _, watcher};
use tokio::sync::Notify;

type Subscriber<K> = Box<dyn Fn(&K) + Send + Sync>;

/// What a watch of one kind brings.
pub type Watch<K> = BoxStream<'static, watcher::Result<watcher::Event<K>>>;

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

    /// All of them, by name.
    pub fn references(&self) -> Vec<ObjectRef<K>> {
        self.store.state().iter().map(|object| ObjectRef::from_obj(object.as_ref())).collect()
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
    pub async fn run(self, watch: impl Stream<Item = watcher::Result<watcher::Event<K>>> + Send + 'static) {
        self.run_all(vec![(None, watch.boxed())]).await;
    }

    /// Feeds the cache from several watches, each of another namespace (`None`: of all, then it is the only one). The cache counts as filled once
    /// all of them have brought what is there; one that breaks later and begins anew touches the objects of its own namespace alone.
    pub async fn run_all(mut self, watches: Vec<(Option<String>, Watch<K>)>) {
        let mut states: Vec<State<K>> = watches.iter().map(|_| State::default()).collect();
        let namespaces: Vec<Option<String>> = watches.iter().map(|(namespace, _)| namespace.clone()).collect();
        let begun_again = |(number, (_, watch)): (usize, (_, BoxStream<'static, _>))| {
            futures::StreamExt::map(watch.default_backoff(), move |event| (number, event)).boxed()
        };
        let mut all = futures::stream::select_all(watches.into_iter().enumerate().map(begun_again));
        // What is there, until all watches have brought theirs.
        let mut collected = Some(HashMap::new());
        while let Some((number, event)) = all.next().await {
            let event = match event {
                Ok(event) => event,
                Err(error) => {
                    tracing::info!(kind = %K::kind(&()), %error, "a watch broke and is begun again");
                    continue;
                }
            };
            let (state, namespace) = (&mut states[number], namespaces[number].as_deref());
            match &mut collected {
                Some(objects) => {
                    collect(objects, state, namespace, event);
                    if states.iter().all(|state| state.brought_all) {
                        self.fill(collected.take().unwrap_or_default());
                    }
                }
                None => self.take(state, namespace, event),
            }
        }
    }

    /// All watches have brought what is there.
    fn fill(&mut self, objects: HashMap<ObjectRef<K>, K>) {
        self.writer.apply_watcher_event(&watcher::Event::Init);
        for object in objects.into_values() {
            self.writer.apply_watcher_event(&watcher::Event::InitApply(object));
        }
        self.writer.apply_watcher_event(&watcher::Event::InitDone);
        self.cache.store.state().iter().for_each(|object| self.cache.tell(object));
    }

    /// One event of one watch, once the cache is filled.
    fn take(&mut self, state: &mut State<K>, namespace: Option<&str>, event: watcher::Event<K>) {
        match event {
            watcher::Event::Init => {
                let objects = self.cache.store.state().into_iter().filter(|object| is_in(object.as_ref(), namespace));
                state.before = objects.map(|object| (ObjectRef::from_obj(object.as_ref()), object)).collect();
            }
            watcher::Event::InitApply(object) => {
                state.before.remove(&ObjectRef::from_obj(&object));
                self.apply(&watcher::Event::Apply(object));
            }
            watcher::Event::InitDone => {
                // What the watch did not bring again was deleted meanwhile.
                for object in std::mem::take(&mut state.before).into_values() {
                    self.apply(&watcher::Event::Delete(Arc::unwrap_or_clone(object)));
                }
            }
            event @ (watcher::Event::Apply(_) | watcher::Event::Delete(_)) => self.apply(&event),
        }
    }

    fn apply(&mut self, event: &watcher::Event<K>) {
        self.writer.apply_watcher_event(event);
        if let watcher::Event::Apply(object) | watcher::Event::Delete(object) = event {
            self.cache.tell(object);
        }
    }
}

/// Where one of the watches of a feed stands.
struct State<K: Resource<DynamicType = ()>> {
    /// Whether it has brought what is there, and has not begun anew since.
    brought_all: bool,
    /// What was there before it began anew.
    before: HashMap<ObjectRef<K>, Arc<K>>,
}

impl<K: Resource<DynamicType = ()>> Default for State<K> {
    fn default() -> Self {
        Self { brought_all: false, before: HashMap::new() }
    }
}

/// One event of one watch, before the cache is filled.
fn collect<K>(objects: &mut HashMap<ObjectRef<K>, K>, state: &mut State<K>, namespace: Option<&str>, event: watcher::Event<K>)
where
    K: Resource<DynamicType = ()> + Clone,
{
    match event {
        watcher::Event::Init => {
            // What it brought is dropped, so it has brought nothing until it has done so again.
            state.brought_all = false;
            objects.retain(|_, object| !is_in(object, namespace));
        }
        watcher::Event::InitApply(object) | watcher::Event::Apply(object) => {
            objects.insert(ObjectRef::from_obj(&object), object);
        }
        watcher::Event::Delete(object) => {
            objects.remove(&ObjectRef::from_obj(&object));
        }
        watcher::Event::InitDone => state.brought_all = true,
    }
}

/// Whether an object belongs to the watch of that namespace; `None`: of all.
fn is_in<K: Resource>(object: &K, namespace: Option<&str>) -> bool {
    namespace.is_none() || object.meta().namespace.as_deref() == namespace
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

/// What somebody still has to look at: each thing once, however often it was asked for. Open from the beginning.
#[derive(Debug)]
pub struct Pending<T> {
    /// `None`: closed.
    set: Mutex<Option<HashSet<T>>>,
    notify: Notify,
}

impl<T> Default for Pending<T> {
    fn default() -> Self {
        Self { set: Mutex::new(Some(HashSet::new())), notify: Notify::new() }
    }
}

impl<T: Eq + Hash + Send + 'static> Pending<T> {
    /// Nobody reads from now on: what was asked for is forgotten, and so is what will be, until it is opened. Names of things that come and go would
    /// otherwise be kept for ever.
    pub fn close(&self) {
        *self.set.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Somebody reads from now on. What was asked for before must be asked for again.
    pub fn open(&self) {
        self.set.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_default();
    }

    /// Asks for a look at these, unless it is closed.
    pub fn add(&self, items: impl IntoIterator<Item = T>) {
        let mut set = self.set.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(set) = set.as_mut() else { return };
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
                taken = pending.set.lock().unwrap_or_else(PoisonError::into_inner).iter_mut().flat_map(HashSet::drain).collect();
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
        config_in("n", name)
    }

    fn config_in(namespace: &str, name: &str) -> ConfigMap {
        serde_json::from_value(serde_json::json!({"metadata": {"name": name, "namespace": namespace}})).unwrap()
    }

    #[tokio::test]
    async fn several_namespaces_fill_one_cache_and_one_that_begins_anew_takes_nothing_of_the_others() {
        let (cache, feed) = Cache::<ConfigMap>::new();
        let (to_one, one) = futures::channel::mpsc::unbounded();
        let (to_two, two) = futures::channel::mpsc::unbounded();
        let send = |to: &futures::channel::mpsc::UnboundedSender<_>, event| to.unbounded_send(Ok(event)).unwrap();
        let running = tokio::spawn(feed.run_all(vec![(Some("one".into()), one.boxed()), (Some("two".into()), two.boxed())]));
        for event in [Event::Init, Event::InitApply(config_in("one", "a")), Event::InitApply(config_in("one", "b")), Event::InitDone] {
            send(&to_one, event);
        }
        send(&to_one, Event::Delete(config_in("one", "b")));
        tokio::task::yield_now().await;
        assert!(cache.get("one", "a").is_none(), "the other namespace has not brought its objects yet");
        for event in [Event::Init, Event::InitApply(config_in("two", "c")), Event::InitDone] {
            send(&to_two, event);
        }
        cache.store().wait_until_ready().await.unwrap();
        assert!(cache.get("one", "a").is_some() && cache.get("one", "b").is_none() && cache.get("two", "c").is_some());
        for event in [Event::Init, Event::InitApply(config_in("two", "d")), Event::InitDone] {
            send(&to_two, event);
        }
        drop((to_one, to_two));
        running.await.unwrap();
        let mut names: Vec<_> = cache.store().state().iter().map(|object| object.name_any()).collect();
        names.sort();
        assert_eq!(names, ["a", "d"]);
    }

    #[tokio::test]
    async fn a_watch_that_begins_anew_before_the_others_are_there_is_waited_for_again() {
        let (cache, feed) = Cache::<ConfigMap>::new();
        let (to_one, one) = futures::channel::mpsc::unbounded();
        let (to_two, two) = futures::channel::mpsc::unbounded();
        let send = |to: &futures::channel::mpsc::UnboundedSender<_>, event| to.unbounded_send(Ok(event)).unwrap();
        let mut running = Box::pin(feed.run_all(vec![(Some("one".into()), one.boxed()), (Some("two".into()), two.boxed())]));
        for event in [Event::Init, Event::InitApply(config_in("one", "a")), Event::InitDone, Event::Init] {
            send(&to_one, event);
        }
        assert!(futures::poll!(&mut running).is_pending());
        for event in [Event::Init, Event::InitApply(config_in("two", "c")), Event::InitDone] {
            send(&to_two, event);
        }
        assert!(futures::poll!(&mut running).is_pending());
        assert!(cache.get("two", "c").is_none(), "filled without what the first watch has yet to bring");
        for event in [Event::InitApply(config_in("one", "a")), Event::InitDone] {
            send(&to_one, event);
        }
        assert!(futures::poll!(&mut running).is_pending());
        assert!(cache.get("one", "a").is_some() && cache.get("two", "c").is_some());
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

    #[tokio::test]
    async fn what_is_asked_for_while_nobody_reads_is_not_kept() {
        let pending = Arc::new(Pending::default());
        pending.add([1]);
        pending.close();
        pending.add([2]);
        let mut stream = Box::pin(Arc::clone(&pending).stream());
        assert!(futures::poll!(stream.next()).is_pending());
        pending.open();
        pending.add([3]);
        // To open what is open forgets nothing.
        pending.open();
        assert_eq!(stream.next().await, Some(3));
        assert!(futures::poll!(stream.next()).is_pending());
    }
}
