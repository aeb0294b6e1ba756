//! Enrolment codes for the gateway, on every replica: read from the Secrets with the subscriptions when these change, and kept in memory, because peers
//! that proved nothing must not cause reads of Secrets.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crds::Customer;
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Secret as KubernetesSecret;
use kube::runtime::reflector::ObjectRef;
use kube::{Api, Client, ResourceExt as _};
use model::ids::CustomerId;
use model::secret::Secret;
use runtime::cache::Pending;
use tokio_util::sync::CancellationToken;

use crate::caches::{Caches, customer_id};
use crate::customer::secret_name;
use crate::index::place;

/// Secrets read at a time.
const READS: usize = 16;
/// A Secret that could not be read is read again after this.
const AGAIN: Duration = Duration::from_secs(2);

/// Enrolment codes by customer.
#[derive(Debug, Default)]
pub struct EnrolmentCodes(Mutex<HashMap<CustomerId, Secret>>);

impl EnrolmentCodes {
    /// The customer's code is this now, or there is none.
    pub fn set(&self, customer: &CustomerId, code: Option<Secret>) {
        let mut codes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match code {
            Some(code) => codes.insert(customer.clone(), code),
            None => codes.remove(customer),
        };
    }

    pub(crate) fn get(&self, customer: &CustomerId) -> Option<Secret> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(customer).cloned()
    }
}

/// Keeps [`EnrolmentCodes`] as the Secrets are.
pub struct Follower {
    client: Client,
    caches: Arc<Caches>,
    codes: Arc<EnrolmentCodes>,
    pending: Arc<Pending<ObjectRef<Customer>>>,
    /// Customers and Secrets that were read, by UID and version.
    read: Mutex<HashMap<ObjectRef<Customer>, String>>,
}

impl std::fmt::Debug for Follower {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Follower")
    }
}

impl Follower {
    /// Subscribes to what codes depend on. Before the caches are fed.
    pub fn new(client: Client, caches: &Arc<Caches>, codes: Arc<EnrolmentCodes>) -> Self {
        let pending = Arc::new(Pending::default());
        let weak = Arc::downgrade(caches);
        caches.customers.trigger(&pending, move |customer| {
            // Where one goes, another may have its id now.
            let heir = weak.upgrade().and_then(|caches| caches.owner_of_customer_id(&customer_id(customer)));
            let heir = heir.map(|(namespace, name)| ObjectRef::new(&name).within(&namespace));
            std::iter::once(ObjectRef::from_obj(customer)).chain(heir).collect()
        });
        caches.secrets.trigger(&pending, |secret| {
            let namespace = secret.namespace().unwrap_or_default();
            let owners = secret.owner_references().iter().filter(|owner| owner.kind == "Customer");
            owners.map(|owner| ObjectRef::new(&owner.name).within(&namespace)).collect()
        });
        Self { client, caches: Arc::clone(caches), codes, pending, read: Mutex::default() }
    }

    /// Reads all that there are, once: what cannot be read now is read later. Once the caches are filled.
    pub async fn read_all(&self) {
        let all: Vec<ObjectRef<Customer>> =
            self.caches.customers.store().state().iter().map(|customer| ObjectRef::from_obj(customer.as_ref())).collect();
        futures::stream::iter(all)
            .for_each_concurrent(READS, |customer| async move {
                if !self.look(&customer).await {
                    self.pending.add([customer]);
                }
            })
            .await;
    }

    /// Reads what changes, until the shutdown.
    pub async fn run(&self, shutdown: CancellationToken) {
        let changes = Box::pin(Arc::clone(&self.pending).stream());
        let work = changes.for_each_concurrent(READS, |customer| async move {
            while !self.look(&customer).await {
                tokio::time::sleep(AGAIN).await;
            }
        });
        tokio::select! {
            () = work => {}
            () = shutdown.cancelled() => {}
        }
    }

    /// Reads the customer's Secret if it is another one than at the last look. False: it could not be read.
    async fn look(&self, reference: &ObjectRef<Customer>) -> bool {
        let Some(customer) = self.caches.customers.store().get(reference) else {
            self.read.lock().unwrap_or_else(PoisonError::into_inner).remove(reference);
            return true;
        };
        let (here, id) = (place(customer.as_ref()), customer_id(&customer));
        if self.caches.owner_of_customer_id(&id).as_ref() != Some(&here) {
            return true;
        }
        if customer.metadata.deletion_timestamp.is_some() {
            self.codes.set(&id, None);
            return true;
        }
        let name = secret_name(&here.1);
        // Not there yet, or not any more: then the controller makes it anew, with a code that takes the place of this one.
        let Some(cached) = self.caches.secrets.get(&here.0, &name) else { return true };
        let version = format!("{id} {:?} {:?}", customer.uid(), cached.resource_version());
        if self.read.lock().unwrap_or_else(PoisonError::into_inner).get(reference) == Some(&version) {
            return true;
        }
        let api: Api<KubernetesSecret> = Api::namespaced(self.client.clone(), &here.0);
        let secret = match api.get_opt(&name).await {
            Ok(secret) => secret,
            Err(error) => {
                tracing::info!(namespace = here.0, name, %error, "an enrolment code cannot be read yet");
                return false;
            }
        };
        let ours =
            |secret: &KubernetesSecret| secret.owner_references().iter().any(|owner| Some(&owner.uid) == customer.metadata.uid.as_ref());
        let code = secret
            .filter(ours)
            .and_then(|secret| secret.data)
            .and_then(|data| data.get("enrolmentCode").cloned())
            .and_then(|bytes| String::from_utf8(bytes.0).ok())
            .filter(|code| !code.is_empty());
        if let Some(code) = code {
            self.codes.set(&id, Some(Secret::new(code)));
        }
        self.read.lock().unwrap_or_else(PoisonError::into_inner).insert(reference.clone(), version);
        true
    }
}
