//! How long to wait before the next try, and what a bad network does to a message.

use std::time::Duration;

use ring::rand::{SecureRandom as _, SystemRandom};

use crate::causes::Network;

/// A number in `0..1`.
fn random() -> f64 {
    let mut bytes = [0u8; 4];
    // A generator that fails costs the jitter, nothing else.
    let _ = SystemRandom::new().fill(&mut bytes);
    f64::from(u32::from_le_bytes(bytes)) / (f64::from(u32::MAX) + 1.0)
}

/// A whole number below `limit`, which is at least 1.
pub(crate) fn below(limit: u32) -> u32 {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is between 0 and the limit")]
    let number = (random() * f64::from(limit)) as u32;
    number
}

/// Waits that double up to a most, each with full jitter, so that a thousand systems do not come back at once.
#[derive(Debug)]
pub struct Backoff {
    first: Duration,
    most: Duration,
    tries: u32,
}

impl Backoff {
    /// Begins at `first` and ends at `most`.
    pub fn new(first: Duration, most: Duration) -> Self {
        Self { first, most, tries: 0 }
    }

    /// The longest next wait.
    pub fn bound(&self) -> Duration {
        self.first.saturating_mul(2u32.saturating_pow(self.tries)).min(self.most)
    }

    /// The next wait.
    pub fn next_wait(&mut self) -> Duration {
        let wait = self.bound().mul_f64(random());
        self.tries = (self.tries + 1).min(31);
        wait
    }

    /// All is well: begin at the first wait again.
    pub fn reset(&mut self) {
        self.tries = 0;
    }
}

/// First wait for a packet that was not confirmed; it doubles (RFC 6298 demands a second, what is in use takes 200 ms).
const RETRANSMISSION: Duration = Duration::from_millis(200);
/// Lost this often in a row, a packet is given up and the connection with it.
const MOST_LOSSES: u32 = 10;

/// Time a message takes in one direction; `None` if it never arrives.
pub fn transit(network: &Network) -> Option<Duration> {
    transit_with(network, || below(100))
}

fn transit_with(network: &Network, mut percent: impl FnMut() -> u32) -> Option<Duration> {
    let mut time = Duration::from_millis(u64::from(network.latency_milliseconds));
    let mut losses = 0;
    while percent() < u32::from(network.loss_percent) {
        time += RETRANSMISSION * 2u32.pow(losses);
        losses += 1;
        if losses == MOST_LOSSES {
            return None;
        }
    }
    Some(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_to_the_most_and_begin_again_after_a_reset() {
        let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(30));
        for bound in [200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 30_000, 30_000] {
            assert_eq!(backoff.bound(), Duration::from_millis(bound));
            assert!(backoff.next_wait() <= Duration::from_millis(bound));
        }
        for _ in 0..100 {
            backoff.next_wait();
        }
        backoff.reset();
        assert_eq!(backoff.bound(), Duration::from_millis(200));
    }

    #[test]
    fn a_bad_network_delays_messages_and_a_dead_one_swallows_them() {
        let network = Network { latency_milliseconds: 50, loss_percent: 30, ..Network::default() };
        assert_eq!(transit_with(&network, || 30), Some(Duration::from_millis(50)));
        let mut twice_lost = [0, 29, 99].into_iter();
        assert_eq!(transit_with(&network, || twice_lost.next().unwrap_or(99)), Some(Duration::from_millis(50 + 200 + 400)));
        assert_eq!(transit(&Network { loss_percent: 100, ..Network::default() }), None);
        assert_eq!(transit(&Network::default()), Some(Duration::ZERO));
    }
}
