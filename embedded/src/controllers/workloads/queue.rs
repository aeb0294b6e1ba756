//! Which objects are to be looked at, and when. Pure but for the clock that is handed in.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use crate::controllers::delays::doubled;

/// Before the first retry after a failure; doubled for each one after.
const FIRST_DELAY: Duration = Duration::from_millis(20);
/// Never longer than this.
const LONGEST_DELAY: Duration = Duration::from_secs(30);

/// What a controller of workloads looks after.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// `apps/v1`.
    Deployment,
    /// `apps/v1`.
    ReplicaSet,
    /// `batch/v1`.
    Job,
    /// `policy/v1`.
    PodDisruptionBudget,
}

/// One object to look at.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// Its kind.
    pub kind: Kind,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// Keys in the order in which they came. A key is worked on by one task at a time, and once more if it comes up meanwhile.
#[derive(Debug, Default)]
pub struct Queue {
    ready: VecDeque<Key>,
    queued: HashSet<Key>,
    working: HashSet<Key>,
    again: HashSet<Key>,
    due: BTreeSet<(Instant, Key)>,
    due_of: HashMap<Key, Instant>,
    failures: HashMap<Key, u32>,
}

impl Queue {
    /// This is to be looked at as soon as may be.
    pub fn add(&mut self, key: Key) {
        if self.working.contains(&key) {
            self.again.insert(key);
        } else if self.queued.insert(key.clone()) {
            self.ready.push_back(key);
        }
    }

    /// Takes the next one; [`Queue::done`] must follow.
    pub fn take(&mut self) -> Option<Key> {
        let key = self.ready.pop_front()?;
        self.queued.remove(&key);
        self.working.insert(key.clone());
        Some(key)
    }

    /// The work on a key is through: when to look again although nothing happens, or that it failed. Returns the delay after a failure.
    pub fn done(&mut self, key: Key, outcome: Result<Option<Duration>, ()>, now: Instant) -> Option<Duration> {
        self.working.remove(&key);
        self.forget_due(&key);
        let (wait, delay) = match outcome {
            Ok(wait) => {
                self.failures.remove(&key);
                (wait, None)
            }
            Err(()) => {
                let failures = self.failures.entry(key.clone()).or_default();
                let delay = doubled(FIRST_DELAY, *failures, LONGEST_DELAY);
                *failures = failures.saturating_add(1);
                (Some(delay), Some(delay))
            }
        };
        if let Some(at) = wait.and_then(|wait| now.checked_add(wait)) {
            self.due.insert((at, key.clone()));
            self.due_of.insert(key.clone(), at);
        }
        if self.again.remove(&key) {
            self.add(key);
        }
        delay
    }

    fn forget_due(&mut self, key: &Key) {
        if let Some(at) = self.due_of.remove(key) {
            self.due.remove(&(at, key.clone()));
        }
    }

    /// When the next key is due.
    pub fn next_due(&self) -> Option<Instant> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Takes up all keys that are due.
    pub fn wake(&mut self, now: Instant) {
        while let Some((at, key)) = self.due.first().cloned()
            && at <= now
        {
            self.forget_due(&key);
            self.add(key);
        }
    }
}
