//! The Service `kubernetes` in the namespace `default`: by it pods find the API server.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::core::v1::{Endpoints, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher;
use kube::{Client, Error};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::delays::{doubled, until};
use crate::network::names::SERVICE_NAME;

/// Its name, also that of its Endpoints and its slice.
const NAME: &str = "kubernetes";
/// Its namespace.
const NAMESPACE: &str = "default";
/// The port it has in every cluster.
pub const PORT: u16 = 443;
/// Before what failed is tried again for the first time; doubled for each time after.
const FIRST_DELAY: Duration = Duration::from_secs(1);
/// Never longer than this.
const LONGEST_DELAY: Duration = Duration::from_secs(30);

/// Where the API server is, and the address its Service has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ApiServerAddress {
    /// Where it listens.
    pub server: SocketAddrV4,
    /// `spec.clusterIP`.
    pub service: Ipv4Addr,
}

/// Makes Service, Endpoints and slice, or corrects them. Nothing is written when all is as it should be.
///
/// # Errors
/// What the server says.
pub async fn ensure(client: &Client, address: ApiServerAddress) -> Result<(), Error> {
    let ApiServerAddress { server, service } = address;
    let services: Api<Service> = Api::namespaced(client.clone(), NAMESPACE);
    let present = services.get_opt(NAME).await?;
    let has = present.as_ref().and_then(|present| present.spec.as_ref()).and_then(|spec| spec.cluster_ip.clone());
    if present.is_some() && has != Some(service.to_string()) {
        // An address never changes: it is another Service.
        services.delete(NAME, &DeleteParams::default()).await?;
    }
    let labels = json!({"component": "apiserver", "provider": "kubernetes"});
    let ports = json!([{"name": "https", "port": PORT, "protocol": "TCP", "targetPort": server.port()}]);
    let spec = json!({"clusterIP": service, "ports": ports, "type": "ClusterIP", "sessionAffinity": "None"});
    settle(&services, "v1", "Service", labels, json!({"spec": spec})).await?;
    let port = json!([{"name": "https", "port": server.port(), "protocol": "TCP"}]);
    let subsets = json!([{"addresses": [{"ip": server.ip()}], "ports": port}]);
    let endpoints: Api<Endpoints> = Api::namespaced(client.clone(), NAMESPACE);
    let labels = json!({"endpointslice.kubernetes.io/skip-mirror": "true"});
    settle(&endpoints, "v1", "Endpoints", labels, json!({ "subsets": subsets })).await?;
    let slices: Api<EndpointSlice> = Api::namespaced(client.clone(), NAMESPACE);
    let labels = json!({SERVICE_NAME: NAME});
    let ready = json!([{"addresses": [server.ip()], "conditions": {"ready": true}}]);
    let content = json!({"addressType": "IPv4", "ports": port, "endpoints": ready});
    settle(&slices, "discovery.k8s.io/v1", "EndpointSlice", labels, content).await
}

/// Applies an object unless it has everything already.
async fn settle<K>(api: &Api<K>, version: &str, kind: &str, labels: Value, content: Value) -> Result<(), Error>
where
    K: Clone + std::fmt::Debug + Serialize + DeserializeOwned,
{
    let mut wanted = content;
    wanted["metadata"] = json!({"name": NAME, "namespace": NAMESPACE, "labels": labels});
    if let Some(present) = api.get_opt(NAME).await? {
        let present = serde_json::to_value(present).map_err(Error::SerdeError)?;
        if covers(&present, &wanted) {
            return Ok(());
        }
    }
    wanted["apiVersion"] = json!(version);
    wanted["kind"] = json!(kind);
    api.patch(NAME, &PatchParams::apply("kube-apiserver").force(), &Patch::Apply(wanted)).await.map(drop)
}

/// Whether everything wanted stands in what is there; lists are compared as a whole.
fn covers(present: &Value, wanted: &Value) -> bool {
    match (present, wanted) {
        (Value::Object(present), Value::Object(wanted)) => {
            wanted.iter().all(|(key, value)| present.get(key).is_some_and(|present| covers(present, value)))
        }
        (Value::Array(present), Value::Array(wanted)) => {
            present.len() == wanted.len() && present.iter().zip(wanted).all(|(present, wanted)| covers(present, wanted))
        }
        _ => present == wanted,
    }
}

/// Keeps them as they should be until shutdown: whoever deletes them gets them back.
pub async fn keep(client: Client, address: ApiServerAddress, shutdown: CancellationToken) {
    let named = || watcher::Config::default().fields(&format!("metadata.name={NAME}"));
    let of = |version: &str, kind: &str, plural: &str| {
        let (group, version) = version.split_once('/').unwrap_or(("", version));
        let resource = kube::api::ApiResource::from_gvk_with_plural(&kube::core::GroupVersionKind::gvk(group, version, kind), plural);
        let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), NAMESPACE, &resource);
        watcher::watcher(api, named()).default_backoff().boxed()
    };
    let mut changes = futures::stream::select_all([
        of("v1", "Service", "services"),
        of("v1", "Endpoints", "endpoints"),
        of("discovery.k8s.io/v1", "EndpointSlice", "endpointslices"),
    ]);
    let (mut failures, mut again) = (0_u32, None);
    loop {
        let is_due = tokio::select! {
            () = shutdown.cancelled() => return,
            () = until(again) => true,
            Some(change) = changes.next() => match change {
                Ok(watcher::Event::Init | watcher::Event::InitApply(_)) => false,
                // What failed is tried again soon anyway.
                Ok(_) => again.is_none(),
                Err(error) => {
                    tracing::warn!(%error, "the watch of the service kubernetes was interrupted; it is taken up again");
                    false
                }
            },
        };
        if !is_due {
            continue;
        }
        // Whatever keeps it from being written may end without any change of what is watched.
        (failures, again) = match ensure(&client, address).await {
            Ok(()) => (0, None),
            Err(error) => {
                let delay = doubled(FIRST_DELAY, failures, LONGEST_DELAY);
                tracing::warn!(%error, ?delay, "the service kubernetes could not be brought up to date; it is tried again");
                (failures.saturating_add(1), Some(Instant::now() + delay))
            }
        };
    }
}
