//! Backup: what was observed to what to do. Pure.

use std::time::{Duration, Instant};

use archive::element::{Occasion, Selection, refusals};
use archive::layout::{BackupId, Folder};
use crds::action::Phase;
use crds::backup::{DeletionPolicy, StoredElement};
use crds::conditions::Finding;
use crds::{Backup, BackupStatus, IPOffice};
use jiff::Timestamp;
use kube::ResourceExt as _;
use model::ids::SystemKey;

use crate::action::Patience;
use crate::action::report::{self, Because, WAITING_FOR_TURN};
use crate::action::runs::{Outcome, State};
use crate::action::turn::{self, Readiness};

/// What a backup that is complete is known to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Its elements.
    pub elements: Vec<StoredElement>,
    /// Bytes in all.
    pub size: u64,
    /// Number of the configuration in it.
    pub configuration_revision: u64,
    /// What the store confirmed, for the condition.
    pub confirmed: String,
}

/// What was observed.
#[derive(Debug)]
pub struct Observed<'a> {
    /// The object.
    pub backup: &'a Backup,
    /// The system that it names.
    pub system: Option<&'a IPOffice>,
    /// Its ids, where the system is there.
    pub key: Option<SystemKey>,
    /// Whether the store can be used; why not.
    pub store: Result<(), Because>,
    /// What is under way.
    pub run: State<Report>,
    /// What is under way of the removal.
    pub clean_up: State<()>,
    /// Whether enough newer finished backups of the system are there, one of them complete.
    pub outnumbered: bool,
    /// Whether it is set aside by annotation.
    pub paused: bool,
    /// How patient actions are.
    pub patience: Patience,
    /// Now.
    pub now: Timestamp,
}

/// What to do beside writing the status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Nothing until something changes.
    Wait,
    /// Nothing for so long.
    LookAgain(Duration),
    /// Work on the system and the store: the backup's folder.
    Run(Box<Folder>),
    /// Remove what is in the store: the folder, and whether only what is no backup.
    CleanUp(Box<Folder>),
    /// Let the object go.
    Release,
    /// Delete the object: newer ones took its place.
    Prune,
}

/// What to do.
#[derive(Debug, PartialEq)]
pub struct Plan {
    /// Status to write; first.
    pub status: BackupStatus,
    /// Then this.
    pub next: Next,
    /// An Event once the status is written.
    pub ended: Option<(Phase, Because)>,
}

/// Makes the plan.
pub fn plan(observed: &Observed) -> Plan {
    let previous = observed.backup.status.clone().unwrap_or_default();
    let phase = previous.phase.unwrap_or_default();
    if observed.backup.metadata.deletion_timestamp.is_some() && phase != Phase::InProgress {
        return deletion(observed, previous);
    }
    match phase {
        Phase::Completed | Phase::Failed | Phase::Stopped => finished(observed, previous),
        Phase::InProgress => in_progress(observed, previous),
        Phase::Waiting | Phase::Scheduled | Phase::Paused => not_begun(observed, previous),
    }
}

fn finished(observed: &Observed, previous: BackupStatus) -> Plan {
    // An object that would take its backup with it goes by a person's order only; one that is set aside is left alone.
    let may_go = observed.backup.spec.deletion_policy == DeletionPolicy::Retain && !observed.paused;
    let next = if observed.outnumbered && may_go { Next::Prune } else { Next::Wait };
    Plan { status: previous, next, ended: None }
}

fn step(observed: &Observed, previous: &BackupStatus, phase: Phase, because: &Because, next: Next) -> Plan {
    let generation = observed.backup.metadata.generation;
    let mut status = previous.clone();
    status.phase = Some(phase);
    status.observed_generation = generation;
    status.conditions = report::of_phase(&previous.conditions, phase, because, None, generation, observed.now);
    let ended = (phase.is_final() && !previous.phase.is_some_and(Phase::is_final)).then(|| (phase, because.clone()));
    if phase.is_final() {
        status.completion_time = Some(report::time(observed.now));
        status.progress = None;
    }
    Plan { status, next, ended }
}

