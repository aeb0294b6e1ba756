//! Carries a restore out: the backup is found and checked, the system fetches and checks every byte of it, and only then puts it into use. Every
//! stage may be begun again at any point.

use std::time::Duration;

use archive::layout::Folder;
use crds::Restore;
use crds::restore::{Changes, RestoredElement};
use protocol::link::{Done, SessionState, SessionView};
use protocol::message::{Command, Facts};
use protocol::transfer::{ElementChanges, LastRestore, Output};

use super::plan::{Report, Stage};
use super::source::{self, Source};
use crate::action::reach::{Reach, Stop};
use crate::action::runs::Outcome;

/// How long a presigned request is good for.
const PRESIGNED_FOR: Duration = Duration::from_secs(3600);

/// What the order is.
pub struct Order {
    /// The object.
    pub restore: Restore,
    /// The backup that `source.backup` names.
    pub named: Option<Folder>,
    /// What is to be done.
    pub stage: Stage,
}

/// Does one stage. `progress` is told what people want to read.
///
/// # Errors
/// Why it ended before it was done.
pub async fn carry_out(order: &Order, reach: &Reach, progress: impl Fn(String)) -> Result<Outcome<Report>, Stop> {
    match &order.stage {
        Stage::Find => {
            let folder = source::find(&order.restore, order.named.as_ref(), reach).await?;
            let facts = facts(reach).await?;
            let source = source::read(&order.restore, &folder, &facts, reach).await?;
            Ok(Outcome::Step(report(&folder, &source, false)))
        }
        Stage::Fetch(folder) => {
            let source = fetch(order, folder, reach, progress).await?;
            if order.restore.spec.dry_run {
                return Ok(Outcome::Completed(preview(folder, &source, reach).await?));
            }
            Ok(Outcome::Step(report(folder, &source, true)))
        }
        Stage::Apply(folder) => apply(order, folder, reach, progress).await,
    }
}

fn report(folder: &Folder, source: &Source, checked: bool) -> Report {
    let element = |(element, _): &(archive::manifest::Element, _)| RestoredElement {
        element: element.element.to_string(),
        size: i64::try_from(element.size).unwrap_or(i64::MAX),
        changes: None,
    };
    Report {
        folder: folder.clone(),
        elements: source.elements.iter().map(element).collect(),
        configuration_revision: source.manifest.configuration_revision,
        checked,
    }
}

fn connected(view: &SessionView) -> Option<Facts> {
    matches!(view.state, SessionState::Connected { .. }).then(|| view.facts.clone())
}

/// What the system reports of itself, once it is signed in.
///
/// # Errors
/// It is not for too long.
pub async fn facts(reach: &Reach) -> Result<Facts, Stop> {
    reach.session("SystemNotConnected", "the system is not connected", connected).await
}

/// Has the system fetch every element; what it holds already it does not fetch again.
async fn fetch(order: &Order, folder: &Folder, reach: &Reach, progress: impl Fn(String)) -> Result<Source, Stop> {
    let facts = facts(reach).await?;
    let source = source::read(&order.restore, folder, &facts, reach).await?;
    for (at, (element, name)) in source.elements.iter().enumerate() {
        progress(format!("{at} of {} elements fetched and checked", source.elements.len()));
        let mut tries = 0;
        loop {
            let key = element.key.clone();
            let (request, authority) = reach
                .store(|client| {
                    let key = key.clone();
                    async move { Ok((client.presign_get(&key, PRESIGNED_FOR).await?, client.options().authority.clone())) }
                })
                .await?;
            let (size, sha256) = (element.size, element.sha256.to_string());
            let done = reach.ask(Command::FetchElement { element: name.to_string(), size, sha256, request, authority }).await?;
            match &done.output {
                Some(Output::Fetched) => break,
                Some(Output::FetchStopped { failure }) => {
                    if failure.status == Some(404) {
                        // Where it is gone for good, nobody waits for it.
                        source::read(&order.restore, folder, &facts, reach).await?;
                    }
                    reach.store_failed(tries, failure).await?;
                    tries += 1;
                }
                _ => return Err(unexpected("fetchElement", &done)),
            }
        }
        reach.moved();
    }
    progress(format!("{0} of {0} elements fetched and checked", source.elements.len()));
    Ok(source)
}

fn names(source: &Source) -> Vec<String> {
    source.elements.iter().map(|(_, name)| name.to_string()).collect()
}

fn unexpected(command: &str, done: &Done) -> Stop {
    Stop::failed(
        "UnexpectedAnswer",
        format!("the system answered {command} with {:?}; its software does not fit this Switchboard", done.output),
    )
}

async fn preview(folder: &Folder, source: &Source, reach: &Reach) -> Result<Report, Stop> {
    let done = reach.ask(Command::PreviewRestore { elements: names(source) }).await?;
    let Some(Output::Preview { elements: found }) = &done.output else { return Err(unexpected("previewRestore", &done)) };
    let mut report = report(folder, source, false);
    for (restored, (_, name)) in report.elements.iter_mut().zip(&source.elements) {
        restored.changes = found.iter().find(|changes| changes.element == name.to_string()).map(changes);
    }
    Ok(report)
}

fn changes(found: &ElementChanges) -> Changes {
    let examples = found.examples.iter().take(20).map(|example| example.chars().take(200).collect()).collect();
    Changes { added: found.added, changed: found.changed, removed: found.removed, unchanged: found.unchanged, examples }
}

/// Has the system put the backup into use, and waits until it reports so: only that makes the restore complete.
async fn apply(order: &Order, folder: &Folder, reach: &Reach, progress: impl Fn(String)) -> Result<Outcome<Report>, Stop> {
    // Back means signed in again: what a system says when it connects counts once it is known to be the system.
    let own = |view: &SessionView| connected(view)?.last_restore.filter(|last| last.operation == reach.operation);
    // Where the process ended after the system was told, the system may have done it all by now.
    facts(reach).await?;
    if reach.link.view(&reach.key).as_ref().and_then(own).is_none() {
        let source = fetch(order, folder, reach, progress).await?;
        let command = Command::ApplyRestore {
            elements: names(&source),
            backup_id: folder.id.to_string(),
            configuration_revision: source.manifest.configuration_revision,
        };
        reach.ask(command).await?;
    }
    let last: LastRestore = reach.session("RestoreNotReported", "the system has not reported that it was restored", own).await?;
    if let Some(why) = last.failure {
        return Err(Stop::failed("RestoreFailed", format!("the system kept what it had: {why}")));
    }
    let status = order.restore.status.clone().unwrap_or_default();
    let expected = status.configuration_revision.and_then(|revision| u64::try_from(revision).ok());
    if expected.is_some_and(|expected| expected != last.configuration_revision) || last.backup_id != folder.id.to_string() {
        let message = format!(
            "the system reports backup {}, configuration {}, and not what was ordered",
            last.backup_id, last.configuration_revision
        );
        return Err(Stop::failed("OtherRestore", message));
    }
    let report =
        Report { folder: folder.clone(), elements: status.elements, configuration_revision: last.configuration_revision, checked: true };
    Ok(Outcome::Completed(report))
}
