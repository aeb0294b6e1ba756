//! Backups in the object store: where they are, what they hold, which of them stay. Pure: no network, no clock, no Kubernetes; whoever calls
//! reads and writes the store.
//!
//! | module | what |
//! |---|---|
//! | [`layout`] | backup ids and object keys, and keys back into what they are |
//! | [`element`] | what a backup may hold, by profile and occasion |
//! | [`digest`] | SHA-256 of objects and parts, and the composite that S3 prints |

pub mod digest;
pub mod element;
pub mod layout;