fn not_begun(observed: &Observed, previous: BackupStatus) -> Plan {
    let spec = &observed.backup.spec;
    if turn::holds_lock(observed.system, &observed.backup.uid().unwrap_or_default()) {
        return begin(observed, previous);
    }
    let at = |phase, because: Because, next| step(observed, &previous, phase, &because, next);
    if spec.stopped {
        let because = Because::new("StoppedBySpec", "called off before it began, and for good; create another Backup");
        return at(Phase::Stopped, because, Next::Wait);
    }
    if observed.paused || spec.paused {
        let because = if observed.paused {
            Because::new("Annotated", crate::customer::PAUSED)
        } else {
            Because::new("PausedBySpec", "spec.paused is set; it begins once that is taken back")
        };
        let mut plan = at(Phase::Paused, because, Next::Wait);
        if observed.paused {
            let finding = Finding::new("Paused", true, "Annotated", crate::customer::PAUSED);
            let generation = observed.backup.metadata.generation;
            plan.status.conditions.extend(crds::conditions::conditions(&previous.conditions, &[finding], generation, observed.now));
        }
        return plan;
    }
    let due = due(observed);
    if let Some(left) = until(due, observed.now) {
        let message = format!("begins at {due}");
        return at(Phase::Scheduled, Because::new("Scheduled", message), Next::LookAgain(left));
    }
    if let Some(because) = impossible(observed) {
        return at(Phase::Failed, because, Next::Wait);
    }
    let waits = match turn::readiness(&spec.ip_office, observed.system) {
        Readiness::Refused(because) => return at(Phase::Failed, because, Next::Wait),
        Readiness::Waits(because) => because,
        Readiness::Ready => match &observed.store {
            Ok(()) => Because::new(WAITING_FOR_TURN, turn::holder(observed.system)),
            Err(because) => because.clone(),
        },
    };
    let limit = due.checked_add(observed.patience.to_begin).unwrap_or(Timestamp::MAX);
    match until(limit, observed.now) {
        Some(left) => at(Phase::Waiting, waits, Next::LookAgain(left)),
        None => {
            let hours = observed.patience.to_begin.as_secs() / 3600;
            let message = format!("could not begin within {hours} hours: {}; order it again once that is mended", waits.message);
            at(Phase::Failed, Because::new("NotBegun", message), Next::Wait)
        }
    }
}

/// When it may begin: the time of the order where none is set, or where the set one had passed by then.
fn due(observed: &Observed) -> Timestamp {
    let created = observed.backup.creation_timestamp().map_or(observed.now, |time| time.0);
    observed.backup.spec.start_time.as_ref().map_or(created, |time| time.0.max(created))
}

fn until(moment: Timestamp, now: Timestamp) -> Option<Duration> {
    Duration::try_from(moment.duration_since(now)).ok().filter(|left| !left.is_zero())
}

/// What is wrong with the order itself.
fn impossible(observed: &Observed) -> Option<Because> {
    let spec = &observed.backup.spec;
    let selections: Vec<Selection> = match spec.elements.iter().map(|text| text.parse()).collect::<Result<_, _>>() {
        Ok(selections) => selections,
        Err(error) => return Some(Because::new("InvalidElements", archive::element::ParseElementError::to_string(&error))),
    };
    let profile = observed.system.and_then(|system| system.status.as_ref()).and_then(|status| status.profile)?;
    let refused = refusals(profile, Occasion::Manual, &selections);
    let texts: Vec<String> = refused.iter().map(ToString::to_string).collect();
    (!texts.is_empty()).then(|| Because::new("ElementsRefused", texts.join("; ")))
}

/// Its turn has come: the backup's place is in status before anything is done.
fn begin(observed: &Observed, previous: BackupStatus) -> Plan {
    let created = observed.backup.creation_timestamp().map_or(observed.now, |time| time.0);
    let id = BackupId::new(created, &observed.backup.uid().unwrap_or_default());
    let (id, system) = match (id, observed.key.clone()) {
        (Ok(id), Some(system)) => (id, system),
        (Err(error), _) => return step(observed, &previous, Phase::Failed, &Because::new("InvalidObject", error.to_string()), Next::Wait),
        (_, None) => return step(observed, &previous, Phase::Waiting, &Because::new("SystemNotFound", "the IPOffice is gone"), Next::Wait),
    };
    let folder = Folder { system, id };
    let because = Because::new("InProgress", format!("{} packs and uploads the backup", observed.backup.spec.ip_office));
    let mut plan = step(observed, &previous, Phase::InProgress, &because, Next::Run(Box::new(folder.clone())));
    plan.status.backup_id = Some(folder.id.to_string());
    plan.status.folder = Some(folder.prefix());
    plan.status.system_uid = observed.system.and_then(|system| system.uid());
    plan.status.start_time = Some(report::time(observed.now));
    plan
}

/// Where the backup is, from status alone: what it was before does not change with anything.
pub fn folder(status: &BackupStatus) -> Option<Folder> {
    let prefix = status.folder.as_ref()?;
    archive::layout::parse_key(&format!("{prefix}{}", archive::layout::MANIFEST)).ok().map(|(folder, _)| folder)
}

