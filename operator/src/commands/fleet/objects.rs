//! The objects of a fleet in the cluster: namespaces, a password, customers, systems. Made, and removed again.

use std::collections::HashMap;
use std::fmt::Debug;
use std::time::Duration;

use crds::identity::derive_system_id;
use crds::{Customer, IPOffice};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::core::v1::{Namespace, Secret as KubernetesSecret};
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::core::NamespaceResourceScope;
use kube::{Api, Client, Resource, ResourceExt};
use model::secret::Secret;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::members::{Member, text};
use crate::arguments::FleetOptions;
use crate::commands::say;

/// Label on all that a fleet makes; its value is the prefix of the namespaces.
const LABEL: &str = "switchboard.dev/fleet";
/// Secret with the password of the service users of a namespace.
const PASSWORD: &str = "fleet-service-user";
/// The account that COM signs in as.
const SERVICE_USER: &str = "COMAdmin";
/// How long deleted objects are waited for, without any of them going.
const STUCK: Duration = Duration::from_secs(60);

/// What cannot be made or removed.
#[derive(Debug, thiserror::Error)]
pub enum ObjectError {
    /// The API server did not do it.
    #[error("cannot {verb} {what}")]
    Api {
        /// What was tried.
        verb: &'static str,
        /// With what.
        what: String,
        /// Its answer.
        source: Box<kube::Error>,
    },
    /// Deleted objects stay.
    #[error("{count} {kind} of the fleet are deleted but not gone after {} s without any change; see that the operator runs, and try again", STUCK.as_secs())]
    Stuck {
        /// How many.
        count: usize,
        /// Of which kind.
        kind: String,
    },
    /// A namespace of the name exists, and has no password of a fleet.
    #[error("the Secret {PASSWORD} in namespace {0} holds no password; delete it and try again")]
    NoPassword(String),
}

fn api(verb: &'static str, what: impl Into<String>) -> impl FnOnce(kube::Error) -> ObjectError {
    let what = what.into();
    move |source| ObjectError::Api { verb, what, source: Box::new(source) }
}

/// How a fleet is spread.
#[derive(Debug, Clone)]
pub struct Plan {
    prefix: String,
    systems: usize,
    customers: usize,
    namespaces: usize,
}

/// Whether a name is that of a namespace of a fleet.
pub fn is_namespace(prefix: &str, name: &str) -> bool {
    name.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('-')).is_some_and(|number| number.parse::<usize>().is_ok())
}

impl Plan {
    /// As the command line says.
    pub fn new(options: &FleetOptions) -> Self {
        let customers = options.customers.unwrap_or_else(|| options.count.div_ceil(3));
        Self {
            prefix: options.namespace_prefix.clone(),
            systems: options.count as usize,
            customers: customers as usize,
            namespaces: options.namespaces.min(customers) as usize,
        }
    }

    fn namespace(&self, number: usize) -> String {
        format!("{}-{}", self.prefix, number % self.namespaces + 1)
    }

    fn customer(number: usize) -> String {
        format!("customer-{:05}", number + 1)
    }

    /// The systems, each with the password of its namespace.
    ///
    /// # Errors
    /// A password cannot be read.
    pub async fn members(&self, client: &Client) -> Result<Vec<Member>, ObjectError> {
        let mut passwords = HashMap::new();
        for number in 0..self.namespaces {
            let namespace = self.namespace(number);
            let password = password(client, &namespace).await?;
            passwords.insert(namespace, (SERVICE_USER.to_owned(), password));
        }
        let member = |(namespace, name, customer): (String, String, String)| Member {
            system_id: derive_system_id(&namespace, &name),
            service_user: passwords.get(&namespace).cloned(),
            namespace,
            name,
            customer,
        };
        Ok(self.systems().map(member).collect())
    }

    /// Namespace, name and customer of each system.
    fn systems(&self) -> impl Iterator<Item = (String, String, String)> {
        (0..self.systems).map(|number| {
            let customer = number % self.customers;
            (self.namespace(customer), format!("system-{:05}", number + 1), Self::customer(customer))
        })
    }

    fn labels(&self) -> Value {
        json!({LABEL: self.prefix})
    }

    fn customer_object(&self, number: usize) -> (String, Value) {
        let namespace = self.namespace(number);
        let object = json!({
            "apiVersion": "switchboard.dev/v1alpha1", "kind": "Customer",
            "metadata": {"name": Self::customer(number), "namespace": namespace, "labels": self.labels()},
            "spec": {"displayName": format!("Fleet customer {}", number + 1)},
        });
        (namespace, object)
    }

    fn system_object(&self, (namespace, name, customer): (String, String, String)) -> (String, Value) {
        let object = json!({
            "apiVersion": "switchboard.dev/v1alpha1", "kind": "IPOffice",
            "metadata": {"name": name, "namespace": namespace, "labels": self.labels()},
            "spec": {"customer": customer, "serviceUser": {"name": SERVICE_USER, "passwordSecret": {"name": PASSWORD}}},
        });
        (namespace, object)
    }
}

/// Labels on the objects of a fleet, as a selector.
pub fn labels(prefix: &str) -> String {
    format!("{LABEL}={prefix}")
}

/// Makes namespaces and passwords where they are not there yet.
///
/// # Errors
/// The first that cannot be made.
pub async fn prepare(client: &Client, plan: &Plan) -> Result<(), ObjectError> {
    for number in 0..plan.namespaces {
        let name = plan.namespace(number);
        let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": plan.labels()}});
        create_one(&Api::<Namespace>::all(client.clone()), object).await?;
        let object = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": PASSWORD, "namespace": name, "labels": plan.labels()},
            "stringData": {"password": uuid::Uuid::new_v4().to_string()},
        });
        create_one(&Api::<KubernetesSecret>::namespaced(client.clone(), &name), object).await?;
    }
    Ok(())
}

