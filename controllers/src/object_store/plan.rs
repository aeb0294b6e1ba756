//! ObjectStore: what was observed to status, and spec and Secret to the client's options. Pure.

use std::collections::BTreeMap;

use crds::ObjectStore;
use crds::conditions::{Finding, conditions, is_true};
use crds::object_store::{AddressingStyle, EncryptionAlgorithm, ObjectStoreSpec, ObjectStoreStatus, StoreLockMode};
use model::secret::Secret;
use object_client::{Addressing, Encryption, LockMode, ObjectLock, Options};

use crate::action::report::Because;

/// What was found out about a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// It can be used.
    Works,
    /// It was asked, and did not do what it should.
    DoesNotWork(Because),
    /// It cannot be asked with what is configured.
    Unusable(Because),
    /// Nobody looked: it is set aside.
    NotLooked,
}

/// What was observed.
#[derive(Debug)]
pub struct Observed<'a> {
    /// The object.
    pub store: &'a ObjectStore,
    /// What was found out.
    pub found: Found,
    /// Now.
    pub now: jiff::Timestamp,
}

/// What to do.
#[derive(Debug, PartialEq)]
pub struct Plan {
    /// Status to write.
    pub status: ObjectStoreStatus,
    /// Whether actions may use it.
    pub ready: bool,
    /// What an Event says once the status is written.
    pub transition: Option<Because>,
}

/// Whether the store was usable at the last look.
pub fn is_ready(store: &ObjectStore) -> bool {
    store.status.as_ref().is_some_and(|status| is_true(&status.conditions, "Ready"))
}

/// Makes the plan.
pub fn plan(observed: &Observed) -> Plan {
    let generation = observed.store.metadata.generation;
    let previous = observed.store.status.clone().unwrap_or_default();
    let works = Because::new("ProbeSucceeded", "the bucket can be listed, and objects in it written, read and deleted");
    let (ready, findings, because) = match &observed.found {
        Found::NotLooked => {
            let paused = Finding::new("Paused", true, "Annotated", crate::customer::PAUSED);
            let kept = conditions(&previous.conditions, &[paused], generation, observed.now);
            let conditions = crate::ipoffice::replace_conditions(&previous.conditions, kept);
            let ready = is_true(&conditions, "Ready");
            return Plan { status: ObjectStoreStatus { conditions, ..previous }, ready, transition: None };
        }
        Found::Works => (true, both(Some(true), true, &works), works.clone()),
        Found::DoesNotWork(because) => (false, both(Some(false), false, because), because.clone()),
        Found::Unusable(because) => (false, both(None, false, because), because.clone()),
    };
    let status = ObjectStoreStatus {
        observed_generation: generation,
        conditions: conditions(&previous.conditions, &findings, generation, observed.now),
    };
    let before = previous.conditions.iter().find(|condition| condition.type_ == "Ready").map(|condition| condition.reason.as_str());
    let transition = (before != Some(because.reason.as_str())).then_some(because);
    Plan { status, ready, transition }
}

fn both(reachable: Option<bool>, ready: bool, because: &Because) -> [Finding; 2] {
    let Because { reason, message } = because;
    [
        Finding::new("Ready", ready, reason.clone(), message.clone()),
        Finding { kind: "Reachable", holds: reachable, reason: reason.clone(), message: message.clone() },
    ]
}

/// The client's options.
///
/// # Errors
/// The Secret lacks something.
pub fn options(spec: &ObjectStoreSpec, secret: &BTreeMap<String, Vec<u8>>) -> Result<Options, Because> {
    let text = |key: &str| {
        let text = secret.get(key).and_then(|bytes| std::str::from_utf8(bytes).ok())?;
        // Whoever made the Secret from a file has a line break at its end that belongs to no key.
        Some(text.trim_end_matches(['\r', '\n']).to_owned()).filter(|text| !text.is_empty())
    };
    let place = format!("{}/{}", spec.credentials_secret.namespace, spec.credentials_secret.name);
    let required = |key: &str| {
        text(key).ok_or_else(|| Because::new("SecretIncomplete", format!("the Secret {place} has no {key}, or it is no text; add it")))
    };
    Ok(Options {
        endpoint: spec.endpoint.trim_end_matches('/').to_owned(),
        system_endpoint: spec.system_endpoint.as_ref().map(|endpoint| endpoint.trim_end_matches('/').to_owned()),
        region: spec.region.clone(),
        bucket: spec.bucket.clone(),
        prefix: spec.prefix.clone().unwrap_or_default(),
        addressing: match spec.addressing {
            AddressingStyle::Path => Addressing::Path,
            AddressingStyle::VirtualHost => Addressing::VirtualHost,
        },
        authority: spec.certificate_authority.clone(),
        encryption: spec.encryption.as_ref().map(|encryption| match encryption.algorithm {
            EncryptionAlgorithm::S3Managed => Encryption::S3Managed,
            EncryptionAlgorithm::Kms => Encryption::Kms { key_id: encryption.key_id.clone() },
        }),
        object_lock: spec.object_lock.map(|lock| ObjectLock {
            mode: match lock.mode {
                StoreLockMode::Governance => LockMode::Governance,
                StoreLockMode::Compliance => LockMode::Compliance,
            },
            days: lock.days,
        }),
        access_key_id: required("accessKeyId")?,
        secret_access_key: Secret::new(required("secretAccessKey")?),
        session_token: text("sessionToken").map(Secret::new),
    })
}
