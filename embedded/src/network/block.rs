//! The addresses of a plane: 127.n.0.0/16, of which no two planes on a machine have the same at a time.

use std::collections::HashSet;
use std::io;
use std::net::Ipv4Addr;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::{Path, PathBuf};

use crate::node::PodNetwork;

/// Blocks there are: 127.1.0.0/16 up to this one. The first belongs to everybody, the last holds the broadcast address.
const LAST: u8 = 254;
/// Where a plane remembers its block.
const FILE: &str = "network";

/// Why a plane has no addresses.
#[derive(Debug, thiserror::Error)]
pub enum BlockError {
    /// There are as many planes as blocks.
    #[error("all {LAST} blocks of loopback addresses are in use by other planes on this machine; stop some of them")]
    AllTaken,
    /// The data folder.
    #[error("cannot remember the plane's network in {}: {cause}; make the folder writable or choose another", path.display())]
    Remember {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        cause: io::Error,
    },
}

/// Addresses of Services: `count` from `first` on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServiceNetwork {
    /// The first: it belongs to the Service `kubernetes`.
    pub first: Ipv4Addr,
    /// How many there are.
    pub count: u32,
}

impl ServiceNetwork {
    /// The address at this place, counted from 0.
    pub fn at(&self, place: u32) -> Ipv4Addr {
        Ipv4Addr::from(u32::from(self.first).wrapping_add(place % self.count.max(1)))
    }
    /// Whether an address is one of these.
    pub fn contains(&self, address: Ipv4Addr) -> bool {
        u32::from(address).checked_sub(u32::from(self.first)).is_some_and(|place| place < self.count)
    }
    /// An address that nobody has, looked for from a place made of `start` on. Never the first, which is that of the Service `kubernetes`.
    pub fn free(&self, start: u32, taken: &HashSet<Ipv4Addr>) -> Option<Ipv4Addr> {
        let places = self.count.saturating_sub(1);
        (0..places)
            .map(|step| self.at(1 + (start % places + step) % places))
            // The ends of a block of 256 look like network and broadcast addresses to some programs.
            .find(|address| !matches!(address.octets()[3], 0 | 255) && !taken.contains(address))
    }
}

impl Default for ServiceNetwork {
    fn default() -> Self {
        Self::of(10)
    }
}

impl ServiceNetwork {
    /// The upper half of a block, without its ends.
    fn of(number: u8) -> Self {
        Self { first: Ipv4Addr::new(127, number, 128, 1), count: 0x7ffe }
    }
}

impl std::fmt::Display for ServiceNetwork {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.first, self.at(self.count.saturating_sub(1)))
    }
}

/// A block that is this plane's for as long as the value lives.
#[derive(Debug)]
pub struct Block {
    number: u8,
    /// A name that the kernel gives to one process at a time, and takes back at its end, however that comes about.
    _claim: Option<UnixDatagram>,
}

impl Block {
    /// Takes the block that the data folder remembers, or else the first free one from a place made of `seed` on: planes with different seeds
    /// (ports, say) rarely ask for the same one.
    ///
    /// # Errors
    /// [`BlockError`].
    pub fn claim(data: &Path, seed: u16) -> Result<Self, BlockError> {
        let path = data.join(FILE);
        let remembered = std::fs::read_to_string(&path).ok().and_then(|text| parse(&text));
        let preferred = u8::try_from(seed / 4 % u16::from(LAST)).unwrap_or(0);
        let others = (0..LAST).map(|step| 1 + u8::try_from((u16::from(preferred) + u16::from(step)) % u16::from(LAST)).unwrap_or(0));
        let block = remembered.into_iter().chain(others).find_map(Self::take).ok_or(BlockError::AllTaken)?;
        if remembered != Some(block.number) {
            std::fs::write(&path, format!("127.{}.0.0/16\n", block.number)).map_err(|cause| BlockError::Remember { path, cause })?;
        }
        Ok(block)
    }

