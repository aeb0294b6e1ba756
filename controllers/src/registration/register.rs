//! The gateway's side: a system that nobody declared and that knows its customer's code becomes a Registration, by one write.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crds::conditions::is_true;
use crds::customer::RegistrationPolicy;
use crds::registration::{Decision, RegistrationSpec};
use crds::{Customer, Registration};
use gateway::directory::{REGISTRATIONS, REGISTRATIONS_OF_CUSTOMER};
use gateway::{Candidate, DirectoryError, Registered};
use kube::api::PostParams;
use kube::{Api, Client, ResourceExt as _};
use model::ids::{CustomerId, SystemKey};

use super::{act, declared, of_customer, plan};
use crate::MANAGED_BY;
use crate::caches::Caches;
use crate::index::{Place, place};

/// So long after it was made the cache shows a registration, or it was deleted at once.
const SHOWN_WITHIN: Duration = Duration::from_secs(60);

/// Makes registrations, and says how systems stand.
pub(crate) struct Registrar {
    client: Client,
    caches: Arc<Caches>,
    /// Registrations made by this process that the cache may not show yet.
    made: Mutex<HashMap<SystemKey, Made>>,
    one_at_a_time: tokio::sync::Mutex<()>,
}

struct Made {
    /// The object.
    place: Place,
    standing: Registered,
    at: Instant,
}

impl std::fmt::Debug for Registrar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Registrar")
    }
}

impl Registrar {
    pub(crate) fn new(client: Client, caches: Arc<Caches>) -> Self {
        Self { client, caches, made: Mutex::default(), one_at_a_time: tokio::sync::Mutex::default() }
    }

    /// How a system stands that is not known. From memory; `None`: it can be registered.
    pub(crate) fn standing(&self, key: &SystemKey) -> Option<Registered> {
        let customer = self.customer(&key.customer)?;
        let (namespace, name) = place(customer.as_ref());
        // In this order: what the cache takes in meanwhile is counted once, and never not at all.
        let unseen = self.unseen();
        let mut all = of_customer(&self.caches, &namespace, &name);
        let shown = |made: &SystemKey| all.iter().any(|registration| registration.spec.system_id == made.system.as_str());
        let number = all.len() + unseen.keys().filter(|made| made.customer == key.customer && !shown(made)).count();
        all.retain(|registration| registration.spec.system_id == key.system.as_str());
        if let Some(standing) = strictest(&self.caches, &customer, &all) {
            return Some(standing);
        }
        if let Some(standing) = unseen.get(key) {
            return Some(*standing);
        }
        if let Some(other) = self.caches.registrations.get(&namespace, &plan::object_name(&name, key.system.as_str())) {
            // Somebody made one for another system under the name that this one's would have.
            return Some(Registered::Waiting { since: created(&other) });
        }
        if number >= REGISTRATIONS_OF_CUSTOMER {
            return Some(Registered::CustomerFull);
        }
        (self.caches.registrations.store().len() + unseen.len() >= REGISTRATIONS).then_some(Registered::Full)
    }

