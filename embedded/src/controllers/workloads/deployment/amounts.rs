//! How many pods a Deployment may have, and where they are to be. Pure; the arithmetic is that of Kubernetes.

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::revision::{annotation_number, created};
use crate::controllers::workloads::replica_set::replicas as replicas_of;

/// The replica count a ReplicaSet was scaled for.
pub const DESIRED: &str = "deployment.kubernetes.io/desired-replicas";
/// How many pods there might be at most when it was scaled.
pub const MAX: &str = "deployment.kubernetes.io/max-replicas";

/// The bounds of a Deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Pods wanted.
    pub replicas: i32,
    /// Pods there may be beyond.
    pub surge: i32,
    /// Pods of those wanted that may be missing.
    pub unavailable: i32,
    /// All old pods go before the first new one comes.
    pub recreate: bool,
}

impl Bounds {
    /// Those of a Deployment. Surge is rounded up, what may be missing is rounded down, and never both nothing.
    pub fn of(deployment: &Deployment) -> Self {
        let replicas = deployment.spec.replicas.unwrap_or(1);
        let strategy = deployment.spec.strategy.as_ref();
        if strategy.is_some_and(|strategy| strategy.type_.as_deref() == Some("Recreate")) {
            return Self { replicas, surge: 0, unavailable: 0, recreate: true };
        }
        let rolling = strategy.and_then(|strategy| strategy.rolling_update.as_ref());
        let surge = amount(rolling.and_then(|rolling| rolling.max_surge.as_ref()), replicas, true);
        let unavailable = amount(rolling.and_then(|rolling| rolling.max_unavailable.as_ref()), replicas, false);
        let unavailable = if surge == 0 && unavailable == 0 { 1 } else { unavailable };
        Self { replicas, surge, unavailable: unavailable.min(replicas), recreate: false }
    }

    /// Pods there may be.
    pub fn most(&self) -> i32 {
        self.replicas.saturating_add(self.surge)
    }

    /// Pods that must be available.
    pub fn least(&self) -> i32 {
        self.replicas - self.unavailable
    }
}

/// Numbers together. What a user may ask for fits an `i32`, the sum of two such numbers does not.
pub fn sum(numbers: impl Iterator<Item = i32>) -> i64 {
    numbers.map(i64::from).sum()
}

/// The nearest number that fits.
pub fn saturated(number: i64) -> i32 {
    i32::try_from(number).unwrap_or(if number < 0 { i32::MIN } else { i32::MAX })
}

/// A number or a percentage of `total`; a quarter where nothing is said.
pub fn amount(value: Option<&IntOrString>, total: i32, up: bool) -> i32 {
    let percent = match value {
        Some(IntOrString::Int(number)) => return (*number).max(0),
        Some(IntOrString::String(text)) => text.trim_end_matches('%').parse::<i64>().unwrap_or(0),
        None => 25,
    };
    let hundredths = i64::from(total).saturating_mul(percent);
    let share = if up { hundredths.saturating_add(99).div_euclid(100) } else { hundredths.div_euclid(100) };
    saturated(share.max(0))
}

/// What a new set begins with, or is scaled up to in a rolling update.
pub fn size_of_new(bounds: &Bounds, current: i32, all: &[&ReplicaSet]) -> i32 {
    if bounds.recreate {
        return bounds.replicas;
    }
    let room = i64::from(bounds.most()) - sum(all.iter().map(|set| replicas_of(set)));
    if room <= 0 { current } else { saturated((i64::from(current) + room).min(bounds.replicas.into())) }
}

/// Pods of a set that are available, never more than it is to have: its status may be older than its specification.
pub fn available(set: &ReplicaSet) -> i32 {
    set.status.as_ref().and_then(|status| status.available_replicas).unwrap_or(0).min(replicas_of(set))
}

/// The next sizes of the old sets in a rolling update: first without pods that are not available, then as far as what must be available allows.
pub fn shrink_old<'a>(bounds: &Bounds, new: &ReplicaSet, old: &[&'a ReplicaSet]) -> Vec<(&'a ReplicaSet, i32)> {
    let mut sizes: Vec<(&ReplicaSet, i64)> = old.iter().map(|set| (*set, replicas_of(set).into())).collect();
    sizes.sort_by_key(|(set, _)| created(set));
    let least = i64::from(bounds.least());
    // Those of the new set that are not available do not count.
    let mut room = sizes.iter().map(|(_, size)| size).sum::<i64>() + i64::from(available(new)) - least;
    for (set, size) in &mut sizes {
        let unhealthy = (*size - i64::from(available(set))).min(room).max(0);
        *size -= unhealthy;
        room -= unhealthy;
    }
    let mut spare = i64::from(available(new)) + sizes.iter().map(|(set, size)| (*size).min(available(set).into())).sum::<i64>() - least;
    for (_, size) in &mut sizes {
        let going = (*size).min(spare).min(room).max(0);
        *size -= going;
        spare -= going;
        room -= going;
    }
    fitting(sizes).filter(|(set, size)| *size != replicas_of(set)).collect()
}

fn fitting(sizes: Vec<(&ReplicaSet, i64)>) -> impl Iterator<Item = (&ReplicaSet, i32)> {
    sizes.into_iter().map(|(set, size)| (set, saturated(size)))
}

/// The sizes of all active sets when the Deployment is scaled in the middle of a rollout: each gets its share.
pub fn proportions<'a>(bounds: &Bounds, status_replicas: i32, active: &[&'a ReplicaSet]) -> Vec<(&'a ReplicaSet, i32)> {
    let allowed = if bounds.replicas > 0 { bounds.most() } else { 0 };
    let to_add = i64::from(allowed) - sum(active.iter().map(|set| replicas_of(set)));
    let mut sets = active.to_vec();
    // Larger ones take the leftovers; among equals the newest when there is to be more, the oldest when less.
    sets.sort_by(|one, other| {
        let by_age = if to_add > 0 { created(other).cmp(&created(one)) } else { created(one).cmp(&created(other)) };
        replicas_of(other).cmp(&replicas_of(one)).then(by_age)
    });
    let mut added = 0;
    let mut sizes: Vec<(&ReplicaSet, i64)> = Vec::new();
    for set in sets {
        let left = to_add - added;
        let share = share(bounds, status_replicas, set);
        let share = if replicas_of(set) == 0 || left == 0 {
            0
        } else if to_add > 0 {
            share.min(left)
        } else {
            share.max(left)
        };
        added += share;
        sizes.push((set, i64::from(replicas_of(set)) + share));
    }
    if let Some((_, size)) = sizes.first_mut() {
        *size = (*size + to_add - added).max(0);
    }
    fitting(sizes).collect()
}

fn share(bounds: &Bounds, status_replicas: i32, set: &ReplicaSet) -> i64 {
    let size = i64::from(replicas_of(set));
    if bounds.replicas == 0 {
        return -size;
    }
    let before = annotation_number(set, MAX).filter(|before| *before != 0).unwrap_or(status_replicas);
    if before == 0 {
        return 0;
    }
    let grown = size * i64::from(bounds.most());
    // Rounded to the nearest.
    let rounded = (grown * 2 + i64::from(before)).div_euclid(i64::from(before) * 2);
    i64::from(saturated(rounded)) - size
}
