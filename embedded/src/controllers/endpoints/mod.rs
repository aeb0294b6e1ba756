//! Endpoints and EndpointSlices: who answers for a Service. Also the address of a Service of type LoadBalancer, which is its own.
//!
//! | module | what it does |
//! |---|---|
//! | [`pods`] | what matters of a pod |
//! | [`plan`] | who is to stand in which slice (pure) |
//! | [`sync`] | compares with what is there, and writes what differs |
//! | [`retries`] | when what could not be written is tried again (pure) |
//!
//! Slices that people make are left alone, and so are Endpoints of Services without a selector; these are copied into slices, as in
//! Kubernetes, unless they say not to.

pub mod plan;
pub mod pods;
pub mod retries;
pub mod sync;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap, HashSet};

use futures::stream::BoxStream;
use futures::{Stream, StreamExt};
use k8s_openapi::api::core::v1::{Endpoints, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{Api, DynamicObject};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event};
use kube::{Client, Error, ResourceExt};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::delays::until;
use crate::network::names::{Name, name_of, service_of};
use pods::PodFacts;
use retries::Retries;

/// Everything that matters, as the watches show it.
#[derive(Default)]
pub(crate) struct View {
    pub services: HashMap<Name, Service>,
    /// By namespace.
    pub pods: HashMap<String, HashMap<String, PodFacts>>,
    pub slices: HashMap<Name, EndpointSlice>,
    pub endpoints: HashMap<Name, Endpoints>,
}

enum Seen {
    Service(Box<Event<Service>>),
    Pod(Event<DynamicObject>),
    Slice(Event<EndpointSlice>),
    Endpoints(Event<Endpoints>),
}

/// Keeps them until shutdown.
pub async fn run(client: Client, shutdown: CancellationToken) {
    let mut events = watches(&client);
    let mut state = State::default();
    let mut writer = sync::Writer::new(client);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            Some(seen) = events.next() => state.see(seen),
            () = until(state.retries.next()) => {}
        }
        // What comes at once is looked at together: a deployment changes many pods.
        while let Some(Some(seen)) = futures::FutureExt::now_or_never(events.next()) {
            state.see(seen);
        }
        if state.listing.is_empty() {
            for name in state.take_ready(Instant::now()) {
                let outcome = writer.bring_up_to_date(&mut state.view, &name).await;
                state.looked_at(name, outcome);
            }
        }
    }
}

fn watches(client: &Client) -> BoxStream<'static, Seen> {
    let pods = Api::<DynamicObject>::all_with(client.clone(), &kube::api::ApiResource::erase::<Pod>(&()));
    futures::stream::select_all([
        watch(watcher::watcher(Api::<Service>::all(client.clone()), watcher::Config::default()), |event| Seen::Service(Box::new(event))),
        watch(watcher::watcher(pods, watcher::Config::default()), Seen::Pod),
        watch(watcher::watcher(Api::<EndpointSlice>::all(client.clone()), watcher::Config::default()), Seen::Slice),
        watch(watcher::watcher(Api::<Endpoints>::all(client.clone()), watcher::Config::default()), Seen::Endpoints),
    ])
    .boxed()
}

fn watch<K>(
    stream: impl Stream<Item = Result<Event<K>, watcher::Error>> + Send + 'static,
    wrap: fn(Event<K>) -> Seen,
) -> BoxStream<'static, Seen>
where
    K: Send + 'static,
{
    let seen = stream.default_backoff().filter_map(move |event| {
        if let Err(error) = &event {
            tracing::warn!(%error, "a watch of the endpoints controller was interrupted; it is taken up again");
        }
        futures::future::ready(event.ok().map(wrap))
    });
    seen.boxed()
}

/// What is known, and what there is to do.
struct State {
    view: View,
    /// Kinds whose first list is not complete: until then nothing is written, for too much would seem to be missing.
    listing: HashSet<&'static str>,
    /// Objects of a list under way, by kind.
    listed: HashMap<&'static str, HashSet<Name>>,
    /// Services to look at.
    changed: BTreeSet<Name>,
    /// Those of them that could not be written, and wait.
    retries: Retries,
}

impl Default for State {
    fn default() -> Self {
        Self {
            view: View::default(),
            listing: ["services", "pods", "slices", "endpoints"].into(),
            listed: HashMap::new(),
            changed: BTreeSet::new(),
            retries: Retries::default(),
        }
    }
}

