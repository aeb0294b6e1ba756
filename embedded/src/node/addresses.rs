//! Addresses of pods.

use std::collections::HashMap;
use std::net::Ipv4Addr;

use super::options::PodNetwork;

/// Gives out addresses. One that was given back comes round again as late as possible: whoever still holds on to it finds nobody
/// rather than another pod.
#[derive(Debug)]
pub struct Addresses {
    network: PodNetwork,
    next: u32,
    taken: HashMap<Ipv4Addr, String>,
}

impl Addresses {
    /// All free.
    pub fn new(network: PodNetwork) -> Self {
        Self { network, next: 0, taken: HashMap::new() }
    }

    /// Takes the address a pod had before; `false` when another pod has it or it is none of ours.
    pub fn take_again(&mut self, address: Ipv4Addr, uid: &str) -> bool {
        let Some(offset) = u32::from(address).checked_sub(u32::from(self.network.first)).filter(|offset| *offset < self.network.count)
        else {
            return false;
        };
        if self.taken.get(&address).is_some_and(|holder| holder != uid) {
            return false;
        }
        self.taken.insert(address, uid.to_owned());
        self.next = self.next.max(offset + 1) % self.network.count.max(1);
        true
    }

    /// Takes a free address; `None` when there is none.
    pub fn take(&mut self, uid: &str) -> Option<Ipv4Addr> {
        for _ in 0..self.network.count {
            let address = Ipv4Addr::from(u32::from(self.network.first).wrapping_add(self.next));
            self.next = (self.next + 1) % self.network.count;
            // The ends of a block of 256 look like network and broadcast addresses to some programs.
            let usable = !matches!(address.octets()[3], 0 | 255);
            if usable && address.is_loopback() && !self.taken.contains_key(&address) {
                self.taken.insert(address, uid.to_owned());
                return Some(address);
            }
        }
        None
    }

    /// Gives back what a pod had.
    pub fn release(&mut self, uid: &str) {
        self.taken.retain(|_, holder| holder != uid);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
    use super::*;

    #[test]
    fn addresses_are_unique_come_back_late_and_survive_a_restart() {
        let mut addresses = Addresses::new(PodNetwork { first: Ipv4Addr::new(127, 9, 0, 254), count: 4 });
        let one = addresses.take("a").unwrap();
        let two = addresses.take("b").unwrap();
        assert_eq!((one, two), (Ipv4Addr::new(127, 9, 0, 254), Ipv4Addr::new(127, 9, 1, 1)), "block ends are left out");
        assert_eq!(addresses.take("c"), None, "all are taken");
        addresses.release("a");
        assert!(!addresses.take_again(two, "c"), "another pod has it");
        assert!(!addresses.take_again(Ipv4Addr::new(10, 0, 0, 1), "c"), "not one of ours");
        assert!(addresses.take_again(one, "c"));
    }
}
