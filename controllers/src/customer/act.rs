//! Customer: does what the plan says.

use std::collections::BTreeMap;

use crds::Customer;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret as KubernetesSecret;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client, Resource as _, ResourceExt as _};
use model::ids::CustomerId;
use model::secret::Secret;
use ring::rand::{SecureRandom as _, SystemRandom};
use serde_json::json;
use tokio::sync::watch;

use super::plan::{SecretState, secret_name};
use crate::codes::EnrolmentCodes;
use crate::error::ReconcileError;

/// Field manager of this controller.
pub const MANAGER: &str = "switchboard-customer";
/// Finalizer of this controller.
pub const FINALIZER: &str = "switchboard.dev/customer";

/// Where systems dial, as the subscription says it.
#[derive(Debug, Clone)]
pub struct Gateway {
    /// `https://host:port`.
    pub address: String,
    /// What systems are to trust, in PEM, now and when it changes.
    pub trust: watch::Receiver<String>,
}

impl Gateway {
    /// What systems are to trust now.
    pub fn authority(&self) -> String {
        self.trust.borrow().clone()
    }
}

/// The subscription Secret as it stands, and whose it is.
pub async fn read(client: &Client, customer: &Customer) -> Result<(SecretState, Option<KubernetesSecret>), ReconcileError> {
    let name = secret_name(&customer.name_any());
    let secrets: Api<KubernetesSecret> = Api::namespaced(client.clone(), &customer.namespace().unwrap_or_default());
    let found = secrets.get_opt(&name).await.map_err(ReconcileError::api("read", format!("Secret {name}")))?;
    let uid = customer.uid();
    let state = match &found {
        None => SecretState::Missing,
        Some(secret) if secret.owner_references().iter().any(|owner| Some(&owner.uid) == uid.as_ref()) => SecretState::Ours,
        Some(_) => SecretState::Foreign,
    };
    Ok((state, found))
}

/// Makes the Secret, or brings it up to date. The enrolment code, once made, stays. The gateway knows it before anyone can read it: a system that
/// comes at once with a code that is not known yet would be sent away for a while. Returns the version of the Secret that holds it all.
pub async fn subscription(
    client: &Client,
    customer: &Customer,
    id: &CustomerId,
    gateway: &Gateway,
    authority: &str,
    present: Option<&KubernetesSecret>,
    codes: &EnrolmentCodes,
) -> Result<Option<String>, ReconcileError> {
    let name = secret_name(&customer.name_any());
    let what = format!("Secret {name}");
    let secrets: Api<KubernetesSecret> = Api::namespaced(client.clone(), &customer.namespace().unwrap_or_default());
    let held = present.and_then(|secret| secret.data.as_ref());
    let text = |key: &str| held.and_then(|data| data.get(key)).and_then(|bytes| String::from_utf8(bytes.0.clone()).ok());
    let code = text("enrolmentCode").filter(|code| !code.is_empty()).map_or_else(new_code, Secret::new);
    codes.set(id, Some(code.clone()));
    let wanted =
        [("gateway", gateway.address.as_str()), ("ca.crt", authority), ("customerId", id.as_str()), ("enrolmentCode", code.expose())];
    if present.is_some() && wanted.iter().all(|(key, value)| text(key).as_deref() == Some(value)) {
        return Ok(present.and_then(|secret| secret.resource_version()));
    }
    let data: BTreeMap<String, ByteString> =
        wanted.iter().map(|(key, value)| ((*key).to_owned(), ByteString(value.as_bytes().to_vec()))).collect();
    let written = if present.is_some() {
        let patch = json!({"data": data});
        secrets
            .patch(&name, &PatchParams { field_manager: Some(MANAGER.into()), ..PatchParams::default() }, &Patch::Merge(&patch))
            .await
            .map_err(ReconcileError::api("update", what))?
    } else {
        let mut secret =
            KubernetesSecret { data: Some(data), type_: Some("switchboard.dev/subscription".into()), ..KubernetesSecret::default() };
        secret.metadata.name = Some(name);
        secret.metadata.labels = Some([(crate::MANAGED_BY.to_owned(), "switchboard".to_owned())].into());
        secret.metadata.owner_references = customer.controller_owner_ref(&()).map(|owner| vec![owner]);
        secrets
            .create(&PostParams { field_manager: Some(MANAGER.into()), ..PostParams::default() }, &secret)
            .await
            .map_err(ReconcileError::api("create", what))?
    };
    Ok(written.resource_version())
}

/// 25 characters of 5 bits: 125 bits, in groups that people can read out.
fn new_code() -> Secret {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";
    let mut bytes = [0u8; 25];
    SystemRandom::new().fill(&mut bytes).expect("the operating system provides random numbers");
    let letters: Vec<char> = bytes.iter().map(|byte| char::from(ALPHABET[usize::from(byte & 31)])).collect();
    Secret::new(letters.chunks(5).map(|group| group.iter().collect::<String>()).collect::<Vec<_>>().join("-"))
}

/// Sets or removes the finalizer. Works on any spec, however wrong.
pub async fn set_finalizer(client: &Client, customer: &Customer, wanted: bool) -> Result<(), ReconcileError> {
    let api: Api<Customer> = Api::namespaced(client.clone(), &customer.namespace().unwrap_or_default());
    crate::finalizer::set(&api, customer, FINALIZER, wanted).await
}
