//! Structural schemas. One [`Schema`] a kind drives strict decoding, pruning, defaulting, validation, strategic merge, the field sets of
//! server-side apply, OpenAPI and `kubectl explain`. Objects stay [`serde_json::Value`] all the way.

mod node;

pub use node::{Kind, ListKind, MapKind, Rule, Schema};
