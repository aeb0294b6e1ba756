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
    /// Times in the API have whole seconds: of one second the later write is the later end. Where versions are no numbers, they do not count.
    version: Option<u64>,
    created: Option<Timestamp>,
    name: String,
    counts: bool,
}

impl Finished {
    /// Of an object; `None` while it is not over, and once it is being deleted: that is a later write, and what goes takes nobody's place.
    /// `counts` is whether its completion did something: a dry run did not.
    pub fn of<K: kube::Resource>(object: &K, phase: Option<Phase>, ended: Option<&Time>, counts: bool) -> Option<Self> {
        let phase = phase.filter(|phase| phase.is_final() && object.meta().deletion_timestamp.is_none())?;
        Some(Self {
            ended: ended.map(|time| time.0),
            version: object.resource_version().and_then(|version| version.parse().ok()),
            created: object.creation_timestamp().map(|time| time.0),
            name: object.name_any(),
            counts: counts && phase == Phase::Completed,
        })
    }

    /// Whether the newest ones of the same system take its place. What did something makes room only for others that did: a row of failures or dry
    /// runs never takes the last good one's object away. What did nothing makes room for whatever is newer.
    pub fn is_outnumbered(&self, others: impl Iterator<Item = Self>) -> bool {
        others.filter(|other| other > self && (other.counts || !self.counts)).count() >= MOST_FINISHED
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use k8s_openapi::api::core::v1::ConfigMap;

    use super::*;

    fn at(second: i64, counts: bool) -> Finished {
        let time = Timestamp::from_second(second).ok();
        Finished { ended: time, version: None, created: time, name: format!("a{second}"), counts }
    }

    #[test]
    fn of_one_second_the_one_that_was_written_last_is_the_newest() {
        let write = |version, name: &str| Finished { version: Some(version), name: name.into(), ..at(1, false) };
        let others = [write(5, "b"), write(6, "c"), write(7, "d")];
        assert!(!write(8, "a").is_outnumbered(others.iter().cloned()));
        assert!(write(4, "z").is_outnumbered(others.iter().cloned()));
    }

    #[test]
    fn what_is_being_deleted_takes_nobodys_place_although_it_was_written_last() {
        let of = |version: &str, second: i64, going: bool| {
            let mut object = ConfigMap::default();
            object.metadata.resource_version = Some(version.to_owned());
            object.metadata.deletion_timestamp = going.then_some(Time(Timestamp::UNIX_EPOCH));
            Finished::of(&object, Some(Phase::Completed), Timestamp::from_second(second).ok().map(Time).as_ref(), true)
        };
        let own = of("11", 3, false).unwrap();
        let newer = [of("12", 4, false), of("13", 5, false)];
        let others = |going: bool| newer.iter().flatten().cloned().chain(of("14", 3, going));
        assert!(own.is_outnumbered(others(false)));
        assert!(!own.is_outnumbered(others(true)), "the oldest of four goes, and nothing beside it");
    }

    #[test]
    fn the_newest_three_stay_and_failures_replace_failures_only() {
        let outnumbered = |own: &Finished, others: &[Finished]| own.is_outnumbered(others.iter().cloned());
        let (good, bad) = (at(1, true), at(1, false));
        assert!(!outnumbered(&good, &[at(2, true), at(3, true)]));
        assert!(outnumbered(&good, &[at(2, true), at(3, true), at(4, true)]));
        assert!(!outnumbered(&good, &[at(2, true), at(3, true), at(4, false), at(5, false)]));
        assert!(outnumbered(&bad, &[at(2, true), at(3, false), at(4, false)]));
        assert!(
            !outnumbered(&good, &[at(0, true), at(-1, true), at(2, true), good.clone()]),
            "older ones do not count, nor does it itself"
        );
    }
}
