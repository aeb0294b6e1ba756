//! Times from manifests, which may name any number of seconds.

use std::time::Duration;

use tokio::time::Instant;

/// Nothing on a node is planned further ahead: whatever is due later is looked at again by then.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

/// An instant that much later, at most a year: beyond the end of time there is no instant.
pub fn later(now: Instant, delay: Duration) -> Instant {
    now + delay.min(LONGEST)
}
