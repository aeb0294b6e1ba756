//! The node agent: pods as child processes of this process.

pub mod api;

pub use api::{LogRequest, LogStream, Node};
