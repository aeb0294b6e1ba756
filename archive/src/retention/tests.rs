#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
use std::collections::BTreeSet;

use jiff::ToSpan as _;

use super::*;
use crate::testing::time;

/// Rules written out, so that the tests do not depend on the time zones of the machine.
const LONDON: &str = "GMT0BST,M3.5.0/1,M10.5.0";
const SYDNEY: &str = "AEST-10AEDT,M10.1.0,M4.1.0/3";
const NEW_YORK: &str = "EST5EDT,M3.2.0,M11.1.0";
const ZONES: [&str; 5] = [LONDON, SYDNEY, NEW_YORK, "XXX-14", "YYY12"];

fn zone(rule: &str) -> TimeZone {
    TimeZone::posix(rule).unwrap()
}

fn held(started: Timestamp, occasion: Occasion, soundness: Soundness) -> Held {
    let id = BackupId::new(started, &format!("{started} {occasion}")).unwrap();
    Held { id, occasion, started, soundness, configuration: true }
}

fn manual(at: &str) -> Held {
    held(time(at), Occasion::Manual, Soundness::Unverified)
}

fn automatic(at: &str) -> Held {
    held(time(at), Occasion::Automatic, Soundness::Unverified)
}

fn verdicts(held: &[Held], now: &str) -> Vec<Verdict> {
    let plan = plan(held, time(now), &zone(LONDON));
    held.iter().map(|held| plan.verdicts.iter().find(|(id, _)| *id == held.id).unwrap().1.clone()).collect()
}

fn kept(held: &[Held], now: Timestamp, zone: &TimeZone) -> Vec<Held> {
    let ids: BTreeSet<BackupId> = plan(held, now, zone).kept().cloned().collect();
    held.iter().filter(|held| ids.contains(&held.id)).cloned().collect()
}

/// xorshift64*: the same numbers on every machine.
struct Numbers(u64);
impl Numbers {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % bound
    }
}

/// Backups at any time of some 500 days, in bursts and with gaps, some verified, some damaged, some without configuration.
fn some_backups(numbers: &mut Numbers) -> (Vec<Held>, Timestamp) {
    let mut at = time("2025-06-01T00:00:00Z");
    let mut all = Vec::new();
    for _ in 0..numbers.below(120) {
        let hours = if numbers.below(20) == 0 { numbers.below(24 * 90) } else { numbers.below(60) };
        at += jiff::SignedDuration::from_secs(i64::try_from(hours * 3600 + 1 + numbers.below(3600)).unwrap());
        let occasion = if numbers.below(5) == 0 { Occasion::Manual } else { Occasion::Automatic };
        let soundness = match numbers.below(6) {
            0 => Soundness::Verified(at),
            1 => Soundness::Damaged("part 1".into()),
            _ => Soundness::Unverified,
        };
        all.push(Held { configuration: numbers.below(4) > 0, ..held(at, occasion, soundness) });
    }
    (all, at + jiff::SignedDuration::from_hours(i64::try_from(numbers.below(24 * 500)).unwrap()))
}

#[test]
fn three_manual_backups_stay_and_one_more_replaces_the_oldest() {
    let four = ["2026-01-01T10:00:00Z", "2026-02-01T10:00:00Z", "2026-02-01T11:00:00Z", "2026-11-01T10:00:00Z"].map(manual);
    assert!(verdicts(&four[..3], "2030-01-01T00:00:00Z").iter().all(|verdict| matches!(verdict, Verdict::Keep(_))), "age does not count");
    let four = verdicts(&four, "2026-11-01T10:05:00Z");
    assert_eq!(four[0], Verdict::Remove(Remove::ReplacedManual));
    assert_eq!(four[1], Verdict::Keep(vec![Keep::Manual]));
    assert_eq!(four[3], Verdict::Keep(vec![Keep::Manual, Keep::LastGood, Keep::LastGoodConfiguration]));
}

#[test]
fn automatic_backups_do_not_count_as_manual_ones() {
    let all = [
        manual("2026-11-01T10:00:00Z"),
        automatic("2026-11-20T02:00:00Z"),
        automatic("2026-11-21T02:00:00Z"),
        automatic("2026-11-22T02:00:00Z"),
    ];
    assert!(verdicts(&all, "2026-11-22T12:00:00Z").iter().all(|verdict| matches!(verdict, Verdict::Keep(_))));
}

