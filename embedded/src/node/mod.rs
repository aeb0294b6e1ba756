//! The node agent: pods as child processes of this process.
//!
//! | module | what it does |
//! |---|---|
//! | [`options`] | what an agent is told at its start |
//! | [`api`] | what the API server asks of it |
//! | [`launcher`] | the short first life of every child, in which it arranges to die with the agent |
//! | [`process`] | starting, signalling and recognising processes |
//! | [`pod`] | one pod: volumes, containers, probes, restarts, status |
//! | [`log_service`] | finds logs for the API server |
//! | [`logs`] | what containers print |

pub mod api;
pub mod launcher;
pub mod log_service;
pub mod logs;
pub mod options;
pub mod pod;
pub mod process;
#[cfg(test)]
mod testing;

pub use api::{LogRequest, LogStream, Node};
pub use options::{Images, Launcher, NodeOptions, PodNetwork, Program, RestartDelays};
