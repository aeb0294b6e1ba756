//! What every test of the whole needs: the running program ([`switchboard`]), or any other API server in its place ([`plane`], [`api_server`],
//! [`kubernetes`], [`existing`], [`node`]), the real kubectl ([`kubectl`]), bounded waits ([`wait`]), objects to
//! apply ([`objects`]), processes ([`processes`]), plain HTTP and metrics ([`metrics`]), a system of one's own at the gateway ([`dialer`]), the
//! operator in a process of its own ([`operator`]), a proxy that does harm ([`proxy`]), objects without kubectl ([`cluster`]),
//! object stores ([`store`], [`seaweedfs`]), and what earlier versions left ([`recorded`]).
//!
//! Everything here panics with an explanation instead of returning errors: a test has nobody to give them to.
#![allow(clippy::unwrap_used, clippy::panic, reason = "this crate is part of tests: a failure is a panic with an explanation")]

pub mod api_server;
pub mod cluster;
pub mod dialer;
pub mod existing;
pub mod folder;
pub mod helm;
pub mod kubectl;
pub mod kubernetes;
pub mod metrics;
pub mod node;
pub mod objects;
pub mod operator;
pub mod plane;
pub mod processes;
pub mod proxy;
pub mod recorded;
pub mod seaweedfs;
pub mod store;
pub mod switchboard;
pub mod wait;
