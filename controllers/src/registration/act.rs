//! Registration: does what the plan says.

use std::fmt::Debug;

use crds::{Customer, IPOffice, Registration};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client, Resource as _, ResourceExt as _};
use runtime::retry::{Class, Classify as _};
use serde_json::{Value, json};

use crate::error::ReconcileError;

/// Field manager of this controller.
pub const MANAGER: &str = "switchboard-registration";

/// What came of making an IPOffice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Created {
    /// It was made, or is there already.
    There,
    /// The API server does not take it, and says why.
    Refused(String),
}

/// The reference that makes a registration go with its customer.
pub fn owner(customer: &Customer) -> Option<OwnerReference> {
    customer.owner_ref(&())
}

/// Adds the customer to the owners.
pub async fn own(client: &Client, registration: &Registration, customer: &Customer) -> Result<(), ReconcileError> {
    let mut owners = registration.owner_references().to_vec();
    // One of an earlier customer of the name is of no use any more.
    owners.retain(|owner| owner.kind != "Customer");
    owners.extend(owner(customer));
    patch(client, registration, json!({"metadata": {"ownerReferences": owners}}), "set the owner of").await
}

/// Decides as the policy of the customer says.
pub async fn approve(client: &Client, registration: &Registration) -> Result<(), ReconcileError> {
    patch(client, registration, json!({"spec": {"decision": "Approved"}}), "approve").await
}

/// Against the version that was read: who edits meanwhile wins.
async fn patch(client: &Client, registration: &Registration, mut patch: Value, action: &'static str) -> Result<(), ReconcileError> {
    patch["metadata"]["resourceVersion"] = json!(registration.resource_version());
    patch["metadata"]["uid"] = json!(registration.uid());
    let name = registration.name_any();
    let api: Api<Registration> = Api::namespaced(client.clone(), &registration.namespace().unwrap_or_default());
    let parameters = PatchParams { field_manager: Some(MANAGER.into()), ..PatchParams::default() };
    match api.patch(&name, &parameters, &Patch::Merge(&patch)).await {
        Ok(_) => Ok(()),
        // Gone meanwhile: there is nothing to decide any more.
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        Err(error) => Err(ReconcileError::api(action, format!("Registration {name}"))(error)),
    }
}

/// Makes the IPOffice. Its name is the lock against making it twice.
pub async fn create(client: &Client, office: &IPOffice) -> Result<Created, ReconcileError> {
    let api: Api<IPOffice> = Api::namespaced(client.clone(), &office.namespace().unwrap_or_default());
    let parameters = PostParams { field_manager: Some(MANAGER.into()), ..PostParams::default() };
    match api.create(&parameters, office).await {
        Ok(_) => Ok(Created::There),
        Err(kube::Error::Api(status)) if status.code == 409 && status.reason == "AlreadyExists" => Ok(Created::There),
        Err(error) if error.class() == Class::Invalid => Ok(Created::Refused(match error {
            kube::Error::Api(status) => status.message.clone(),
            other => other.to_string(),
        })),
        Err(error) => Err(ReconcileError::api("create", format!("IPOffice {}", office.name_any()))(error)),
    }
}
