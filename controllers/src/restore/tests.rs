#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
use std::time::Instant;

use archive::layout::{BackupId, Folder};
use crds::action::Phase;
use crds::conditions::is_true;
use crds::restore::{Changes, RestoredElement};
use crds::{Backup, IPOffice, Restore};
use jiff::Timestamp;
use model::ids::SystemKey;
use serde_json::{Value, json};

use super::plan::{Next, Observed, Plan, Report, Stage, plan};
use crate::action::Patience;
use crate::action::report::{Because, WAITING_FOR_TURN};
use crate::action::runs::{Outcome, State};

const CREATED: &str = "2026-11-22T02:13:05Z";

fn restore(spec: Value) -> Restore {
    let mut all =
        json!({"ipOffice": "hq", "objectStore": "default", "source": {"backupId": "20261122t021305z-zcerr8a69pru"}, "dryRun": false});
    all.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    serde_json::from_value(json!({
        "apiVersion": "switchboard.dev/v1alpha1", "kind": "Restore",
        "metadata": {"name": "r", "namespace": "n", "uid": "uid-r", "generation": 1, "creationTimestamp": CREATED},
        "spec": all
    }))
    .unwrap()
}

fn system(holder: Option<&str>) -> IPOffice {
    let condition = |kind: &str| json!({"type": kind, "status": "True", "reason": "R", "message": "", "lastTransitionTime": CREATED});
    serde_json::from_value(json!({
        "apiVersion": "switchboard.dev/v1alpha1", "kind": "IPOffice", "metadata": {"name": "hq", "namespace": "n"}, "spec": {"customer": "acme"},
        "status": {
            "conditions": [condition("Connected"), condition("Authorized")],
            "connection": {"colour": "Green", "message": "Connection successful", "since": CREATED},
            "version": "11.1.3.2.0", "remoteOperations": {"remoteUpgradeBackup": true},
            "operation": holder.map(|uid| json!({"kind": "Restore", "name": "r", "uid": uid}))
        }
    }))
    .unwrap()
}

fn at(seconds: i64) -> Timestamp {
    CREATED.parse::<Timestamp>().unwrap() + jiff::SignedDuration::from_secs(seconds)
}

fn key() -> SystemKey {
    SystemKey { customer: "acme1".parse().unwrap(), system: "hq1".parse().unwrap() }
}

fn observed<'a>(restore: &'a Restore, system: Option<&'a IPOffice>, run: State<Report>) -> Observed<'a> {
    Observed {
        restore,
        system,
        key: Some(key()),
        backup: None,
        store: Ok(()),
        run,
        outnumbered: false,
        paused: false,
        patience: Patience::default(),
        now: at(10),
    }
}

fn report(checked: bool) -> Report {
    let folder = Folder { system: key(), id: BackupId::new(at(-100), "uid-b").unwrap() };
    let element = RestoredElement { element: "Configuration/IPOffice/HQ".into(), size: 9, changes: None };
    Report { folder, elements: vec![element], configuration_revision: 4, checked }
}

fn ended(outcome: Outcome<Report>) -> State<Report> {
    State::Ended(outcome, Instant::now())
}

fn after(mut restore: Restore, plan: &Plan) -> Restore {
    restore.status = Some(plan.status.clone());
    restore
}

fn reason(plan: &Plan) -> (Phase, &str) {
    (plan.status.phase.unwrap(), plan.status.conditions[0].reason.as_str())
}

#[test]
fn each_stage_is_in_status_before_the_next_begins_and_a_crash_goes_on_there() {
    let (order, free, mine) = (restore(json!({})), system(None), system(Some("uid-r")));
    assert_eq!(reason(&plan(&observed(&order, Some(&free), State::Idle))), (Phase::Waiting, WAITING_FOR_TURN));
    let begins = plan(&observed(&order, Some(&mine), State::Idle));
    assert_eq!((begins.status.phase, begins.next.clone()), (Some(Phase::InProgress), Next::Run(Stage::Find)));
    let looking = after(order, &begins);
    let found = plan(&observed(&looking, Some(&mine), ended(Outcome::Step(report(false)))));
    assert_eq!(found.next, Next::Run(Stage::Fetch(report(false).folder)));
    assert!(found.status.folder.is_some() && found.status.applying_since.is_none());
    let fetching = after(looking, &found);
    assert_eq!(plan(&observed(&fetching, Some(&mine), State::Idle)).next, found.next, "after a crash");
    let checked = plan(&observed(&fetching, Some(&mine), ended(Outcome::Step(report(true)))));
    assert_eq!(checked.next, Next::Run(Stage::Apply(report(true).folder)));
    assert!(checked.status.applying_since.is_some(), "before the system is told");
    let applying = after(fetching, &checked);
    assert_eq!(plan(&observed(&applying, Some(&mine), State::Idle)).next, checked.next, "after a crash");
    let done = plan(&observed(&applying, Some(&mine), ended(Outcome::Completed(report(true)))));
    assert!(is_true(&done.status.conditions, "Complete"));
    assert_eq!((done.next.clone(), done.status.phase), (Next::Wait, Some(Phase::Completed)));
    let complete = after(applying, &done);
    let later = plan(&observed(&complete, None, ended(Outcome::Failed(Because::new("X", "x")))));
    assert_eq!(Some(later.status), complete.status, "final");
}

