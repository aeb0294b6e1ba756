//! Which replicas there are, and where: each keeps a Lease with its address; the others watch them. The leader takes away those of the dead.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use futures::StreamExt as _;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, ResourceExt as _};
use tokio::sync::watch;
use tokio::time::{Instant, interval, sleep};
use tokio_util::sync::CancellationToken;

use crate::fence::Fence;
use crate::leases::{ApiLease, LeaseError, Leases as _};

/// Label of the Leases of replicas: the name of what they are replicas of.
pub const LABEL: &str = "switchboard.dev/replica-of";
/// Annotation with the address at which the other replicas reach this one.
pub const ADDRESS: &str = "switchboard.dev/peer-address";

/// A replica renews its Lease this often.
const RENEW_EVERY: Duration = Duration::from_secs(10);
/// A Lease that was not renewed for so long is that of a dead replica.
const LIFETIME: Duration = Duration::from_secs(40);
/// Looks at who is dead, in one [`LIFETIME`].
const LOOKS: u32 = 4;
/// The Lease of a dead replica is kept so long, for people who look for what happened.
const KEPT: Duration = Duration::from_secs(600);
/// Longest wait for an answer of the API server.
const PATIENCE: Duration = Duration::from_secs(5);

/// Who this replica is.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Namespace of the Leases.
    pub namespace: String,
    /// What it is a replica of.
    pub name: String,
    /// Its own name.
    pub replica: String,
    /// Where the others reach it.
    pub address: SocketAddr,
}

impl Identity {
    fn lease_name(&self) -> String {
        format!("{}-replica-{}", self.name, self.replica)
    }
}

/// The other replicas by name, with their addresses.
pub type Known = BTreeMap<String, SocketAddr>;

/// Keeps this replica's own Lease until `leaving`, then deletes it: it went in peace.
pub async fn keep(client: Client, identity: Identity, leaving: CancellationToken) {
    let place = ApiLease::new(client, &identity.namespace, identity.lease_name(), PATIENCE);
    let mut seen: Option<Lease> = None;
    loop {
        let wait = match renew(&place, &identity, seen.take()).await {
            Ok(lease) => {
                seen = Some(lease);
                RENEW_EVERY
            }
            Err(error) => {
                tracing::info!(lease = place.name(), %error, "this replica's Lease could not be renewed yet");
                RENEW_EVERY / 5
            }
        };
        tokio::select! {
            () = sleep(wait) => {}
            () = leaving.cancelled() => break,
        }
    }
    if let Some(seen) = seen
        && let Err(error) = place.delete(&seen).await
    {
        tracing::info!(lease = place.name(), %error, "this replica's Lease could not be deleted; the leader does it later");
    }
}

async fn renew(place: &ApiLease, identity: &Identity, seen: Option<Lease>) -> Result<Lease, LeaseError> {
    let present = match seen {
        Some(lease) => Some(lease),
        None => place.read().await?,
    };
    let mut lease = present.clone().unwrap_or_default();
    let now = MicroTime(Timestamp::now());
    lease.metadata.name = Some(place.name().to_owned());
    lease.metadata.managed_fields = None;
    lease.metadata.labels.get_or_insert_default().insert(LABEL.to_owned(), identity.name.clone());
    lease.metadata.annotations.get_or_insert_default().insert(ADDRESS.to_owned(), identity.address.to_string());
    let before = lease.spec.take().unwrap_or_default();
    lease.spec = Some(LeaseSpec {
        holder_identity: Some(identity.replica.clone()),
        lease_duration_seconds: i32::try_from(LIFETIME.as_secs()).ok(),
        acquire_time: before.acquire_time.or_else(|| Some(now.clone())),
        renew_time: Some(now),
        ..LeaseSpec::default()
    });
    if present.is_some() { place.replace(&lease).await } else { place.create(&lease).await }
}

/// A Lease of another replica, and since when it was not renewed.
struct Other {
    lease: Lease,
    since: Instant,
    /// In so many looks in a row it was not renewed although another one was.
    missed: u32,
}

/// Watches the Leases until the shutdown: tells `known` who is there, and, while `fence` is open, deletes those of replicas that are long dead.
pub async fn follow(client: Client, identity: Identity, known: watch::Sender<Known>, fence: Fence, shutdown: CancellationToken) {
    let api: Api<Lease> = Api::namespaced(client.clone(), &identity.namespace);
    let config = watcher::Config::default().labels(&format!("{LABEL}={}", identity.name));
    let mut events = Box::pin(watcher::watcher(api, config).default_backoff());
    let mut others: BTreeMap<String, Other> = BTreeMap::new();
    let mut before = Vec::new();
    let (mut check, mut looked) = (interval(LIFETIME / LOOKS), Instant::now());
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            event = events.next() => match event {
                Some(Ok(watcher::Event::Init)) => before = others.keys().cloned().collect(),
                Some(Ok(watcher::Event::InitApply(lease) | watcher::Event::Apply(lease))) => {
                    before.retain(|name| *name != lease.name_any());
                    note(&mut others, lease);
                }
                Some(Ok(watcher::Event::InitDone)) => {
                    for gone in std::mem::take(&mut before) {
                        others.remove(&gone);
                    }
                }
                Some(Ok(watcher::Event::Delete(lease))) => {
                    others.remove(&lease.name_any());
                }
                Some(Err(error)) => tracing::info!(%error, "the watch of the replicas' Leases broke and is begun again"),
                None => return,
            },
            _ = check.tick() => {
                count_missed(&mut others, std::mem::replace(&mut looked, Instant::now()));
                if fence.is_open() {
                    bury(&client, &identity, &others).await;
                }
            }
        }
        let now = addresses(&others, &identity.replica);
        known.send_if_modified(|known| {
            let changed = *known != now;
            if changed {
                known.clone_from(&now);
            }
            changed
        });
    }
}

