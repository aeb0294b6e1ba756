#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod agent;
mod crash;
mod defects;
