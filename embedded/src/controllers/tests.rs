#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod pure;
mod world;