#[test]
fn two_years_of_nights_leave_days_weeks_and_months_as_promised() {
    for rule in ZONES {
        let zone = zone(rule);
        let mut store: Vec<Held> = Vec::new();
        let mut night = date(2024, 11, 1).at(2, 30, 0, 0);
        while night.date() <= date(2026, 11, 22) {
            // Where the clock skips 02:30, the run is an hour later; where it shows it twice, the first counts.
            let started = night.to_zoned(zone.clone()).unwrap().timestamp();
            store.push(held(started, Occasion::Automatic, Soundness::Unverified));
            store = kept(&store, started + jiff::SignedDuration::from_mins(20), &zone);
            night = night.checked_add(1.day()).unwrap();
        }
        // 22 November 2026 is a Sunday.
        let expected = [
            "2025-12-31",
            "2026-01-31",
            "2026-02-28",
            "2026-03-31",
            "2026-04-30",
            "2026-05-31",
            "2026-06-30",
            "2026-07-31",
            "2026-08-31",
            "2026-09-30",
            "2026-10-31",
            "2026-11-01",
            "2026-11-08",
            "2026-11-15",
            "2026-11-16",
            "2026-11-17",
            "2026-11-18",
            "2026-11-19",
            "2026-11-20",
            "2026-11-21",
            "2026-11-22",
        ];
        let days: Vec<String> = store.iter().map(|held| zone.to_datetime(held.started).date().to_string()).collect();
        assert_eq!(days, expected, "{rule}");
    }
}

#[test]
fn a_day_is_a_day_of_the_system_also_when_clocks_change() {
    // London put its clocks back on 25 October 2026: 00:30 and 23:30 of that day are 24 hours apart in UTC terms, and still one day.
    let day = [automatic("2026-10-24T23:30:00Z"), automatic("2026-10-25T23:30:00Z"), automatic("2026-10-26T00:30:00Z")];
    let verdicts = verdicts(&day, "2026-10-27T12:00:00Z");
    assert_eq!(verdicts[0], Verdict::Remove(Remove::Superseded), "both are of the 25th");
    assert!(matches!(&verdicts[1], Verdict::Keep(reasons) if reasons.contains(&Keep::Day)));
    // In UTC the first is of the 24th, and stays.
    assert_eq!(kept(&day, time("2026-10-27T12:00:00Z"), &TimeZone::UTC).len(), 3);
}

#[test]
fn a_missed_last_day_leaves_the_newest_of_its_week_or_month() {
    // Nothing after 5 August until October. On the way every night's plan is carried out.
    let mut store = vec![
        automatic("2026-07-30T02:00:00Z"),
        automatic("2026-08-04T02:00:00Z"),
        automatic("2026-08-05T02:00:00Z"),
        manual("2026-08-06T10:00:00Z"),
    ];
    let mut now = time("2026-08-06T12:00:00Z");
    while now < time("2026-10-10T00:00:00Z") {
        store = kept(&store, now, &zone(LONDON));
        now += jiff::SignedDuration::from_hours(24);
    }
    let days: Vec<String> = store.iter().map(|held| held.started.to_string()).collect();
    assert_eq!(days, ["2026-07-30T02:00:00Z", "2026-08-05T02:00:00Z", "2026-08-06T10:00:00Z"]);
}

#[test]
fn the_last_good_backup_stays_however_old_it_is() {
    let old = automatic("2020-01-01T02:00:00Z");
    assert_eq!(
        verdicts(std::slice::from_ref(&old), "2026-11-22T12:00:00Z"),
        [Verdict::Keep(vec![Keep::LastGood, Keep::LastGoodConfiguration])]
    );
    let damaged = |at: &str| held(time(at), Occasion::Automatic, Soundness::Damaged("part 1".into()));
    let all = [old, damaged("2020-01-02T02:00:00Z"), damaged("2026-11-22T02:00:00Z")];
    let verdicts = verdicts(&all, "2026-11-22T12:00:00Z");
    assert_eq!(verdicts[0], Verdict::Keep(vec![Keep::LastGood, Keep::LastGoodConfiguration]));
    assert_eq!(verdicts[1], Verdict::Remove(Remove::Expired));
}

#[test]
fn the_last_verified_backup_stays_although_newer_ones_are_unverified() {
    let verified = |at: &str| held(time(at), Occasion::Automatic, Soundness::Verified(time(at)));
    let all = [verified("2020-01-01T02:00:00Z"), verified("2020-01-02T02:00:00Z"), automatic("2026-11-22T02:00:00Z")];
    let verdicts = verdicts(&all, "2026-11-22T12:00:00Z");
    assert_eq!(verdicts[0], Verdict::Remove(Remove::Expired));
    assert_eq!(verdicts[1], Verdict::Keep(vec![Keep::LastVerified, Keep::LastVerifiedConfiguration]));
}

