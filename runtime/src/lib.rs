//! What every controller needs once.
//!
//! | module | what |
//! |---|---|
//! | [`cache`] | one watch a kind, from which several controllers are triggered |
//! | [`controller`] | runs one reconciler |
//! | [`retry`] | class of an error decides when to try again, with back-off and jitter per object |
//! | [`watch`] | watches that one undecodable object cannot stop |
//! | [`status`] | status by server-side apply, written only where it differs |
//! | [`events`] | Kubernetes Events, once per transition |
//! | [`client_metrics`] | the requests of a process to the Kubernetes API |
//! | [`metrics`] | the metrics every controller has |
//! | [`process_metrics`] | the metrics every process has |
//! | [`logging`] | structured logs whose level changes at run time |
//! | [`limits`] | open files: every session is one |
//! | [`probes`] | `/healthz`, `/readyz`, `/metrics`, `/log-level`, `/peers` |
//! | [`election`] | which replica leads |
//! | [`leadership`] | does the leader's work while this process leads |
//! | [`leader_metrics`] | whether it leads, for Prometheus |
//! | [`fence`] | whether this process may act for all replicas now |
//! | [`leases`] | one Lease, read and replaced |
//! | [`replicas`] | which replicas there are, and where |
//! | [`watchdog`] | ends a process in which what acts for the leader does not end with the leadership |
//! | [`tasks`] | tasks that are all joined: one that dies ends the process |

pub mod cache;
pub mod client_metrics;
pub mod controller;
pub mod election;
pub mod events;
pub mod fence;
pub mod leader_metrics;
pub mod leadership;
pub mod leases;
pub mod limits;
pub mod logging;
pub mod metrics;
pub mod probes;
pub mod process_metrics;
pub mod replicas;
pub mod retry;
pub mod status;
pub mod tasks;
pub mod watch;
pub mod watchdog;
