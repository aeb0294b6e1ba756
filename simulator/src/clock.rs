//! Where time comes from: the machine's clock, or a test's.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rustls::pki_types::UnixTime;
use rustls::time_provider::TimeProvider;

/// Tells the true time.
pub trait Clock: Send + Sync + fmt::Debug {
    /// Now.
    fn now(&self) -> Timestamp;
}

/// The clock of the machine this runs on.
#[derive(Debug, Clone, Copy, Default)]
pub struct MachineClock;

impl Clock for MachineClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// A system's own clock: the true time and how far it is off. Certificates are judged by it too, as on a real system.
#[derive(Debug, Clone)]
pub struct SystemClock {
    truth: Arc<dyn Clock>,
    offset_seconds: i64,
}

impl SystemClock {
    /// A clock that is `offset_seconds` ahead of the true time.
    pub fn new(truth: Arc<dyn Clock>, offset_seconds: i64) -> Self {
        Self { truth, offset_seconds }
    }

    /// What the system takes for now.
    pub fn now(&self) -> Timestamp {
        let truth = self.truth.now();
        truth.saturating_add(SignedDuration::from_secs(self.offset_seconds)).unwrap_or(truth)
    }

    /// The same clock, set anew.
    pub fn set(&mut self, offset_seconds: i64) {
        self.offset_seconds = offset_seconds;
    }
}

impl TimeProvider for SystemClock {
    fn current_time(&self) -> Option<UnixTime> {
        let seconds = u64::try_from(self.now().as_second()).ok()?;
        Some(UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
    }
}
