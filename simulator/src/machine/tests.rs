#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
use model::account::SignInOutcome;
use model::rights::Right;
use model::switches::RemoteOperations;
use protocol::message::{AnswerResult, Command, Request, Settings, SignInResult};
use protocol::scram::Client;

use super::*;
use crate::causes_check::parse;
use crate::testing::{Folder, HandClock};

const USER: &str = "serviceUsers: [{name: COMAdmin, passwordSecretKey: com}]\n";

fn inputs(causes: &str, password: &str) -> Arc<Inputs> {
    Arc::new(Inputs {
        causes: parse(causes).unwrap(),
        passwords: [("com".to_owned(), Secret::new(password))].into(),
        subscription: Err("none".into()),
        problems: vec![],
    })
}

fn machine(folder: &Folder, causes: &str, clock: &Arc<HandClock>) -> Machine {
    Machine::open(folder.path(), inputs(causes, "right"), clock.clone(), false, Some(100_000)).unwrap()
}

fn sign_in(machine: &mut Machine, password: &str) -> SignInOutcome {
    let (client, first) = Client::start("COMAdmin", Secret::new(password));
    let (exchange, challenge) = match machine.begin_sign_in(&first).unwrap() {
        SignInStep::Decided { result, .. } => return result.outcome,
        SignInStep::Challenge { exchange, scram } => (exchange, scram),
    };
    let (verifier, proof) = client.answer(&challenge).unwrap();
    let SignInStep::Decided { result: SignInResult { outcome, scram }, .. } = machine.prove(exchange, &proof).unwrap() else {
        panic!("a proof decides")
    };
    if outcome != SignInOutcome::WrongPassword {
        verifier.check(&scram.unwrap()).unwrap();
    }
    outcome
}

fn accepted() -> SignInOutcome {
    SignInOutcome::Accepted { rights: Right::ALL.to_vec() }
}

fn configure(operation: &str, switches: RemoteOperations) -> Request {
    let settings = Settings { remote_operations: Some(switches), ..Settings::default() };
    Request { id: 1, operation: operation.into(), command: Command::Configure(settings) }
}

fn reason(result: &AnswerResult) -> &str {
    match result {
        AnswerResult::Failed { reason, .. } => reason,
        AnswerResult::Done { .. } => "Done",
    }
}

#[test]
fn five_wrong_passwords_lock_the_account_until_its_time_is_over_even_across_a_restart() {
    let folder = Folder::new();
    let clock = HandClock::new();
    let mut system = machine(&folder, USER, &clock);
    assert_eq!(sign_in(&mut system, "right"), accepted());
    for _ in 0..5 {
        assert_eq!(sign_in(&mut system, "wrong"), SignInOutcome::WrongPassword);
    }
    assert_eq!(sign_in(&mut system, "right"), SignInOutcome::LockedTemporarily);
    drop(system);
    let mut system = machine(&folder, USER, &clock);
    assert_eq!(sign_in(&mut system, "right"), SignInOutcome::LockedTemporarily);
    clock.forward(599);
    assert_eq!(sign_in(&mut system, "right"), SignInOutcome::LockedTemporarily);
    clock.forward(1);
    assert_eq!(sign_in(&mut system, "right"), accepted());
}

#[test]
fn the_right_password_in_between_starts_the_count_anew() {
    let folder = Folder::new();
    let mut system = machine(&folder, USER, &HandClock::new());
    for _ in 0..3 {
        for _ in 0..4 {
            assert_eq!(sign_in(&mut system, "wrong"), SignInOutcome::WrongPassword);
        }
        assert_eq!(sign_in(&mut system, "right"), accepted());
    }
}

#[test]
fn a_new_password_counts_at_once_and_unlocks() {
    let folder = Folder::new();
    let mut system = machine(&folder, USER, &HandClock::new());
    (0..5).for_each(|_| drop(sign_in(&mut system, "wrong")));
    system.take_inputs(&inputs(USER, "newer")).unwrap();
    assert_eq!(sign_in(&mut system, "newer"), accepted());
    assert_eq!(sign_in(&mut system, "right"), SignInOutcome::WrongPassword);
    let text = std::fs::read_to_string(folder.path().join("state.json")).unwrap();
    assert!(!text.contains("newer"), "no password stands on the disk");
}

