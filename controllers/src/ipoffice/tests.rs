#![allow(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use crds::conditions::is_true;
use crds::{IPOffice, IPOfficeStatus};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use model::account::SignInOutcome;
use model::connectivity::{Absence, Colour, Message};
use model::rights::Right;
use protocol::link::{SessionState, SessionView};
use protocol::message::Facts;
use serde_json::{Value, json};

use super::plan::{CredentialsState, CustomerState, Observed, Plan, plan, without_enrolment};

fn system(spec: Value) -> IPOffice {
    let mut object = json!({
        "apiVersion": "switchboard.dev/v1alpha1", "kind": "IPOffice",
        "metadata": {"name": "hq", "namespace": "north", "uid": "u", "generation": 2},
        "spec": {"customer": "acme", "serviceUser": {"passwordSecret": {"name": "pw"}}}
    });
    object["spec"].as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    serde_json::from_value(object).unwrap()
}

fn facts() -> Facts {
    serde_json::from_value(json!({
        "systemName": "HQ", "address": "192.0.2.1", "port": 443, "profile": "IP500 V2", "version": "11.1.3.2.0", "timeZone": "UTC",
        "servers": [{"name": "HQ", "role": "Primary", "version": "11.1.3.2.0", "address": "192.0.2.1", "online": true}],
        "remoteOperations": {"remoteAccess": true}, "voicemailBackup": {}, "certificates": {},
        "configurationRevision": 4, "started": "2026-01-01T00:00:00.5Z"
    }))
    .unwrap()
}

fn view(state: SessionState) -> SessionView {
    SessionView { state, since: at(50), session: 1, facts: facts() }
}

pub(super) fn signed_in() -> SessionView {
    view(SessionState::Connected { sign_in: Some(SignInOutcome::Accepted { rights: Right::ALL.to_vec() }) })
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn observed(system: &IPOffice) -> Observed<'_> {
    Observed {
        system,
        key: model::ids::SystemKey { customer: "acme1".parse().unwrap(), system: "hq1".parse().unwrap() },
        customer: CustomerState::Present,
        id_taken_by: None,
        credentials: CredentialsState::Present,
        view: None,
        unrecognised: false,
        grace: None,
        configure_failure: None,
        actions: Vec::new(),
        paused: false,
        now: at(100),
    }
}

fn shown(status: &IPOfficeStatus) -> (Colour, &str) {
    let connection = status.connection.as_ref().unwrap();
    (connection.colour, connection.message.as_str())
}

fn condition<'a>(plan: &'a Plan, kind: &str) -> &'a Condition {
    plan.status.conditions.iter().find(|condition| condition.type_ == kind).unwrap()
}

#[test]
fn a_system_that_was_never_seen_waits_for_its_first_connection() {
    let system = system(json!({}));
    let plan = plan(&observed(&system));
    assert_eq!(shown(&plan.status), (Colour::Red, "Waiting for initial connection"));
    assert_eq!(plan.status.system_id.as_deref(), Some("hq1"));
    assert_eq!(condition(&plan, "Authorized").status, "Unknown");
    assert!(condition(&plan, "Ready").message.contains("acme-subscription"));
    assert!(plan.transition.is_some() && plan.configure.is_none());
}

#[test]
fn what_does_not_speak_the_protocol_is_a_failed_connection() {
    let system = system(json!({}));
    let mut seen = observed(&system);
    seen.unrecognised = true;
    assert_eq!(shown(&plan(&seen).status), (Colour::Red, "Connection failed"));
}

#[test]
fn what_the_system_reports_is_shown_and_a_second_look_changes_nothing() {
    let mut system = system(json!({}));
    let mut seen = observed(&system);
    seen.view = Some(signed_in());
    let first = plan(&seen);
    assert_eq!(shown(&first.status), (Colour::Green, "Connection successful"));
    for kind in ["Ready", "Connected", "Authorized", "Valid", "Configured"] {
        assert!(is_true(&first.status.conditions, kind), "{kind}");
    }
    assert_eq!((first.status.version.as_deref(), first.status.configuration_revision), (Some("11.1.3.2.0"), Some(4)));
    // What is written comes back as JSON with whole seconds.
    let read: IPOfficeStatus = serde_json::from_value(serde_json::to_value(&first.status).unwrap()).unwrap();
    system.status = Some(read.clone());
    let mut later = observed(&system);
    later.view = Some(signed_in());
    later.now = at(10_000);
    let second = plan(&later);
    assert_eq!(second.status, read);
    assert!(second.transition.is_none());
}

