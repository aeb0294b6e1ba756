//! Who has which rules where: computed from all roles and bindings, and kept until one of them changes.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use serde_json::Value;

use super::rule::Rule;
use super::selector::selects;
use crate::store::{Object, Store};
use crate::user::User;

/// Storages of the four kinds.
pub(super) const CLUSTER_ROLES: &str = "rbac.authorization.k8s.io/clusterroles";
pub(super) const ROLES: &str = "rbac.authorization.k8s.io/roles";
pub(super) const CLUSTER_ROLE_BINDINGS: &str = "rbac.authorization.k8s.io/clusterrolebindings";
pub(super) const ROLE_BINDINGS: &str = "rbac.authorization.k8s.io/rolebindings";
/// All of them.
pub(super) const STORAGES: [&str; 4] = [CLUSTER_ROLES, ROLES, CLUSTER_ROLE_BINDINGS, ROLE_BINDINGS];

/// Whom a binding names.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Subject {
    User(String),
    Group(String),
}

/// What one binding gives its subjects.
#[derive(Debug)]
pub(super) struct Grant {
    /// Where it holds; `None` is everywhere.
    namespace: Option<String>,
    /// `Err` names a role that does not exist.
    pub rules: Result<Arc<Vec<Rule>>, String>,
    /// For the audit trail: `ClusterRoleBinding "x" of ClusterRole "y"`.
    pub source: String,
    /// Whom it names, each as the audit trail has it.
    subjects: Vec<(Subject, String)>,
}

impl Grant {
    /// As which of its subjects the binding names a user: `User "ann"`.
    pub(super) fn subject(&self, user: &User) -> &str {
        let means = |subject: &Subject| match subject {
            Subject::User(name) => *name == user.name,
            Subject::Group(name) => user.is_in(name),
        };
        self.subjects.iter().find(|(subject, _)| means(subject)).map_or("", |(_, text)| text)
    }

