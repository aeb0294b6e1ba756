#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod life;
mod pure;
mod sessions;
mod surroundings;
pub(crate) mod world;