    fn take(number: u8) -> Option<Self> {
        let name = SocketAddr::from_abstract_name(format!("embedded-kubernetes/127.{number}.0.0")).ok()?;
        match UnixDatagram::bind_addr(&name) {
            Ok(claim) => Some(Self { number, _claim: Some(claim) }),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => None,
            // Where such names cannot be had, two planes rely on their seeds being different.
            Err(error) => {
                tracing::warn!(%error, "the block of loopback addresses cannot be kept from other planes on this machine");
                Some(Self { number, _claim: None })
            }
        }
    }

    /// Addresses of pods: the lower half.
    pub fn pods(&self) -> PodNetwork {
        PodNetwork { first: Ipv4Addr::new(127, self.number, 0, 1), count: 0x7ffe }
    }

    /// Addresses of Services: the upper half.
    pub fn services(&self) -> ServiceNetwork {
        ServiceNetwork::of(self.number)
    }
}

fn parse(text: &str) -> Option<u8> {
    let network: Ipv4Addr = text.trim().strip_suffix("/16")?.parse().ok()?;
    let [127, number, 0, 0] = network.octets() else { return None };
    (1..=LAST).contains(&number).then_some(number)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
    use super::*;
    use crate::node::testing::Folder;

    #[test]
    fn two_planes_never_share_a_block_and_one_keeps_its_own() {
        let (one, two) = (Folder::new(), Folder::new());
        let first = Block::claim(one.path(), 6550).unwrap();
        let second = Block::claim(two.path(), 6550).unwrap();
        assert_ne!(first.number, second.number);
        let number = second.number;
        drop((first, second));
        assert_eq!(Block::claim(two.path(), 1234).unwrap().number, number, "what is remembered counts, not the seed");
    }

    #[test]
    fn the_last_block_is_followed_by_the_first() {
        let folders: Vec<Folder> = (0..3).map(|_| Folder::new()).collect();
        // The seed of block 254.
        let blocks: Vec<Block> = folders.iter().map(|folder| Block::claim(folder.path(), 253 * 4).unwrap()).collect();
        assert!(blocks.iter().all(|block| (1..=LAST).contains(&block.number)));
        let numbers: std::collections::HashSet<u8> = blocks.iter().map(|block| block.number).collect();
        assert_eq!(numbers.len(), 3);
    }

    #[test]
    fn a_free_address_is_neither_taken_nor_the_first_nor_the_end_of_a_block() {
        let network = ServiceNetwork { first: Ipv4Addr::new(127, 1, 0, 253), count: 6 };
        let mut taken = HashSet::new();
        let mut given = Vec::new();
        // From the last place on, and on from the second.
        while let Some(address) = network.free(4, &taken) {
            taken.insert(address);
            given.push(address.to_string());
        }
        assert_eq!(given, ["127.1.1.2", "127.1.0.254", "127.1.1.1"]);
        assert_eq!(ServiceNetwork { count: 1, ..network }.free(4, &HashSet::new()), None, "there is only that of the Service kubernetes");
        assert_eq!(ServiceNetwork { count: 0, ..network }.free(4, &HashSet::new()), None);
    }

    #[test]
    fn pods_and_services_of_a_block_do_not_meet() {
        let block = Block { number: 7, _claim: None };
        let (pods, services) = (block.pods(), block.services());
        assert!(u32::from(pods.first) + pods.count <= u32::from(services.first));
        assert_eq!(services.to_string(), "127.7.128.1-127.7.255.254");
        assert!(services.contains(Ipv4Addr::new(127, 7, 200, 1)) && !services.contains(pods.first));
        assert!(!services.contains(Ipv4Addr::new(127, 7, 255, 255)) && !services.contains(Ipv4Addr::new(127, 8, 128, 1)));
        for text in ["127.0.0.0/16", "127.255.0.0/16", "10.1.0.0/16", "127.1.2.0/16", "127.1.0.0", ""] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
