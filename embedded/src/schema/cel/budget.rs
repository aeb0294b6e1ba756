//! What evaluating rules may cost. Every loop step and every concatenation pays; who has nothing left gets an error, so that a rule
//! over a large object ends instead of holding the server.

use std::cell::Cell;

/// Cost units one rule may use on one value. A unit is about one step of the interpreter; the figure is that of Kubernetes.
pub(super) const RULE_LIMIT: u64 = 1_000_000;

/// Cost units all rules of one object may use together. Kubernetes allows ten times this, on optimised code.
pub(super) const OBJECT_LIMIT: u64 = 4_000_000;

thread_local! {
    /// What the evaluation running on this thread has left. Evaluation never leaves its thread.
    static LEFT: Cell<u64> = const { Cell::new(0) };
}

/// Runs `work` with `limit` units and gives its result and what it used; `None` for the use when it wanted more.
pub(super) fn with_limit<T>(limit: u64, work: impl FnOnce() -> T) -> (T, Option<u64>) {
    LEFT.set(limit + 1);
    let result = work();
    let left = LEFT.replace(0);
    (result, (left > 0).then(|| limit + 1 - left))
}

/// Takes units; false when they are not there.
pub(super) fn charge(cost: u64) -> bool {
    let left = LEFT.get().saturating_sub(cost);
    LEFT.set(left);
    left > 0
}
