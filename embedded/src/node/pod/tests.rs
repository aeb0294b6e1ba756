#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod attaching;
mod life;
mod pure;
mod sessions;
mod surroundings;
pub(crate) mod world;
