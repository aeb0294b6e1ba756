//! Restore: what was observed to what to do. Pure.

use std::time::{Duration, Instant};

use archive::layout::Folder;
use crds::action::Phase;
use crds::conditions::Finding;
use crds::restore::RestoredElement;
use crds::{Backup, IPOffice, Restore, RestoreStatus};
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt as _;
use model::ids::SystemKey;

use crate::action::Patience;
use crate::action::report::{self, Because, WAITING_FOR_TURN};
use crate::action::runs::{Outcome, State};
use crate::action::turn::{self, Readiness};

/// Objects that are applied together come one after the other: for so long one may name another that is not there yet.
const MANIFESTS_COME_WITHIN: SignedDuration = SignedDuration::from_secs(30);

/// What a step has found out or done.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// The backup.
    pub folder: Folder,
    /// What is restored, with what would change in a dry run.
    pub elements: Vec<RestoredElement>,
    /// Number of the configuration in the backup.
    pub configuration_revision: u64,
    /// Whether the system may be told to put it into use.
    pub checked: bool,
}

/// What was observed.
#[derive(Debug)]
pub struct Observed<'a> {
    /// The object.
    pub restore: &'a Restore,
    /// The system that it names.
    pub system: Option<&'a IPOffice>,
    /// Its ids, where the system is there.
    pub key: Option<SystemKey>,
    /// The Backup that it names, where it names one that is there.
    pub backup: Option<&'a Backup>,
    /// Whether the store can be used; why not.
    pub store: Result<(), Because>,
    /// What is under way.
    pub run: State<Report>,
    /// Whether enough newer finished restores of the system are there.
    pub outnumbered: bool,
    /// Whether it is set aside by annotation.
    pub paused: bool,
    /// How patient actions are.
    pub patience: Patience,
    /// Now.
    pub now: Timestamp,
}

/// What is to be done in a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stage {
    /// Find the backup, and see that it can be restored here.
    Find,
    /// Have the system fetch and check all of it, and in a dry run compare it.
    Fetch(Folder),
    /// Have the system put it into use, and wait until it says so.
    Apply(Folder),
}

/// What to do beside writing the status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Nothing until something changes.
    Wait,
    /// Nothing for so long.
    LookAgain(Duration),
    /// Work on the system.
    Run(Stage),
    /// Let the object go.
    Release,
    /// Delete the object: newer ones took its place.
    Prune,
}

/// What to do.
#[derive(Debug, PartialEq)]
pub struct Plan {
    /// Status to write; first.
    pub status: RestoreStatus,
    /// Then this.
    pub next: Next,
    /// An Event once the status is written.
    pub ended: Option<(Phase, Because)>,
}

/// Makes the plan.
pub fn plan(observed: &Observed) -> Plan {
    let previous = observed.restore.status.clone().unwrap_or_default();
    let phase = previous.phase.unwrap_or_default();
    let deleting = observed.restore.metadata.deletion_timestamp.is_some();
    match phase {
        Phase::InProgress => in_progress(observed, previous),
        _ if deleting => Plan { status: previous, next: Next::Release, ended: None },
        Phase::Completed | Phase::Failed | Phase::Stopped => {
            Plan { status: previous, next: if observed.outnumbered && !observed.paused { Next::Prune } else { Next::Wait }, ended: None }
        }
        Phase::Waiting | Phase::Scheduled | Phase::Paused => not_begun(observed, &previous),
    }
}

fn step(observed: &Observed, previous: &RestoreStatus, phase: Phase, because: &Because, next: Next) -> Plan {
    let generation = observed.restore.metadata.generation;
    let waits = Because::new(
        "InProgress",
        "before the system is told to put the backup into use, deleting calls the restore off; from then on the object goes once it has ended",
    );
    let deletable = (phase == Phase::InProgress && observed.restore.metadata.deletion_timestamp.is_some()).then_some(&waits);
    let mut status = previous.clone();
    status.phase = Some(phase);
    status.observed_generation = generation;
    status.conditions = report::of_phase(&previous.conditions, phase, because, deletable, generation, observed.now);
    let ended = (phase.is_final() && !previous.phase.is_some_and(Phase::is_final)).then(|| (phase, because.clone()));
    if phase.is_final() {
        status.completion_time = Some(report::time(observed.now));
        status.progress = None;
    }
    Plan { status, next, ended }
}

