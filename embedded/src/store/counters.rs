//! Figures for metrics.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use super::object::Change;

/// What the store has done since it was opened, and what it holds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Counters {
    /// Objects created.
    pub created: u64,
    /// Objects updated.
    pub updated: u64,
    /// Objects deleted.
    pub deleted: u64,
    /// Transactions; one carries many writes when many come at once.
    pub commits: u64,
    /// Seconds spent in transactions, waiting for the disk included.
    pub commit_seconds: f64,
    /// The revision of the latest change.
    pub revision: u64,
    /// Objects held, by storage.
    pub objects: BTreeMap<String, usize>,
}

/// The counting half.
#[derive(Debug, Default)]
pub(super) struct Tally {
    created: AtomicU64,
    updated: AtomicU64,
    deleted: AtomicU64,
    pub commits: AtomicU64,
    pub commit_nanoseconds: AtomicU64,
}

impl Tally {
    pub(super) fn count(&self, change: Change) {
        let counter = match change {
            Change::Added => &self.created,
            Change::Modified => &self.updated,
            Change::Deleted => &self.deleted,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    #[expect(clippy::cast_precision_loss, reason = "seconds for a metric")]
    pub(super) fn read(&self, revision: u64, objects: BTreeMap<String, usize>) -> Counters {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counters {
            created: get(&self.created),
            updated: get(&self.updated),
            deleted: get(&self.deleted),
            commits: get(&self.commits),
            commit_seconds: get(&self.commit_nanoseconds) as f64 / 1e9,
            revision,
            objects,
        }
    }
}
