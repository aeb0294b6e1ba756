#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod accounts;
mod api_server;
mod owners;
mod pure;
mod sweeping;
mod world;
