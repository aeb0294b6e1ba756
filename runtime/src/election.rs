//! Leader election over one Lease, as client-go does it: who holds it renews it, who does not watches whether it is renewed.
//!
//! Times in the Lease are for people. Whether it has run out is decided by how long this process has seen it unchanged, by its own monotonic clock: a
//! clock that is wrong, here or there, elects nobody. The leader gives up after [`Timing::renew_within`], which is sooner than another may begin.

#[cfg(test)]
pub(crate) mod tests;

use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt as _;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use crate::fence::Fence;
use crate::leases::{LeaseError, Leases};

/// The waits of an election.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// Who has seen the Lease unchanged for so long may take it.
    pub lease: Duration,
    /// Who leads and has not renewed for so long leads no more. Shorter than `lease`.
    pub renew_within: Duration,
    /// Between two tries.
    pub retry: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self { lease: Duration::from_secs(15), renew_within: Duration::from_secs(10), retry: Duration::from_secs(2) }
    }
}

/// Why a leadership ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Lost {
    /// Not renewed in time.
    #[error("the Lease could not be renewed for {} s: {cause}", .within.as_secs())]
    NotRenewed {
        /// Within which time.
        within: Duration,
        /// The last failure.
        cause: String,
    },
    /// Somebody else has it.
    #[error("the Lease is held by {0}")]
    Taken(String),
}

/// One candidate.
pub struct Elector<L> {
    leases: L,
    name: String,
    identity: String,
    timing: Timing,
    seen: Option<Seen>,
    /// The most changes of hands that any Lease told of, also one that is gone: who makes it anew goes on counting.
    highest: Option<i32>,
    /// When the last renewal that succeeded left: what the fence counts from, and therefore what everything counts from.
    renewed: Instant,
}

/// The Lease as it was seen last, and since when it is like that.
struct Seen {
    lease: Lease,
    since: Instant,
}

impl Seen {
    fn holder(&self) -> Option<&str> {
        self.lease.spec.as_ref().and_then(|spec| spec.holder_identity.as_deref()).filter(|holder| !holder.is_empty())
    }

    /// Changes of hands.
    fn transitions(&self) -> i32 {
        self.lease.spec.as_ref().and_then(|spec| spec.lease_transitions).unwrap_or_default()
    }

    fn term(&self) -> u64 {
        // From 1, so that a term is never taken for the 0 of a process that is alone.
        u64::try_from(self.transitions()).unwrap_or_default() + 1
    }
}

/// What came of a try.
enum Try {
    Held,
    HeldBy(String),
}

impl<L: Leases> Elector<L> {
    /// `identity` must be another one for every process, also for two that run under one name one after the other.
    pub fn new(leases: L, name: impl Into<String>, identity: impl Into<String>, timing: Timing) -> Self {
        Self { leases, name: name.into(), identity: identity.into(), timing, seen: None, highest: None, renewed: Instant::now() }
    }

    /// Who it is.
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// Waits until this process leads, and opens the fence. Returns the term.
    pub async fn acquire(&mut self, fence: &Fence) -> u64 {
        let random = RandomState::new();
        let mut tries = 0_u64;
        loop {
            match self.attempt(fence).await {
                Ok(Try::Held) if fence.is_open() => return self.seen.as_ref().map_or(1, Seen::term),
                // The answer took so long that the leadership is over already: renewed at once.
                Ok(Try::Held) => continue,
                Ok(Try::HeldBy(holder)) => tracing::debug!(holder, "another replica leads"),
                Err(LeaseError::Overtaken) => {}
                Err(error) => tracing::info!(lease = self.name, %error, "this replica cannot stand for election now"),
            }
            tries += 1;
            // Up to twice the wait, so that candidates do not come together; and as soon as the Lease runs out.
            let wait = self.timing.retry.mul_f64(1.0 + f64::from(u8::try_from(random.hash_one(tries) % 256).unwrap_or_default()) / 256.0);
            let runs_out = self.seen.as_ref().map(|seen| seen.since + self.timing.lease).filter(|at| *at > Instant::now());
            tokio::select! {
                () = sleep(wait) => {}
                () = async { match runs_out { Some(at) => sleep_until(at).await, None => std::future::pending().await } } => {}
            }
        }
    }

