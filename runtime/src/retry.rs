//! When to try again after an error.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Mutex;
use std::time::Duration;

use kube::runtime::controller::Action;

/// What kind of error it is, and so what helps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// Time may help: try again, ever more slowly.
    Transient,
    /// Only a change of an object helps: wait for it.
    Invalid,
    /// Nothing helps: never try again.
    Terminal,
    /// Somebody else wrote meanwhile, or the object is on its way out: try again, and nobody needs to know.
    Overtaken,
}

impl Class {
    /// Every class, for metrics.
    pub const ALL: [Class; 4] = [Self::Transient, Self::Overtaken, Self::Invalid, Self::Terminal];

    /// Label value in metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Transient => "transient",
            Self::Invalid => "invalid",
            Self::Terminal => "terminal",
            Self::Overtaken => "overtaken",
        }
    }
}

/// An error that knows its class.
pub trait Classify {
    /// What helps.
    fn class(&self) -> Class;
}

impl Classify for kube::Error {
    fn class(&self) -> Class {
        match self {
            kube::Error::Api(status) if status.code == 409 || (status.code == 403 && status.message.contains("being terminated")) => {
                Class::Overtaken
            }
            // The object is refused as it is; all else (conflicts, overload, no connection) passes.
            kube::Error::Api(status) if status.code == 422 || status.code == 400 => Class::Invalid,
            _ => Class::Transient,
        }
    }
}

/// First wait of a back-off.
pub const FIRST_WAIT: Duration = Duration::from_millis(500);
/// Longest wait of a back-off.
pub const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// The wait after `failures` failures in a row, between half and all of an exponential that ends at [`LONGEST_WAIT`]. `noise` spreads objects that failed together.
pub fn wait(failures: u32, noise: u64) -> Duration {
    let whole = FIRST_WAIT.saturating_mul(2u32.saturating_pow(failures.saturating_sub(1))).min(LONGEST_WAIT);
    let half = whole / 2;
    let spread = u64::try_from(half.as_millis()).unwrap_or(u64::MAX).max(1);
    half + Duration::from_millis(noise % spread)
}

/// Failures in a row by object.
#[derive(Debug, Default)]
pub struct Failures {
    counts: Mutex<HashMap<String, u32>>,
    random: RandomState,
}

impl Failures {
    /// Notes a failure of `object` and says when to try again.
    pub fn failed(&self, object: &str, class: Class) -> Action {
        match class {
            Class::Invalid | Class::Terminal => Action::await_change(),
            Class::Transient | Class::Overtaken => {
                let mut counts = self.counts.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                let count = counts.entry(object.to_owned()).or_default();
                *count = count.saturating_add(1);
                Action::requeue(wait(*count, self.random.hash_one((object, *count))))
            }
        }
    }

    /// Notes a success: the next failure is a first one.
    pub fn succeeded(&self, object: &str) {
        self.counts.lock().unwrap_or_else(std::sync::PoisonError::into_inner).remove(object);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_bound_and_never_vanish() {
        for noise in [0, 1, 77, u64::MAX] {
            let mut last = Duration::ZERO;
            for failures in 1..40 {
                let now = wait(failures, noise);
                assert!(now >= FIRST_WAIT / 2 && now <= LONGEST_WAIT, "{failures} {now:?}");
                assert!(now * 2 >= last, "waits shrink: {last:?} then {now:?}");
                last = now;
            }
            assert!(last >= LONGEST_WAIT / 2);
        }
    }

    #[test]
    fn only_transient_errors_are_tried_again_by_time() {
        let failures = Failures::default();
        assert_eq!(failures.failed("a", Class::Invalid), Action::await_change());
        assert_eq!(failures.failed("a", Class::Terminal), Action::await_change());
        assert_ne!(failures.failed("a", Class::Transient), Action::await_change());
        failures.succeeded("a");
        assert!(failures.counts.lock().is_ok_and(|counts| counts.is_empty()));
    }
}
