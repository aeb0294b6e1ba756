//! The garbage collector.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, PartialObjectMeta, Patch, PatchParams, Preconditions, PropagationPolicy};
use kube::{Client, Error, ResourceExt};
use serde_json::json;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::delays::doubled;
use super::graph::{Graph, Known};
use super::inventory::{Change, FOREGROUND, Item, ORPHAN, Owner};
use super::judgement::{Policy, Verdict, judge};
use super::kinds::Kind;

/// Objects worked on at the same time.
const AT_ONCE: usize = 16;
/// Before an object is tried again for the first time; doubled for each time after.
const FIRST_DELAY: Duration = Duration::from_millis(20);
/// Never longer than this.
const LONGEST_DELAY: Duration = Duration::from_secs(30);

struct Collector {
    client: Client,
    kinds: watch::Receiver<Arc<Vec<Arc<Kind>>>>,
    graph: Graph,
    queue: VecDeque<String>,
    queued: HashSet<String>,
    working: HashSet<String>,
    /// Looked at again when the work on them is through.
    again: HashSet<String>,
    failures: HashMap<String, u32>,
}

/// What came of working on an object.
struct Outcome {
    uid: String,
    /// Owners that turned out not to exist.
    gone: Vec<String>,
    result: Result<Then, String>,
}

enum Then {
    Done,
    /// These are to be looked at.
    Look(Vec<String>),
}

/// Everything about an object that its treatment needs.
struct Case {
    item: Item,
    owners: Vec<(Owner, Known)>,
    dependents: Vec<Item>,
}

/// Collects until shutdown.
pub async fn run(
    client: Client,
    mut changes: mpsc::Receiver<Change>,
    kinds: watch::Receiver<Arc<Vec<Arc<Kind>>>>,
    shutdown: CancellationToken,
) {
    let mut collector = Collector {
        client,
        kinds,
        graph: Graph::default(),
        queue: VecDeque::new(),
        queued: HashSet::new(),
        working: HashSet::new(),
        again: HashSet::new(),
        failures: HashMap::new(),
    };
    let mut work: FuturesUnordered<BoxFuture<'static, Outcome>> = FuturesUnordered::new();
    let mut delays: FuturesUnordered<BoxFuture<'static, String>> = FuturesUnordered::new();
    loop {
        while work.len() < AT_ONCE
            && let Some(case) = collector.next_case()
        {
            work.push(Box::pin(treat(collector.client.clone(), collector.kinds.clone(), case)));
        }
        tokio::select! {
            // First of all: nothing that shutdown brings about may be acted upon.
            biased;
            () = shutdown.cancelled() => return,
            change = changes.recv() => match change {
                Some(Change::Applied(item)) => { let look = collector.graph.apply(item); collector.enqueue(look); }
                Some(Change::Removed(uid)) => { let look = collector.graph.remove(&uid); collector.enqueue(look); }
                None => return,
            },
            Some(outcome) = work.next() => if let Some((uid, delay)) = collector.finished(outcome) {
                delays.push(Box::pin(async move { tokio::time::sleep(delay).await; uid }));
            },
            Some(uid) = delays.next() => collector.enqueue([uid]),
        }
    }
}

impl Collector {
    fn enqueue(&mut self, uids: impl IntoIterator<Item = String>) {
        for uid in uids {
            if self.working.contains(&uid) {
                self.again.insert(uid);
            } else if self.queued.insert(uid.clone()) {
                self.queue.push_back(uid);
            }
        }
    }

    fn next_case(&mut self) -> Option<Case> {
        while let Some(uid) = self.queue.pop_front() {
            self.queued.remove(&uid);
            let Some(item) = self.graph.get(&uid).cloned() else {
                self.failures.remove(&uid);
                continue;
            };
            let owners: Vec<(Owner, Known)> = item.owners.iter().map(|owner| (owner.clone(), self.graph.owner(&item, owner))).collect();
            let dependents = self.graph.dependents(&uid);
            // Most objects have an owner that is there: nothing needs to be asked.
            if judge(&item, &owners, &dependents) == Verdict::Keep && owners.iter().all(|(_, known)| *known != Known::Unknown) {
                continue;
            }
            self.working.insert(uid);
            return Some(Case { item, owners, dependents });
        }
        None
    }

