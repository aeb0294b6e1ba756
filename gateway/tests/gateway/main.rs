//! The gateway over real TLS on loopback, with systems that speak the protocol well and badly.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "tests")]

mod client;
mod directory;
mod world;

mod authority;
mod bad_messages;
mod documentation;

mod enrolment;
mod memory;
mod registration;
mod renewal;
mod replicas;
mod requests;
mod sessions;
mod sign_in;
mod start_and_stop;
mod versions;
