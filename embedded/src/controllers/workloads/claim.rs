//! What a workload owns: it adopts what it selects and nobody controls, and releases what it does not select any more.

use std::fmt::Debug;

use futures::StreamExt;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::api::{Api, Patch, PatchParams};
use kube::core::{Selector, SelectorExt};
use kube::{Resource, ResourceExt};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::context::{AT_ONCE, MANAGER, Trouble, is_gone};

/// The owner that controls an object; the server sees to it that there is no second one.
pub fn controller_of(metadata: &ObjectMeta) -> Option<&OwnerReference> {
    metadata.owner_references.iter().flatten().find(|owner| owner.controller == Some(true))
}

/// How an object stands to a workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// The workload controls it.
    Ours,
    /// It is selected and free.
    Adopt,
    /// It is controlled and not selected.
    Release,
    /// None of the workload's business.
    Foreign,
}

/// Who claims.
#[derive(Debug, Clone)]
pub struct Claimant {
    /// As it stands in the objects it controls.
    pub reference: OwnerReference,
    /// What it selects.
    pub selector: Selector,
    /// It is being deleted: it takes nothing up and lets nothing go.
    pub deleting: bool,
    /// What an adopted object gets beside the reference.
    pub finalizer: Option<&'static str>,
}

impl Claimant {
    /// Judges an object.
    pub fn judge(&self, object: &impl ResourceExt) -> Claim {
        let selected = self.selector.matches(object.labels());
        match controller_of(object.meta()) {
            Some(owner) if owner.uid != self.reference.uid => Claim::Foreign,
            Some(_) if selected => Claim::Ours,
            Some(_) if self.deleting => Claim::Foreign,
            Some(_) => Claim::Release,
            None if self.deleting || !selected || object.meta().deletion_timestamp.is_some() => Claim::Foreign,
            None => Claim::Adopt,
        }
    }

    /// Carries out what is judged; returns what is controlled afterwards. `adoptable` says which of the free ones are wanted.
    ///
    /// # Errors
    /// What the server says. Objects that changed meanwhile are left for the next time.
    pub async fn claim<K>(&self, api: &Api<K>, objects: Vec<K>, adoptable: impl Fn(&K) -> bool) -> Result<Vec<K>, Trouble>
    where
        K: Resource + Clone + DeserializeOwned + Debug,
    {
        let mut ours = Vec::new();
        let mut changes = Vec::new();
        for object in objects {
            match self.judge(&object) {
                Claim::Ours => ours.push(object),
                Claim::Adopt if adoptable(&object) => changes.push((Claim::Adopt, object)),
                Claim::Release => changes.push((Claim::Release, object)),
                Claim::Adopt | Claim::Foreign => {}
            }
        }
        let mut changed =
            futures::stream::iter(changes.into_iter().map(|(claim, object)| self.change(api, claim, object))).buffered(AT_ONCE);
        while let Some(outcome) = changed.next().await {
            ours.extend(outcome?);
        }
        Ok(ours)
    }

    async fn change<K>(&self, api: &Api<K>, claim: Claim, object: K) -> Result<Option<K>, Trouble>
    where
        K: Resource + Clone + DeserializeOwned + Debug,
    {
        let metadata = if claim == Claim::Adopt { self.adopted(&object) } else { self.released(&object) };
        let parameters = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        match api.patch(&object.name_any(), &parameters, &Patch::Merge(json!({ "metadata": metadata }))).await {
            Ok(adopted) if claim == Claim::Adopt => Ok(Some(adopted)),
            Ok(_) => Ok(None),
            // It brings itself back when it is still there.
            Err(error) if is_gone(&error) => Ok(None),
            Err(source) => Err(Trouble::new(format!("change the owner of {}", object.name_any()), source)),
        }
    }

    /// Uid and version are preconditions: two that select the same object do not both get it.
    fn adopted(&self, object: &impl ResourceExt) -> Value {
        let mut owners = object.owner_references().to_vec();
        owners.push(OwnerReference { block_owner_deletion: Some(true), ..self.reference.clone() });
        let mut metadata = json!({"uid": object.uid(), "resourceVersion": object.resource_version(), "ownerReferences": owners});
        if let Some(finalizer) = self.finalizer.filter(|wanted| !object.finalizers().iter().any(|other| other == wanted)) {
            let all: Vec<&str> = object.finalizers().iter().map(String::as_str).chain([finalizer]).collect();
            metadata["finalizers"] = json!(all);
        }
        metadata
    }

    fn released(&self, object: &impl ResourceExt) -> Value {
        let owners: Vec<&OwnerReference> = object.owner_references().iter().filter(|owner| owner.uid != self.reference.uid).collect();
        let finalizers: Vec<&String> = object.finalizers().iter().filter(|finalizer| Some(finalizer.as_str()) != self.finalizer).collect();
        json!({"uid": object.uid(), "resourceVersion": object.resource_version(), "ownerReferences": owners, "finalizers": finalizers})
    }
}