fn note(others: &mut BTreeMap<String, Other>, lease: Lease) {
    let name = lease.name_any();
    match others.get_mut(&name) {
        // A watch that begins anew brings what is known already.
        Some(other) if other.lease.resource_version() == lease.resource_version() => {}
        _ => {
            others.insert(name, Other { lease, since: Instant::now(), missed: 0 });
        }
    }
}

/// Counts who was not renewed since the last look. Where nobody was, this replica's own Lease included, it is the API server that is away: the others are
/// there as before, and reached as before.
fn count_missed(others: &mut BTreeMap<String, Other>, looked: Instant) {
    if others.values().any(|other| other.since > looked) {
        for other in others.values_mut().filter(|other| other.since <= looked) {
            other.missed += 1;
        }
    }
}

/// Where the living are.
fn addresses(others: &BTreeMap<String, Other>, own: &str) -> Known {
    let entry = |other: &Other| {
        let replica = other.lease.spec.as_ref()?.holder_identity.clone().filter(|replica| replica != own)?;
        Some((replica, other.lease.annotations().get(ADDRESS)?.parse().ok()?))
    };
    others.values().filter(|other| other.missed < LOOKS).filter_map(entry).collect()
}

/// Deletes what was not renewed for long.
async fn bury(client: &Client, identity: &Identity, others: &BTreeMap<String, Other>) {
    for (name, other) in others.iter().filter(|(_, other)| other.since.elapsed() > LIFETIME + KEPT) {
        let place = ApiLease::new(client.clone(), &identity.namespace, name.clone(), PATIENCE);
        match place.delete(&other.lease).await {
            Ok(()) => tracing::info!(lease = name, "the Lease of a replica that is long gone was deleted"),
            Err(error) => tracing::debug!(lease = name, %error, "the Lease of a replica that is long gone could not be deleted"),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn lease(replica: &str, address: &str, version: &str) -> Lease {
        serde_json::from_value(serde_json::json!({
            "metadata": {"name": format!("switchboard-replica-{replica}"), "resourceVersion": version, "annotations": {ADDRESS: address}},
            "spec": {"holderIdentity": replica},
        }))
        .unwrap()
    }

    #[test]
    fn the_others_are_known_by_name_and_a_lease_without_an_address_is_nobody() {
        let mut others = BTreeMap::new();
        for (replica, address) in [("a", "127.0.0.1:1"), ("b", "127.0.0.1:2"), ("c", "nowhere")] {
            note(&mut others, lease(replica, address, "1"));
        }
        assert_eq!(addresses(&others, "a"), BTreeMap::from([("b".to_owned(), "127.0.0.1:2".parse().unwrap())]));
    }

    #[test]
    fn who_is_not_renewed_for_its_lifetime_is_not_known_any_more_unless_nobody_is() {
        let mut others = BTreeMap::new();
        note(&mut others, lease("own", "127.0.0.1:1", "1"));
        note(&mut others, lease("dead", "127.0.0.1:2", "1"));
        for _ in 0..2 * LOOKS {
            count_missed(&mut others, Instant::now());
        }
        assert!(addresses(&others, "own").contains_key("dead"), "the API server is away, and nobody is dead");
        for look in 0..LOOKS {
            assert!(addresses(&others, "own").contains_key("dead"), "after {look} looks");
            let looked = Instant::now();
            note(&mut others, lease("own", "127.0.0.1:1", &format!("1{look}")));
            count_missed(&mut others, looked);
        }
        assert!(addresses(&others, "own").is_empty());
        // It was only slow.
        note(&mut others, lease("dead", "127.0.0.1:2", "2"));
        assert!(addresses(&others, "own").contains_key("dead"));
    }

    #[test]
    fn only_a_renewal_counts_as_one() {
        let mut others = BTreeMap::new();
        note(&mut others, lease("a", "127.0.0.1:1", "1"));
        let first = others.values().next().unwrap().since;
        note(&mut others, lease("a", "127.0.0.1:1", "1"));
        assert_eq!(others.values().next().unwrap().since, first);
        note(&mut others, lease("a", "127.0.0.1:1", "2"));
        assert!(others.values().next().unwrap().since > first);
    }
}