    /// Renews until that fails for too long or somebody else has the Lease. Does not close the fence: it has run out, or whoever calls closes it.
    pub async fn hold(&mut self, fence: &Fence) -> Lost {
        let mut cause = "no answer".to_owned();
        loop {
            sleep_until(self.renewed + self.timing.retry).await;
            let deadline = self.renewed + self.timing.renew_within;
            loop {
                match timeout_at(deadline, self.attempt(fence)).await {
                    Ok(Ok(Try::Held)) => break,
                    Ok(Ok(Try::HeldBy(holder))) => return Lost::Taken(holder),
                    Ok(Err(error)) => {
                        tracing::info!(lease = self.name, %error, "the leadership could not be renewed yet");
                        cause = error.to_string();
                    }
                    Err(_) => {}
                }
                if Instant::now() + self.timing.retry.min(Duration::from_secs(1)) >= deadline {
                    return Lost::NotRenewed { within: self.timing.renew_within, cause };
                }
                sleep(self.timing.retry.min(Duration::from_secs(1))).await;
            }
        }
    }

    /// Gives the Lease away, so that the next leader need not wait until it runs out. Only once nothing acts any more.
    pub async fn release(&mut self, fence: &Fence) {
        fence.close();
        let Some(seen) = self.seen.take().filter(|seen| seen.holder() == Some(&self.identity)) else { return };
        let mut lease = seen.lease;
        if let Some(spec) = &mut lease.spec {
            // As client-go does it: nobody holds it, for a second.
            (spec.holder_identity, spec.lease_duration_seconds) = (Some(String::new()), Some(1));
            spec.renew_time = Some(MicroTime(Timestamp::now()));
        }
        match self.leases.replace(&lease).await {
            Ok(_) => tracing::info!(lease = self.name, "leadership released"),
            Err(error) => tracing::info!(lease = self.name, %error, "the leadership could not be released; it runs out by itself"),
        }
    }

    /// Renews or takes the Lease, or sees who holds it. The fence is open from what was known before the request left.
    async fn attempt(&mut self, fence: &Fence) -> Result<Try, LeaseError> {
        let began = Instant::now();
        if self.seen.as_ref().and_then(Seen::holder) != Some(&self.identity) {
            self.look().await?;
        }
        let written = match &self.seen {
            None => self.leases.create(&self.wanted(None)).await,
            Some(seen) => match seen.holder() {
                Some(holder) if holder != self.identity && seen.since.elapsed() < self.timing.lease => {
                    return Ok(Try::HeldBy(holder.to_owned()));
                }
                Some(_) | None => self.leases.replace(&self.wanted(Some(&seen.lease))).await,
            },
        };
        match written {
            Ok(lease) => {
                let seen = self.seen.insert(Seen { lease, since: Instant::now() });
                self.highest = self.highest.max(Some(seen.transitions()));
                self.renewed = began;
                fence.extend(seen.term(), began + self.timing.renew_within);
                Ok(Try::Held)
            }
            Err(LeaseError::Overtaken) => {
                // Perhaps by a write of our own whose answer was lost: the next look tells.
                self.look().await?;
                match self.seen.as_ref().and_then(Seen::holder) {
                    Some(holder) if holder != self.identity => Ok(Try::HeldBy(holder.to_owned())),
                    Some(_) | None => Err(LeaseError::Overtaken),
                }
            }
            Err(error) => Err(error),
        }
    }

    async fn look(&mut self) -> Result<(), LeaseError> {
        let found = self.leases.read().await?;
        let version = |lease: &Lease| (lease.uid(), lease.resource_version());
        self.seen = match (self.seen.take(), found) {
            (Some(seen), Some(lease)) if version(&seen.lease) == version(&lease) => Some(seen),
            (_, Some(lease)) => Some(Seen { lease, since: Instant::now() }),
            (_, None) => None,
        };
        self.highest = self.highest.max(self.seen.as_ref().map(Seen::transitions));
        Ok(())
    }

    /// The Lease in this process's hands.
    fn wanted(&self, present: Option<&Lease>) -> Lease {
        let now = MicroTime(Timestamp::now());
        let before = present.and_then(|lease| lease.spec.clone()).unwrap_or_default();
        let ours = before.holder_identity.as_deref() == Some(&self.identity);
        let told = before.lease_transitions.unwrap_or_default();
        let transitions = self.highest.map_or(told, |highest| highest.max(told));
        let first = present.is_none() && self.highest.is_none();
        let mut lease = present.cloned().unwrap_or_default();
        lease.metadata.name = Some(self.name.clone());
        lease.metadata.managed_fields = None;
        lease.spec = Some(LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: i32::try_from(self.timing.lease.as_secs()).ok(),
            acquire_time: if ours { before.acquire_time } else { Some(now.clone()) },
            renew_time: Some(now),
            // One more with every change of hands, and where somebody deleted the Lease: terms only ever grow, for the other replicas obey no older one.
            lease_transitions: Some(if ours || first { transitions } else { transitions.saturating_add(1) }),
            ..before
        });
        lease
    }
}