    /// Returns what is to be tried again, and when.
    fn finished(&mut self, outcome: Outcome) -> Option<(String, Duration)> {
        let uid = outcome.uid;
        self.working.remove(&uid);
        outcome.gone.iter().for_each(|uid| self.graph.mark_gone(uid));
        let again = self.again.remove(&uid);
        match outcome.result {
            Ok(then) => {
                self.failures.remove(&uid);
                if let Then::Look(uids) = then {
                    self.enqueue(uids);
                }
                if again {
                    self.enqueue([uid]);
                }
                None
            }
            Err(error) => {
                let failures = self.failures.entry(uid.clone()).or_default();
                let delay = doubled(FIRST_DELAY, *failures, LONGEST_DELAY);
                *failures = failures.saturating_add(1);
                tracing::debug!(%error, uid, ?delay, "garbage collection of an object is tried again");
                Some((uid, delay))
            }
        }
    }
}

async fn treat(client: Client, kinds: watch::Receiver<Arc<Vec<Arc<Kind>>>>, mut case: Case) -> Outcome {
    let uid = case.item.uid.clone();
    let mut gone = Vec::new();
    let kinds = Arc::clone(&kinds.borrow());
    // What is known may be old or wrong: before anything is taken from the object, every owner is asked for again.
    let certain = judge(&case.item, &case.owners, &case.dependents) == Verdict::Keep;
    for (owner, known) in case.owners.iter_mut().filter(|(_, known)| *known == Known::Unknown || !certain) {
        match ask(&client, &kinds, &case.item, owner, *known).await {
            Ok(found) => {
                // In another namespace it is absent for this object only: nothing is remembered then.
                if found == Known::Gone && !case.item.kind.namespaced {
                    gone.push(owner.uid.clone());
                }
                *known = found;
            }
            Err(error) => return Outcome { uid, gone, result: Err(error) },
        }
    }
    let result = execute(&client, &case).await;
    Outcome { uid, gone, result }
}

/// Looks an owner up by its name. Another uid under it means that the owner is gone.
async fn ask(client: &Client, kinds: &[Arc<Kind>], item: &Item, owner: &Owner, known: Known) -> Result<Known, String> {
    let group = owner.api_version.split_once('/').map_or("", |(group, _)| group);
    let kind = kinds.iter().find(|kind| kind.group == group && kind.kind == owner.kind);
    let Some(kind) = kind else {
        // One that was seen to go, and its kind with it.
        if known == Known::Gone && !is_defined(client, group, &owner.kind).await? {
            return Ok(Known::Gone);
        }
        return Err(format!("there is no kind {} in {}", owner.kind, owner.api_version));
    };
    if kind.namespaced && !item.kind.namespaced {
        return Ok(Known::Impossible);
    }
    let namespace = if kind.namespaced { item.namespace.as_str() } else { "" };
    match api(client, kind, namespace).get_metadata_opt(&owner.name).await {
        Ok(Some(found)) if found.uid().as_ref() == Some(&owner.uid) => {
            let found = Item::of(kind, &found);
            Ok(Known::Present { waits: found.deleting && found.foreground })
        }
        Ok(_) => Ok(Known::Gone),
        Err(error) => Err(error.to_string()),
    }
}

/// Whether a definition names the kind. One that is not served at the moment keeps its objects.
async fn is_defined(client: &Client, group: &str, kind: &str) -> Result<bool, String> {
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    let all = definitions.list(&ListParams::default()).await.map_err(|error| error.to_string())?;
    Ok(all.items.iter().any(|definition| definition.spec.group == group && definition.spec.names.kind == kind))
}

