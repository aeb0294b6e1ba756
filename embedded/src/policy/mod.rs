//! ValidatingAdmissionPolicy: rules of users about the requests of users.
//!
//! A policy says which requests it is about and what must hold (in CEL); a binding says where it applies, with which parameters, and what
//! follows when something does not hold. Policies are never about their own kinds, so that a policy can always be taken back, and not
//! about what the server does of itself.
//!
//! | file | what |
//! |---|---|
//! | [`request`] | a request as policies see it |
//! | [`definition`] | policies and bindings, read and compiled once |
//! | [`catalogue`] | all of them, read again when one changes |
//! | [`matching`] | which requests a policy or binding is about |
//! | [`params`] | the parameters a binding names |
//! | [`evaluate`] | whether everything holds |
//! | [`verdict`] | what follows: refusals, warnings |
//! | [`types`] | fields a policy names and the kinds it is about do not have |
//!
//! What is wrong with a policy or binding that is being written is found by [`crate::builtin::validate_object`].
//!
//! Differences to a Kubernetes server: the cost of expressions is counted in other units, with a limit in time beside it; types are checked
//! only where they show; there is no audit log, so that `Audit` writes to the server's own log and audit annotations are checked but not
//! evaluated.

mod catalogue;
mod definition;
mod evaluate;
mod matching;
mod params;
mod request;
mod types;
mod verdict;

pub(crate) use catalogue::Catalogue;
pub(crate) use definition::variables;
pub(crate) use request::{Cluster, ObjectKind, Operation, Request};
pub(crate) use types::observe;

/// API group of policies and bindings.
pub(crate) const GROUP: &str = "admissionregistration.k8s.io";
/// Kind of a policy.
pub(crate) const POLICY: &str = "ValidatingAdmissionPolicy";
/// Kind of a binding.
pub(crate) const BINDING: &str = "ValidatingAdmissionPolicyBinding";
