//! What garbage collection does with an object. Pure; the rules are those of Kubernetes.

use super::graph::Known;
use super::inventory::{Item, Owner};

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing.
    Keep,
    /// Delete it: none of its owners is left.
    Delete(Policy),
    /// It keeps an owner; references to these uids go.
    Disown(Vec<String>),
    /// It is in foreground deletion and nobody holds it up any more.
    Release,
    /// It is in foreground deletion: these dependents go first.
    Await(Vec<String>),
    /// Its dependents (these) are set free, then it goes.
    SetFree(Vec<String>),
}

/// What becomes of the dependents of an object that is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// They follow.
    Background,
    /// They go first.
    Foreground,
    /// They stay.
    Orphan,
}

/// Judges an object by its owners, each with what is known, and its dependents. An owner of which nothing is known counts as present:
/// whoever asks finds out first.
pub fn judge(item: &Item, owners: &[(Owner, Known)], dependents: &[Item]) -> Verdict {
    if item.deleting && item.orphan {
        return Verdict::SetFree(dependents.iter().map(|dependent| dependent.uid.clone()).collect());
    }
    if item.deleting && item.foreground {
        let holds = |dependent: &&Item| dependent.owners.iter().any(|owner| owner.uid == item.uid && owner.blocks);
        let blocking: Vec<&Item> = dependents.iter().filter(holds).collect();
        if blocking.is_empty() {
            return Verdict::Release;
        }
        return Verdict::Await(dependents.iter().filter(|dependent| !dependent.deleting).map(|dependent| dependent.uid.clone()).collect());
    }
    if item.deleting || owners.is_empty() {
        return Verdict::Keep;
    }
    let those = |wanted: &dyn Fn(Known) -> bool| -> Vec<String> {
        owners.iter().filter(|(_, known)| wanted(*known)).map(|(owner, _)| owner.uid.clone()).collect()
    };
    let solid = those(&|known| matches!(known, Known::Present { waits: false } | Known::Unknown | Known::Impossible));
    let mut leaving = those(&|known| known == Known::Gone);
    let waiting = those(&|known| known == Known::Present { waits: true });
    if !solid.is_empty() {
        leaving.extend(waiting);
        return if leaving.is_empty() { Verdict::Keep } else { Verdict::Disown(leaving) };
    }
    // An owner in foreground deletion wants its dependents' dependents gone before them.
    if !waiting.is_empty() && !dependents.is_empty() {
        return Verdict::Delete(Policy::Foreground);
    }
    Verdict::Delete(match (item.orphan, item.foreground) {
        (true, _) => Policy::Orphan,
        (_, true) => Policy::Foreground,
        _ => Policy::Background,
    })
}