#[test]
fn going_away_is_a_transition_with_the_time_it_happened() {
    let mut system = system(json!({}));
    let mut seen = observed(&system);
    seen.view = Some(signed_in());
    system.status = Some(plan(&seen).status);
    let mut gone = observed(&system);
    gone.view = Some(view(SessionState::Away(Absence::Offline)));
    let gone = plan(&gone);
    assert_eq!(shown(&gone.status), (Colour::Red, Message::OfflineForLast.text()));
    assert_eq!(gone.status.connection.as_ref().unwrap().since.0, at(50));
    assert_eq!(gone.transition.as_ref().unwrap().message, Message::OfflineForLast);
    assert_eq!(gone.status.version.as_deref(), Some("11.1.3.2.0"), "what was known stays known");
    assert_eq!(condition(&gone, "Connected").reason, "OfflineForLast");
}

#[test]
fn after_a_restart_of_the_operator_systems_get_time_to_come_back() {
    let mut system = system(json!({}));
    let mut seen = observed(&system);
    seen.view = Some(signed_in());
    let connected = plan(&seen).status;
    system.status = Some(connected.clone());
    let mut restarted = observed(&system);
    restarted.grace = Some(Duration::from_secs(60));
    restarted.now = at(500);
    let waiting = plan(&restarted);
    assert_eq!(waiting.status, connected);
    assert_eq!((waiting.look_again, waiting.transition), (Some(Duration::from_secs(60)), None));
    restarted.grace = None;
    assert_eq!(shown(&plan(&restarted).status), (Colour::Red, Message::OfflineForLast.text()));
}

#[test]
fn settings_that_differ_are_set_and_only_those() {
    let system = system(json!({"remoteOperations": {"remoteAccess": true}, "timeZone": "Europe/London"}));
    let mut seen = observed(&system);
    seen.view = Some(signed_in());
    let first = plan(&seen);
    let settings = first.configure.as_ref().unwrap();
    let one_switch = self::system(json!({"remoteOperations": {"centralizedManagement": true}}));
    let mut one = observed(&one_switch);
    one.view = Some(signed_in());
    let switches = plan(&one).configure.unwrap().remote_operations.unwrap();
    assert!(switches.centralized_management && switches.remote_access && !switches.co_located_servers, "what is not named stays");
    assert_eq!((settings.time_zone.as_deref(), settings.remote_operations), (Some("Europe/London"), None));
    assert_eq!(condition(&first, "Configured").reason, "Applying");
    seen.configure_failure = Some(("DiskFull".into(), "no space".into()));
    assert_eq!(condition(&plan(&seen), "Configured").reason, "DiskFull");
    let mut done = signed_in();
    done.facts.time_zone = "Europe/London".into();
    seen.view = Some(done);
    let done = plan(&seen);
    assert!(done.configure.is_none() && condition(&done, "Configured").reason == "InStep");
}

#[test]
fn nothing_is_set_on_a_system_that_is_legacy_or_did_not_let_us_in() {
    let system = system(json!({"timeZone": "Europe/London"}));
    let mut seen = observed(&system);
    let mut legacy = signed_in();
    legacy.facts.version = "11.0.4".parse().unwrap();
    seen.view = Some(legacy);
    let plan_legacy = plan(&seen);
    assert!(plan_legacy.configure.is_none() && condition(&plan_legacy, "Configured").reason == "Legacy");
    seen.view = Some(view(SessionState::Connected { sign_in: Some(SignInOutcome::WrongPassword) }));
    let refused = plan(&seen);
    assert!(refused.configure.is_none() && !is_true(&refused.status.conditions, "Authorized"));
    assert!(condition(&refused, "Ready").message.contains("the Secret pw"));
}

