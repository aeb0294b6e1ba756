//! The lock (FLEET-7): one action at a time works on a system. The controller of `IPOffice` alone grants it, in `status.operation`; an action acts
//! only while its own UID stands there. Pure.
//!
//! It is never taken from an action that may still act: only when the action is final, or its object is gone. An object that is gone cannot act,
//! because its controller holds its deletion up while it does.

use crds::ipoffice::Operation;

use crate::index::ActionKind;

/// An action that names the system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Its kind.
    pub kind: ActionKind,
    /// Its name.
    pub name: String,
    /// Identity of its object.
    pub uid: String,
    /// When its object was made, as text that sorts by time.
    pub age: String,
    /// What it does.
    pub standing: Standing,
}

/// What an action does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It works on the system, or did when the process ended.
    Working,
    /// It could begin.
    Wants,
    /// It waits for something else.
    Waits,
    /// It is over.
    Over,
}

/// Who has the lock. `may_begin` is whether the system takes new actions at all.
pub fn grant(held: Option<&Operation>, candidates: &[Candidate], may_begin: bool) -> Option<Operation> {
    if let Some(held) = held
        && candidates.iter().any(|candidate| candidate.uid == held.uid && candidate.standing != Standing::Over)
    {
        return Some(held.clone());
    }
    let oldest = |standing| {
        let those = candidates.iter().filter(move |candidate| candidate.standing == standing);
        those.min_by_key(|candidate| (&candidate.age, candidate.kind, &candidate.name))
    };
    // What worked before goes first: its lock was lost with the object of the system, not with the work.
    let next = oldest(Standing::Working).or_else(|| if may_begin { oldest(Standing::Wants) } else { None })?;
    Some(Operation { kind: next.kind.as_str().to_owned(), name: next.name.clone(), uid: next.uid.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(name: &str, age: &str, standing: Standing) -> Candidate {
        Candidate { kind: ActionKind::Backup, name: name.into(), uid: format!("uid-{name}"), age: age.into(), standing }
    }

    fn holder(held: Option<&Operation>, candidates: &[Candidate]) -> Option<String> {
        grant(held, candidates, true).map(|operation| operation.name)
    }

    #[test]
    fn the_oldest_that_wants_it_gets_it_and_keeps_it_until_it_is_over() {
        let young = candidate("young", "2026-02", Standing::Wants);
        let old = candidate("old", "2026-01", Standing::Wants);
        let first = grant(None, &[young.clone(), old.clone()], true);
        assert_eq!(first.as_ref().map(|operation| operation.name.as_str()), Some("old"));
        for standing in [Standing::Wants, Standing::Waits, Standing::Working] {
            let older = candidate("older", "2025-01", Standing::Wants);
            let all = [Candidate { standing, ..old.clone() }, young.clone(), older];
            assert_eq!(grant(first.as_ref(), &all, true), first, "never taken from one that is {standing:?}");
        }
        assert_eq!(holder(first.as_ref(), &[Candidate { standing: Standing::Over, ..old }, young.clone()]).as_deref(), Some("young"));
        assert_eq!(holder(first.as_ref(), &[young]).as_deref(), Some("young"), "the holder's object is gone");
        assert_eq!(holder(first.as_ref(), &[]), None);
    }

    #[test]
    fn an_object_made_anew_under_the_holders_name_does_not_hold_the_lock() {
        let held = Operation { kind: "Backup".into(), name: "a".into(), uid: "uid-before".into() };
        assert_eq!(holder(Some(&held), &[candidate("a", "2026", Standing::Waits)]), None);
    }

    #[test]
    fn what_worked_before_gets_the_lock_of_a_new_system_object_first() {
        let all = [candidate("waiting", "2026-01", Standing::Wants), candidate("working", "2026-02", Standing::Working)];
        assert_eq!(holder(None, &all).as_deref(), Some("working"));
        assert_eq!(grant(None, &all[..1], false), None, "a system that takes nothing new");
        assert!(grant(None, &all, false).is_some(), "but what runs is finished");
    }
}
