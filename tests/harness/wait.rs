//! The one place where tests wait: for a state, with a bound.

use std::time::{Duration, Instant};

/// How often a state is looked at.
const INTERVAL: Duration = Duration::from_millis(30);

/// Bound for what takes a second or two on an idle machine. Generous: a loaded machine must not fail a test, and a test that passes never waits for it.
pub const SOON: Duration = Duration::from_secs(60);

/// Looks until `look` finds something, and returns it.
///
/// # Panics
/// After `bound`, naming what was waited for.
pub fn until<T>(what: &str, bound: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(began.elapsed() < bound, "{what}: not within {bound:?}");
        std::thread::sleep(INTERVAL);
    }
}

/// Waits until `holds`.
///
/// # Panics
/// As [`until`].
pub fn until_true(what: &str, bound: Duration, mut holds: impl FnMut() -> bool) {
    until(what, bound, || holds().then_some(()));
}

/// Whether `holds` came true within `bound`: for whoever can say more about what is missing than [`until_true`] does.
pub fn reached(bound: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let began = Instant::now();
    loop {
        if holds() {
            return true;
        }
        if began.elapsed() >= bound {
            return false;
        }
        std::thread::sleep(INTERVAL);
    }
}

/// Looks until `look` is content, and returns what it found; until then it says why not.
///
/// # Panics
/// After `bound`, with what it said last.
pub fn until_ok<T>(bound: Duration, mut look: impl FnMut() -> Result<T, String>) -> T {
    let began = Instant::now();
    loop {
        match look() {
            Ok(found) => return found,
            Err(why) => assert!(began.elapsed() < bound, "not within {bound:?}: {why}"),
        }
        std::thread::sleep(INTERVAL);
    }
}

/// A window of observation: lets `length` pass. Only for statements about what does *not* happen in a time; never to let something happen.
pub fn observe(length: Duration) {
    std::thread::sleep(length);
}
