//! What the systems of a load fleet share: many light ones run in one process, are counted together, and do not all dial at once (FLEET-1).
//!
//! A system of a fleet is a whole system: it enrols, connects, is signed in to, keeps its counter. It is light in what it costs: no log files, no
//! file a revision, nothing is waited for on the disk. What it must remember survives the end of the process, but not a power cut.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use model::secret::Secret;
use protocol::scram::Verifier;
use tokio::sync::{Semaphore, SemaphorePermit};

/// What the systems of a fleet share.
#[derive(Debug)]
pub struct Fleet {
    dials: Semaphore,
    /// One a password: to compute it anew for every system would cost the machine more than all else, and measure nothing of COM.
    verifiers: Mutex<Vec<(Secret, Verifier)>>,
    connected: AtomicUsize,
    signed_in: AtomicUsize,
    sessions: AtomicU64,
    failures: AtomicU64,
    last_failure: Mutex<Option<String>>,
}

/// Numbers of a fleet at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count {
    /// Sessions that COM welcomed and that stand.
    pub connected: usize,
    /// Of these, how many COM is signed in to.
    pub signed_in: usize,
    /// Sessions that COM welcomed since the start.
    pub sessions: u64,
    /// Attempts to connect that failed since the start.
    pub failures: u64,
}

impl Fleet {
    /// A fleet of which at most `dials` systems (at least 1) enrol or open their connection at a time.
    pub fn new(dials: usize) -> Arc<Self> {
        Arc::new(Self {
            dials: Semaphore::new(dials.max(1)),
            verifiers: Mutex::default(),
            connected: AtomicUsize::new(0),
            signed_in: AtomicUsize::new(0),
            sessions: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            last_failure: Mutex::default(),
        })
    }

    /// How it stands.
    pub fn count(&self) -> Count {
        Count {
            connected: self.connected.load(Ordering::Relaxed),
            signed_in: self.signed_in.load(Ordering::Relaxed),
            sessions: self.sessions.load(Ordering::Relaxed),
            failures: self.failures.load(Ordering::Relaxed),
        }
    }

    /// Why an attempt failed last, if any did.
    pub fn last_failure(&self) -> Option<String> {
        self.last_failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits for a place among those that dial. The fleet never closes it.
    pub(crate) async fn dial(&self) -> Option<SemaphorePermit<'_>> {
        self.dials.acquire().await.ok()
    }

    /// An attempt failed.
    pub(crate) fn failed(&self, why: &dyn std::fmt::Display) {
        self.failures.fetch_add(1, Ordering::Relaxed);
        *self.last_failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(why.to_string());
    }

    /// Whether a verifier is the fleet's for a password. The first system that kept one from an earlier run makes it the fleet's.
    pub(crate) fn knows(&self, verifier: &Verifier, password: &Secret) -> bool {
        let mut known = self.verifiers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, ours)) = known.iter().find(|(other, _)| other.matches(password)) {
            return ours == verifier;
        }
        let recognised = crate::machine::recognises(verifier, password);
        if recognised {
            known.push((password.clone(), verifier.clone()));
        }
        recognised
    }

    /// The verifier of a password.
    pub(crate) fn verifier(&self, password: &Secret) -> Verifier {
        let mut known = self.verifiers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, verifier)) = known.iter().find(|(other, _)| other.matches(password)) {
            return verifier.clone();
        }
        let verifier = Verifier::new(password);
        known.push((password.clone(), verifier.clone()));
        verifier
    }
}

/// A session that COM welcomed: counted until it is dropped.
#[derive(Debug)]
pub(crate) struct Counted {
    fleet: Arc<Fleet>,
    signed_in: bool,
}

impl Counted {
    /// Counts a session.
    pub(crate) fn new(fleet: &Arc<Fleet>) -> Self {
        fleet.connected.fetch_add(1, Ordering::Relaxed);
        fleet.sessions.fetch_add(1, Ordering::Relaxed);
        Self { fleet: fleet.clone(), signed_in: false }
    }

    /// COM is signed in now, or is not.
    pub(crate) fn set_signed_in(&mut self, signed_in: bool) {
        match (self.signed_in, signed_in) {
            (false, true) => _ = self.fleet.signed_in.fetch_add(1, Ordering::Relaxed),
            (true, false) => _ = self.fleet.signed_in.fetch_sub(1, Ordering::Relaxed),
            (true, true) | (false, false) => {}
        }
        self.signed_in = signed_in;
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.set_signed_in(false);
        self.fleet.connected.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_counted_until_it_ends() {
        let fleet = Fleet::new(4);
        let mut one = Counted::new(&fleet);
        let two = Counted::new(&fleet);
        one.set_signed_in(true);
        one.set_signed_in(true);
        assert_eq!(fleet.count(), Count { connected: 2, signed_in: 1, sessions: 2, failures: 0 });
        drop(one);
        drop(two);
        assert_eq!(fleet.count(), Count { connected: 0, signed_in: 0, sessions: 2, failures: 0 });
    }

    #[test]
    fn systems_with_one_password_share_its_verifier() {
        let fleet = Fleet::new(1);
        let (one, other) = (Secret::new("one"), Secret::new("other"));
        assert_eq!(fleet.verifier(&one), fleet.verifier(&one));
        assert_ne!(fleet.verifier(&one), fleet.verifier(&other));
    }
}
