//! All objects and the latest events, in memory. Only the writer changes it, after the disk has the change.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ops::Bound;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use tokio::sync::watch;

use super::object::{Change, Event, Key, Listing, Object};

/// How many events watches can go back.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Events kept, of all kinds together.
    pub events: usize,
    /// Bytes of JSON the kept events hold on to, of all kinds together.
    pub bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { events: 20_000, bytes: 32 << 20 }
    }
}

/// What one kind of object holds.
#[derive(Default)]
struct Shelf {
    objects: BTreeMap<(String, String), Arc<Object>>,
    events: VecDeque<Event>,
    /// Highest revision among the events that had to go; a watch from below it has missed something.
    forgotten: u64,
    /// Revision of the latest change; after a start, of the start.
    changed: u64,
    /// Wakes the watches of this kind; made with the first.
    bell: Option<watch::Sender<u64>>,
}

/// The state behind the lock.
pub(super) struct State {
    pub revision: u64,
    pub closed: bool,
    shelves: HashMap<String, Shelf>,
    /// Kinds of the kept events, oldest first: which shelf gives up the next one.
    order: VecDeque<String>,
    bytes: usize,
    limits: Limits,
    /// Revision at the start: events before it are not known.
    start: u64,
}

/// Objects and events under one lock, which is never held across a wait.
pub(super) struct Memory(RwLock<State>);

impl Memory {
    /// The objects as read from disk.
    pub(super) fn new(revision: u64, objects: impl IntoIterator<Item = Object>, limits: Limits) -> Self {
        let mut shelves: HashMap<String, Shelf> = HashMap::new();
        for object in objects {
            let shelf = shelves.entry(object.key.storage.clone()).or_insert_with(|| Shelf {
                forgotten: revision,
                changed: revision,
                ..Shelf::default()
            });
            shelf.objects.insert(place(&object.key), Arc::new(object));
        }
        Self(RwLock::new(State { revision, closed: false, shelves, order: VecDeque::new(), bytes: 0, limits, start: revision }))
    }

    /// For reading. A poisoned lock is used on: the state is changed by whole events only.
    pub(super) fn read(&self) -> RwLockReadGuard<'_, State> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// For changing.
    pub(super) fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

fn place(key: &Key) -> (String, String) {
    (key.namespace.clone(), key.name.clone())
}

/// What an event keeps in memory.
fn weight(event: &Event) -> usize {
    event.object.json.len() + event.previous.as_ref().map_or(0, |object| object.json.len())
}

/// Whether an object belongs to a stream or list of this namespace; none is all.
pub(super) fn within(object: &Object, namespace: Option<&str>) -> bool {
    namespace.is_none_or(|namespace| object.key.namespace == namespace)
}

impl State {
    pub(super) fn get(&self, key: &Key) -> Option<&Arc<Object>> {
        self.shelves.get(&key.storage)?.objects.get(&place(key))
    }

    pub(super) fn list(&self, storage: &str, namespace: Option<&str>, after: Option<(&str, &str)>, limit: Option<usize>) -> Listing {
        let Some(shelf) = self.shelves.get(storage) else { return Listing { revision: self.revision, ..Listing::default() } };
        let own = |(namespace, name): (&str, &str)| (namespace.to_owned(), name.to_owned());
        let first = Bound::Included(own((namespace.unwrap_or_default(), "")));
        // A place to go on from that lies before the namespace must not widen the range.
        let from = match after.map(own).map(Bound::Excluded) {
            Some(Bound::Excluded(after)) if namespace.is_none_or(|namespace| after.0.as_str() >= namespace) => Bound::Excluded(after),
            _ => first,
        };
        let mut found = shelf
            .objects
            .range((from, Bound::Unbounded))
            .take_while(|((at, _), _)| namespace.is_none_or(|namespace| at == namespace))
            .map(|(_, object)| Arc::clone(object));
        let objects: Vec<_> = found.by_ref().take(limit.unwrap_or(usize::MAX)).collect();
        let remaining = found.count();
        Listing { revision: self.revision, objects, more: remaining > 0, remaining }
    }

    /// Number of objects by kind.
    pub(super) fn census(&self) -> BTreeMap<String, usize> {
        self.shelves.iter().map(|(storage, shelf)| (storage.clone(), shelf.objects.len())).filter(|(_, count)| *count > 0).collect()
    }

    fn shelf(&mut self, storage: &str) -> &mut Shelf {
        let start = self.start;
        if !self.shelves.contains_key(storage) {
            self.shelves.insert(storage.to_owned(), Shelf { forgotten: start, changed: start, ..Shelf::default() });
        }
        self.shelves.entry(storage.to_owned()).or_default()
    }

    /// Takes over what the disk has. Watches are woken by [`State::ring`].
    pub(super) fn publish(&mut self, event: Event) {
        self.revision = event.revision;
        self.bytes += weight(&event);
        let storage = event.object.key.storage.clone();
        let shelf = self.shelf(&storage);
        shelf.changed = event.revision;
        let place = place(&event.object.key);
        match event.change {
            Change::Deleted => shelf.objects.remove(&place),
            Change::Added | Change::Modified => shelf.objects.insert(place, Arc::clone(&event.object)),
        };
        shelf.events.push_back(event);
        self.order.push_back(storage);
        while self.order.len() > self.limits.events || self.bytes > self.limits.bytes {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        let Some(storage) = self.order.pop_front() else { return };
        let shelf = self.shelf(&storage);
        let Some(event) = shelf.events.pop_front() else { return };
        shelf.forgotten = event.revision;
        self.bytes -= weight(&event);
    }

    /// Wakes the watches of these kinds.
    pub(super) fn ring<'a>(&self, storages: impl IntoIterator<Item = &'a str>) {
        for storage in storages {
            if let Some(bell) = self.shelves.get(storage).and_then(|shelf| shelf.bell.as_ref()) {
                bell.send_replace(self.revision);
            }
        }
    }

    /// No more events will come: watches end once they have what is there.
    pub(super) fn close(&mut self) {
        self.closed = true;
        for bell in self.shelves.values().filter_map(|shelf| shelf.bell.as_ref()) {
            bell.send_replace(self.revision);
        }
    }

    /// Revision of the latest change of any of these kinds.
    pub(super) fn changed(&self, storages: &[&str]) -> u64 {
        storages.iter().map(|storage| self.shelves.get(*storage).map_or(self.start, |shelf| shelf.changed)).max().unwrap_or(self.start)
    }

    /// Lowest revision a watch of this kind can start from.
    pub(super) fn oldest(&self, storage: &str) -> u64 {
        self.shelves.get(storage).map_or(self.start, |shelf| shelf.forgotten)
    }

    /// The bell of a kind, for one more watch.
    pub(super) fn bell(&mut self, storage: &str) -> watch::Receiver<u64> {
        let revision = self.revision;
        self.shelf(storage).bell.get_or_insert_with(|| watch::Sender::new(revision)).subscribe()
    }

    /// Events after a revision, oldest first.
    pub(super) fn events<'a>(&'a self, storage: &str, namespace: Option<&'a str>, after: u64) -> impl Iterator<Item = &'a Event> + use<'a> {
        let events = self.shelves.get(storage).map(|shelf| &shelf.events);
        let skip = events.map_or(0, |events| events.partition_point(|event| event.revision <= after));
        events.into_iter().flat_map(move |events| events.range(skip..)).filter(move |event| within(&event.object, namespace))
    }
}
