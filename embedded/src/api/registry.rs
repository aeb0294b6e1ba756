//! The kinds that are served at this moment: the built-in ones and those CustomResourceDefinitions brought.

use std::collections::BTreeMap;
use std::sync::{Arc, RwLock};

use tokio::sync::watch;

use crate::resource::Resource;

/// Kinds by group, version and plural.
pub(super) struct Registry {
    shared: RwLock<Arc<Kinds>>,
    /// Rings whenever the kinds change.
    bell: watch::Sender<()>,
}

/// One state of the registry, shared by reference: a request sees the same kinds from its start to its end.
#[derive(Default, Clone)]
pub(super) struct Kinds {
    by_path: BTreeMap<(String, String, String), Arc<Resource>>,
    /// Which definition brought a kind, and in which state of it: goes into the hash clients cache OpenAPI documents under.
    origins: BTreeMap<(String, String, String), String>,
}

impl Registry {
    pub fn new(built_in: Vec<Arc<Resource>>) -> Self {
        let mut kinds = Kinds::default();
        for resource in built_in {
            kinds.by_path.insert(path_of(&resource), resource);
        }
        Self { shared: RwLock::new(Arc::new(kinds)), bell: watch::Sender::new(()) }
    }

    pub fn kinds(&self) -> Arc<Kinds> {
        match self.shared.read() {
            Ok(kinds) => kinds.clone(),
            // The lock only ever guards one assignment: what it holds is whole even if that thread died.
            Err(poisoned) => poisoned.into_inner().clone(),
        }
    }

    /// Replaces what the definition of `group` and `plural` brought by `resources`; none takes the kind away.
    pub fn replace(&self, group: &str, plural: &str, origin: &str, resources: Vec<Resource>) {
        let mut guard = match self.shared.write() {
            Ok(guard) => guard,
            Err(poisoned) => poisoned.into_inner(),
        };
        let mut kinds = Kinds::clone(&guard);
        kinds.by_path.retain(|(g, _, p), resource| !(resource.custom && g == group && p == plural));
        kinds.origins.retain(|(g, _, p), _| !(g == group && p == plural));
        for resource in resources {
            let path = path_of(&resource);
            kinds.origins.insert(path.clone(), origin.to_owned());
            kinds.by_path.insert(path, Arc::new(resource));
        }
        *guard = Arc::new(kinds);
        drop(guard);
        self.bell.send_replace(());
    }

    /// Returns once a kind is no longer served.
    pub async fn until_gone(&self, resource: &Resource) {
        let mut bell = self.bell.subscribe();
        while self.kinds().get(&resource.group, &resource.version, &resource.plural).is_some() {
            if bell.changed().await.is_err() {
                return;
            }
        }
    }
}

fn path_of(resource: &Resource) -> (String, String, String) {
    (resource.group.clone(), resource.version.clone(), resource.plural.clone())
}

impl Kinds {
    pub fn get(&self, group: &str, version: &str, plural: &str) -> Option<&Arc<Resource>> {
        self.by_path.get(&(group.to_owned(), version.to_owned(), plural.to_owned()))
    }

    /// All kinds of one group and version.
    pub fn of<'a>(&'a self, group: &'a str, version: &'a str) -> impl Iterator<Item = &'a Arc<Resource>> + 'a {
        self.by_path.values().filter(move |resource| resource.group == group && resource.version == version)
    }

    /// All kinds.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Resource>> {
        self.by_path.values()
    }

    /// Any version of a kind, to find where its objects are stored.
    pub fn by_kind(&self, group: &str, kind: &str) -> Option<&Arc<Resource>> {
        self.by_path.values().find(|resource| resource.group == group && resource.kind == kind)
    }

    /// Groups with their versions, the most stable version first; the core group is named by the empty string.
    pub fn groups(&self) -> BTreeMap<String, Vec<String>> {
        let mut groups: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for resource in self.by_path.values() {
            let versions = groups.entry(resource.group.clone()).or_default();
            if !versions.contains(&resource.version) {
                versions.push(resource.version.clone());
            }
        }
        for versions in groups.values_mut() {
            versions.sort_by_key(|version| std::cmp::Reverse(stability(version)));
        }
        groups
    }

    /// States of the definitions behind a group and version.
    pub fn origins<'a>(&'a self, group: &'a str, version: &'a str) -> impl Iterator<Item = &'a str> + 'a {
        self.origins.iter().filter(move |((g, v, _), _)| g == group && v == version).map(|(_, origin)| origin.as_str())
    }
}

/// Orders versions as Kubernetes does: `v2` > `v1` > `v1beta2` > `v1beta1` > `v1alpha1` > anything else.
fn stability(version: &str) -> (u8, u64, u64, std::cmp::Reverse<String>) {
    let name = std::cmp::Reverse(version.to_owned());
    let unknown = (0, 0, 0, name.clone());
    let Some(rest) = version.strip_prefix('v') else { return unknown };
    let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let Ok(major) = rest[..digits].parse() else { return unknown };
    let suffix = &rest[digits..];
    let minor = |text: &str| text.parse().unwrap_or(0);
    match (suffix.strip_prefix("beta"), suffix.strip_prefix("alpha")) {
        _ if suffix.is_empty() => (3, major, 0, name),
        (Some(beta), _) => (2, major, minor(beta), name),
        (_, Some(alpha)) => (1, major, minor(alpha), name),
        _ => unknown,
    }
}