impl State {
    /// Takes the services to look at now.
    fn take_ready(&mut self, now: Instant) -> BTreeSet<Name> {
        let all = std::mem::take(&mut self.changed);
        let (waiting, ready) = all.into_iter().partition(|name| self.retries.waits(name, now));
        self.changed = waiting;
        ready
    }

    fn looked_at(&mut self, name: Name, outcome: Result<(), Error>) {
        let Err(error) = outcome else { return self.retries.succeeded(&name) };
        let delay = self.retries.failed(&name, Instant::now());
        tracing::warn!(%error, namespace = name.0, service = name.1, ?delay, "endpoints could not be written; it is tried again");
        self.changed.insert(name);
    }

    fn see(&mut self, seen: Seen) {
        match seen {
            Seen::Service(event) => {
                self.take("services", *event, Self::service, Self::no_service, |view| view.services.keys().cloned().collect())
            }
            Seen::Slice(event) => self.take("slices", event, Self::slice, Self::no_slice, |view| view.slices.keys().cloned().collect()),
            Seen::Endpoints(event) => {
                self.take("endpoints", event, Self::endpoints, Self::no_endpoints, |view| view.endpoints.keys().cloned().collect());
            }
            Seen::Pod(event) => self.take("pods", event, Self::pod, Self::no_pod, |view| {
                let all = view.pods.iter();
                all.flat_map(|(namespace, pods)| pods.keys().map(|name| (namespace.clone(), name.clone()))).collect()
            }),
        }
    }

    fn take<K: ResourceExt>(
        &mut self,
        kind: &'static str,
        event: Event<K>,
        applied: fn(&mut Self, Name, K),
        gone: fn(&mut Self, &Name),
        known: fn(&View) -> Vec<Name>,
    ) {
        match event {
            Event::Init => drop(self.listed.insert(kind, HashSet::new())),
            Event::InitApply(object) => {
                let name = name_of(&object);
                self.listed.entry(kind).or_default().insert(name.clone());
                applied(self, name, object);
            }
            Event::InitDone => {
                let listed = self.listed.remove(kind).unwrap_or_default();
                for name in known(&self.view).into_iter().filter(|name| !listed.contains(name)) {
                    gone(self, &name);
                }
                self.listing.remove(kind);
            }
            Event::Apply(object) => applied(self, name_of(&object), object),
            Event::Delete(object) => gone(self, &name_of(&object)),
        }
    }

    fn service(&mut self, name: Name, service: Service) {
        self.view.services.insert(name.clone(), service);
        self.changed.insert(name);
    }

    fn no_service(&mut self, name: &Name) {
        self.view.services.remove(name);
        self.changed.insert(name.clone());
    }

    fn slice(&mut self, name: Name, slice: EndpointSlice) {
        let service = service_of(&slice);
        let before = self.view.slices.insert(name, slice);
        self.changed.extend(before.as_ref().and_then(service_of));
        self.changed.extend(service);
    }

    fn no_slice(&mut self, name: &Name) {
        let before = self.view.slices.remove(name);
        self.changed.extend(before.as_ref().and_then(service_of));
    }

    fn endpoints(&mut self, name: Name, endpoints: Endpoints) {
        self.view.endpoints.insert(name.clone(), endpoints);
        self.changed.insert(name);
    }

    fn no_endpoints(&mut self, name: &Name) {
        self.view.endpoints.remove(name);
        self.changed.insert(name.clone());
    }

    fn pod(&mut self, name: Name, pod: DynamicObject) {
        let facts = PodFacts::of(&pod);
        let of_namespace = self.view.pods.entry(name.0.clone()).or_default();
        let before = of_namespace.insert(name.1, facts.clone());
        if before.as_ref() != Some(&facts) {
            self.note_selecting(&name.0, before.into_iter().chain([facts]));
        }
    }

    fn no_pod(&mut self, name: &Name) {
        let before = self.view.pods.get_mut(&name.0).and_then(|pods| pods.remove(&name.1));
        if self.view.pods.get(&name.0).is_some_and(HashMap::is_empty) {
            self.view.pods.remove(&name.0);
        }
        self.note_selecting(&name.0, before);
    }

    /// Services that select one of these pods are to be looked at.
    fn note_selecting(&mut self, namespace: &str, pods: impl IntoIterator<Item = PodFacts>) {
        let pods: Vec<PodFacts> = pods.into_iter().collect();
        let selecting = self.view.services.iter().filter(|((other, _), service)| {
            other == namespace && pods.iter().any(|pod| plan::selector(service).is_some_and(|selector| pod.is_selected_by(selector)))
        });
        self.changed.extend(selecting.map(|(name, _)| name.clone()));
    }
}
