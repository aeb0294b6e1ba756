//! The built-in kinds: what they are called, their schemas, defaults, rules and table columns.
//!
//! Built-in kinds are served by the same code as those of CustomResourceDefinitions. What makes a kind built in is one row of the
//! table in `kinds.rs` and one definition in `schemas/`, generated from k8s-openapi; only what a schema cannot say is code:
//!
//! | module | what it does |
//! |---|---|
//! | [`age`] | how long ago, as `kubectl get` prints it |
//! | [`columns`] | columns of `kubectl get` |
//! | [`events`] | one stored event seen as `v1` and as `events.k8s.io/v1` |
//!
//! Reading a schema from `schemas/` waits until the kind is first used, so that a server starts at once.

pub mod age;
pub mod columns;
mod defaults;
pub mod events;
mod json;
mod kinds;
mod load;
mod metadata;
mod names;
mod validate;
mod zero;

use std::sync::Arc;

use crate::resource::{LazySchema, Resource, Scale};

pub use defaults::default_object;
pub use load::{definition, fingerprint};
pub use metadata::validate_metadata;
pub(crate) use validate::selectors;
pub use validate::validate_object;
pub use zero::zero_object;

/// Every built-in kind with paths of its own, in the order discovery lists them. Cheap: schemas are read on first use.
///
/// Kinds of `authorization.k8s.io` and `authentication.k8s.io` are answered but never stored: their only verb is `create`.
pub fn resources() -> Vec<Arc<Resource>> {
    kinds::KINDS.iter().map(|kind| Arc::new(resource(kind))).collect()
}

/// The kinds that only subresources exchange: `Scale`, `TokenRequest`, `Eviction`. They are in no discovery document of their own.
pub fn subresource_kinds() -> Vec<Arc<Resource>> {
    kinds::SUBRESOURCE_KINDS.iter().map(|kind| Arc::new(resource(kind))).collect()
}

fn resource(kind: &'static kinds::BuiltinKind) -> Resource {
    let own = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let qualified = if kind.group.is_empty() { kind.plural.to_owned() } else { format!("{}/{}", kind.group, kind.plural) };
    Resource {
        group: kind.group.to_owned(),
        version: kind.version.to_owned(),
        kind: kind.kind.to_owned(),
        list_kind: format!("{}List", kind.kind),
        plural: kind.plural.to_owned(),
        singular: kind.kind.to_lowercase(),
        short_names: own(kind.short_names),
        categories: own(kind.categories),
        namespaced: kind.namespaced,
        status: kind.status,
        scale: kind.scale.then(|| Scale {
            spec_replicas: ".spec.replicas".to_owned(),
            status_replicas: ".status.replicas".to_owned(),
            label_selector: Some(".spec.selector".to_owned()),
        }),
        columns: columns::of(kind.columns),
        selectable: own(kind.selectable),
        schema: LazySchema::new(|| (*load::definition(kind.definition)).clone()),
        custom: false,
        storage: kind.storage.map_or(qualified, str::to_owned),
        verbs: kind.verbs.to_vec(),
    }
}

#[cfg(test)]
#[path = "../../examples/generate_schemas/generate.rs"]
mod generate;
#[cfg(test)]
mod tests;
