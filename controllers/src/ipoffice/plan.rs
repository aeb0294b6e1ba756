//! IPOffice: what was observed to what to do. Pure.

use std::time::Duration;

use crds::conditions::conditions;
use crds::{IPOffice, IPOfficeStatus};
use jiff::Timestamp;
use model::account::SignInOutcome;
use model::connectivity::{Absence, Colour, Message, Observation, assess};
use model::ids::SystemKey;
use model::rights::Right;
use protocol::link::{SessionState, SessionView};
use protocol::message::Settings;

use super::findings;
use super::status;
use super::wanted;
use crate::action::lock::{self, Candidate};

/// What was observed of a system.
#[derive(Debug)]
pub struct Observed<'a> {
    /// The object.
    pub system: &'a IPOffice,
    /// The ids it has or would have.
    pub key: SystemKey,
    /// Its customer.
    pub customer: CustomerState,
    /// Another, older system that has the id: `namespace/name`.
    pub id_taken_by: Option<String>,
    /// The Secret with the service user's password.
    pub credentials: CredentialsState,
    /// Its session, if any was seen since this process started.
    pub view: Option<SessionView>,
    /// Whether something connects with the system's certificate that does not speak the protocol, while the system itself was not seen.
    pub unrecognised: bool,
    /// How long this process still waits for systems that were connected when it started; `None` once that is over.
    pub grace: Option<Duration>,
    /// What the last attempt to configure came to, if it failed: reason and message.
    pub configure_failure: Option<(String, String)>,
    /// The actions that name the system.
    pub actions: Vec<Candidate>,
    /// Whether the object is set aside.
    pub paused: bool,
    /// Now.
    pub now: Timestamp,
}

/// The customer that a system names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CustomerState {
    /// There.
    Present,
    /// There, but its id belongs to another one.
    WithoutId,
    /// Being deleted.
    Deleting,
    /// Not there.
    Missing,
}

/// The Secret with the service user's password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CredentialsState {
    /// The spec names none.
    NotConfigured,
    /// It names one that is not there.
    SecretMissing,
    /// It is there.
    Present,
}

/// A change of the connection, for an Event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transition {
    /// What shows now.
    pub message: Message,
    /// Its colour.
    pub colour: Colour,
}

/// What to do.
#[derive(Debug, PartialEq)]
pub struct Plan {
    /// Status to write; without `enrolment`, which has another writer.
    pub status: IPOfficeStatus,
    /// What to set on the system.
    pub configure: Option<Settings>,
    /// An Event to write once the status is written.
    pub transition: Option<Transition>,
    /// When to look again although nothing changed.
    pub look_again: Option<Duration>,
}

/// Makes the plan.
pub fn plan(observed: &Observed) -> Plan {
    let mut plan = without_lock(observed);
    let held = observed.system.status.as_ref().and_then(|status| status.operation.as_ref());
    let may_begin = !observed.paused && observed.id_taken_by.is_none();
    plan.status.operation = lock::grant(held, &observed.actions, may_begin);
    plan
}

fn without_lock(observed: &Observed) -> Plan {
    let previous = observed.system.status.clone().unwrap_or_default();
    if observed.paused {
        return Plan { status: status::paused(previous, observed), configure: None, transition: None, look_again: None };
    }
    let valid = findings::valid(observed);
    let Some(observation) = observe(observed, &previous) else {
        // Connected when the process started, and time to come back: what was known stays as it is.
        let mut kept = without_enrolment(previous.clone());
        kept.observed_generation = observed.system.metadata.generation;
        kept.conditions =
            status::replace(&previous.conditions, conditions(&previous.conditions, &[valid], kept.observed_generation, observed.now));
        return Plan { status: kept, configure: None, transition: None, look_again: observed.grace };
    };
    let (message, colour) = assess(&observation);
    let configure = settings(observed, &observation, valid.holds == Some(true));
    let transition = transition(&previous, message, colour);
    let status = status::status(observed, &previous, &observation, (message, colour), valid, configure.as_ref());
    Plan { status, configure, transition, look_again: None }
}

/// Status fields of other writers are left out of what this one writes and compares.
pub fn without_enrolment(mut status: IPOfficeStatus) -> IPOfficeStatus {
    status.enrolment = None;
    status
}

/// What holds now; `None` while nothing is known yet of a system that was connected before.
fn observe(observed: &Observed, previous: &IPOfficeStatus) -> Option<Observation> {
    match &observed.view {
        Some(SessionView { state: SessionState::Connected { sign_in }, facts, .. }) => Some(Observation::Connected {
            sign_in: sign_in.clone(),
            legacy: facts.version.is_legacy(),
            remote_operations: facts.remote_operations,
            servers_offline: facts.servers.iter().filter(|server| !server.online).count(),
        }),
        Some(SessionView { state: SessionState::Away(absence), .. }) => Some(Observation::Away(*absence)),
        None if observed.unrecognised => Some(Observation::Away(Absence::Unrecognised)),
        None if !was_connected(previous) => Some(Observation::NeverConnected),
        None if observed.grace.is_some() => None,
        // Away before this process started: why, the message still says.
        None => Some(Observation::Away(
            if previous.connection.as_ref().is_some_and(|c| c.message == Message::NotReachableOrNotPrimary.text()) {
                Absence::NotPrimary
            } else if previous.connection.as_ref().is_some_and(|c| c.message == Message::ConnectionFailed.text()) {
                Absence::Unrecognised
            } else {
                Absence::Offline
            },
        )),
    }
}

fn was_connected(previous: &IPOfficeStatus) -> bool {
    previous.connection.as_ref().is_some_and(|connection| connection.message != Message::WaitingForInitialConnection.text())
}

fn transition(previous: &IPOfficeStatus, message: Message, colour: Colour) -> Option<Transition> {
    let same = previous.connection.as_ref().is_some_and(|before| before.message == message.text() && before.colour == colour);
    (!same).then_some(Transition { message, colour })
}

/// What to set on the system: what the spec says and the system reports otherwise, while COM is signed in with rights.
fn settings(observed: &Observed, observation: &Observation, valid: bool) -> Option<Settings> {
    let facts = &observed.view.as_ref()?.facts;
    let Observation::Connected { sign_in: Some(SignInOutcome::Accepted { rights }), legacy: false, .. } = observation else { return None };
    if !valid || !rights.contains(&Right::ServiceMonitorRead) || observed.system.metadata.deletion_timestamp.is_some() {
        return None;
    }
    let different = wanted::different(&observed.system.spec, facts);
    (different != Settings::default()).then_some(different)
}
