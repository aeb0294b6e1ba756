//! Who belongs to whom.

use std::collections::{HashMap, HashSet, VecDeque};

use super::inventory::{Item, Owner};

/// Uids known to be gone that are remembered; the oldest go first, and cost a question more.
const REMEMBERED: usize = 4096;

/// All objects with the edges from owner to dependent.
#[derive(Debug, Default)]
pub struct Graph {
    items: HashMap<String, Item>,
    dependents: HashMap<String, HashSet<String>>,
    gone: HashSet<String>,
    gone_order: VecDeque<String>,
}

/// What is known of an owner without asking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// It is there; `waits`: in foreground deletion.
    Present {
        /// It waits for its dependents to go.
        waits: bool,
    },
    /// It is gone for good: uids are never used again.
    Gone,
    /// The reference can never be resolved: a cluster-scoped object cannot belong to one in a namespace.
    Impossible,
    /// Has to be asked for.
    Unknown,
}

impl Graph {
    /// Takes up an object; returns the uids of those to look at.
    pub fn apply(&mut self, item: Item) -> Vec<String> {
        let mut look = Vec::new();
        // Whoever said that it is gone was wrong.
        if self.gone.remove(&item.uid) {
            self.gone_order.retain(|uid| *uid != item.uid);
        }
        let before = self.items.get(&item.uid).map(|before| before.owners.clone()).unwrap_or_default();
        for owner in before.iter().filter(|owner| !item.owners.contains(owner)) {
            if let Some(dependents) = self.dependents.get_mut(&owner.uid) {
                dependents.remove(&item.uid);
                if dependents.is_empty() {
                    self.dependents.remove(&owner.uid);
                }
            }
            look.extend(self.waiting(&owner.uid));
        }
        for owner in &item.owners {
            self.dependents.entry(owner.uid.clone()).or_default().insert(item.uid.clone());
            // An owner in foreground deletion may just have got one more to wait for.
            look.extend(self.waiting(&owner.uid));
        }
        if !item.owners.is_empty() || item.deleting && (item.foreground || item.orphan) {
            look.push(item.uid.clone());
        }
        self.items.insert(item.uid.clone(), item);
        look
    }

    /// An object is gone; returns the uids of those to look at.
    pub fn remove(&mut self, uid: &str) -> Vec<String> {
        self.mark_gone(uid);
        let mut look: Vec<String> = self.dependents.get(uid).into_iter().flatten().cloned().collect();
        if let Some(item) = self.items.remove(uid) {
            for owner in &item.owners {
                if let Some(dependents) = self.dependents.get_mut(&owner.uid) {
                    dependents.remove(uid);
                    if dependents.is_empty() {
                        self.dependents.remove(&owner.uid);
                    }
                }
                look.extend(self.waiting(&owner.uid));
            }
        }
        look
    }

    fn waiting(&self, uid: &str) -> Option<String> {
        self.items.get(uid).filter(|owner| owner.deleting && owner.foreground).map(|owner| owner.uid.clone())
    }

    /// Remembers that there is no such object (any more).
    pub fn mark_gone(&mut self, uid: &str) {
        if self.gone.insert(uid.to_owned()) {
            self.gone_order.push_back(uid.to_owned());
        }
        if self.gone_order.len() > REMEMBERED
            && let Some(oldest) = self.gone_order.pop_front()
        {
            self.gone.remove(&oldest);
        }
    }

    /// An object.
    pub fn get(&self, uid: &str) -> Option<&Item> {
        self.items.get(uid)
    }

    /// The dependents of an object.
    pub fn dependents(&self, uid: &str) -> Vec<Item> {
        self.dependents.get(uid).into_iter().flatten().filter_map(|uid| self.items.get(uid)).cloned().collect()
    }

    /// What is known of one of an object's owners.
    pub fn owner(&self, item: &Item, owner: &Owner) -> Known {
        if self.gone.contains(&owner.uid) {
            return Known::Gone;
        }
        let Some(found) = self.items.get(&owner.uid) else { return Known::Unknown };
        if found.kind.namespaced && !item.kind.namespaced {
            return Known::Impossible;
        }
        // The reference must name the very object; one in another namespace does not count.
        let group = owner.api_version.split_once('/').map_or("", |(group, _)| group);
        let same = found.name == owner.name && found.kind.kind == owner.kind && found.kind.group == group;
        let reachable = !found.kind.namespaced || found.namespace == item.namespace;
        if same && reachable { Known::Present { waits: found.deleting && found.foreground } } else { Known::Unknown }
    }
}
