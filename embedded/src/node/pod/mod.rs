//! One pod: from its volumes to its end.
//!
//! | module | what it does |
//! |---|---|
//! | [`worker`] | the task of a pod: waits for what happens and acts on it |
//! | [`starting`] | prepares the pod, starts containers |
//! | [`ending`] | ends containers, within the grace period |
//! | [`state`] | containers as they are, and what follows from that (pure) |
//! | [`status`] | the status that is written (pure) |
//! | [`environment`], [`links`], [`execution`], [`mounts`], [`volumes`] | what a container gets |
//! | [`account`], [`tokens`] | how it speaks with the API server |
//! | [`probes`], [`watching`] | probes and hooks |
//! | [`backoff`] | when a container starts again (pure) |
//! | [`clock`] | times from manifests (pure) |
//! | [`cluster`] | what the task needs of the cluster |

pub mod account;
pub mod backoff;
pub mod clock;
pub mod cluster;
pub mod ending;
pub mod environment;
pub mod execution;
mod http;
pub mod links;
pub mod mounts;
pub mod probes;
pub mod quantity;
pub mod starting;
pub mod state;
pub mod status;
pub mod tokens;
pub mod volumes;
pub mod watching;
pub mod worker;

pub use cluster::{Cluster, Note, Written};
pub use worker::{Wanted, Worker};

#[cfg(test)]
pub(crate) mod tests;
