//! Which complete backups of a system stay (BACKUP-1, BACKUP-2, promise 3). Pure: the same backups, time and zone give the same plan, and a plan
//! that was carried out gives a plan that removes nothing.
//!
//! - Manual: the newest 3. One more replaces the oldest, once it is complete.
//! - Automatic, by calendar day in the system's own zone: today and the previous 6 days; of the last 3 full weeks (Monday to Sunday) and of the
//!   last 11 full months the last day. A system that missed the last day keeps the newest backup of that week or month instead; so that there is
//!   one to keep, the newest of the month that still runs stays too.
//! - Whatever the numbers say, the last good one stays: the newest that is sound, and the newest that is verified, among all and, so that a backup
//!   of prompts never stands in for one of the system, among those that hold configuration.
//!
//! What has no manifest is no backup and never comes here; what cannot be read is never removed by retention, because nobody knows what it is.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::{Date, date};
use jiff::tz::TimeZone;

use crate::element::{ElementKind, Occasion};
use crate::layout::BackupId;
use crate::manifest::Manifest;
use crate::verification::Soundness;

/// Most manual backups of a system (BACKUP-1).
pub const MANUAL: usize = 3;
/// Days before today of which an automatic backup stays (BACKUP-2).
pub const DAYS: i64 = 6;
/// Full weeks of which the last day stays.
pub const WEEKS: i64 = 3;
/// Full months of which the last day stays.
pub const MONTHS: i64 = 11;

/// What retention needs to know of a complete backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Which backup.
    pub id: BackupId,
    /// Who ordered it.
    pub occasion: Occasion,
    /// When it began, by COM's clock: it decides the day it counts for.
    pub started: Timestamp,
    /// Whether its bytes are known to be whole.
    pub soundness: Soundness,
    /// Whether configuration is in it.
    pub configuration: bool,
}

impl Held {
    /// Of a manifest, and what is known of the bytes.
    pub fn of(manifest: &Manifest, soundness: Soundness) -> Self {
        Self {
            id: manifest.backup_id.clone(),
            occasion: manifest.occasion,
            started: manifest.started,
            soundness,
            configuration: manifest.holds(ElementKind::Configuration),
        }
    }
}

/// Why a backup stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, thiserror::Error)]
pub enum Keep {
    /// Manual, among the newest.
    #[error("among the newest {MANUAL} manual backups")]
    Manual,
    /// Automatic, of a day.
    #[error("automatic backup of today or one of the previous {DAYS} days")]
    Day,
    /// Automatic, last of a week.
    #[error("last automatic backup of one of the last {WEEKS} weeks")]
    Week,
    /// Automatic, last of a month.
    #[error("last automatic backup of this month or one of the last {MONTHS}")]
    Month,
    /// Newest sound one.
    #[error("last good backup of the system")]
    LastGood,
    /// Newest sound one with configuration.
    #[error("last good backup of the system's configuration")]
    LastGoodConfiguration,
    /// Newest verified one.
    #[error("last verified backup of the system")]
    LastVerified,
    /// Newest verified one with configuration.
    #[error("last verified backup of the system's configuration")]
    LastVerifiedConfiguration,
    /// From a day that has not come.
    #[error("dated after today: a clock was wrong, and it stays until its day is past")]
    Future,
}

/// Why a backup goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, thiserror::Error)]
pub enum Remove {
    /// Manual, with enough newer ones.
    #[error("{MANUAL} newer manual backups replace it")]
    ReplacedManual,
    /// Automatic, in the time that counts, but not the last of its day, week or month.
    #[error("a later automatic backup stands for its day, week or month")]
    Superseded,
    /// Automatic, older than all that counts.
    #[error("older than the last {MONTHS} months")]
    Expired,
}

/// What becomes of a backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It stays, for these reasons; at least one.
    Keep(Vec<Keep>),
    /// It goes.
    Remove(Remove),
}

/// What becomes of each backup, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// One for every backup given.
    pub verdicts: Vec<(BackupId, Verdict)>,
}

impl Plan {
    /// Backups that stay, newest first.
    pub fn kept(&self) -> impl Iterator<Item = &BackupId> {
        self.verdicts.iter().filter(|(_, verdict)| matches!(verdict, Verdict::Keep(_))).map(|(id, _)| id)
    }
    /// Backups that go, oldest first, so that a removal that is cut short has taken the oldest.
    pub fn removed(&self) -> impl Iterator<Item = (&BackupId, Remove)> {
        self.verdicts.iter().rev().filter_map(|(id, verdict)| match verdict {
            Verdict::Remove(reason) => Some((id, *reason)),
            Verdict::Keep(_) => None,
        })
    }
}

/// A stretch of the calendar that one automatic backup stands for: days since 1970, weeks since then, months since the year 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Slot {
    Day(i64),
    Week(i64),
    Month(i64),
}