#[test]
fn settings_are_changed_once_for_an_operation_and_stand_on_the_disk() {
    let folder = Folder::new();
    let clock = HandClock::new();
    let mut system = machine(&folder, USER, &clock);
    let first = system.execute(&configure("op-1", RemoteOperations::ALL), Some("COMAdmin"));
    assert_eq!(first.result, AnswerResult::Done { configuration_revision: 2, output: None });
    let other = RemoteOperations { remote_access: false, ..RemoteOperations::ALL };
    let second = system.execute(&configure("op-2", other), Some("COMAdmin"));
    assert_eq!(second.result, AnswerResult::Done { configuration_revision: 3, output: None });
    drop(system);
    let mut system = machine(&folder, USER, &clock);
    assert_eq!(system.execute(&configure("op-1", RemoteOperations::ALL), Some("COMAdmin")), first, "the same answer");
    let facts = system.facts(&"hq".parse().unwrap());
    assert_eq!((facts.configuration_revision, facts.remote_operations), (3, other), "and nothing was done twice");
    let file = std::fs::read_to_string(folder.path().join("configuration/00000003.cfg")).unwrap();
    assert!(file.contains("RemoteAccess = off") && file.contains("By = COMAdmin"), "{file}");
    for number in 0..64 {
        system.execute(&configure(&format!("more-{number}"), other), Some("COMAdmin"));
    }
    assert_eq!(system.state().operations.len(), 64);
    assert_eq!(system.state().configuration.revision, 3, "what changes nothing is no new revision");
}

#[test]
fn requests_need_a_sign_in_and_the_right() {
    let folder = Folder::new();
    let mut system = machine(&folder, USER, &HandClock::new());
    let request = configure("op", RemoteOperations::ALL);
    assert_eq!(reason(&system.execute(&request, None).result), "NotSignedIn");
    for (causes, expected) in [
        ("serviceUsers: [{name: COMAdmin, passwordSecretKey: com, rights: [Backup, Upgrade]}]", "InsufficientRights"),
        ("serviceUsers: [{name: COMAdmin, passwordSecretKey: com, state: Disabled}]", "NotSignedIn"),
        (USER, "Done"),
    ] {
        system.take_inputs(&inputs(causes, "right")).unwrap();
        assert_eq!(reason(&system.execute(&request, Some("COMAdmin")).result), expected, "{causes}");
    }
}

#[test]
fn a_setting_that_cannot_be_is_refused_and_changes_nothing() {
    let folder = Folder::new();
    let mut system = machine(&folder, USER, &HandClock::new());
    let settings =
        Settings { time_zone: Some("Mars/Olympus".into()), remote_operations: Some(RemoteOperations::ALL), ..Settings::default() };
    let request = Request { id: 1, operation: "op".into(), command: Command::Configure(settings) };
    assert_eq!(reason(&system.execute(&request, Some("COMAdmin")).result), "InvalidSetting");
    assert_eq!(system.state().configuration.revision, 1);
}

#[test]
fn what_com_configured_counts_until_the_cause_itself_changes() {
    let folder = Folder::new();
    let clock = HandClock::new();
    let on = format!("{USER}remoteOperations: {{remoteAccess: true}}\n");
    let mut system = machine(&folder, &on, &clock);
    let switches = |system: &Machine| system.facts(&"hq".parse().unwrap()).remote_operations;
    assert!(switches(&system).remote_access);
    system.execute(&configure("off", RemoteOperations::default()), Some("COMAdmin"));
    system.take_inputs(&inputs(&format!("{on}systemName: Other\n"), "right")).unwrap();
    assert!(!switches(&system).remote_access, "another field changed");
    drop(system);
    let mut system = machine(&folder, &on, &clock);
    assert!(!switches(&system).remote_access, "nor does a restart");
    system.take_inputs(&inputs(&format!("{USER}remoteOperations: {{remoteAccess: true, coLocatedServers: true}}\n"), "right")).unwrap();
    assert!(switches(&system).remote_access && switches(&system).co_located_servers);
    assert_eq!(system.state().configuration.changed_by, "the administrator");
}