#[test]
fn a_dry_run_says_what_would_change() {
    let (order, mine) = (restore(json!({"dryRun": true})), system(Some("uid-r")));
    let running = after(order.clone(), &plan(&observed(&order, Some(&mine), State::Idle)));
    let mut found = report(false);
    found.elements[0].changes = Some(Changes { added: 1, changed: 2, removed: 3, unchanged: 9, examples: vec!["~ users.csv".into()] });
    let done = plan(&observed(&running, Some(&mine), ended(Outcome::Completed(found))));
    assert_eq!(reason(&done), (Phase::Completed, "DryRun"));
    assert!(done.status.conditions[0].message.contains("would change 6 files"), "{}", done.status.conditions[0].message);
}

#[test]
fn a_backup_that_is_not_complete_is_waited_for_and_one_that_failed_is_refused() {
    let (order, free) = (restore(json!({"source": {"backup": "b"}})), system(None));
    let backup = |phase: Option<&str>| -> Backup {
        serde_json::from_value(json!({
            "apiVersion": "switchboard.dev/v1alpha1", "kind": "Backup", "metadata": {"name": "b", "namespace": "n"},
            "spec": {"ipOffice": "hq"}, "status": {"phase": phase}
        }))
        .unwrap()
    };
    let with = |backup: Option<&Backup>| {
        let plan = plan(&Observed { backup, ..observed(&order, Some(&free), State::Idle) });
        (plan.status.phase.unwrap(), plan.status.conditions[0].reason.clone())
    };
    assert_eq!(with(None), (Phase::Waiting, "BackupNotFound".to_owned()));
    assert_eq!(with(Some(&backup(Some("InProgress")))), (Phase::Waiting, "BackupNotComplete".to_owned()));
    assert_eq!(with(Some(&backup(Some("Scheduled")))), (Phase::Failed, "BackupNotComplete".to_owned()), "a restore is never scheduled");
    let mistyped = plan(&Observed { now: at(60), ..observed(&order, Some(&free), State::Idle) });
    assert_eq!(reason(&mistyped), (Phase::Failed, "BackupNotFound"), "nor does it wait for somebody to use a name");
    assert_eq!(with(Some(&backup(Some("Failed")))), (Phase::Failed, "BackupNotComplete".to_owned()));
    assert_eq!(with(Some(&backup(Some("Completed")))), (Phase::Waiting, WAITING_FOR_TURN.to_owned()));
}

#[test]
fn it_never_hangs_in_progress_and_its_deletion_waits_only_while_it_runs() {
    let (order, mine) = (restore(json!({})), system(Some("uid-r")));
    let mut running = after(order.clone(), &plan(&observed(&order, Some(&mine), State::Idle)));
    let held = plan(&observed(&running, Some(&mine), State::Held(None, Because::new("StoreUnreachable", "no answer"))));
    assert_eq!((reason(&held), &held.next), ((Phase::InProgress, "StoreUnreachable"), &Next::Wait), "it says what it waits for");
    let again = || ended(Outcome::Again(Because::new("CatalogueUnread", "later")));
    let long = plan(&Observed { now: at(25 * 3600), ..observed(&running, Some(&mine), again()) });
    assert_eq!(reason(&long), (Phase::Failed, "CatalogueUnread"));
    assert_eq!(reason(&plan(&observed(&running, None, State::Idle))), (Phase::Failed, "SystemDeleted"));
    running.metadata.deletion_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(at(20)));
    let waits = plan(&observed(&running, Some(&mine), State::Running(None)));
    assert!(waits.next == Next::Wait && waits.status.conditions.iter().any(|condition| condition.type_ == "Deletable"));
    let mut failed = after(running, &long);
    failed.metadata.deletion_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(at(20)));
    assert_eq!(plan(&observed(&failed, None, State::Idle)).next, Next::Release);
}
