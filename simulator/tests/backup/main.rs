//! A whole system makes backups and takes restores, against a gateway and an object store of the tests' own.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod content;
mod harm;
#[path = "../support/mod.rs"]
mod support;
mod transfers;
mod world;
