//! What every namespace has: a service account `default`, and a config map with the certificates of the API server's authority.

use std::collections::HashSet;

use futures::StreamExt;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, ServiceAccount};
use kube::api::{Api, PartialObjectMeta, Patch, PatchParams, PostParams};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event};
use kube::{Client, Error, ResourceExt};
use serde_json::json;
use tokio_util::sync::CancellationToken;

const ACCOUNT: &str = "default";
const CERTIFICATES: &str = "kube-root-ca.crt";

/// Keeps them there until shutdown.
pub async fn run(client: Client, accounts: bool, certificates: Option<String>, shutdown: CancellationToken) {
    let config = |name: &str| watcher::Config::default().fields(&format!("metadata.name={name}"));
    let mut namespaces = watcher::watcher(Api::<Namespace>::all(client.clone()), watcher::Config::default()).default_backoff().boxed();
    let mut service_accounts =
        watcher::watcher(Api::<PartialObjectMeta<ServiceAccount>>::all(client.clone()), config(ACCOUNT)).default_backoff().boxed();
    let mut config_maps = watcher::watcher(Api::<ConfigMap>::all(client.clone()), config(CERTIFICATES)).default_backoff().boxed();
    let keeper = Keeper { client, accounts, certificates };
    let mut active: HashSet<String> = HashSet::new();
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            Some(event) = namespaces.next() => match event {
                Ok(Event::Apply(namespace) | Event::InitApply(namespace)) => {
                    let name = namespace.name_any();
                    if namespace.metadata.deletion_timestamp.is_some() {
                        active.remove(&name);
                    } else if active.insert(name.clone()) {
                        keeper.account(&name).await;
                        keeper.map(&name).await;
                    }
                }
                Ok(Event::Delete(namespace)) => drop(active.remove(&namespace.name_any())),
                Ok(Event::Init | Event::InitDone) => {}
                Err(error) => tracing::warn!(%error, "the watch of namespaces was interrupted; it is taken up again"),
            },
            Some(event) = service_accounts.next(), if accounts => if let Ok(Event::Delete(account)) = event {
                let namespace = account.namespace().unwrap_or_default();
                if active.contains(&namespace) {
                    keeper.account(&namespace).await;
                }
            },
            Some(event) = config_maps.next(), if keeper.certificates.is_some() => match event {
                Ok(Event::Delete(map)) if active.contains(&map.namespace().unwrap_or_default()) => {
                    keeper.map(&map.namespace().unwrap_or_default()).await;
                }
                Ok(Event::Apply(map) | Event::InitApply(map)) => keeper.correct(&map).await,
                _ => {}
            },
        }
    }
}

struct Keeper {
    client: Client,
    accounts: bool,
    certificates: Option<String>,
}

impl Keeper {
    async fn account(&self, namespace: &str) {
        if !self.accounts {
            return;
        }
        let account = ServiceAccount {
            metadata: kube::core::ObjectMeta { name: Some(ACCOUNT.to_owned()), ..Default::default() },
            ..ServiceAccount::default()
        };
        let api: Api<ServiceAccount> = Api::namespaced(self.client.clone(), namespace);
        report(api.create(&PostParams::default(), &account).await.map(drop), namespace, ACCOUNT);
    }

    async fn map(&self, namespace: &str) {
        let Some(certificates) = &self.certificates else { return };
        let map = ConfigMap {
            metadata: kube::core::ObjectMeta {
                name: Some(CERTIFICATES.to_owned()),
                annotations: Some([("kubernetes.io/description".to_owned(), DESCRIPTION.to_owned())].into()),
                ..Default::default()
            },
            data: Some([("ca.crt".to_owned(), certificates.clone())].into()),
            ..ConfigMap::default()
        };
        let api: Api<ConfigMap> = Api::namespaced(self.client.clone(), namespace);
        report(api.create(&PostParams::default(), &map).await.map(drop), namespace, CERTIFICATES);
    }

    /// Certificates are renewed; and someone may have changed the map.
    async fn correct(&self, map: &ConfigMap) {
        let Some(certificates) = &self.certificates else { return };
        if map.data.as_ref().and_then(|data| data.get("ca.crt")) == Some(certificates) {
            return;
        }
        let namespace = map.namespace().unwrap_or_default();
        let api: Api<ConfigMap> = Api::namespaced(self.client.clone(), &namespace);
        let patch = Patch::Merge(json!({"data": {"ca.crt": certificates}}));
        report(api.patch(CERTIFICATES, &PatchParams::default(), &patch).await.map(drop), &namespace, CERTIFICATES);
    }
}

const DESCRIPTION: &str = "Holds the certificates by which the API server of this cluster is recognised.";

/// What is there already is fine, and so is a namespace that is going.
fn report(result: Result<(), Error>, namespace: &str, name: &str) {
    match result {
        Ok(()) => {}
        Err(Error::Api(status)) if matches!(status.code, 403 | 404 | 409) => {}
        Err(error) => {
            tracing::warn!(%error, namespace, name, "what every namespace has could not be created; it is created at the next start")
        }
    }
}
