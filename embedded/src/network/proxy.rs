//! Keeps the listeners as the routes are, which follow from Services and EndpointSlices.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;

use futures::StreamExt;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::Api;
use kube::runtime::WatchStreamExt;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use kube::runtime::watcher;
use kube::{Client, Resource, ResourceExt};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use super::ServiceNetwork;
use super::listener::{Failure, Listener, Targets};
use super::names::{Name, name_of, service_of};
use super::routes::{Plan, plan};

/// Connections to Services at a time; further ones wait in the system's queue.
const CONNECTIONS: usize = 4096;

/// Runs until shutdown.
///
/// # Errors
/// When a task died, which is a defect.
pub async fn run(client: Client, network: ServiceNetwork, node: Ipv4Addr, shutdown: CancellationToken) -> Result<(), JoinError> {
    let (failures, mut failed) = mpsc::channel(64);
    let mut proxy = Proxy {
        recorder: Recorder::new(client.clone(), Reporter { controller: "service-proxy".to_owned(), instance: None }),
        network,
        node,
        services: HashMap::new(),
        slices: HashMap::new(),
        open: HashMap::new(),
        told: HashSet::new(),
        places: Arc::new(Semaphore::new(CONNECTIONS)),
        failures,
        listeners: JoinSet::new(),
    };
    let config = watcher::Config::default;
    let mut services = watcher::watcher(Api::<Service>::all(client.clone()), config()).default_backoff().boxed();
    let mut slices = watcher::watcher(Api::<EndpointSlice>::all(client), config()).default_backoff().boxed();
    let (mut listed_services, mut listed_slices) = (HashSet::new(), HashSet::new());
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            Some(ended) = proxy.listeners.join_next() => ended?,
            Some(failure) = failed.recv() => proxy.failed(failure).await,
            Some(event) = services.next() => match event {
                Ok(watcher::Event::Init) => listed_services.clear(),
                Ok(watcher::Event::InitApply(service)) => {
                    listed_services.insert(name_of(&service));
                    proxy.service(service).await;
                }
                Ok(watcher::Event::Apply(service)) => proxy.service(service).await,
                Ok(watcher::Event::Delete(service)) => proxy.no_service(&name_of(&service)),
                Ok(watcher::Event::InitDone) => {
                    let gone: Vec<Name> = proxy.services.keys().filter(|name| !listed_services.contains(*name)).cloned().collect();
                    gone.iter().for_each(|name| proxy.no_service(name));
                }
                Err(error) => tracing::warn!(%error, "the watch of services was interrupted; it is taken up again"),
            },
            Some(event) = slices.next() => match event {
                Ok(watcher::Event::Init) => listed_slices.clear(),
                Ok(watcher::Event::InitApply(slice)) => {
                    listed_slices.insert(name_of(&slice));
                    proxy.slice(slice).await;
                }
                Ok(watcher::Event::Apply(slice)) => proxy.slice(slice).await,
                Ok(watcher::Event::Delete(slice)) => proxy.no_slice(&name_of(&slice)).await,
                Ok(watcher::Event::InitDone) => {
                    let gone: Vec<Name> = proxy.slices.keys().filter(|name| !listed_slices.contains(*name)).cloned().collect();
                    for name in gone {
                        proxy.no_slice(&name).await;
                    }
                }
                Err(error) => tracing::warn!(%error, "the watch of endpoint slices was interrupted; it is taken up again"),
            },
        }
    }
}

struct Proxy {
    recorder: Recorder,
    network: ServiceNetwork,
    node: Ipv4Addr,
    services: HashMap<Name, Service>,
    slices: HashMap<Name, EndpointSlice>,
    /// The listeners of each service.
    open: HashMap<Name, BTreeMap<SocketAddrV4, watch::Sender<Targets>>>,
    /// What was told of services already, by uid.
    told: HashSet<(String, String)>,
    places: Arc<Semaphore>,
    failures: mpsc::Sender<Failure>,
    listeners: JoinSet<()>,
}

impl Proxy {
    async fn service(&mut self, service: Service) {
        let name = name_of(&service);
        self.services.insert(name.clone(), service);
        self.follow(&name).await;
    }

    fn no_service(&mut self, name: &Name) {
        if let Some(service) = self.services.remove(name) {
            let uid = service.uid().unwrap_or_default();
            self.told.retain(|(other, _)| *other != uid);
        }
        self.open.remove(name);
    }

    async fn slice(&mut self, slice: EndpointSlice) {
        let service = service_of(&slice);
        let before = self.slices.insert(name_of(&slice), slice).as_ref().and_then(service_of);
        for name in [before.filter(|before| Some(before) != service.as_ref()), service].into_iter().flatten() {
            self.follow(&name).await;
        }
    }

    async fn no_slice(&mut self, name: &Name) {
        if let Some(service) = self.slices.remove(name).as_ref().and_then(service_of) {
            self.follow(&service).await;
        }
    }

    /// Opens, changes and closes the listeners of one service.
    async fn follow(&mut self, name: &Name) {
        let Some(service) = self.services.get(name) else { return };
        let slices: Vec<&EndpointSlice> = self.slices.values().filter(|slice| service_of(slice).as_ref() == Some(name)).collect();
        let Plan { routes, unserved } = plan(service, &slices, self.network, self.node);
        let open = self.open.entry(name.clone()).or_default();
        open.retain(|at, _| routes.contains_key(at));
        for (at, targets) in routes {
            let targets: Targets = targets.into();
            let sender = open.entry(at).or_insert_with(|| {
                let (sender, watched) = watch::channel::<Targets>(Arc::from([]));
                let listener = Listener { at, targets: watched, places: Arc::clone(&self.places), failures: self.failures.clone() };
                self.listeners.spawn(listener.run());
                sender
            });
            sender.send_if_modified(|present| {
                let differs = *present != targets;
                *present = targets;
                differs
            });
        }
        if !unserved.is_empty() {
            let note = format!(
                "only TCP is passed on to pods: nothing listens for {}; reach the pods by their own addresses, which the EndpointSlices list",
                unserved.join(", ")
            );
            self.tell(name, "ProtocolNotServed", note).await;
        }
    }

    async fn failed(&mut self, failure: Failure) {
        let Failure { at, error } = failure;
        let Some(name) = self.open.iter().find(|(_, open)| open.contains_key(&at)).map(|(name, _)| name.clone()) else { return };
        let remedy = match error.kind() {
            io::ErrorKind::AddrInUse => "end the program that has it, or choose another port",
            io::ErrorKind::PermissionDenied => {
                "ports below net.ipv4.ip_unprivileged_port_start are for root: lower that setting, or give the service a port above it"
            }
            _ => "it is tried again every 10 s",
        };
        self.tell(&name, "PortNotOpened", format!("cannot listen on {at}: {error}; {remedy}")).await;
    }

    /// Once for each service and text: what lasts is not repeated.
    async fn tell(&mut self, name: &Name, reason: &str, note: String) {
        let Some(service) = self.services.get(name) else { return };
        if !self.told.insert((service.uid().unwrap_or_default(), note.clone())) {
            return;
        }
        let event =
            Event { type_: EventType::Warning, reason: reason.to_owned(), note: Some(note), action: "Listen".to_owned(), secondary: None };
        if let Err(error) = self.recorder.publish(&event, &service.object_ref(&())).await {
            // Events tell, nothing depends on them; in a namespace that is going they are refused.
            tracing::debug!(%error, service = name.1, namespace = name.0, "an Event could not be written");
        }
    }
}