#[test]
fn backups_of_prompts_do_not_push_out_the_last_one_of_the_system() {
    let prompts = |at: &str| Held { configuration: false, ..manual(at) };
    let whole = ["2026-01-01T10:00:00Z", "2026-01-02T10:00:00Z"].map(manual);
    let all = [&whole[..], &["2026-02-01T10:00:00Z", "2026-02-02T10:00:00Z", "2026-02-03T10:00:00Z"].map(prompts)].concat();
    let verdicts = verdicts(&all, "2026-11-22T12:00:00Z");
    assert_eq!(verdicts[0], Verdict::Remove(Remove::ReplacedManual));
    assert_eq!(verdicts[1], Verdict::Keep(vec![Keep::LastGoodConfiguration]));
}

#[test]
fn a_damaged_backup_does_not_stand_for_its_day_where_a_sound_one_can() {
    let damaged = held(time("2026-11-22T03:00:00Z"), Occasion::Automatic, Soundness::Damaged("part 1".into()));
    let all = [automatic("2026-11-22T02:00:00Z"), damaged.clone()];
    let both = verdicts(&all, "2026-11-22T12:00:00Z");
    assert!(matches!(&both[0], Verdict::Keep(reasons) if reasons.contains(&Keep::Day)));
    assert_eq!(both[1], Verdict::Remove(Remove::Superseded));
    assert!(matches!(&verdicts(&[damaged], "2026-11-22T12:00:00Z")[0], Verdict::Keep(reasons) if reasons.contains(&Keep::Day)));
}

#[test]
fn a_backup_from_a_wrong_clock_stays_and_pushes_nothing_out() {
    let all =
        [manual("2026-11-01T10:00:00Z"), manual("2026-11-02T10:00:00Z"), manual("2026-11-03T10:00:00Z"), manual("2036-11-03T10:00:00Z")];
    let verdicts = verdicts(&all, "2026-11-22T12:00:00Z");
    assert_eq!(verdicts[3], Verdict::Keep(vec![Keep::Future]));
    assert_eq!(verdicts[2], Verdict::Keep(vec![Keep::Manual, Keep::LastGood, Keep::LastGoodConfiguration]));
    assert!(matches!(verdicts[0], Verdict::Keep(_)));
}

#[test]
fn whatever_the_backups_are_the_plan_is_complete_bounded_idempotent_and_keeps_the_last_good() {
    let mut numbers = Numbers(0x5EED);
    for round in 0..400 {
        let (mut all, now) = some_backups(&mut numbers);
        let zone = zone(ZONES[round % ZONES.len()]);
        let made = plan(&all, now, &zone);
        assert_eq!(made.verdicts.len(), all.len(), "a verdict for each");
        assert_eq!(made.kept().count() + made.removed().count(), all.len());
        assert!(made.verdicts.iter().all(|(_, verdict)| !matches!(verdict, Verdict::Keep(reasons) if reasons.is_empty())));

        let left = kept(&all, now, &zone);
        assert!(left.len() <= MANUAL + 7 + 3 + 12 + 4, "round {round}: {} stay", left.len());
        assert_eq!(kept(&left, now, &zone), left, "round {round}: carried out once, nothing more goes");

        let newest = |of: &dyn Fn(&Held) -> bool| all.iter().rev().find(|held| of(held)).cloned();
        for protected in [
            newest(&|held| held.soundness.is_sound()),
            newest(&|held| held.soundness.is_sound() && held.configuration),
            newest(&|held| matches!(held.soundness, Soundness::Verified(_))),
        ] {
            assert!(protected.is_none_or(|protected| left.contains(&protected)), "round {round}: a last good one went");
        }

        all.reverse();
        assert_eq!(plan(&all, now, &zone), made, "round {round}: the order of listing does not matter");
    }
}

#[test]
fn what_once_went_is_never_wanted_later() {
    let mut numbers = Numbers(0xB0A7);
    for round in 0..400 {
        let (all, end) = some_backups(&mut numbers);
        let zone = zone(ZONES[round % ZONES.len()]);
        // Pruning every so often on the way leaves the same as pruning once at the end.
        let (mut store, mut now) = (Vec::new(), time("2025-06-01T00:00:00Z"));
        let mut coming = all.iter().peekable();
        while now < end {
            now = (now + jiff::SignedDuration::from_hours(1 + i64::try_from(numbers.below(24 * 20)).unwrap())).min(end);
            while let Some(held) = coming.next_if(|held| held.started <= now) {
                store.push(held.clone());
            }
            store = kept(&store, now, &zone);
        }
        assert_eq!(store, kept(&all, end, &zone), "round {round}");
    }
}

#[test]
fn reasons_read_as_sentences_for_people() {
    assert_eq!(Keep::Week.to_string(), "last automatic backup of one of the last 3 weeks");
    assert_eq!(Remove::ReplacedManual.to_string(), "3 newer manual backups replace it");
}
