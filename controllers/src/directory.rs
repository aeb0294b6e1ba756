//! What the gateway asks, answered from the caches.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use crds::IPOffice;
use gateway::{Candidate, Credentials, Directory, DirectoryError, Registered, SystemEntry};
use k8s_openapi::api::core::v1::Secret as KubernetesSecret;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client, ResourceExt as _};
use model::ids::{CustomerId, SystemKey};
use model::secret::Secret;
use serde_json::json;

use crate::caches::Caches;
use crate::codes::EnrolmentCodes;
use crate::index::place;
use crate::registration::Registrar;

/// Field manager of `status.enrolment`.
const MANAGER: &str = "switchboard-enrolment";

/// An enrolment that others' writes overtook so often is given up; the system tries again.
const MOST_CONFLICTS: u32 = 8;
/// An enrolment that this process saw before its cache did counts for so long: the cache shows it much sooner, or something newer.
const AHEAD_OF_CACHE: Duration = Duration::from_secs(60);
/// Systems that can be enrolled at a time, at most.
const TURNS: usize = 32;

/// The directory over the Kubernetes API.
#[derive(Debug)]
pub struct KubernetesDirectory {
    client: ClientWithoutDebug,
    caches: Arc<Caches>,
    codes: Arc<EnrolmentCodes>,
    registrar: Registrar,
    /// Enrolments that this process wrote, or was told of by the API server, and that the cache may not show yet, by uid of the IPOffice.
    written: Mutex<HashMap<String, (String, Instant)>>,
    turns: [tokio::sync::Mutex<()>; TURNS],
    turn: RandomState,
}

struct ClientWithoutDebug(Client);
impl std::fmt::Debug for ClientWithoutDebug {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Client")
    }
}

impl KubernetesDirectory {
    /// Over these caches and codes.
    pub fn new(client: Client, caches: Arc<Caches>, codes: Arc<EnrolmentCodes>) -> Self {
        let registrar = Registrar::new(client.clone(), Arc::clone(&caches));
        let client = ClientWithoutDebug(client);
        Self { client, caches, codes, registrar, written: Mutex::default(), turns: Default::default(), turn: RandomState::new() }
    }

    /// The object of a system that may connect: not being deleted, its customer neither, and its id its own.
    fn object(&self, key: &SystemKey) -> Option<Arc<IPOffice>> {
        let (namespace, name) = self.caches.owner_of_system(key)?;
        let system = self.caches.systems.get(&namespace, &name)?;
        let customer = self.caches.customers.get(&namespace, &system.spec.customer)?;
        let owns_id = self.caches.owner_of_customer_id(&key.customer) == Some(place(customer.as_ref()));
        (owns_id && system.metadata.deletion_timestamp.is_none()).then_some(system)
    }

    /// Held while a system is enrolled, so that one system is enrolled once. Others rarely wait for it.
    fn turn_of(&self, key: &SystemKey) -> &tokio::sync::Mutex<()> {
        let number = usize::try_from(self.turn.hash_one(key) % TURNS as u64).unwrap_or_default();
        &self.turns[number]
    }

    fn enrolment_of(&self, system: &IPOffice) -> Option<String> {
        let uid = system.uid().unwrap_or_default();
        let cached = system.status.as_ref().and_then(|status| status.enrolment.as_ref()).map(|enrolment| enrolment.id.clone());
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        match written.get(&uid) {
            Some((id, since)) if cached.as_ref() == Some(id) || since.elapsed() > AHEAD_OF_CACHE => {
                written.remove(&uid);
                cached
            }
            Some((id, _)) => Some(id.clone()),
            None => cached,
        }
    }
}

/// The enrolment, to be written only if the object still is as it was seen.
fn patch(seen: &IPOffice, enrolment_id: &str) -> serde_json::Value {
    json!({
        "apiVersion": "switchboard.dev/v1alpha1",
        "kind": "IPOffice",
        "metadata": {"name": seen.name_any(), "uid": seen.uid(), "resourceVersion": seen.resource_version()},
        "status": {"enrolment": {"id": enrolment_id, "time": whole_seconds(jiff::Timestamp::now()).to_string()}},
    })
}

/// Times in the API have no fractions of seconds.
fn whole_seconds(time: jiff::Timestamp) -> jiff::Timestamp {
    jiff::Timestamp::from_second(time.as_second()).unwrap_or(time)
}

#[async_trait]
impl Directory for KubernetesDirectory {
    fn customer_code(&self, customer: &CustomerId) -> Option<Secret> {
        self.caches.owner_of_customer_id(customer).and_then(|_| self.codes.get(customer))
    }

