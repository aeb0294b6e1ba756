//! Backups in the object store: where they are, what they hold, which of them stay. Pure: no network, no clock, no Kubernetes; whoever calls
//! reads and writes the store.
//!
//! | module | what |
//! |---|---|
//! | [`layout`] | backup ids and object keys, and keys back into what they are |
//! | [`element`] | what a backup may hold, by profile and occasion |
//! | [`digest`] | SHA-256 of objects and parts, and the composite that S3 prints |
//! | [`manifest`] | what makes a backup exist: written last, read with distrust |
//! | [`verification`] | what reading a backup again has found |
//! | [`retention`] | which backups stay, and why (BACKUP-1, BACKUP-2, promise 3) |
//! | [`catalogue`] | what backups there are, from the store alone |
//! | [`unpack`] | whether the members of an archive may be unpacked |

pub mod catalogue;
pub mod digest;
pub mod element;
pub mod layout;
pub mod manifest;
pub mod retention;
pub mod unpack;
pub mod verification;

#[cfg(test)]
mod testing;
