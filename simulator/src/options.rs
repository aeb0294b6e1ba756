//! Times and limits. The defaults are those of a real system; tests shorten them.

use std::sync::Arc;
use std::time::Duration;

use crate::fleet::Fleet;

/// Times and limits of a system.
#[derive(Debug, Clone)]
pub struct Options {
    /// How often the system looks at its inputs and its own clock.
    pub tick: Duration,
    /// First wait before connecting again; it doubles.
    pub first_retry: Duration,
    /// Longest wait before connecting again.
    pub longest_retry: Duration,
    /// Wait where somebody must act before it can succeed.
    pub slow_retry: Duration,
    /// A session that stood this long was good: the next try begins at the first wait again.
    pub good_session_after: Duration,
    /// Time for connecting, and for COM to welcome.
    pub handshake_timeout: Duration,
    /// Silence after which COM is gone.
    pub offline_after: Duration,
    /// Bytes of log files, in place of what the causes say.
    pub log_limit: Option<u64>,
    /// Time within which a command of a backup or restore is answered, finished or not: less than [`protocol::transfer::WORK_SLICE`], because
    /// the answer has a way to go.
    pub work_slice: Duration,
    /// Time without any progress after which a transfer with the object store has failed.
    pub store_patience: Duration,
    /// Whether log lines go to standard output too.
    pub echo: bool,
    /// The load fleet the system belongs to: it is light then (see [`crate::fleet`]).
    pub fleet: Option<Arc<Fleet>>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            tick: Duration::from_millis(500),
            first_retry: Duration::from_millis(200),
            longest_retry: Duration::from_secs(30),
            slow_retry: Duration::from_secs(30),
            good_session_after: Duration::from_secs(10),
            handshake_timeout: protocol::HANDSHAKE_TIMEOUT,
            offline_after: protocol::OFFLINE_AFTER,
            log_limit: None,
            work_slice: Duration::from_secs(8),
            store_patience: Duration::from_secs(60),
            echo: true,
            fleet: None,
        }
    }
}
