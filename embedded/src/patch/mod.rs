//! The three patches a client may send.
//!
//! | file | media type |
//! |---|---|
//! | [`json`] | `application/json-patch+json`, RFC 6902 |
//! | [`merge`] | `application/merge-patch+json`, RFC 7386 |
//! | [`strategic`] | `application/strategic-merge-patch+json`, built-in kinds only |

mod json;
mod merge;
mod order;
mod strategic;

#[cfg(test)]
mod tests;

pub use json::json_patch;
pub use merge::merge_patch;
pub use strategic::strategic;