fn not_begun(observed: &Observed, previous: &RestoreStatus) -> Plan {
    let at = |phase, because: Because, next| step(observed, previous, phase, &because, next);
    if turn::holds_lock(observed.system, &observed.restore.uid().unwrap_or_default()) {
        let mut plan = at(Phase::InProgress, finding(), Next::Run(Stage::Find));
        plan.status.start_time = Some(report::time(observed.now));
        plan.status.system_uid = observed.system.and_then(|system| system.uid());
        return plan;
    }
    if observed.paused {
        let mut plan = at(Phase::Paused, Because::new("Annotated", crate::customer::PAUSED), Next::Wait);
        let generation = observed.restore.metadata.generation;
        let paused = Finding::new("Paused", true, "Annotated", crate::customer::PAUSED);
        plan.status.conditions.extend(crds::conditions::conditions(&previous.conditions, &[paused], generation, observed.now));
        return plan;
    }
    let waits = match turn::readiness(&observed.restore.spec.ip_office, observed.system) {
        Readiness::Refused(because) => return at(Phase::Failed, because, Next::Wait),
        Readiness::Waits(because) => because,
        Readiness::Ready => match (backup(observed), observed.store.clone()) {
            (Readiness::Refused(because), _) => return at(Phase::Failed, because, Next::Wait),
            (Readiness::Waits(because), _) | (Readiness::Ready, Err(because)) => because,
            (Readiness::Ready, Ok(())) => Because::new(WAITING_FOR_TURN, turn::holder(observed.system)),
        },
    };
    let created = observed.restore.creation_timestamp().map_or(observed.now, |time| time.0);
    let limit = created.checked_add(observed.patience.to_restore).unwrap_or(Timestamp::MAX);
    match Duration::try_from(limit.duration_since(observed.now)).ok().filter(|left| !left.is_zero()) {
        Some(left) => at(Phase::Waiting, waits, Next::LookAgain(left)),
        None => {
            let minutes = observed.patience.to_restore.as_secs() / 60;
            let message = format!("could not begin within {minutes} minutes: {}; order it again once that is mended", waits.message);
            at(Phase::Failed, Because::new("NotBegun", message), Next::Wait)
        }
    }
}

fn finding() -> Because {
    Because::new("InProgress", "the backup is looked up and checked")
}

/// Whether the Backup that is named, if one is, holds something. A restore is at once: it waits for a backup that runs, never for one that is to come.
fn backup(observed: &Observed) -> Readiness {
    let Some(name) = &observed.restore.spec.source.backup else { return Readiness::Ready };
    let Some(backup) = observed.backup else {
        let message = format!(
            "there is no Backup {name} in this namespace; where its object is gone, use source.backupId, which switchboard catalogue lists"
        );
        let because = Because::new("BackupNotFound", message);
        let created = observed.restore.creation_timestamp().map_or(observed.now, |time| time.0);
        let new = observed.now.duration_since(created) < MANIFESTS_COME_WITHIN;
        return if new { Readiness::Waits(because) } else { Readiness::Refused(because) };
    };
    let not = |how: &str| Because::new("BackupNotComplete", format!("the Backup {name} {how}"));
    match backup.status.as_ref().and_then(|status| status.phase) {
        Some(Phase::Completed) => Readiness::Ready,
        Some(Phase::Failed) => Readiness::Refused(not("has failed: there is nothing to restore; choose another one")),
        Some(Phase::Stopped) => Readiness::Refused(not("was stopped: there is nothing to restore; choose another one")),
        Some(Phase::Scheduled | Phase::Paused) => {
            Readiness::Refused(not("has not begun, and restores are never scheduled; order the restore once it is complete"))
        }
        Some(Phase::Waiting | Phase::InProgress) | None => Readiness::Waits(not("is not complete yet")),
    }
}

/// Where the backup is, from status alone.
pub fn folder(status: &RestoreStatus) -> Option<Folder> {
    let prefix = status.folder.as_ref()?;
    archive::layout::parse_key(&format!("{prefix}{}", archive::layout::MANIFEST)).ok().map(|(folder, _)| folder)
}

/// What the status says that comes next.
fn stage(status: &RestoreStatus) -> Stage {
    match (folder(status), &status.applying_since) {
        (None, _) => Stage::Find,
        (Some(folder), None) => Stage::Fetch(folder),
        (Some(folder), Some(_)) => Stage::Apply(folder),
    }
}

