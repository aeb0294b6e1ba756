//! Logs of containers: files in the format of the container runtime interface, rotated by size, with readers that follow.
//!
//! One line of a file is `<RFC 3339 time> stdout|stderr F|P <text>`; `P` marks a part of a line that was too long.
//! `<folder>/<instance>.<generation>.log` is a file's name: the instance counts a container's lives, the generation its files. The
//! newest two generations of the newest two instances are kept.

pub mod reader;
pub mod writer;

pub use reader::{Selection, read};
pub use writer::{ContainerLog, Cursor, InstanceLog, Output};

#[cfg(test)]
mod tests;