#[test]
fn a_spec_that_cannot_be_carried_out_says_why() {
    let good = system(json!({}));
    let bad_zone = system(json!({"timeZone": "Europe/Atlantis"}));
    let bad_tunnel = system(json!({"tunnels": [{"name": "t", "application": "SSH", "serverAddress": "a", "through": "x"}]}));
    let with = |system, change: fn(&mut Observed)| {
        let mut seen = observed(system);
        change(&mut seen);
        let plan = plan(&seen);
        (condition(&plan, "Valid").reason.clone(), condition(&plan, "Ready").status.clone())
    };
    assert_eq!(with(&good, |o| o.customer = CustomerState::Missing).0, "CustomerNotFound");
    assert_eq!(with(&good, |o| o.customer = CustomerState::Deleting).0, "CustomerDeleting");
    assert_eq!(with(&good, |o| o.customer = CustomerState::WithoutId).0, "CustomerNotReady");
    assert_eq!(with(&good, |o| o.id_taken_by = Some("north/old".into())), ("DuplicateSystemId".into(), "False".into()));
    assert_eq!(with(&good, |o| o.credentials = CredentialsState::SecretMissing).0, "SecretNotFound");
    assert_eq!(with(&bad_zone, |_| ()).0, "UnknownTimeZone");
    assert_eq!(with(&bad_tunnel, |_| ()).0, "UnknownServer");
}

#[test]
fn every_message_comes_with_what_to_do_in_the_condition_ready() {
    let system = system(json!({}));
    for message in Message::ALL {
        let text = super::findings::advice(&observed(&system), *message);
        assert!(text.starts_with(message.text()), "{text}");
        assert!(*message == Message::ConnectionSuccessful || text.len() > message.text().len() + 10, "{text} says nothing to do");
    }
}

#[test]
fn servers_that_are_offline_are_named() {
    let system = system(json!({}));
    let mut seen = observed(&system);
    let mut partly = signed_in();
    partly.facts.servers.push(
        serde_json::from_value(json!({"name": "Annex", "role": "UCM", "version": "11.1.3.2.0", "address": "a", "online": false})).unwrap(),
    );
    seen.view = Some(partly);
    let plan = plan(&seen);
    assert_eq!((shown(&plan.status).0, condition(&plan, "Ready").reason.as_str()), (Colour::Amber, "ServersOffline"));
    assert!(condition(&plan, "Ready").message.contains("Annex"));
}

#[test]
fn a_paused_system_keeps_its_status_and_says_so() {
    let mut system = system(json!({"timeZone": "Europe/London"}));
    let mut seen = observed(&system);
    seen.view = Some(signed_in());
    let before = plan(&seen).status;
    system.status = Some(before.clone());
    let mut paused = observed(&system);
    paused.view = Some(view(SessionState::Away(Absence::Offline)));
    paused.paused = true;
    let plan = plan(&paused);
    assert_eq!(plan.status.connection, before.connection);
    assert!(is_true(&plan.status.conditions, "Paused") && plan.configure.is_none());
}

#[test]
fn the_enrolment_has_another_writer_and_is_left_to_it() {
    let mut system = system(json!({}));
    let status = IPOfficeStatus {
        enrolment: Some(serde_json::from_value(json!({"id": "e", "time": "2026-01-01T00:00:00Z"})).unwrap()),
        ..IPOfficeStatus::default()
    };
    system.status = Some(status.clone());
    let plan = plan(&observed(&system));
    assert!(plan.status.enrolment.is_none() && is_true(&plan.status.conditions, "Enrolled"));
    assert!(without_enrolment(status).enrolment.is_none());
}

#[test]
fn the_lock_is_kept_through_everything_that_befalls_the_system_and_a_system_set_aside_gives_none() {
    use crate::action::lock::{Candidate, Standing};
    use crate::index::ActionKind;
    let mut office = system(json!({}));
    let action =
        |standing| vec![Candidate { kind: ActionKind::Restore, name: "r".into(), uid: "uid-r".into(), age: "2026".into(), standing }];
    let operation = |office: &IPOffice, actions, view, paused| {
        let observed = Observed { actions, view, paused, ..observed(office) };
        plan(&observed).status.operation.map(|operation| (operation.kind, operation.name, operation.uid))
    };
    let held = Some(("Restore".to_owned(), "r".to_owned(), "uid-r".to_owned()));
    assert_eq!(operation(&office, action(Standing::Wants), Some(signed_in()), true), None, "set aside");
    assert_eq!(operation(&office, action(Standing::Wants), Some(signed_in()), false), held);
    office.status = Some(plan(&Observed { actions: action(Standing::Wants), view: Some(signed_in()), ..observed(&office) }).status);
    for (view, paused) in [(None, false), (None, true), (Some(signed_in()), true)] {
        assert_eq!(operation(&office, action(Standing::Working), view, paused), held);
    }
    assert_eq!(operation(&office, action(Standing::Over), Some(signed_in()), false), None);
}
