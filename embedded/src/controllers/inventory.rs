//! Watches the metadata of every object of every kind.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use kube::api::{Api, DynamicObject, PartialObjectMeta};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event};
use kube::{Client, ResourceExt};
use tokio::sync::{Notify, broadcast, mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::kinds::{Kind, discover};

/// What garbage collection needs to know of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Its kind.
    pub kind: Arc<Kind>,
    /// Empty for cluster-scoped kinds.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Uid.
    pub uid: String,
    /// Its owners.
    pub owners: Vec<Owner>,
    /// It is being deleted.
    pub deleting: bool,
    /// It waits for its dependents to go first.
    pub foreground: bool,
    /// Its dependents are to be left alone.
    pub orphan: bool,
}

/// One owner reference.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Owner {
    /// `group/version` or `v1`.
    pub api_version: String,
    /// Kind.
    pub kind: String,
    /// Name.
    pub name: String,
    /// Uid.
    pub uid: String,
    /// Foreground deletion of the owner waits for this dependent.
    pub blocks: bool,
}

/// What happened to an object.
#[derive(Debug)]
pub enum Change {
    /// It is there, like this.
    Applied(Item),
    /// It is gone.
    Removed(String),
}

/// Finalizer of foreground deletion.
pub const FOREGROUND: &str = "foregroundDeletion";
/// Finalizer of orphaning deletion.
pub const ORPHAN: &str = "orphan";

impl Item {
    /// Takes what matters from an object's metadata.
    pub fn of(kind: &Arc<Kind>, object: &PartialObjectMeta<DynamicObject>) -> Self {
        let finalizer = |name: &str| object.finalizers().iter().any(|other| other == name);
        let owners = object.owner_references().iter().map(|owner| Owner {
            api_version: owner.api_version.clone(),
            kind: owner.kind.clone(),
            name: owner.name.clone(),
            uid: owner.uid.clone(),
            blocks: owner.block_owner_deletion == Some(true),
        });
        Self {
            kind: Arc::clone(kind),
            namespace: object.namespace().unwrap_or_default(),
            name: object.name_any(),
            uid: object.uid().unwrap_or_default(),
            owners: owners.collect(),
            deleting: object.metadata.deletion_timestamp.is_some(),
            foreground: finalizer(FOREGROUND),
            orphan: finalizer(ORPHAN),
        }
    }
}

/// The watches, and where their findings go.
pub struct Inventory {
    /// The cluster.
    pub client: Client,
    /// To the garbage collector; closed when there is none.
    pub changes: mpsc::Sender<Change>,
    /// Namespaces in which something went.
    pub removals: broadcast::Sender<String>,
    /// The kinds there are now.
    pub kinds: watch::Sender<Arc<Vec<Arc<Kind>>>>,
}

impl Inventory {
    /// Watches until shutdown.
    pub async fn run(self, shutdown: CancellationToken) {
        let definitions_changed = Arc::new(Notify::new());
        // By group and plural: the version may change while the objects stay the same.
        let mut watches: HashMap<(String, String), watch::Sender<Option<Arc<Kind>>>> = HashMap::new();
        let mut tasks = JoinSet::new();
        let mut delay = Duration::from_millis(100);
        loop {
            match discover(&self.client).await {
                Ok(kinds) => {
                    delay = Duration::from_millis(100);
                    let kinds: Vec<Arc<Kind>> = kinds.into_iter().map(Arc::new).collect();
                    watches.retain(|place, served| {
                        let now = kinds.iter().find(|kind| (&kind.group, &kind.plural) == (&place.0, &place.1));
                        if served.borrow().as_ref() != now {
                            served.send_replace(now.cloned());
                        }
                        now.is_some()
                    });
                    for kind in kinds.iter().filter(|kind| kind.can("list") && kind.can("watch") && !kind.is_event()) {
                        watches.entry((kind.group.clone(), kind.plural.clone())).or_insert_with(|| {
                            let (served, watched) = watch::channel(Some(Arc::clone(kind)));
                            tasks.spawn(self.one(kind, watched, &shutdown, &definitions_changed).run());
                            served
                        });
                    }
                    self.kinds.send_replace(Arc::new(kinds));
                }
                Err(error) => {
                    tracing::warn!(%error, "the kinds of the API server could not be listed; it is tried again");
                    delay = (delay * 2).min(Duration::from_secs(30));
                    definitions_changed.notify_one();
                    tokio::time::sleep(delay).await;
                }
            }
            tokio::select! {
                () = shutdown.cancelled() => break,
                () = definitions_changed.notified() => {}
            }
            while tasks.try_join_next().is_some() {}
        }
        while tasks.join_next().await.is_some() {}
    }