    /// Whether the binding has a say in a namespace (empty: cluster-wide and paths).
    pub(super) fn holds_in(&self, namespace: &str) -> bool {
        self.namespace.as_deref().is_none_or(|own| !namespace.is_empty() && own == namespace)
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Index {
    grants: Vec<Grant>,
    subjects: HashMap<Subject, Vec<usize>>,
}

impl Index {
    pub(super) fn build(store: &Store) -> Self {
        let roles = Roles::read(store);
        let mut index = Self::default();
        for storage in [CLUSTER_ROLE_BINDINGS, ROLE_BINDINGS] {
            for binding in store.list(storage, None, None, None).objects {
                index.add(&binding, &roles);
            }
        }
        index
    }

    fn add(&mut self, binding: &Object, roles: &Roles) {
        let value = binding.value();
        let (kind, name) = (text(&value["roleRef"]["kind"]), text(&value["roleRef"]["name"]));
        let namespace = Some(binding.key.namespace.clone()).filter(|namespace| !namespace.is_empty());
        // A cluster-wide binding can only name a cluster role.
        let role_namespace = namespace.as_deref().filter(|_| kind == "Role").unwrap_or_default();
        let rules = roles
            .rules(role_namespace, name)
            .ok_or_else(|| format!("{}.rbac.authorization.k8s.io {name:?} not found", kind.to_lowercase()));
        let bound = if namespace.is_some() { "RoleBinding" } else { "ClusterRoleBinding" };
        let source = format!("{bound} {:?} of {kind} {name:?}", qualified(binding));
        let at = self.grants.len();
        for subject in value["subjects"].as_array().into_iter().flatten().filter_map(|subject| subject_of(subject, binding)) {
            self.subjects.entry(subject).or_default().push(at);
        }
        let named = value["subjects"].as_array().into_iter().flatten();
        let subjects = named.filter_map(|subject| Some((subject_of(subject, binding)?, described(subject, binding)))).collect();
        self.grants.push(Grant { namespace, rules, source, subjects });
    }

    /// What a user has, by name and by groups, each binding once.
    pub(super) fn grants(&self, user: &User) -> impl Iterator<Item = &Grant> {
        let own = std::iter::once(Subject::User(user.name.clone())).chain(user.groups.iter().cloned().map(Subject::Group));
        let places: BTreeSet<usize> = own.filter_map(|subject| self.subjects.get(&subject)).flatten().copied().collect();
        places.into_iter().map(|at| &self.grants[at])
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn qualified(object: &Object) -> String {
    if object.key.namespace.is_empty() { object.key.name.clone() } else { format!("{}/{}", object.key.name, object.key.namespace) }
}

fn subject_of(subject: &Value, binding: &Object) -> Option<Subject> {
    let name = text(&subject["name"]);
    match subject["kind"].as_str()? {
        "User" => Some(Subject::User(name.to_owned())),
        "Group" => Some(Subject::Group(name.to_owned())),
        "ServiceAccount" => {
            let namespace = Some(text(&subject["namespace"])).filter(|namespace| !namespace.is_empty()).unwrap_or(&binding.key.namespace);
            Some(Subject::User(format!("system:serviceaccount:{namespace}:{name}")))
        }
        _ => None,
    }
}

/// `User "ann"`, `ServiceAccount "builder/default"`.
fn described(subject: &Value, binding: &Object) -> String {
    let (kind, name) = (text(&subject["kind"]), text(&subject["name"]));
    if kind != "ServiceAccount" {
        return format!("{kind} {name:?}");
    }
    let namespace = Some(text(&subject["namespace"])).filter(|namespace| !namespace.is_empty()).unwrap_or(&binding.key.namespace);
    format!("{kind} {:?}", format!("{name}/{namespace}"))
}

/// The rules of one role at this moment; of a cluster role where the namespace is empty. `None` if there is no such role.
pub(super) fn role_rules(store: &Store, namespace: &str, name: &str) -> Option<Arc<Vec<Rule>>> {
    Roles::read(store).rules(namespace, name)
}

/// All roles with their rules.
struct Roles(BTreeMap<(String, String), Arc<Vec<Rule>>>);

impl Roles {
    fn read(store: &Store) -> Self {
        let cluster = store.list(CLUSTER_ROLES, None, None, None).objects;
        let parsed: Vec<(Arc<Object>, Value)> = cluster.into_iter().map(|role| (Arc::clone(&role), role.value())).collect();
        let mut roles = BTreeMap::new();
        for (at, (role, _)) in parsed.iter().enumerate() {
            roles.insert((String::new(), role.key.name.clone()), Arc::new(gather(&parsed, at)));
        }
        for role in store.list(ROLES, None, None, None).objects {
            roles.insert((role.key.namespace.clone(), role.key.name.clone()), Arc::new(Rule::parse_all(&role.value())));
        }
        Self(roles)
    }

    fn rules(&self, namespace: &str, name: &str) -> Option<Arc<Vec<Rule>>> {
        self.0.get(&(namespace.to_owned(), name.to_owned())).cloned()
    }
}

/// Rules of a cluster role. An aggregated one has those of all roles it selects, which may be aggregated themselves; what its own `rules`
/// say is overwritten by a controller on a real server and so does not count.
fn gather(roles: &[(Arc<Object>, Value)], at: usize) -> Vec<Rule> {
    let mut seen = BTreeSet::from([at]);
    let mut waiting = vec![at];
    let mut rules = Vec::new();
    while let Some(at) = waiting.pop() {
        let (_, role) = &roles[at];
        let Some(selectors) = role["aggregationRule"]["clusterRoleSelectors"].as_array() else {
            rules.extend(Rule::parse_all(role));
            continue;
        };
        for (other, (object, _)) in roles.iter().enumerate() {
            if selectors.iter().any(|selector| selects(selector, object)) && seen.insert(other) {
                waiting.push(other);
            }
        }
    }
    rules
}
