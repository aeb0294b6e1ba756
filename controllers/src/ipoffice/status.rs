//! IPOffice: what was observed to its status. Pure: the same observation always gives the same status, so a fleet at rest writes nothing.

use crds::conditions::{Finding, conditions};
use crds::ipoffice::{Connection, IPOfficeStatus, ReportedServer};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use model::connectivity::{Colour, Message, Observation};
use protocol::link::SessionState;
use protocol::message::{Facts, Settings};

use super::findings;
use super::plan::{Observed, without_enrolment};

/// The status of a system that is not set aside.
pub fn status(
    observed: &Observed,
    previous: &IPOfficeStatus,
    observation: &Observation,
    shown: (Message, Colour),
    valid: Finding,
    configure: Option<&Settings>,
) -> IPOfficeStatus {
    let generation = observed.system.metadata.generation;
    let findings = [
        findings::ready(observed, &valid, shown),
        findings::connected(observation, shown.0),
        findings::authorized(observed, observation, shown.0),
        findings::configured(observed, observation, &valid, configure),
        findings::enrolled(observed, &valid),
        valid,
    ];
    let mut status = without_enrolment(previous.clone());
    status.observed_generation = generation;
    status.conditions = conditions(&previous.conditions, &findings, generation, observed.now);
    status.customer_id = Some(observed.key.customer.to_string());
    status.system_id = Some(observed.key.system.to_string());
    status.connection = Some(connection(observed, previous, shown));
    if let Some(view) = &observed.view {
        report(&mut status, &view.facts);
    }
    status
}

/// The status of a system that is set aside: only that is said.
pub fn paused(previous: IPOfficeStatus, observed: &Observed) -> IPOfficeStatus {
    let finding = Finding::new("Paused", true, "Annotated", crate::customer::PAUSED);
    let new = conditions(&previous.conditions, &[finding], observed.system.metadata.generation, observed.now);
    let mut status = without_enrolment(previous);
    status.conditions = replace(&status.conditions, new);
    status
}

/// Conditions of which some are known anew.
pub fn replace(previous: &[Condition], new: Vec<Condition>) -> Vec<Condition> {
    let mut all: Vec<Condition> = previous
        .iter()
        .map(|condition| new.iter().find(|newer| newer.type_ == condition.type_).unwrap_or(condition).clone())
        .filter(|condition| condition.type_ != "Paused" || new.iter().any(|newer| newer.type_ == "Paused"))
        .collect();
    all.extend(new.into_iter().filter(|newer| !previous.iter().any(|condition| condition.type_ == newer.type_)));
    all
}

fn connection(observed: &Observed, previous: &IPOfficeStatus, (message, colour): (Message, Colour)) -> Connection {
    if let Some(before) = &previous.connection
        && before.message == message.text()
        && before.colour == colour
    {
        return before.clone();
    }
    let away_since = observed.view.as_ref().filter(|view| matches!(view.state, SessionState::Away(_))).map(|view| view.since);
    // Whole seconds: the API keeps no more, and what is written must be what is read.
    let since = away_since.unwrap_or(observed.now);
    let since = jiff::Timestamp::from_second(since.as_second()).unwrap_or(since);
    Connection { colour, message: message.text().to_owned(), since: Time(since) }
}

fn report(status: &mut IPOfficeStatus, facts: &Facts) {
    status.system_name = Some(facts.system_name.clone());
    status.address = Some(facts.address.clone());
    status.port = Some(facts.port);
    status.profile = Some(facts.profile);
    status.version = Some(facts.version.to_string());
    status.time_zone = Some(facts.time_zone.clone());
    status.servers = facts
        .servers
        .iter()
        .map(|server| ReportedServer {
            name: server.name.clone(),
            role: server.role,
            version: server.version.to_string(),
            address: server.address.clone(),
            online: server.online,
        })
        .collect();
    status.remote_operations = Some(facts.remote_operations);
    status.voicemail_backup = Some(facts.voicemail_backup.clone());
    status.certificates = Some(facts.certificates);
    status.configuration_revision = i64::try_from(facts.configuration_revision).ok();
    status.started = jiff::Timestamp::from_second(facts.started.as_second()).ok().map(Time);
}
