//! What evaluating rules may cost. Every loop step, every concatenation and every costly function pays; who has nothing left gets an
//! error, so that a rule over a large object ends instead of holding the server. Units make the limit the same on every machine;
//! since a unit can hide the copying of a large value, there is a limit in time as well.

use std::cell::Cell;
use std::time::{Duration, Instant};

/// Cost units one rule may use on one value. A unit is about one step of the interpreter; the figure is that of Kubernetes.
pub(super) const RULE_LIMIT: u64 = 1_000_000;

/// Cost units all rules of one object may use together. Kubernetes allows ten times this, on optimised code.
pub(super) const OBJECT_LIMIT: u64 = 4_000_000;

/// Longest evaluation of one rule on one value; after as long over one object no further rule starts.
pub(super) const TIME_LIMIT: Duration = Duration::from_secs(2);

thread_local! {
    /// What the evaluation running on this thread has left. Evaluation never leaves its thread.
    static LEFT: Cell<u64> = const { Cell::new(0) };
    /// When it has to end.
    static DEADLINE: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Runs `work` with `limit` units and gives its result and what it used; `None` for the use when it wanted more.
pub(super) fn with_limit<T>(limit: u64, work: impl FnOnce() -> T) -> (T, Option<u64>) {
    LEFT.set(limit + 1);
    DEADLINE.set(Instant::now().checked_add(TIME_LIMIT));
    let result = work();
    let left = LEFT.replace(0);
    (result, (left > 0).then(|| limit + 1 - left))
}

/// Takes units; false when they are not there.
pub(super) fn charge(cost: u64) -> bool {
    let late = DEADLINE.get().is_some_and(|deadline| Instant::now() > deadline);
    let left = if late { 0 } else { LEFT.get().saturating_sub(cost) };
    LEFT.set(left);
    left > 0
}
