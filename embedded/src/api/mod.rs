//! The request pipeline: one handler answers sockets and the in-process client alike.

pub mod authorize;
pub mod node;
