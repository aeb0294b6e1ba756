//! All policies with their bindings, compiled, and read again when one of them changes.

use std::sync::{Arc, PoisonError, RwLock};

use serde_json::Value;

use super::definition::Policy;
use crate::store::Store;

/// Where policies and bindings are stored.
pub(super) const POLICIES: &str = "admissionregistration.k8s.io/validatingadmissionpolicies";
pub(super) const BINDINGS: &str = "admissionregistration.k8s.io/validatingadmissionpolicybindings";

/// Policies that are bound, ordered by name.
pub(crate) struct Policies(pub(super) Vec<Policy>);

impl Policies {
    /// Whether no request need be looked at.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn read(store: &Store) -> Self {
        let all =
            |storage: &str| -> Vec<Value> { store.list(storage, None, None, None).objects.iter().map(|object| object.value()).collect() };
        let bindings = all(BINDINGS);
        if bindings.is_empty() {
            return Self(Vec::new());
        }
        let bound = |policy: &&Value| bindings.iter().any(|binding| binding["spec"]["policyName"] == policy["metadata"]["name"]);
        Self(all(POLICIES).iter().filter(bound).map(|policy| Policy::read(policy, &bindings)).collect())
    }
}

/// Keeps the compiled policies. A request costs a look at the time of the last change, no more, as long as none changes.
#[derive(Default)]
pub(crate) struct Catalogue(RwLock<Option<(u64, Arc<Policies>)>>);

impl Catalogue {
    /// The policies of this moment.
    pub fn policies(&self, store: &Store) -> Arc<Policies> {
        // Asked first: what changes while the policies are read is seen by the next request.
        let changed = store.changed(&[POLICIES, BINDINGS]);
        if let Some((as_of, policies)) = &*self.0.read().unwrap_or_else(PoisonError::into_inner)
            && *as_of == changed
        {
            return Arc::clone(policies);
        }
        let policies = Arc::new(Policies::read(store));
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some((changed, Arc::clone(&policies)));
        policies
    }
}
