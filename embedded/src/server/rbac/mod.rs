//! Role-based access control: roles, cluster roles, bindings and aggregation, as Kubernetes evaluates them.

mod cover;
mod defaults;
mod index;
mod rule;
mod selector;
#[cfg(test)]
mod tests;

use std::sync::{Arc, PoisonError, RwLock};

use serde_json::{Value, json};

pub use defaults::default_objects;

use crate::api::authorize::{Attributes, Authorizer, Decision};
use crate::store::Store;
use crate::user::{MASTERS, User};
use index::{Index, STORAGES};
use rule::Rule;

/// Answers from the roles and bindings in a store. What it computed of them is kept until one of them changes.
pub struct Rbac {
    store: Store,
    /// With the revision it was computed at or after.
    index: RwLock<(u64, Arc<Index>)>,
}

impl Rbac {
    /// Over the roles and bindings in a store.
    pub fn new(store: Store) -> Self {
        // Revision 0 is none: the first question computes the index.
        Self { store, index: RwLock::default() }
    }

    fn index(&self) -> Arc<Index> {
        // Read before the index is computed: a change in between makes the next question compute it again.
        let changed = self.store.changed(&STORAGES);
        {
            let kept = self.index.read().unwrap_or_else(PoisonError::into_inner);
            if kept.0 == changed {
                return Arc::clone(&kept.1);
            }
        }
        let fresh = Arc::new(Index::build(&self.store));
        let mut kept = self.index.write().unwrap_or_else(PoisonError::into_inner);
        if kept.0 < changed {
            *kept = (changed, Arc::clone(&fresh));
        }
        fresh
    }
}

impl Authorizer for Rbac {
    fn authorize(&self, user: &User, attributes: &Attributes) -> Decision {
        if user.is_in(MASTERS) {
            return Decision::Allow(String::new());
        }
        let index = self.index();
        let mut missing = Vec::new();
        for grant in index.grants(user).filter(|grant| grant.holds_in(&attributes.namespace)) {
            match &grant.rules {
                Ok(rules) if rules.iter().any(|rule| rule.covers(attributes)) => {
                    return Decision::Allow(format!("RBAC: allowed by {} to {}", grant.source, grant.subject(user)));
                }
                Ok(_) => {}
                Err(role) => missing.push(role.as_str()),
            }
        }
        Decision::Deny(match missing.as_slice() {
            [] => String::new(),
            [one] => format!("RBAC: {one}"),
            many => format!("RBAC: [{}]", many.join(", ")),
        })
    }

    fn missing(&self, user: &User, namespace: &str, rules: &Value) -> Vec<String> {
        if user.is_in(MASTERS) {
            return Vec::new();
        }
        let index = self.index();
        let held = index.grants(user).filter(|grant| grant.holds_in(namespace)).filter_map(|grant| grant.rules.as_ref().ok());
        let held: Vec<&Rule> = held.flat_map(|rules| rules.iter()).collect();
        cover::missing(&held, &rule::parse_list(rules))
    }

    fn role_rules(&self, namespace: &str, name: &str) -> Option<Value> {
        let rules = index::role_rules(&self.store, namespace, name)?;
        Some(rules.iter().map(Rule::to_value).collect())
    }

    fn rules(&self, user: &User, namespace: &str) -> Value {
        let index = self.index();
        let rules: Vec<_> =
            index.grants(user).filter(|grant| grant.holds_in(namespace)).filter_map(|grant| grant.rules.as_ref().ok()).collect();
        let mut resources: Vec<Value> = rules.iter().flat_map(|rules| rules.iter()).filter_map(rule::Rule::resource_review).collect();
        let mut paths: Vec<Value> = rules.iter().flat_map(|rules| rules.iter()).filter_map(rule::Rule::path_review).collect();
        if user.is_in(MASTERS) {
            // Most have them by a role as well; who is told twice wonders why.
            let all = [
                (&mut resources, json!({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]})),
                (&mut paths, json!({"verbs": ["*"], "nonResourceURLs": ["*"]})),
            ];
            for (rules, rule) in all {
                if !rules.contains(&rule) {
                    rules.push(rule);
                }
            }
        }
        json!({"resourceRules": resources, "nonResourceRules": paths, "incomplete": false})
    }
}