fn in_progress(observed: &Observed, previous: BackupStatus) -> Plan {
    let Some(folder) = folder(&previous) else {
        let because =
            Because::new("InvalidStatus", "the status does not say where the backup is; somebody else changed it: order it again");
        return step(observed, &previous, Phase::Failed, &because, Next::Wait);
    };
    let working = |progress: Option<String>, because: &Because, next: Next| {
        let mut plan = step(observed, &previous, Phase::InProgress, because, next);
        plan.status.progress = progress.or_else(|| previous.progress.clone());
        if observed.backup.metadata.deletion_timestamp.is_some() {
            let waits = Because::new("InProgress", "a running backup cannot be deleted; the object goes once it has ended");
            let generation = observed.backup.metadata.generation;
            plan.status.conditions =
                report::of_phase(&previous.conditions, Phase::InProgress, because, Some(&waits), generation, observed.now);
        }
        plan
    };
    let uploads = Because::new("InProgress", format!("{} packs and uploads the backup", observed.backup.spec.ip_office));
    if !matches!(observed.run, State::Running(_) | State::Held(..) | State::Ended(Outcome::Completed(_) | Outcome::Failed(_), _))
        && let Some(stop) = turn::interrupted(
            observed.system,
            previous.system_uid.as_deref(),
            &observed.backup.uid().unwrap_or_default(),
            &observed.backup.spec.ip_office,
        )
    {
        return match stop {
            Readiness::Refused(because) => step(observed, &previous, Phase::Failed, &because, Next::Wait),
            Readiness::Waits(because) => working(None, &because, Next::Wait),
            Readiness::Ready => working(None, &uploads, Next::Run(Box::new(folder))),
        };
    }
    if let Some(because) = too_long(previous.start_time.as_ref(), observed) {
        return step(observed, &previous, Phase::Failed, &because, Next::Wait);
    }
    match &observed.run {
        State::Running(progress) => working(progress.clone(), &uploads, Next::Wait),
        State::Held(progress, because) => working(progress.clone(), because, Next::Wait),
        State::Idle => working(None, &uploads, Next::Run(Box::new(folder))),
        State::Ended(Outcome::Completed(report) | Outcome::Step(report), _) => {
            let because = Because::new("Stored", format!("the backup is in the store; {}", report.confirmed));
            let mut plan = step(observed, &previous, Phase::Completed, &because, Next::Wait);
            plan.status.size = i64::try_from(report.size).ok();
            plan.status.elements = report.elements.clone();
            plan.status.configuration_revision = i64::try_from(report.configuration_revision).ok();
            plan
        }
        State::Ended(Outcome::Failed(because), _) => step(observed, &previous, Phase::Failed, because, Next::Wait),
        State::Ended(Outcome::Again(because), at) => {
            let left = observed.patience.again.checked_sub(Instant::now().saturating_duration_since(*at)).filter(|left| !left.is_zero());
            working(None, because, left.map_or_else(|| Next::Run(Box::new(folder)), Next::LookAgain))
        }
    }
}

/// An action that began long ago and is begun again and again has an end too.
fn too_long(began: Option<&k8s_openapi::apimachinery::pkg::apis::meta::v1::Time>, observed: &Observed) -> Option<Because> {
    let because = match &observed.run {
        State::Ended(Outcome::Again(because), _) => because,
        State::Idle | State::Running(_) | State::Held(..) | State::Ended(..) => return None,
    };
    observed
        .patience
        .exhausted(began.map(|time| time.0), observed.now)
        .then(|| Because::new(because.reason.clone(), format!("{}; given up: order it again once that is mended", because.message)))
}

/// The object is on its way out, and nothing works on the system any more.
fn deletion(observed: &Observed, previous: BackupStatus) -> Plan {
    let keep = |next| Plan { status: previous.clone(), next, ended: None };
    let phase = previous.phase.unwrap_or_default();
    let remove = match (observed.backup.spec.deletion_policy, phase) {
        (DeletionPolicy::Delete, _) => true,
        // What is no backup is of no use to anybody; but the object does not wait for it.
        (DeletionPolicy::Retain, Phase::Failed) => true,
        (DeletionPolicy::Retain, _) => false,
    };
    let Some(folder) = folder(&previous).filter(|_| remove) else { return keep(Next::Release) };
    match &observed.clean_up {
        State::Idle => keep(Next::CleanUp(Box::new(folder))),
        State::Running(_) | State::Held(..) => keep(Next::Wait),
        State::Ended(Outcome::Completed(()) | Outcome::Step(()), _) => keep(Next::Release),
        State::Ended(Outcome::Failed(_) | Outcome::Again(_), _) if observed.backup.spec.deletion_policy == DeletionPolicy::Retain => {
            keep(Next::Release)
        }
        State::Ended(Outcome::Failed(because) | Outcome::Again(because), at) => {
            let message = format!("{}; or set spec.deletionPolicy: Retain to let the object go without its backup", because.message);
            let waits = Because::new(because.reason.clone(), message);
            let generation = observed.backup.metadata.generation;
            let complete = previous.conditions.iter().find(|condition| condition.type_ == "Complete");
            let was = complete.map_or_else(|| Because::new(phase.as_str(), ""), |c| Because::new(c.reason.clone(), c.message.clone()));
            let mut status = previous.clone();
            status.conditions = report::of_phase(&previous.conditions, phase, &was, Some(&waits), generation, observed.now);
            let again = observed.patience.longest_wait.checked_sub(Instant::now().saturating_duration_since(*at));
            let next = match again.filter(|left| !left.is_zero()) {
                Some(left) => Next::LookAgain(left),
                None => Next::CleanUp(Box::new(folder)),
            };
            Plan { status, next, ended: None }
        }
    }
}
