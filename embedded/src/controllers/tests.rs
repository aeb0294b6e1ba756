#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod accounts;
mod owners;
mod pure;
mod sweeping;
mod world;
