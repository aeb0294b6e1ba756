//! What every test of the whole needs: the running program ([`switchboard`]), the real kubectl ([`kubectl`]), bounded waits ([`wait`]), objects to
//! apply ([`objects`]), processes ([`processes`]), plain HTTP and metrics ([`metrics`]), a system of one's own at the gateway ([`dialer`]), the
//! operator in a process of its own ([`operator`]), a proxy that does harm ([`proxy`]), objects without kubectl ([`cluster`]),
//! and object stores ([`store`], [`seaweedfs`]).
//!
//! Everything here panics with an explanation instead of returning errors: a test has nobody to give them to.
#![allow(clippy::unwrap_used, clippy::panic, reason = "this crate is part of tests: a failure is a panic with an explanation")]

pub mod cluster;
pub mod dialer;
pub mod folder;
pub mod kubectl;
pub mod metrics;
pub mod objects;
pub mod operator;
pub mod processes;
pub mod proxy;
pub mod seaweedfs;
pub mod store;
pub mod switchboard;
pub mod wait;
