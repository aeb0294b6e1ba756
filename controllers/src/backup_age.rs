//! How old the last good backup of each system is, as far as the `Backup` objects in the cluster tell. Pure.

use std::collections::HashMap;
use std::sync::Arc;

use crds::action::Phase;
use crds::{Backup, IPOffice};
use jiff::Timestamp;
use kube::Resource as _;

use crate::index::{Place, place};

const DAY: i64 = 24 * 60 * 60;
const WEEK: i64 = 7 * DAY;
const MONTH: i64 = 31 * DAY;

/// How old a backup is, coarsely: an exact age would be a number for each system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Age {
    /// At most a day.
    Day,
    /// More than a day, at most 7.
    Week,
    /// More than 7 days, at most 31.
    Month,
    /// More than 31 days.
    Older,
    /// There is none.
    Missing,
}

impl Age {
    /// Every age, the youngest first.
    pub const ALL: [Age; 5] = [Self::Day, Self::Week, Self::Month, Self::Older, Self::Missing];

    /// Label value in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Older => "older",
            Self::Missing => "missing",
        }
    }

    fn since(completed: Timestamp, now: Timestamp) -> Self {
        match now.as_second().saturating_sub(completed.as_second()) {
            seconds if seconds <= DAY => Self::Day,
            seconds if seconds <= WEEK => Self::Week,
            seconds if seconds <= MONTH => Self::Month,
            _ => Self::Older,
        }
    }
}

/// When the last good backup of each system was completed.
pub struct LastBackups {
    by_system: HashMap<Place, Vec<(Option<String>, Timestamp)>>,
}

impl LastBackups {
    /// Of these objects.
    pub fn of(backups: &[Arc<Backup>]) -> Self {
        let mut by_system: HashMap<Place, Vec<_>> = HashMap::new();
        for backup in backups {
            let Some(status) = backup.status.as_ref().filter(|status| status.phase == Some(Phase::Completed)) else { continue };
            let Some(completed) = &status.completion_time else { continue };
            let system = (place(backup.as_ref()).0, backup.spec.ip_office.clone());
            by_system.entry(system).or_default().push((status.system_uid.clone(), completed.0));
        }
        Self { by_system }
    }

    /// How old this system's is. A backup of an earlier object of the same name is another system's.
    pub fn age(&self, system: &IPOffice, now: Timestamp) -> Age {
        let backups = self.by_system.get(&place(system)).map(Vec::as_slice).unwrap_or_default();
        let own = backups.iter().filter(|(uid, _)| uid.is_none() || *uid == system.meta().uid);
        own.map(|(_, completed)| *completed).max().map_or(Age::Missing, |completed| Age::since(completed, now))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use serde_json::json;

    use super::*;

    fn system(uid: &str) -> IPOffice {
        let spec = json!({"customer": "acme", "profile": "IP500 V2"});
        serde_json::from_value(json!({"metadata": {"name": "hq", "namespace": "n", "uid": uid}, "spec": spec})).unwrap()
    }

    fn backup(uid: &str, phase: &str, completed: &str) -> Arc<Backup> {
        let status = json!({"phase": phase, "systemUid": uid, "completionTime": completed});
        let backup = json!({"metadata": {"name": "b", "namespace": "n"}, "spec": {"ipOffice": "hq"}, "status": status});
        Arc::new(serde_json::from_value(backup).unwrap())
    }

    fn age(backups: &[Arc<Backup>]) -> Age {
        LastBackups::of(backups).age(&system("now"), "2026-03-31T12:00:00Z".parse().unwrap())
    }

    #[test]
    fn the_youngest_good_backup_of_this_very_system_counts() {
        assert_eq!(age(&[]), Age::Missing);
        let old = backup("now", "Completed", "2026-01-01T12:00:00Z");
        let failed = backup("now", "Failed", "2026-03-31T11:00:00Z");
        let of_another = backup("before", "Completed", "2026-03-31T11:00:00Z");
        assert_eq!(age(&[old.clone(), failed, of_another]), Age::Older);
        assert_eq!(age(&[old, backup("now", "Completed", "2026-03-30T13:00:00Z")]), Age::Day);
    }

    #[test]
    fn an_age_ends_with_its_last_second() {
        for (completed, expected) in [
            ("2026-03-31T13:00:00Z", Age::Day),
            ("2026-03-30T12:00:00Z", Age::Day),
            ("2026-03-30T11:59:59Z", Age::Week),
            ("2026-03-24T12:00:00Z", Age::Week),
            ("2026-03-24T11:59:59Z", Age::Month),
            ("2026-02-28T12:00:00Z", Age::Month),
            ("2026-02-28T11:59:59Z", Age::Older),
        ] {
            assert_eq!(age(&[backup("now", "Completed", completed)]), expected, "{completed}");
        }
    }
}
