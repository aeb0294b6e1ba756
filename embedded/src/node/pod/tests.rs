#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod life;
mod pure;
pub(crate) mod world;
