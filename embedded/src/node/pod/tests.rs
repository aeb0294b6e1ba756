#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod life;
mod pure;
mod sessions;
pub(crate) mod world;