/// Makes what is not there yet, `at_a_time` requests at a time: all customers, then all systems.
///
/// # Errors
/// The first that cannot be made.
pub async fn make(client: &Client, plan: &Plan, at_a_time: usize) -> Result<(), ObjectError> {
    create::<Customer>(client, (0..plan.customers).map(|number| plan.customer_object(number)), at_a_time).await?;
    create::<IPOffice>(client, plan.systems().map(|system| plan.system_object(system)), at_a_time).await
}

async fn create<K>(client: &Client, objects: impl Iterator<Item = (String, Value)>, at_a_time: usize) -> Result<(), ObjectError>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + DeserializeOwned + Serialize + Clone + Debug,
{
    stream::iter(objects)
        .map(|(namespace, object)| {
            let api: Api<K> = Api::namespaced(client.clone(), &namespace);
            async move { create_one(&api, object).await }
        })
        .buffer_unordered(at_a_time)
        .try_collect()
        .await
}

/// Makes an object, unless one of the name is there.
async fn create_one<K>(target: &Api<K>, object: Value) -> Result<(), ObjectError>
where
    K: Resource<DynamicType = ()> + DeserializeOwned + Serialize + Clone + Debug,
{
    let what = format!("{} {}", K::kind(&()), object["metadata"]["name"].as_str().unwrap_or_default());
    let object: K = serde_json::from_value(object).map_err(|error| api("write", what.clone())(kube::Error::SerdeError(error)))?;
    match target.create(&PostParams::default(), &object).await {
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
        made => made.map(drop).map_err(api("create", what)),
    }
}

/// Password of the service users in a namespace of a fleet.
async fn password(client: &Client, namespace: &str) -> Result<Secret, ObjectError> {
    let secrets: Api<KubernetesSecret> = Api::namespaced(client.clone(), namespace);
    let secret = secrets.get(PASSWORD).await.map_err(api("read", format!("Secret {PASSWORD}")))?;
    text(&secret, "password").map(Secret::new).ok_or_else(|| ObjectError::NoPassword(namespace.to_owned()))
}

/// Deletes all that a fleet made, systems before their customers, and waits until it is gone.
///
/// # Errors
/// Something cannot be deleted, or stays.
pub async fn remove(client: &Client, prefix: &str, shutdown: &CancellationToken) -> Result<(), ObjectError> {
    let labels = labels(prefix);
    let found = Api::<Namespace>::all(client.clone()).list(&ListParams::default()).await.map_err(api("list", "namespaces"))?;
    let (ours, mut namespaces): (Vec<String>, Vec<String>) = (
        found
            .items
            .iter()
            .filter(|namespace| namespace.labels().get(LABEL).is_some_and(|value| value == prefix))
            .map(ResourceExt::name_any)
            .collect(),
        found.items.iter().map(ResourceExt::name_any).filter(|name| is_namespace(prefix, name)).collect(),
    );
    namespaces.extend(ours.iter().filter(|name| !is_namespace(prefix, name)).cloned());
    remove_kind::<IPOffice>(client, &namespaces, &labels, shutdown).await?;
    remove_kind::<Customer>(client, &namespaces, &labels, shutdown).await?;
    remove_kind::<KubernetesSecret>(client, &namespaces, &labels, shutdown).await?;
    for name in ours {
        let removed = Api::<Namespace>::all(client.clone()).delete(&name, &DeleteParams::default()).await;
        removed.map_err(api("delete", format!("Namespace {name}")))?;
    }
    Ok(())
}

async fn remove_kind<K>(client: &Client, namespaces: &[String], labels: &str, shutdown: &CancellationToken) -> Result<(), ObjectError>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + DeserializeOwned + Clone + Debug,
{
    let kind = K::plural(&()).into_owned();
    let selected = ListParams::default().labels(labels);
    for namespace in namespaces {
        let all: Api<K> = Api::namespaced(client.clone(), namespace);
        all.delete_collection(&DeleteParams::background(), &selected).await.map_err(api("delete", kind.clone()))?;
    }
    let (mut left, mut since) = (usize::MAX, tokio::time::Instant::now());
    loop {
        let mut now = 0;
        for namespace in namespaces {
            let all: Api<K> = Api::namespaced(client.clone(), namespace);
            now += all.list_metadata(&selected).await.map_err(api("list", kind.clone()))?.items.len();
        }
        if now == 0 || shutdown.is_cancelled() {
            return Ok(());
        }
        if now != left {
            (left, since) = (now, tokio::time::Instant::now());
            say(&format!("fleet: {now} {kind} are left"));
        } else if since.elapsed() > STUCK {
            return Err(ObjectError::Stuck { count: now, kind });
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn systems_are_spread_over_customers_and_namespaces_and_never_leave_their_customer() {
        let plan = Plan { prefix: "fleet".into(), systems: 7, customers: 3, namespaces: 2 };
        let places: Vec<_> = plan.systems().map(|(namespace, _, customer)| (namespace, customer)).collect();
        let place = |namespace: &str, customer: &str| (namespace.to_owned(), customer.to_owned());
        let three = [place("fleet-1", "customer-00001"), place("fleet-2", "customer-00002"), place("fleet-1", "customer-00003")];
        assert_eq!(places, [&three[..], &three[..], &three[..1]].concat());
        assert!((0..3).all(|number| plan.customer_object(number).0 == three[number].0));
    }

    #[test]
    fn only_numbered_namespaces_are_a_fleets() {
        assert!(is_namespace("fleet", "fleet-12"));
        assert!(!is_namespace("fleet", "fleet-office") && !is_namespace("fleet", "fleet") && !is_namespace("fleet", "fleets-1"));
    }
}
