//! What every test of the whole needs: the running program ([`switchboard`]), the real kubectl ([`kubectl`]), bounded waits ([`wait`]), objects to
//! apply ([`objects`]), processes ([`processes`]), plain HTTP and metrics ([`metrics`]), and a system of one's own at the gateway ([`dialer`]).
//!
//! Everything here panics with an explanation instead of returning errors: a test has nobody to give them to.
#![allow(clippy::unwrap_used, clippy::panic, reason = "this crate is part of tests: a failure is a panic with an explanation")]

pub mod dialer;
pub mod folder;
pub mod kubectl;
pub mod metrics;
pub mod objects;
pub mod processes;
pub mod switchboard;
pub mod wait;
