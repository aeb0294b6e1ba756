//! Rules in CEL (`x-kubernetes-validations`), evaluated with the `cel` crate and Kubernetes' function library of `kube-cel`.
//!
//! | file | what it does |
//! |---|---|
//! | [`program`] | compiles a rule once and rewrites it: cost accounting, and parts of CEL that the interpreter lacks |
//! | [`budget`] | what an evaluation may cost |
//! | [`functions`] | the functions the rewritten rules call |
//! | [`bounded`] | library functions that could cost too much, in versions that pay |
//! | [`convert`] | JSON to CEL values, as the schema declares them |
//! | [`run`] | walks an object and evaluates its rules |
//! | [`check`] | what is wrong with the rules of a new schema |
//! | [`expression`] | expressions of admission policies, over other variables |
//! | [`lazy`], [`authority`] | what these have in addition: `variables`, `authorizer` |
//! | [`result`], [`position`] | the type of their value, and where a mistake is |
//!
//! Differences to a real server: there is no type checker (an unknown field of `self` is found, a comparison of a string with a
//! number is not, and fails when the rule runs); lists of type set compare in order; `type()` does not exist.

mod authority;
mod bounded;
mod budget;
mod check;
mod convert;
mod expression;
mod functions;
mod lazy;
mod position;
mod program;
mod result;
mod run;

pub use authority::{Authority, Question};
pub use check::check_rules;
pub use convert::RESERVED;
pub use expression::{Budget, Expression, Failure, Inputs, Named, Names, Scope, Wanted};
pub(super) use program::Program;
pub(super) use run::validate;