    fn system(&self, key: &SystemKey) -> Option<SystemEntry> {
        let system = self.object(key)?;
        let enrolment_id = self.enrolment_of(&system);
        let enrolment_allowed = enrolment_id.is_none() || system.spec.allow_reenrolment;
        Some(SystemEntry { enrolment_id, enrolment_allowed })
    }

    async fn look_again(&self, key: &SystemKey, enrolment_id: &str) -> bool {
        let Some(system) = self.object(key) else { return false };
        let (namespace, name) = place(system.as_ref());
        let api: Api<IPOffice> = Api::namespaced(self.client.0.clone(), &namespace);
        let Ok(Some(live)) = api.get_opt(&name).await else { return false };
        let same = live.uid() == system.uid() && live.metadata.deletion_timestamp.is_none();
        let enrolled =
            live.status.as_ref().and_then(|status| status.enrolment.as_ref()).is_some_and(|enrolment| enrolment.id == enrolment_id);
        if same && enrolled {
            let uid = system.uid().unwrap_or_default();
            self.written.lock().unwrap_or_else(PoisonError::into_inner).insert(uid, (enrolment_id.to_owned(), Instant::now()));
        }
        same && enrolled
    }

    async fn record_enrolment(&self, key: &SystemKey, enrolment_id: &str) -> Result<(), DirectoryError> {
        let _turn = self.turn_of(key).lock().await;
        let system = self.object(key).ok_or(DirectoryError::Unknown)?;
        if self.enrolment_of(&system).is_some() && !system.spec.allow_reenrolment {
            return Err(DirectoryError::AlreadyEnrolled);
        }
        let uid = system.uid().unwrap_or_default();
        let (namespace, name) = place(system.as_ref());
        let api: Api<IPOffice> = Api::namespaced(self.client.0.clone(), &namespace);
        let unavailable = |error: kube::Error| DirectoryError::Unavailable(error.to_string());
        // Another replica may have enrolled it a moment ago: so it is written against the version that was looked at. Where somebody wrote since,
        // such as the controller at the same moment, what the server holds is looked at instead.
        let mut seen = system;
        for _ in 0..MOST_CONFLICTS {
            match api.patch_status(&name, &PatchParams::apply(MANAGER).force(), &Patch::Apply(&patch(&seen, enrolment_id))).await {
                Ok(_) => {
                    self.written.lock().unwrap_or_else(PoisonError::into_inner).insert(uid, (enrolment_id.to_owned(), Instant::now()));
                    return Ok(());
                }
                Err(kube::Error::Api(status)) if status.code == 404 => return Err(DirectoryError::Unknown),
                Err(kube::Error::Api(status)) if status.code == 409 => {}
                Err(error) => return Err(unavailable(error)),
            }
            let live = api.get_opt(&name).await.map_err(unavailable)?.ok_or(DirectoryError::Unknown)?;
            if live.uid() != seen.uid() {
                return Err(DirectoryError::Unknown);
            }
            if live.status.as_ref().is_some_and(|status| status.enrolment.is_some()) && !live.spec.allow_reenrolment {
                return Err(DirectoryError::AlreadyEnrolled);
            }
            seen = Arc::new(live);
        }
        Err(DirectoryError::Unavailable("the IPOffice was written by others each time".to_owned()))
    }

    fn registration(&self, key: &SystemKey) -> Option<Registered> {
        self.registrar.standing(key)
    }

    async fn register(&self, key: &SystemKey, candidate: &Candidate) -> Result<Registered, DirectoryError> {
        self.registrar.register(key, candidate).await
    }

    async fn credentials(&self, key: &SystemKey) -> Result<Option<Credentials>, DirectoryError> {
        let system = self.object(key).ok_or(DirectoryError::Unknown)?;
        let Some(user) = &system.spec.service_user else { return Ok(None) };
        let (namespace, _) = place(system.as_ref());
        let api: Api<KubernetesSecret> = Api::namespaced(self.client.0.clone(), &namespace);
        let secret = api.get_opt(&user.password_secret.name).await.map_err(|error| DirectoryError::Unavailable(error.to_string()))?;
        let password = secret
            .and_then(|secret| secret.data)
            .and_then(|data| data.get(&user.password_secret.key).cloned())
            .and_then(|bytes| String::from_utf8(bytes.0).ok())
            // Whoever made the Secret from a file written by hand has a line break at its end that is no part of the password.
            .map(|text| text.strip_suffix('\n').map(|line| line.strip_suffix('\r').unwrap_or(line).to_owned()).unwrap_or(text))
            .filter(|text| !text.is_empty());
        Ok(password.map(|password| Credentials { user: user.name.clone(), password: Secret::new(password) }))
    }
}
