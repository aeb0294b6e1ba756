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
//! | [`metrics`] | the metrics every controller has |
//! | [`process_metrics`] | the metrics every process has |
//! | [`logging`] | structured logs whose level changes at run time |
//! | [`limits`] | open files: every session is one |
//! | [`probes`] | `/healthz`, `/readyz`, `/metrics`, `/log-level`, `/peers` |
//! | [`tasks`] | tasks that are all joined: one that dies ends the process |

pub mod cache;
pub mod controller;
pub mod events;
pub mod limits;
pub mod logging;
pub mod metrics;
pub mod probes;
pub mod process_metrics;
pub mod retry;
pub mod status;
pub mod tasks;
pub mod watch;
