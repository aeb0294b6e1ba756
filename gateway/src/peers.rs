//! Peers that tried to enrol and proved nothing, for administrators: a list in memory that never grows beyond [`MOST`], and no API write.

use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};
use model::ids::{CustomerId, SystemId, SystemKey};
use serde::Serialize;

/// Peers that are remembered.
pub const MOST: usize = 200;
/// A peer that was silent for so long is forgotten.
const FORGOTTEN_AFTER: SignedDuration = SignedDuration::from_hours(24);

/// Why a peer proved nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Unproved {
    /// The customer exists, the code is not its.
    WrongCode,
    /// No customer has that id.
    UnknownCustomer,
    /// It was not even looked at: too many tries before.
    TooManyRequests,
}

impl Unproved {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::WrongCode, Self::UnknownCustomer, Self::TooManyRequests];

    /// As a label of metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::WrongCode => "wrong_code",
            Self::UnknownCustomer => "unknown_customer",
            Self::TooManyRequests => "too_many_requests",
        }
    }
}

/// A peer that proved nothing. What it claims to be has the form of ids: lower case letters and digits, at most 22.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UnprovedPeer {
    /// Where it dials from.
    pub address: IpAddr,
    /// Customer it claims to belong to.
    pub customer_id: CustomerId,
    /// System it claims to be.
    pub system_id: SystemId,
    /// How often it tried.
    pub tries: u64,
    /// Its first try.
    pub first: Timestamp,
    /// Its last try.
    pub last: Timestamp,
    /// What was wrong with the last one.
    pub reason: Unproved,
}

impl UnprovedPeer {
    fn is(&self, address: IpAddr, key: &SystemKey) -> bool {
        self.address == address && self.customer_id == key.customer && self.system_id == key.system
    }
}

/// The list. Where it is full, who tried least makes room; of these, who was silent longest.
#[derive(Debug, Default)]
pub struct UnprovedPeers(Mutex<Vec<UnprovedPeer>>);

impl UnprovedPeers {
    /// The peers, the latest first.
    pub fn list(&self) -> Vec<UnprovedPeer> {
        let mut peers = self.peers(Timestamp::now()).clone();
        peers.sort_by_key(|peer| std::cmp::Reverse(peer.last));
        peers
    }

    /// How many have this reason.
    pub fn count(&self, reason: Unproved) -> usize {
        self.peers(Timestamp::now()).iter().filter(|peer| peer.reason == reason).count()
    }

    /// Those that are not forgotten at `now`.
    fn peers(&self, now: Timestamp) -> MutexGuard<'_, Vec<UnprovedPeer>> {
        let mut peers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        peers.retain(|peer| now.duration_since(peer.last) < FORGOTTEN_AFTER);
        peers
    }

    /// The peer tried in vain.
    pub(crate) fn note(&self, address: IpAddr, key: &SystemKey, reason: Unproved, now: Timestamp) {
        let address = address.to_canonical();
        let mut peers = self.peers(now);
        if let Some(peer) = peers.iter_mut().find(|peer| peer.is(address, key)) {
            (peer.tries, peer.last, peer.reason) = (peer.tries.saturating_add(1), now, reason);
            return;
        }
        if peers.len() >= MOST {
            let least = peers.iter().enumerate().min_by_key(|(_, peer)| (peer.tries, peer.last)).map_or(0, |(at, _)| at);
            peers.swap_remove(least);
        }
        let (customer_id, system_id) = (key.customer.clone(), key.system.clone());
        peers.push(UnprovedPeer { address, customer_id, system_id, tries: 1, first: now, last: now, reason });
    }

    /// The peer knows the code after all.
    pub(crate) fn proved(&self, address: IpAddr, key: &SystemKey) {
        let address = address.to_canonical();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|peer| !peer.is(address, key));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn key(system: &str) -> SystemKey {
        SystemKey { customer: "acme".parse().unwrap(), system: system.parse().unwrap() }
    }

    /// Moments by their second. The clock is read once, and they are near now, so that nothing is forgotten when the list is read.
    fn moments() -> impl Fn(i64) -> Timestamp {
        let base = Timestamp::now().as_second() - 3600;
        move |second| Timestamp::from_second(base + second).unwrap()
    }

    const HOME: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    #[test]
    fn ten_thousand_guesses_take_two_hundred_places_and_who_comes_often_keeps_its_own() {
        let (peers, at) = (UnprovedPeers::default(), moments());
        for second in 0..3 {
            peers.note(HOME, &key("often"), Unproved::WrongCode, at(second));
        }
        for number in 0..10_000 {
            peers.note(HOME, &key(&format!("guess{number}")), Unproved::UnknownCustomer, at(3));
        }
        let list = peers.list();
        assert_eq!(list.len(), MOST);
        let often = list.iter().find(|peer| peer.system_id.as_str() == "often").unwrap();
        assert_eq!((often.tries, often.last.duration_since(often.first).as_secs()), (3, 2));
        assert_eq!(Unproved::ALL.map(|reason| peers.count(reason)), [1, MOST - 1, 0]);
    }

    #[test]
    fn who_proves_itself_or_is_silent_for_a_day_is_forgotten() {
        let (peers, at) = (UnprovedPeers::default(), moments());
        peers.note(HOME, &key("typo"), Unproved::WrongCode, at(0));
        peers.note("::ffff:127.0.0.1".parse().unwrap(), &key("typo"), Unproved::TooManyRequests, at(1));
        assert_eq!(peers.list().iter().map(|peer| (peer.tries, peer.reason)).collect::<Vec<_>>(), [(2, Unproved::TooManyRequests)]);
        peers.proved(HOME, &key("typo"));
        assert!(peers.list().is_empty());
        peers.note(HOME, &key("old"), Unproved::WrongCode, at(-86_400));
        assert!(peers.list().is_empty());
    }
}