#[test]
fn a_new_reboot_token_restarts_once() {
    let folder = Folder::new();
    let clock = HandClock::new();
    let with = |token: &str| inputs(&format!("{USER}reboot: {{token: {token}, outageSeconds: 5, forChange: true}}\n"), "right");
    let mut system = Machine::open(folder.path(), with("a"), clock.clone(), false, None).unwrap();
    assert_eq!(system.take_inputs(&with("a")).unwrap().reboot, None);
    let reboot = system.take_inputs(&with("b")).unwrap().reboot.unwrap();
    assert_eq!((reboot.outage_seconds, reboot.for_change), (5, true));
    assert_eq!(system.take_inputs(&with("b")).unwrap().reboot, None);
    system.take_inputs(&inputs(USER, "right")).unwrap();
    assert_eq!(system.take_inputs(&with("b")).unwrap().reboot, None, "a token that was away for a while is still the same");
}

#[test]
fn a_session_counter_is_never_used_twice() {
    let folder = Folder::new();
    let clock = HandClock::new();
    let mut last = 0;
    for _ in 0..3 {
        let mut system = machine(&folder, USER, &clock);
        for _ in 0..3 {
            let next = system.next_session().unwrap();
            assert!(next > last);
            last = next;
        }
    }
}

#[test]
fn a_password_changed_between_challenge_and_proof_counts_and_is_no_guess() {
    let folder = Folder::new();
    let mut system = machine(&folder, USER, &HandClock::new());
    let (client, first) = Client::start("COMAdmin", Secret::new("right"));
    let SignInStep::Challenge { exchange, scram } = system.begin_sign_in(&first).unwrap() else { panic!("a challenge comes first") };
    system.take_inputs(&inputs(USER, "newer")).unwrap();
    let (_, proof) = client.answer(&scram).unwrap();
    let SignInStep::Decided { result, .. } = system.prove(exchange, &proof).unwrap() else { panic!("a proof decides") };
    assert_eq!(result.outcome, SignInOutcome::WrongPassword);
    assert_eq!(system.state().accounts["COMAdmin"].wrong_attempts, 0);
}

#[test]
fn application_servers_join_with_the_adjunct_server_user_and_modules_by_themselves() {
    let folder = Folder::new();
    let causes = |adjunct: &str| {
        inputs(
            &format!(
                "profile: Server Edition\nserviceUsers: [{{name: Adjunct Server{adjunct}}}]\nservers: [{{name: portal, role: ApplicationServer}}, \
                 {{name: HQ, role: Primary}}, {{name: module, role: UCM}}]\n"
            ),
            "right",
        )
    };
    let mut system = Machine::open(folder.path(), causes(""), HandClock::new(), false, Some(100_000)).unwrap();
    let online = |system: &Machine| {
        let servers = system.facts(&"hq".parse().unwrap()).servers;
        assert_eq!(servers[0].name, "HQ", "the primary comes first");
        assert!(servers.iter().all(|server| server.services.contains(&"ServerSettings".to_owned())), "{servers:?}");
        servers.iter().filter(|server| server.online).map(|server| server.name.clone()).collect::<Vec<_>>()
    };
    assert_eq!(online(&system), ["HQ", "module"], "it has no password");
    for (adjunct, expected) in [
        (", passwordSecretKey: com", &["HQ", "portal", "module"][..]),
        (", passwordSecretKey: com, state: Disabled", &["HQ", "module"]),
        ("2, passwordSecretKey: com", &["HQ", "module"]),
    ] {
        system.take_inputs(&causes(adjunct)).unwrap();
        assert_eq!(online(&system), expected, "{adjunct}");
    }
    assert!(folder.path().join("content/servers/portal/WebCollaboration").exists());
}

#[test]
fn settings_among_the_content_follow_every_change() {
    let folder = Folder::new();
    let mut system = machine(&folder, USER, &HandClock::new());
    let file = || std::fs::read_to_string(folder.path().join("content/servers/primary/IPOffice/settings.json")).unwrap();
    assert!(file().contains("\"remoteAccess\": false"));
    system.execute(&configure("op", RemoteOperations::ALL), Some("COMAdmin"));
    assert!(file().contains("\"remoteAccess\": true"), "through COM");
    system.take_inputs(&inputs(&format!("{USER}timeZone: Asia/Tokyo\n"), "right")).unwrap();
    assert!(file().contains("Asia/Tokyo"), "and by hand");
}
