//! When a container that ended starts again.

use std::time::Duration;

use crate::node::options::RestartDelays;

/// Counts ends in a row.
#[derive(Debug, Clone, Copy)]
pub struct Backoff {
    delays: RestartDelays,
    in_a_row: u32,
}

impl Backoff {
    /// A container that has not ended yet.
    pub fn new(delays: RestartDelays) -> Self {
        Self { delays, in_a_row: 0 }
    }

    /// How long to wait before the next start, after a life of this length.
    pub fn after(&mut self, life: Duration) -> Duration {
        if life >= self.delays.reset_after {
            self.in_a_row = 0;
        }
        let before = self.in_a_row;
        self.in_a_row = before.saturating_add(1);
        match before.checked_sub(1) {
            None => self.delays.first.min(self.delays.longest),
            Some(doublings) => self.delays.second.saturating_mul(1_u32.checked_shl(doublings).unwrap_or(u32::MAX)).min(self.delays.longest),
        }
    }
}