    /// Registers it.
    pub(crate) async fn register(&self, key: &SystemKey, candidate: &Candidate) -> Result<Registered, DirectoryError> {
        let _turn = self.one_at_a_time.lock().await;
        // Another connection of the same system may have been quicker.
        if let Some(standing) = self.standing(key) {
            return Ok(standing);
        }
        let customer = self.customer(&key.customer).ok_or(DirectoryError::Unknown)?;
        if self.caches.owner_of_system(key).is_some() {
            return Err(DirectoryError::Unavailable("the IPOffice of the system is being deleted".to_owned()));
        }
        let registration = registration(&customer, key, candidate);
        let namespace = customer.namespace().unwrap_or_default();
        let api: Api<Registration> = Api::namespaced(self.client.clone(), &namespace);
        let parameters = PostParams { field_manager: Some(act::MANAGER.into()), ..PostParams::default() };
        let standing = match api.create(&parameters, &registration).await {
            Ok(_) => match registration.spec.decision {
                Decision::Approved => Registered::LetIn,
                Decision::Pending | Decision::Denied => Registered::Waiting { since: jiff::Timestamp::now() },
            },
            // Made by somebody else a moment ago, or a name that stands for another system: the cache will show which. Until then it waits.
            Err(kube::Error::Api(status)) if status.code == 409 && status.reason == "AlreadyExists" => {
                let name = registration.name_any();
                tracing::warn!(namespace, name, "a system could not be registered: the Registration exists already");
                Registered::Waiting { since: jiff::Timestamp::now() }
            }
            Err(error) => return Err(DirectoryError::Unavailable(error.to_string())),
        };
        let made = Made { place: place(&registration), standing, at: Instant::now() };
        self.made.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone(), made);
        Ok(standing)
    }

    /// The customer that has the id.
    fn customer(&self, id: &CustomerId) -> Option<Arc<Customer>> {
        let (namespace, name) = self.caches.owner_of_customer_id(id)?;
        self.caches.customers.get(&namespace, &name)
    }

    /// What was made a moment ago and the cache does not show. What it shows is forgotten here.
    fn unseen(&self) -> HashMap<SystemKey, Registered> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        made.retain(|_, Made { place: (namespace, name), at, .. }| {
            at.elapsed() < SHOWN_WITHIN && self.caches.registrations.get(namespace, name).is_none()
        });
        made.iter().map(|(key, made)| (key.clone(), made.standing)).collect()
    }
}

/// The object as it is made.
fn registration(customer: &Customer, key: &SystemKey, candidate: &Candidate) -> Registration {
    let name = customer.name_any();
    let mut registration = Registration::new(
        &plan::object_name(&name, key.system.as_str()),
        RegistrationSpec {
            customer: name,
            system_id: key.system.to_string(),
            system_name: candidate.name.clone(),
            profile: candidate.profile,
            version: candidate.version.as_ref().map(ToString::to_string),
            address: Some(candidate.address.to_string()),
            decision: match customer.spec.registration {
                RegistrationPolicy::Manual => Decision::Pending,
                RegistrationPolicy::Automatic => Decision::Approved,
            },
            ip_office: None,
        },
    );
    registration.metadata.namespace = customer.namespace();
    registration.metadata.labels = Some([(MANAGED_BY.to_owned(), "switchboard".to_owned())].into());
    registration.metadata.owner_references = act::owner(customer).map(|owner| vec![owner]);
    registration
}

/// How the registrations of one system let it stand; where somebody made a second one, the stricter counts.
fn strictest(caches: &Caches, customer: &Customer, registrations: &[Arc<Registration>]) -> Option<Registered> {
    let rank = |standing: &Registered| match standing {
        Registered::Denied => 0,
        Registered::Removed => 1,
        Registered::CustomerFull | Registered::Full | Registered::Waiting { .. } => 2,
        Registered::LetIn => 3,
    };
    registrations.iter().map(|registration| standing(caches, customer, registration)).min_by_key(rank)
}

fn created(registration: &Registration) -> jiff::Timestamp {
    registration.creation_timestamp().map_or_else(jiff::Timestamp::now, |time| time.0)
}

fn standing(caches: &Caches, customer: &Customer, registration: &Registration) -> Registered {
    let since = created(registration);
    let status = registration.status.as_ref();
    match registration.spec.decision {
        Decision::Denied => Registered::Denied,
        Decision::Pending => Registered::Waiting { since },
        Decision::Approved if declared(caches, customer, &registration.spec.system_id).is_some() => Registered::LetIn,
        Decision::Approved if status.is_some_and(|status| status.ip_office.is_some()) => Registered::Removed,
        // Something is in the way, and was since the decision: that takes somebody.
        Decision::Approved
            if status.is_some_and(|status| {
                status.observed_generation == registration.metadata.generation && !is_true(&status.conditions, "Ready")
            }) =>
        {
            Registered::Waiting { since }
        }
        Decision::Approved => Registered::LetIn,
    }
}
