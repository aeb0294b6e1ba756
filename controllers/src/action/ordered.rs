//! The kinds that order an action, as far as they are alike, so that what is true of one is written once.

use std::sync::Arc;

use crds::action::Phase;
use crds::{Backup, Restore};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::runtime::reflector::ObjectRef;
use kube::{Resource, ResourceExt as _};
use runtime::cache::{Cache, Pending};

use super::finished::Finished;
use crate::caches::Caches;
use crate::index::{ActionKind, place};

/// An object that orders an action on a system.
pub trait Ordered: Resource<DynamicType = ()> + Clone + std::fmt::Debug + Send + Sync + 'static {
    /// Its kind.
    const KIND: ActionKind;
    /// Where the objects of the kind are.
    fn cache(caches: &Caches) -> &Cache<Self>;
    /// Name of the system.
    fn system(&self) -> &str;
    /// Where it stands.
    fn phase(&self) -> Option<Phase>;
    /// Its conditions.
    fn conditions(&self) -> &[Condition];
    /// When it ended.
    fn ended(&self) -> Option<&Time>;
    /// Whether its completion does something: that of a dry run does not.
    fn does_something(&self) -> bool;
}

macro_rules! ordered {
    ($kind:ident, $cache:ident, $does_something:expr) => {
        impl Ordered for $kind {
            const KIND: ActionKind = ActionKind::$kind;
            fn cache(caches: &Caches) -> &Cache<Self> {
                &caches.$cache
            }
            fn system(&self) -> &str {
                &self.spec.ip_office
            }
            fn phase(&self) -> Option<Phase> {
                self.status.as_ref().and_then(|status| status.phase)
            }
            fn conditions(&self) -> &[Condition] {
                self.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default()
            }
            fn ended(&self) -> Option<&Time> {
                self.status.as_ref().and_then(|status| status.completion_time.as_ref())
            }
            fn does_something(&self) -> bool {
                $does_something(self)
            }
        }
    };
}
ordered!(Backup, backups, |_: &Backup| true);
ordered!(Restore, restores, |restore: &Restore| !restore.spec.dry_run);

/// Whether nothing more happens.
pub fn is_over<K: Ordered>(object: &K) -> bool {
    object.phase().is_some_and(Phase::is_final)
}

fn finished<K: Ordered>(object: &K) -> Option<Finished> {
    Finished::of(object, object.phase(), object.ended(), object.does_something())
}

/// The objects of the kind that name a system.
fn of_system<K: Ordered>(caches: &Caches, namespace: &str, system: &str) -> Vec<ObjectRef<K>> {
    let actions = caches.actions_of(&(namespace.to_owned(), system.to_owned()));
    let of_kind = actions.into_iter().filter(|(kind, _)| *kind == K::KIND);
    of_kind.map(|(_, (namespace, name))| ObjectRef::new(&name).within(&namespace)).collect()
}

/// Whether newer ones of the same system take the place of a finished object.
pub fn is_outnumbered<K: Ordered>(object: &K, caches: &Caches) -> bool {
    let Some(own) = finished(object) else { return false };
    let all = of_system::<K>(caches, &object.namespace().unwrap_or_default(), object.system());
    let others = all.iter().filter_map(|other| K::cache(caches).store().get(other));
    own.is_outnumbered(others.filter_map(|other| finished(other.as_ref())))
}

/// Subscribes to what every action depends on: itself, its system, its store, and others of its system that have ended and may take its place.
pub fn trigger<K: Ordered>(caches: &Arc<Caches>, pending: &Arc<Pending<ObjectRef<K>>>, store_of: fn(&K) -> &str) {
    let weak = Arc::downgrade(caches);
    K::cache(caches).trigger(pending, move |object| {
        let mut look_at = vec![ObjectRef::from_obj(object)];
        if is_over(object)
            && let Some(caches) = weak.upgrade()
        {
            look_at.extend(of_system(&caches, &object.namespace().unwrap_or_default(), object.system()));
        }
        look_at
    });
    let weak = Arc::downgrade(caches);
    caches.systems.trigger(pending, move |system| {
        let (namespace, name) = place(system);
        weak.upgrade().map(|caches| of_system(&caches, &namespace, &name)).unwrap_or_default()
    });
    let weak = Arc::downgrade(caches);
    caches.stores.trigger(pending, move |store| {
        let Some(caches) = weak.upgrade() else { return Vec::new() };
        let name = store.name_any();
        let waits = |object: &K| store_of(object) == name && (!is_over(object) || object.meta().deletion_timestamp.is_some());
        let all = K::cache(&caches).store().state();
        all.iter().filter(|object| waits(object)).map(|object| ObjectRef::from_obj(object.as_ref())).collect()
    });
}

/// Tells whether somebody wants this very object gone, or it is gone already.
pub fn unwanted<K: Ordered>(object: &K, caches: &Arc<Caches>) -> impl Fn() -> bool + Send + Sync + 'static {
    let (caches, (namespace, name), uid) = (Arc::clone(caches), place(object), object.uid());
    move || {
        let there = K::cache(&caches).get(&namespace, &name).filter(|there| there.uid() == uid);
        there.is_none_or(|there| there.meta().deletion_timestamp.is_some())
    }
}

/// Whether this very object is there no more: somebody took its finalizer off. Then nobody else sees to what it leaves.
pub fn is_gone<K: Ordered>(object: &K, caches: &Caches) -> bool {
    let (namespace, name) = place(object);
    K::cache(caches).get(&namespace, &name).is_none_or(|there| there.uid() != object.uid())
}
