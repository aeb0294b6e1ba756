//! Which finished objects go because newer ones took their place. Pure.

use crds::action::Phase;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt as _;

use super::MOST_FINISHED;

/// An action that is over. Sorts by its end.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finished {
    ended: Option<Timestamp>,
    created: Option<Timestamp>,
    name: String,
    completed: bool,
}

impl Finished {
    /// Of an object; `None` while it is not over.
    pub fn of<K: kube::Resource>(object: &K, phase: Option<Phase>, ended: Option<&Time>) -> Option<Self> {
        let phase = phase.filter(|phase| phase.is_final())?;
        Some(Self {
            ended: ended.map(|time| time.0),
            created: object.creation_timestamp().map(|time| time.0),
            name: object.name_any(),
            completed: phase == Phase::Completed,
        })
    }

    /// Whether the newest ones of the same system take its place: enough of them, and one complete, so that a row of failures never takes the last
    /// good one's object away.
    pub fn is_outnumbered(&self, others: impl Iterator<Item = Self>) -> bool {
        let newer: Vec<Self> = others.filter(|other| other > self).collect();
        newer.len() >= MOST_FINISHED && newer.iter().any(|other| other.completed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64, completed: bool) -> Finished {
        let time = Timestamp::from_second(second).ok();
        Finished { ended: time, created: time, name: format!("a{second}"), completed }
    }

    #[test]
    fn the_newest_three_stay_and_failures_alone_replace_nothing() {
        let own = at(1, true);
        let others = |newer: &[Finished]| own.is_outnumbered(newer.iter().cloned());
        assert!(!others(&[at(2, true), at(3, true)]));
        assert!(others(&[at(2, true), at(3, false), at(4, false)]));
        assert!(!others(&[at(2, false), at(3, false), at(4, false), at(5, false)]));
        assert!(!others(&[at(0, true), at(-1, true), at(2, true), own.clone()]), "older ones do not count, nor does it itself");
    }
}
