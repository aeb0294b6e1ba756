//! Structural schemas. One [`Schema`] a kind drives strict decoding, pruning, defaulting, validation, strategic merge, the field sets of
//! server-side apply, OpenAPI and `kubectl explain`. Objects stay [`serde_json::Value`] all the way.
//!
//! The order of a write is: [`unknown_fields`] (or a warning), [`prune`], [`apply_defaults`], [`validate`].

mod cel;
mod compiled;
mod decode;
mod defaults;
mod duplicates;
mod formats;
pub mod jsonpath;
mod lists;
mod metadata;
mod node;
mod open_api;
mod parse;
mod structural;
mod validate;

#[cfg(test)]
mod tests;

pub use cel::{Authority, Budget, Expression, Failure, Inputs, Named, Names, Question, RESERVED, Scope, Wanted, check_rules};
pub use compiled::Compiled;
pub use decode::{prune, unknown_fields};
pub use defaults::apply_defaults;
pub use duplicates::duplicate_keys;
pub use metadata::object_meta;
pub use node::{Kind, ListKind, MapKind, Rule, Schema};
pub use validate::validate;