fn day(date_of: Date) -> i64 {
    date_of.duration_since(date(1970, 1, 1)).as_hours() / 24
}
/// Weeks begin on Monday (ISO 8601); 1970 began on a Thursday.
fn week(day: i64) -> i64 {
    (day + 3).div_euclid(7)
}
fn month(date_of: Date) -> i64 {
    i64::from(date_of.year()) * 12 + i64::from(date_of.month())
}

/// The slots that count today and into which a backup of `made` falls.
fn slots(made: Date, today: Date) -> Vec<Slot> {
    let (this_day, this_month) = (day(today), month(today));
    let mut slots = Vec::new();
    if (this_day - DAYS..=this_day).contains(&day(made)) {
        slots.push(Slot::Day(day(made)));
    }
    if (week(this_day) - WEEKS..week(this_day)).contains(&week(day(made))) {
        slots.push(Slot::Week(week(day(made))));
    }
    if (this_month - MONTHS..=this_month).contains(&month(made)) {
        slots.push(Slot::Month(month(made)));
    }
    slots
}

/// What becomes of the complete backups of one system at `now`, with calendar days in `zone`, the system's own.
pub fn plan(held: &[Held], now: Timestamp, zone: &TimeZone) -> Plan {
    let day_of = |time: Timestamp| zone.to_datetime(time).date();
    let today = day_of(now);
    let mut newest_first: Vec<&Held> = held.iter().collect();
    newest_first.sort_by_key(|held| std::cmp::Reverse((held.started, held.id.clone())));

    let (future, past): (Vec<&Held>, Vec<&Held>) = newest_first.iter().partition(|held| day_of(held.started) > today);
    let mut reasons: BTreeMap<&BackupId, Vec<Keep>> = future.iter().map(|held| (&held.id, vec![Keep::Future])).collect();
    let keep = manual(&past).chain(automatic(&past, |held| slots(day_of(held.started), today))).chain(last_good(&past));
    for (held, reason) in keep {
        let of_this = reasons.entry(&held.id).or_default();
        if !of_this.contains(&reason) {
            of_this.push(reason);
        }
    }
    let mut verdict = |held: &Held| match reasons.remove(&held.id) {
        Some(reasons) => Verdict::Keep(reasons),
        None => Verdict::Remove(why_not(held, day_of(held.started), today)),
    };
    Plan { verdicts: newest_first.iter().map(|held| (held.id.clone(), verdict(held))).collect() }
}

fn manual<'a>(newest_first: &[&'a Held]) -> impl Iterator<Item = (&'a Held, Keep)> {
    newest_first.iter().copied().filter(|held| held.occasion == Occasion::Manual).take(MANUAL).map(|held| (held, Keep::Manual))
}

/// One backup a slot: the newest that is not known to be damaged or, where all are, the newest.
fn automatic<'a>(newest_first: &[&'a Held], slots: impl Fn(&Held) -> Vec<Slot>) -> impl Iterator<Item = (&'a Held, Keep)> {
    let mut stands_for: BTreeMap<Slot, &Held> = BTreeMap::new();
    for held in newest_first.iter().copied().filter(|held| held.occasion == Occasion::Automatic) {
        for slot in slots(held) {
            let chosen = stands_for.entry(slot).or_insert(held);
            if !chosen.soundness.is_sound() && held.soundness.is_sound() {
                *chosen = held;
            }
        }
    }
    stands_for.into_iter().map(|(slot, held)| {
        let reason = match slot {
            Slot::Day(_) => Keep::Day,
            Slot::Week(_) => Keep::Week,
            Slot::Month(_) => Keep::Month,
        };
        (held, reason)
    })
}

fn last_good<'a>(newest_first: &[&'a Held]) -> impl Iterator<Item = (&'a Held, Keep)> {
    let sound = |held: &&&Held| held.soundness.is_sound();
    let verified = |held: &&&Held| matches!(held.soundness, Soundness::Verified(_));
    let found = [
        (newest_first.iter().find(sound), Keep::LastGood),
        (newest_first.iter().find(|held| sound(held) && held.configuration), Keep::LastGoodConfiguration),
        (newest_first.iter().find(verified), Keep::LastVerified),
        (newest_first.iter().find(|held| verified(held) && held.configuration), Keep::LastVerifiedConfiguration),
    ];
    found.into_iter().filter_map(|(held, reason)| held.map(|held| (*held, reason)))
}

fn why_not(held: &Held, made: Date, today: Date) -> Remove {
    match held.occasion {
        Occasion::Manual => Remove::ReplacedManual,
        Occasion::Automatic if slots(made, today).is_empty() => Remove::Expired,
        Occasion::Automatic => Remove::Superseded,
    }
}

#[cfg(test)]
mod tests;
