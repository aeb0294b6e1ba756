//! The node agent: pods as child processes of this process.
//!
//! | module | what it does |
//! |---|---|
//! | [`agent`] | takes up pods, gives each a task, ends them all |
//! | [`options`], [`images`] | what an agent is told at its start |
//! | [`pod`] | one pod: volumes, containers, probes, restarts, status |
//! | [`process`] | starting, signalling and recognising processes |
//! | [`launcher`] | the short first life of every child, in which it arranges to die with the agent |
//! | [`logs`], [`log_service`] | what containers print, and finding it for the API server |
//! | [`sessions`] | further programs in running containers, and who is attached to them |
//! | [`api`] | what the API server asks of a node |
//! | [`scheduling`], [`registration`], [`claims`], [`events`], [`live`], [`addresses`] | the agent's dealings with the cluster |
//!
//! When the agent ends, by shutdown or by a crash, its pods' processes end too. The next agent starts the same pods again, at the same
//! addresses, with one restart more; a container that is never restarted counts as failed (`ContainerStatusUnknown`).
//!
//! What a real node does and this one does not: limit resources, isolate (mounts, users, network namespaces), pull images, gRPC
//! probes, node affinity. Mounted config maps, secrets and tokens are brought up to date
//! every minute, and at once when an annotation of their pod changes.

pub mod addresses;
pub mod agent;
pub mod api;
pub mod claims;
pub mod events;
pub mod images;
pub mod launcher;
pub mod live;
pub mod log_service;
pub mod logs;
pub mod options;
pub mod pod;
pub mod process;
pub mod registration;
pub mod scheduling;
pub mod sessions;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

pub use agent::{Agent, AgentError};
pub use api::{ContainerKey, LocalNode, LogRequest, LogStream, Node, RunningContainer};
pub use launcher::launcher_main;
pub use options::{ApiServer, Images, Launcher, NodeOptions, PodNetwork, Program, RestartDelays};
