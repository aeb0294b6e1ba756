//! Crashes and bad days of backups and restores, with the real program: the operator in a process of its own, and a proxy that does harm before the
//! API server, before the object store, and between systems and the object store. `tests/README.md` says what runs.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "tests, of which one says what it did")]

mod bad_days;
mod content;
mod end_state;
mod every_point;
mod replicas;
mod scene;
