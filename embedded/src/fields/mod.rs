//! Field management: who owns which field of an object, and server-side apply.
//!
//! | file | what it does |
//! |---|---|
//! | `element` | one step of a field path |
//! | `set` | sets of paths, and `fieldsV1` |
//! | `shape` | what a schema says of ownership: granular, as a whole, which keys |
//! | `from_value` | the fields an object sets |
//! | `compare` | what changed between two states |
//! | `merge` | a configuration into an object |
//! | `prune` | what an applier no longer applies |
//! | `entries` | `metadata.managedFields` |
//! | `manage` | [`update`]: any write but apply |
//! | `apply` | [`apply()`] |
//! | `reset` | what each endpoint writes; writes that would only change times |
//!
//! The rules are those of Kubernetes' structured merge and diff, for one schema: entries of other versions of a kind are read
//! with the schema of the write, as versions are served without conversion.

mod apply;
mod compare;
mod conflict;
mod element;
mod entries;
mod from_value;
mod last_applied;
mod manage;
mod merge;
mod prune;
mod reconcile;
mod reset;
mod set;
mod shape;
mod validate;

#[cfg(test)]
mod tests;

pub use apply::apply;
pub use compare::{Comparison, compare};
pub use element::PathElement;
pub use from_value::set_of;
pub use manage::update;
pub use reset::{keep_times, reset_config, reset_update};
pub use set::FieldSet;

/// Who writes, through what, and when.
#[derive(Debug, Clone, Copy)]
pub struct Writer<'a> {
    /// The field manager; empty becomes `unknown`.
    pub manager: &'a str,
    /// `group/version` of the object as written.
    pub api_version: &'a str,
    /// `status`, `scale`, or empty for the object itself.
    pub subresource: &'a str,
    /// Now, as RFC 3339 in seconds. Empty books no time: so a real server does for `/scale`.
    pub time: &'a str,
}

impl Writer<'_> {
    /// Whether a real server holds this kind as a Go structure, where some parts are always there: built-in kinds, which are
    /// told by their group.
    fn is_structure(&self) -> bool {
        const GROUPS: [&str; 22] = [
            "admissionregistration.k8s.io",
            "apiextensions.k8s.io",
            "apiregistration.k8s.io",
            "apps",
            "authentication.k8s.io",
            "authorization.k8s.io",
            "autoscaling",
            "batch",
            "certificates.k8s.io",
            "coordination.k8s.io",
            "discovery.k8s.io",
            "events.k8s.io",
            "flowcontrol.apiserver.k8s.io",
            "internal.apiserver.k8s.io",
            "networking.k8s.io",
            "node.k8s.io",
            "policy",
            "rbac.authorization.k8s.io",
            "resource.k8s.io",
            "scheduling.k8s.io",
            "storage.k8s.io",
            "storagemigration.k8s.io",
        ];
        match self.api_version.split_once('/') {
            None => true,
            Some((group, _)) => GROUPS.contains(&group),
        }
    }
}
