//! The whole program, driven from outside: with the real kubectl, with signals, and with systems that mean harm. `tests/README.md` says what runs.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod apply;
mod backups;
mod chart;
mod crash;
mod deletion;
mod edits;
mod exec;
mod first_steps;
mod gateway_abuse;
mod helm;
mod image;
mod invalid_objects;
mod kubectl_breadth;
mod matrix;
mod messages;
mod monitoring;
mod operations;
mod policies;
mod registration;
mod roles;
mod services;
mod start_up;
mod store_command;
mod support_bundle;
mod upgrade;
mod workloads;