    fn one(
        &self,
        kind: &Arc<Kind>,
        served: watch::Receiver<Option<Arc<Kind>>>,
        shutdown: &CancellationToken,
        definitions_changed: &Arc<Notify>,
    ) -> KindWatch {
        KindWatch {
            client: self.client.clone(),
            kind: Arc::clone(kind),
            served,
            changes: self.changes.clone(),
            removals: self.removals.clone(),
            definitions_changed: Arc::clone(definitions_changed),
            present: HashMap::new(),
            shutdown: shutdown.clone(),
        }
    }
}

struct KindWatch {
    client: Client,
    /// As it is watched.
    kind: Arc<Kind>,
    /// As it is served: nothing when it went with its definition. Closed at shutdown.
    served: watch::Receiver<Option<Arc<Kind>>>,
    changes: mpsc::Sender<Change>,
    removals: broadcast::Sender<String>,
    definitions_changed: Arc<Notify>,
    /// Uid to namespace.
    present: HashMap<String, String>,
    shutdown: CancellationToken,
}

impl KindWatch {
    async fn run(mut self) {
        loop {
            let Some(kind) = self.served.borrow_and_update().clone() else { break };
            // Another version shows the same objects: what was there is kept, and compared with the new list.
            self.kind = kind;
            if !self.watch().await {
                // At shutdown nothing has gone.
                return;
            }
        }
        // A kind that is served no more took its objects along, as far as anyone can see.
        for uid in self.present.keys().cloned().collect::<Vec<_>>() {
            self.removed(uid).await;
        }
    }

    /// Watches until the kind is served otherwise; `false` at shutdown.
    async fn watch(&mut self) -> bool {
        let api: Api<PartialObjectMeta<DynamicObject>> = Api::all_with(self.client.clone(), &self.kind.resource());
        let mut stream = watcher::watcher(api, watcher::Config::default()).default_backoff().boxed();
        let mut listed = HashSet::new();
        loop {
            let event = tokio::select! {
                () = self.shutdown.cancelled() => return false,
                changed = self.served.changed() => return changed.is_ok(),
                Some(event) = stream.next() => event,
            };
            match event {
                Ok(Event::Init) => listed.clear(),
                Ok(Event::InitApply(object)) => {
                    listed.extend(object.uid());
                    self.applied(&object).await;
                }
                Ok(Event::InitDone) => {
                    let missed: Vec<String> = self.present.keys().filter(|uid| !listed.contains(*uid)).cloned().collect();
                    for uid in missed {
                        self.removed(uid).await;
                    }
                }
                Ok(Event::Apply(object)) => self.applied(&object).await,
                Ok(Event::Delete(object)) => self.removed(object.uid().unwrap_or_default()).await,
                Err(error) => tracing::debug!(%error, kind = %self.kind.title(), "a watch was interrupted; it is taken up again"),
            }
            if self.kind.plural == "customresourcedefinitions" {
                self.definitions_changed.notify_one();
            }
        }
    }

    async fn applied(&mut self, object: &PartialObjectMeta<DynamicObject>) {
        let item = Item::of(&self.kind, object);
        self.present.insert(item.uid.clone(), item.namespace.clone());
        // Closed: there is no garbage collector.
        let _ = self.changes.send(Change::Applied(item)).await;
    }

    async fn removed(&mut self, uid: String) {
        if let Some(namespace) = self.present.remove(&uid).filter(|namespace| !namespace.is_empty()) {
            // Nobody waits for a namespace to become empty.
            let _ = self.removals.send(namespace);
        }
        let _ = self.changes.send(Change::Removed(uid)).await;
    }
}
