//! Why a reconciliation failed.

use runtime::retry::{Class, Classify};

/// Why a reconciliation failed. What is wrong with an object is a condition on it, not an error.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// The API server did not do it.
    #[error("cannot {action} {what}: {}", answer(source))]
    Api {
        /// Verb, for example `create`.
        action: &'static str,
        /// Kind and name.
        what: String,
        /// Its answer.
        source: Box<kube::Error>,
    },
    /// Something could not be written as YAML or JSON.
    #[error("cannot write {what}: {message}")]
    Serialise {
        /// What.
        what: &'static str,
        /// Why.
        message: String,
    },
}

/// What the API server said, without the rest of its answer.
fn answer(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        other => other.to_string(),
    }
}

impl ReconcileError {
    /// For `map_err` on API calls.
    pub fn api(action: &'static str, what: impl Into<String>) -> impl FnOnce(kube::Error) -> Self {
        let what = what.into();
        move |source| Self::Api { action, what, source: Box::new(source) }
    }
}

impl Classify for ReconcileError {
    fn class(&self) -> Class {
        match self {
            Self::Api { source, .. } => source.class(),
            Self::Serialise { .. } => Class::Invalid,
        }
    }
}
