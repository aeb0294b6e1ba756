//! Who uses which id, and which systems a customer has. The oldest object has an id; the younger ones get a condition.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::hash::Hash;

use kube::ResourceExt as _;
use model::ids::{CustomerId, SystemKey};

/// Namespace and name.
pub type Place = (String, String);

/// Namespace and name of an object.
pub fn place<K: kube::Resource>(object: &K) -> Place {
    (object.namespace().unwrap_or_default(), object.name_any())
}

/// When an object was made, as text that sorts by time.
pub fn age<K: kube::Resource>(object: &K) -> String {
    object.creation_timestamp().map(|time| time.0.to_string()).unwrap_or_default()
}

/// Objects that claim ids.
#[derive(Debug)]
pub struct Claims<Id> {
    by_id: HashMap<Id, BTreeSet<(String, Place)>>,
    by_object: HashMap<Place, (Id, String)>,
}

impl<Id> Default for Claims<Id> {
    fn default() -> Self {
        Self { by_id: HashMap::new(), by_object: HashMap::new() }
    }
}

impl<Id: Eq + Hash + Clone> Claims<Id> {
    /// The object claims this id now, and no other any more. Returns the objects whose standing may have changed.
    pub fn claim(&mut self, object: &Place, id: &Id, age: &str) -> Vec<Place> {
        if self.by_object.get(object).is_some_and(|(old, old_age)| old == id && old_age == age) {
            return Vec::new();
        }
        let mut touched = self.release(object);
        let claims = self.by_id.entry(id.clone()).or_default();
        touched.extend(claims.iter().map(|(_, place)| place.clone()));
        claims.insert((age.to_owned(), object.clone()));
        self.by_object.insert(object.clone(), (id.clone(), age.to_owned()));
        touched
    }

    /// The object is gone. Returns the objects whose standing may have changed.
    pub fn release(&mut self, object: &Place) -> Vec<Place> {
        let Some((id, age)) = self.by_object.remove(object) else { return Vec::new() };
        let Some(claims) = self.by_id.get_mut(&id) else { return Vec::new() };
        claims.remove(&(age, object.clone()));
        let touched = claims.iter().map(|(_, place)| place.clone()).collect();
        if claims.is_empty() {
            self.by_id.remove(&id);
        }
        touched
    }

    /// Who has the id: the oldest that claims it; of two of one second the first by name.
    pub fn owner(&self, id: &Id) -> Option<&Place> {
        self.by_id.get(id)?.first().map(|(_, place)| place)
    }
}

/// Kinds that order an action on a system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ActionKind {
    /// `Backup`.
    Backup,
    /// `Restore`.
    Restore,
}

impl ActionKind {
    /// Every kind, for metrics.
    pub const ALL: [ActionKind; 2] = [Self::Backup, Self::Restore];

    /// Name of the kind.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Backup => "Backup",
            Self::Restore => "Restore",
        }
    }
}

/// All that is indexed.
#[derive(Debug, Default)]
pub struct Index {
    /// Ids of customers, in all namespaces.
    pub customers: Claims<CustomerId>,
    /// Display names of customers: namespace and name.
    pub names: Claims<(String, String)>,
    /// Ids of systems.
    pub systems: Claims<SystemKey>,
    systems_of: HashMap<Place, HashSet<Place>>,
    customer_of: HashMap<Place, Place>,
    actions_of: HashMap<Place, BTreeSet<Action>>,
    system_of: HashMap<Action, Place>,
}

/// An action: its kind, namespace and name.
pub type Action = (ActionKind, Place);

impl Index {
    /// The system belongs to this customer (which may not exist).
    pub fn belongs(&mut self, system: &Place, customer: &Place) {
        if self.customer_of.get(system) != Some(customer) {
            self.forget_system(system);
            self.customer_of.insert(system.clone(), customer.clone());
            self.systems_of.entry(customer.clone()).or_default().insert(system.clone());
        }
    }

    /// The system is gone.
    pub fn forget_system(&mut self, system: &Place) {
        if let Some(customer) = self.customer_of.remove(system)
            && let Some(systems) = self.systems_of.get_mut(&customer)
        {
            systems.remove(system);
            if systems.is_empty() {
                self.systems_of.remove(&customer);
            }
        }
    }

    /// The action names this system now, or is gone.
    pub fn set_action(&mut self, action: Action, system: Option<Place>) {
        let before = match &system {
            Some(system) => self.system_of.insert(action.clone(), system.clone()),
            None => self.system_of.remove(&action),
        };
        if before == system {
            return;
        }
        if let Some(before) = before
            && let Some(actions) = self.actions_of.get_mut(&before)
        {
            actions.remove(&action);
            if actions.is_empty() {
                self.actions_of.remove(&before);
            }
        }
        if let Some(system) = system {
            self.actions_of.entry(system).or_default().insert(action);
        }
    }

    /// Actions that name this system.
    pub fn actions_of(&self, system: &Place) -> Vec<Action> {
        self.actions_of.get(system).map(|actions| actions.iter().cloned().collect()).unwrap_or_default()
    }

    /// Systems that name this customer.
    pub fn systems_of(&self, customer: &Place) -> Vec<Place> {
        self.systems_of.get(customer).map(|systems| systems.iter().cloned().collect()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(name: &str) -> Place {
        ("n".to_owned(), name.to_owned())
    }

    #[test]
    fn the_oldest_has_the_id_and_the_next_inherits_it() {
        let mut claims = Claims::default();
        assert!(claims.claim(&at("young"), &"id", "2026-02").is_empty());
        assert_eq!(claims.claim(&at("old"), &"id", "2026-01"), [at("young")]);
        assert_eq!(claims.owner(&"id"), Some(&at("old")));
        assert!(claims.claim(&at("old"), &"id", "2026-01").is_empty(), "nothing changed");
        assert_eq!(claims.release(&at("old")), [at("young")]);
        assert_eq!(claims.owner(&"id"), Some(&at("young")));
        claims.claim(&at("young"), &"other", "2026-02");
        assert_eq!(claims.owner(&"id"), None);
    }

    #[test]
    fn an_object_made_anew_under_the_same_name_is_as_old_as_it_is() {
        let mut claims = Claims::default();
        claims.claim(&at("a"), &"id", "2026-01");
        claims.claim(&at("b"), &"id", "2026-02");
        claims.claim(&at("a"), &"id", "2026-03");
        assert_eq!(claims.owner(&"id"), Some(&at("b")));
    }

    #[test]
    fn an_action_made_anew_for_another_system_is_the_other_systems() {
        let mut index = Index::default();
        let action = (ActionKind::Backup, at("nightly"));
        index.set_action(action.clone(), Some(at("hq")));
        index.set_action(action.clone(), Some(at("hq")));
        assert_eq!(index.actions_of(&at("hq")), std::slice::from_ref(&action));
        index.set_action(action.clone(), Some(at("shop")));
        assert!(index.actions_of(&at("hq")).is_empty());
        index.set_action(action, None);
        assert!(index.actions_of(&at("shop")).is_empty());
    }

    #[test]
    fn a_customer_has_the_systems_that_name_it() {
        let mut index = Index::default();
        index.belongs(&at("hq"), &at("acme"));
        index.belongs(&at("hq"), &at("acme"));
        assert_eq!(index.systems_of(&at("acme")), [at("hq")]);
        index.belongs(&at("hq"), &at("other"));
        assert!(index.systems_of(&at("acme")).is_empty());
        index.forget_system(&at("hq"));
        assert!(index.systems_of(&at("other")).is_empty());
    }
}
