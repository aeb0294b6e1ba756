//! Requests counted by verb, resource and code: what shows that a cluster at rest writes nothing.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// What a count is of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RequestKind {
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`, or the HTTP method of a path that is no resource.
    pub verb: String,
    /// Plural with subresource and group (`deployments/status.apps`); `-` for a path that is no resource.
    pub resource: String,
    /// HTTP code of the answer.
    pub code: u16,
}

#[derive(Default)]
pub(super) struct Requests(Mutex<BTreeMap<RequestKind, u64>>);

impl Requests {
    pub fn count(&self, verb: &str, resource: &str, code: u16) {
        let kind = RequestKind { verb: verb.to_owned(), resource: resource.to_owned(), code };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(kind).or_default() += 1;
    }

    pub fn read(&self) -> BTreeMap<RequestKind, u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