fn doing(observed: &Observed, stage: &Stage) -> Because {
    let system = &observed.restore.spec.ip_office;
    match stage {
        Stage::Find => finding(),
        Stage::Fetch(_) => Because::new("InProgress", format!("{system} fetches and checks the backup; nothing in use is touched")),
        Stage::Apply(_) => Because::new("Applying", format!("{system} puts the backup into use and restarts")),
    }
}

fn in_progress(observed: &Observed, previous: RestoreStatus) -> Plan {
    let uid = observed.restore.uid().unwrap_or_default();
    let now_at = stage(&previous);
    let working = |because: &Because, next| step(observed, &previous, Phase::InProgress, because, next);
    if !matches!(
        observed.run,
        State::Running(_) | State::Held(..) | State::Ended(Outcome::Completed(_) | Outcome::Failed(_) | Outcome::Step(_), _)
    ) && let Some(stop) = turn::interrupted(observed.system, previous.system_uid.as_deref(), &uid, &observed.restore.spec.ip_office)
    {
        return match stop {
            Readiness::Refused(because) => step(observed, &previous, Phase::Failed, &because, Next::Wait),
            Readiness::Waits(because) => working(&because, Next::Wait),
            Readiness::Ready => working(&doing(observed, &now_at), Next::Run(now_at.clone())),
        };
    }
    match &observed.run {
        State::Running(progress) => {
            let mut plan = working(&doing(observed, &now_at), Next::Wait);
            plan.status.progress = progress.clone().or(plan.status.progress);
            plan
        }
        State::Held(progress, because) => {
            let mut plan = working(because, Next::Wait);
            plan.status.progress = progress.clone().or(plan.status.progress);
            plan
        }
        State::Idle => working(&doing(observed, &now_at), Next::Run(now_at)),
        State::Ended(Outcome::Step(report), _) => next_stage(observed, &previous, report),
        State::Ended(Outcome::Completed(report), _) => completed(observed, &previous, report),
        State::Ended(Outcome::Failed(because), _) => step(observed, &previous, Phase::Failed, because, Next::Wait),
        State::Ended(Outcome::Again(because), at) => {
            if observed.patience.exhausted(previous.start_time.as_ref().map(|time| time.0), observed.now) {
                let message = format!("{}; given up: order it again once that is mended", because.message);
                return step(observed, &previous, Phase::Failed, &Because::new(because.reason.clone(), message), Next::Wait);
            }
            let left = observed.patience.again.checked_sub(Instant::now().saturating_duration_since(*at));
            let next = left.filter(|left| !left.is_zero()).map_or_else(|| Next::Run(now_at), Next::LookAgain);
            working(because, next)
        }
    }
}

/// What a step found is in status before the next one acts on it.
fn next_stage(observed: &Observed, previous: &RestoreStatus, report: &Report) -> Plan {
    let mut status = previous.clone();
    fill(&mut status, report);
    if report.checked {
        status.applying_since = previous.applying_since.clone().or_else(|| Some(report::time(observed.now)));
        status.progress = Some("restarting".to_owned());
    }
    let next = stage(&status);
    let mut plan = step(observed, previous, Phase::InProgress, &doing(observed, &next), Next::Run(next));
    fill(&mut plan.status, report);
    plan.status.applying_since = status.applying_since;
    plan.status.progress = status.progress;
    plan
}

fn fill(status: &mut RestoreStatus, report: &Report) {
    status.backup_id = Some(report.folder.id.to_string());
    status.folder = Some(report.folder.prefix());
    status.elements = report.elements.clone();
    status.configuration_revision = i64::try_from(report.configuration_revision).ok();
}

fn completed(observed: &Observed, previous: &RestoreStatus, report: &Report) -> Plan {
    let because = if observed.restore.spec.dry_run {
        let differing = report.elements.iter().filter_map(|element| element.changes.as_ref());
        let files: u32 = differing.map(|changes| changes.added.saturating_add(changes.changed).saturating_add(changes.removed)).sum();
        let files = if files == 1 { "1 file".to_owned() } else { format!("{files} files") };
        Because::new("DryRun", format!("the backup is whole; restoring it would change {files}, see status.elements; nothing was changed"))
    } else {
        Because::new(
            "Restored",
            format!("the system reports that it was restored to configuration {} of the backup", report.configuration_revision),
        )
    };
    let mut plan = step(observed, previous, Phase::Completed, &because, Next::Wait);
    fill(&mut plan.status, report);
    plan
}