/// Does what the verdict says, on the object as it is now.
async fn execute(client: &Client, case: &Case) -> Result<Then, String> {
    let api = api(client, &case.item.kind, &case.item.namespace);
    let live = match api.get_metadata_opt(&case.item.name).await.map_err(|error| error.to_string())? {
        Some(live) if live.uid().as_ref() == Some(&case.item.uid) => live,
        _ => return Ok(Then::Done),
    };
    let now = Item::of(&case.item.kind, &live);
    if now.owners != case.item.owners || now.deleting != case.item.deleting {
        // The watch brings the newer state.
        return Err("it has changed meanwhile".to_owned());
    }
    match judge(&now, &case.owners, &case.dependents) {
        Verdict::Keep => Ok(Then::Done),
        Verdict::Delete(policy) => delete(&api, &live, policy).await,
        Verdict::Disown(owners) => disown(&api, &live, &owners).await,
        Verdict::Release => remove_finalizer(&api, &live, FOREGROUND).await,
        Verdict::Await(dependents) => Ok(Then::Look(dependents)),
        Verdict::SetFree(_) => {
            for dependent in &case.dependents {
                let api = self::api(client, &dependent.kind, &dependent.namespace);
                let found = api.get_metadata_opt(&dependent.name).await.map_err(|error| error.to_string())?;
                if let Some(found) = found.filter(|found| found.uid().as_ref() == Some(&dependent.uid)) {
                    disown(&api, &found, std::slice::from_ref(&now.uid)).await?;
                }
            }
            remove_finalizer(&api, &live, ORPHAN).await
        }
    }
}

fn api(client: &Client, kind: &Kind, namespace: &str) -> Api<DynamicObject> {
    if kind.namespaced {
        Api::namespaced_with(client.clone(), namespace, &kind.resource())
    } else {
        Api::all_with(client.clone(), &kind.resource())
    }
}

/// Uid and version are preconditions: only the very object that was judged is deleted.
async fn delete(api: &Api<DynamicObject>, live: &PartialObjectMeta<DynamicObject>, policy: Policy) -> Result<Then, String> {
    let policy = match policy {
        Policy::Background => PropagationPolicy::Background,
        Policy::Foreground => PropagationPolicy::Foreground,
        Policy::Orphan => PropagationPolicy::Orphan,
    };
    let preconditions = Preconditions { uid: live.uid(), resource_version: live.resource_version() };
    let how = DeleteParams { propagation_policy: Some(policy), preconditions: Some(preconditions), ..DeleteParams::default() };
    through(api.delete(&live.name_any(), &how).await.map(drop))
}

async fn disown(api: &Api<DynamicObject>, live: &PartialObjectMeta<DynamicObject>, owners: &[String]) -> Result<Then, String> {
    let left: Vec<_> = live.owner_references().iter().filter(|owner| !owners.contains(&owner.uid)).collect();
    if left.len() == live.owner_references().len() {
        return Ok(Then::Done);
    }
    patch(api, live, json!({ "ownerReferences": left })).await
}

async fn remove_finalizer(api: &Api<DynamicObject>, live: &PartialObjectMeta<DynamicObject>, name: &str) -> Result<Then, String> {
    let left: Vec<&String> = live.finalizers().iter().filter(|other| *other != name).collect();
    patch(api, live, json!({ "finalizers": left })).await
}

async fn patch(api: &Api<DynamicObject>, live: &PartialObjectMeta<DynamicObject>, mut metadata: serde_json::Value) -> Result<Then, String> {
    metadata["uid"] = json!(live.uid());
    metadata["resourceVersion"] = json!(live.resource_version());
    let parameters = PatchParams { field_manager: Some("garbage-collector".to_owned()), ..PatchParams::default() };
    through(api.patch_metadata(&live.name_any(), &parameters, &Patch::Merge(json!({ "metadata": metadata }))).await.map(drop))
}

fn through(result: Result<(), Error>) -> Result<Then, String> {
    match result {
        Err(Error::Api(status)) if status.code == 404 => Ok(Then::Done),
        other => other.map(|()| Then::Done).map_err(|error| error.to_string()),
    }
}
