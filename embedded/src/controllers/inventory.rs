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
        let mut watches: HashMap<Arc<Kind>, CancellationToken> = HashMap::new();
        let mut tasks = JoinSet::new();
        let mut delay = Duration::from_millis(100);
        loop {
            match discover(&self.client).await {
                Ok(kinds) => {
                    delay = Duration::from_millis(100);
                    let kinds: Vec<Arc<Kind>> = kinds.into_iter().map(Arc::new).collect();
                    watches.retain(|kind, stop| {
                        let stays = kinds.contains(kind);
                        if !stays {
                            stop.cancel();
                        }
                        stays
                    });
                    for kind in kinds.iter().filter(|kind| kind.can("list") && kind.can("watch") && !kind.is_event()) {
                        if !watches.contains_key(kind) {
                            let stop = shutdown.child_token();
                            watches.insert(Arc::clone(kind), stop.clone());
                            tasks.spawn(self.one(Arc::clone(kind), stop, Arc::clone(&definitions_changed)).run());
                        }
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

    fn one(&self, kind: Arc<Kind>, stop: CancellationToken, definitions_changed: Arc<Notify>) -> KindWatch {
        KindWatch {
            client: self.client.clone(),
            kind,
            changes: self.changes.clone(),
            removals: self.removals.clone(),
            definitions_changed,
            present: HashMap::new(),
            stop,
        }
    }
}

struct KindWatch {
    client: Client,
    kind: Arc<Kind>,
    changes: mpsc::Sender<Change>,
    removals: broadcast::Sender<String>,
    definitions_changed: Arc<Notify>,
    /// Uid to namespace.
    present: HashMap<String, String>,
    stop: CancellationToken,
}

impl KindWatch {
    async fn run(mut self) {
        let api: Api<PartialObjectMeta<DynamicObject>> = Api::all_with(self.client.clone(), &self.kind.resource());
        let mut stream = watcher::watcher(api, watcher::Config::default()).default_backoff().boxed();
        let mut listed = HashSet::new();
        loop {
            let event = tokio::select! {
                () = self.stop.cancelled() => break,
                event = stream.next() => event,
            };
            match event {
                Some(Ok(Event::Init)) => listed.clear(),
                Some(Ok(Event::InitApply(object))) => {
                    listed.extend(object.uid());
                    self.applied(&object).await;
                }
                Some(Ok(Event::InitDone)) => {
                    let missed: Vec<String> = self.present.keys().filter(|uid| !listed.contains(*uid)).cloned().collect();
                    for uid in missed {
                        self.removed(uid).await;
                    }
                }
                Some(Ok(Event::Apply(object))) => self.applied(&object).await,
                Some(Ok(Event::Delete(object))) => self.removed(object.uid().unwrap_or_default()).await,
                Some(Err(error)) => tracing::debug!(%error, kind = %self.kind.title(), "a watch was interrupted; it is taken up again"),
                None => break,
            }
            if self.kind.plural == "customresourcedefinitions" {
                self.definitions_changed.notify_one();
            }
        }
        // A kind that went took its objects along. At shutdown nobody listens any more.
        for uid in self.present.keys().cloned().collect::<Vec<_>>() {
            self.removed(uid).await;
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
