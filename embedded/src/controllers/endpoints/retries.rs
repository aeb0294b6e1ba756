//! Services whose endpoints could not be written, and when each is tried again. Pure but for the clock that is handed in.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::controllers::delays::doubled;
use crate::network::names::Name;

/// Before the first retry; doubled for each one after.
const FIRST_DELAY: Duration = Duration::from_secs(1);
/// Never longer than this.
const LONGEST_DELAY: Duration = Duration::from_secs(30);

/// Each Service waits for itself, and whatever changes meanwhile: one that keeps failing is not tried at every change of one of its pods.
#[derive(Debug, Default)]
pub(crate) struct Retries(HashMap<Name, Retry>);

#[derive(Debug)]
struct Retry {
    /// In a row.
    failures: u32,
    due: Instant,
}

impl Retries {
    /// It failed; returns how long it waits.
    pub fn failed(&mut self, name: &Name, now: Instant) -> Duration {
        let retry = self.0.entry(name.clone()).or_insert(Retry { failures: 0, due: now });
        let delay = doubled(FIRST_DELAY, retry.failures, LONGEST_DELAY);
        *retry = Retry { failures: retry.failures.saturating_add(1), due: now + delay };
        delay
    }

    /// It did not fail.
    pub fn succeeded(&mut self, name: &Name) {
        self.0.remove(name);
    }

    /// Whether it is not to be tried yet.
    pub fn waits(&self, name: &Name, now: Instant) -> bool {
        self.0.get(name).is_some_and(|retry| retry.due > now)
    }

    /// When the next one is to be tried.
    pub fn next(&self) -> Option<Instant> {
        self.0.values().map(|retry| retry.due).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_service_waits_for_itself_longer_each_time_until_it_succeeds() {
        let (mut retries, now) = (Retries::default(), Instant::now());
        let at = |second: u64| now + Duration::from_secs(second);
        let [bad, worse, good] = ["bad", "worse", "good"].map(|name| ("n".to_owned(), name.to_owned()));
        let delays: Vec<u64> = (0..8).map(|_| retries.failed(&worse, now).as_secs()).collect();
        assert_eq!(delays, [1, 2, 4, 8, 16, 30, 30, 30]);
        retries.failed(&bad, now);
        assert_eq!(retries.next(), Some(at(1)));
        assert!(retries.waits(&bad, now) && retries.waits(&worse, at(29)) && !retries.waits(&good, now));
        assert!(!retries.waits(&bad, at(1)) && !retries.waits(&worse, at(30)));
        retries.succeeded(&bad);
        assert_eq!(retries.next(), Some(at(30)));
        assert_eq!(retries.failed(&bad, now).as_secs(), 1, "what succeeded begins anew");
    }
}
