//! The matrix of connectivity messages (FLEET-4, FLEET-5): for every cause a system of its own, all at once; each shows its message, its colour and
//! its conditions, and with the cause taken back it is green. No field of any object names a message.

use std::collections::BTreeSet;
use std::time::Duration;

use harness::kubectl::Kubectl;
use harness::plane::Plane;
use harness::{objects, wait};
use model::connectivity::Message;
use serde_json::{Value, json};

const SPACE: &str = "matrix";
/// For thirty systems at once on a loaded machine.
const BOUND: Duration = Duration::from_secs(90);

/// What a case is made of.
struct Case {
    name: &'static str,
    /// Causes of the simulated system; merged over those of a system that is well.
    causes: Value,
    /// What the IPOffice says differently; merged likewise.
    office: Value,
    message: Message,
    colour: &'static str,
    /// Conditions Ready, Connected, Authorized.
    conditions: [&'static str; 3],
    /// Whether the message goes when the cause does. A version stays what it is.
    comes_back: bool,
}

fn account(wrong: Value) -> Value {
    let mut account = json!({"name": "COMAdmin", "passwordSecretKey": "password"});
    account.as_object_mut().unwrap().extend(wrong.as_object().unwrap().clone());
    json!({"serviceUsers": [account]})
}

fn without(rights: &[&str]) -> Value {
    let all = ["SecurityWriteOwnPassword", "Backup", "Upgrade", "ServiceMonitorRead"];
    account(json!({"rights": all.iter().filter(|right| !rights.contains(right)).collect::<Vec<_>>()}))
}

fn both(one: &Value, other: &Value) -> Value {
    let mut all = one.clone();
    all.as_object_mut().unwrap().extend(other.as_object().unwrap().clone());
    all
}

/// Connected, but not let in.
fn shut_out(name: &'static str, causes: Value, message: Message) -> Case {
    Case { name, causes, office: json!({}), message, colour: "Amber", conditions: ["False", "True", "False"], comes_back: true }
}

fn away(name: &'static str, causes: Value, message: Message) -> Case {
    Case { name, causes, office: json!({}), message, colour: "Red", conditions: ["False", "False", "Unknown"], comes_back: true }
}

fn well(name: &'static str, causes: Value, office: Value, message: Message) -> Case {
    Case { name, causes, office, message, colour: "Green", conditions: ["True", "True", "True"], comes_back: true }
}

/// Every cause by itself, and pairs of which the one that blocks more must show.
fn cases() -> Vec<Case> {
    let cut = json!({"network": {"connected": false}});
    let full = json!({"sessions": {"limit": 2, "inUse": 2}});
    let nobody = json!({"serviceUsers": []});
    let servers = |role: &str, profile: &str| {
        let list = json!([{"name": "one", "role": "Primary"}, {"name": "two", "role": role, "online": false}]);
        json!({"servers": list, "profile": profile})
    };
    let old = json!({"softwareVersion": "11.1.0.9.9"});
    let legacy = |name, causes, conditions, message, colour| Case {
        name,
        causes,
        office: json!({"remoteOperations": null}),
        message,
        colour,
        conditions,
        comes_back: false,
    };
    let offline = |name, role, profile: &str| Case {
        office: json!({"profile": profile}),
        ..shut_out(name, servers(role, profile), Message::ConnectionSuccessful)
    };
    let still_in = |case: Case| Case { conditions: ["False", "True", "True"], ..case };
    vec![
        away("cut", cut.clone(), Message::OfflineForLast),
        away("lossy", json!({"network": {"lossPercent": 100}}), Message::OfflineForLast),
        away("garbled", json!({"faults": {"garbledMessages": true}}), Message::ConnectionFailed),
        away("upgrading", json!({"reboot": {"token": "now", "forChange": true, "outageSeconds": 600}}), Message::NotReachableOrNotPrimary),
        away("rebooting", json!({"reboot": {"token": "now", "outageSeconds": 600}}), Message::OfflineForLast),
        Case { office: json!({"serviceUser": null}), ..shut_out("uncredited", json!({}), Message::NoAuthorizationProvided) },
        shut_out(
            "stranger",
            json!({"serviceUsers": [{"name": "Administrator", "passwordSecretKey": "password"}]}),
            Message::InvalidCredentials,
        ),
        shut_out("nobody", nobody.clone(), Message::InvalidCredentials),
        shut_out("banned", account(json!({"state": "DisabledByAdministrator"})), Message::DisabledByAdministrator),
        shut_out("disabled", account(json!({"state": "Disabled"})), Message::CurrentlyDisabled),
        shut_out("passwordless", json!({"serviceUsers": [{"name": "COMAdmin"}]}), Message::CurrentlyDisabled),
        shut_out("locked", account(json!({"locked": true})), Message::LockedTemporarily),
        shut_out("mistyped", account(json!({"passwordSecretKey": "other"})), Message::AuthorizationFailed),
        shut_out("expired", account(json!({"passwordExpired": true})), Message::PasswordExpired),
        shut_out("demanding", account(json!({"newPasswordRequired": true})), Message::NewPasswordRequired),
        shut_out("full", full.clone(), Message::MaximumSessionsExceeded),
        shut_out("rightless", account(json!({"rights": []})), Message::NoUserRights),
        shut_out("unmonitored", without(&["ServiceMonitorRead"]), Message::ServiceMonitorReadMissing),
        shut_out("backupless", without(&["Backup"]), Message::InsufficientRights),
        shut_out("poor", without(&["Backup", "Upgrade"]), Message::InsufficientRights),
        shut_out("upgradeless", without(&["Upgrade"]), Message::UpgradeRightsMissing),
        well("off", json!({}), json!({"remoteOperations": {"centralizedManagement": false}}), Message::RemoteOperationsNotPermitted),
        well("fine", json!({}), json!({}), Message::ConnectionSuccessful),
        well("late", json!({"clock": {"offsetSeconds": 86400}}), json!({}), Message::ConnectionSuccessful),
        well("slow", json!({"network": {"latencyMilliseconds": 200}}), json!({}), Message::ConnectionSuccessful),
        legacy("old", old.clone(), ["True", "True", "True"], Message::Legacy, "Green"),
        still_in(offline("halved", "Expansion", "Server Edition")),
        still_in(offline("appless", "ApplicationServer", "IP500 V2")),
        // The adjunct joins by a service user of its own, which this system does not have (FLEET-10).
        still_in(Case {
            office: json!({"profile": "IP500 V2"}),
            ..shut_out(
                "unjoined",
                json!({"servers": [{"name": "one", "role": "Primary"}, {"name": "apps", "role": "ApplicationServer"}]}),
                Message::ConnectionSuccessful,
            )
        }),
        // Of two the one that blocks more.
        away("cut-and-full", both(&cut, &full), Message::OfflineForLast),
        shut_out("nobody-and-full", both(&nobody, &full), Message::InvalidCredentials),
        shut_out("expired-and-rightless", account(json!({"passwordExpired": true, "rights": []})), Message::PasswordExpired),
        legacy(
            "old-and-unmonitored",
            both(&old, &without(&["ServiceMonitorRead"])),
            ["False", "True", "False"],
            Message::ServiceMonitorReadMissing,
            "Amber",
        ),
        legacy("old-and-upgradeless", both(&old, &without(&["Upgrade"])), ["True", "True", "True"], Message::Legacy, "Green"),
    ]
}

fn system(name: &str, office: &Value, causes: &Value) -> [Value; 2] {
    let mut simulated = objects::simulated_system(SPACE, name, causes);
    simulated["spec"]["passwordsSecret"] = json!("passwords");
    [objects::ip_office(SPACE, name, office), simulated]
}

/// Colour, message and the three conditions of every system, by name.
fn shown(kubectl: &Kubectl) -> Vec<(String, String)> {
    let condition = |kind: &str| format!("{{.status.conditions[?(@.type==\"{kind}\")].status}}");
    let row = format!(
        "{{range .items[*]}}{{.metadata.name}}={{.status.connection.colour}}|{{.status.connection.message}}|{}|{}|{}{{\"\\n\"}}{{end}}",
        condition("Ready"),
        condition("Connected"),
        condition("Authorized")
    );
    let text = kubectl.ok(&["get", "ipo", "-n", SPACE, "-o", &format!("jsonpath={row}")]);
    text.lines().filter_map(|line| line.split_once('=')).map(|(name, rest)| (name.to_owned(), rest.to_owned())).collect()
}

fn wait_for(kubectl: &Kubectl, what: &str, expected: &[(String, String)]) {
    let mut missing = Vec::new();
    let done = wait::reached(BOUND, || {
        let found = shown(kubectl);
        missing = expected.iter().filter(|row| !found.contains(row)).cloned().collect();
        missing.is_empty()
    });
    let found = shown(kubectl);
    let is = |name: &str| found.iter().find(|(other, _)| other == name).map(|(_, row)| row.clone()).unwrap_or_default();
    let report: Vec<String> = missing.iter().map(|(name, row)| format!("{name}: {row:?} was expected, it is {:?}", is(name))).collect();
    assert!(done, "{what}, {} of {} differ:\n{}", missing.len(), expected.len(), report.join("\n"));
}

#[test]
fn every_message_follows_from_its_causes_and_goes_with_them() {
    let plane = Plane::start();
    let kubectl = plane.kubectl();
    kubectl.apply(&objects::tenancy(SPACE));
    kubectl.apply(&[json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "passwords", "namespace": SPACE},
        "data": {"password": "Q29ycmVjdC1Ib3JzZS03", "other": "Q29ycmVjdC1Ib3VzZS03"}
    })]);
    let cases = cases();
    // All are well first, so that every message comes from its cause, and not from the start.
    let plain: Vec<Value> =
        cases.iter().flat_map(|case| system(case.name, &json!({"profile": case.office["profile"]}), &json!({}))).collect();
    kubectl.apply(&plain);
    // Ordered, and never set up.
    kubectl.apply(&[objects::ip_office(SPACE, "ordered", &json!({}))]);
    let green = |name: &str| (name.to_owned(), "Green|Connection successful|True|True|True".to_owned());
    let all_green: Vec<(String, String)> = cases.iter().map(|case| green(case.name)).collect();
    wait_for(&kubectl, "before", &all_green);

    let spoilt: Vec<Value> = cases.iter().flat_map(|case| system(case.name, &case.office, &case.causes)).collect();
    kubectl.apply(&spoilt);
    let row = |case: &Case| {
        let [ready, connected, authorized] = case.conditions;
        (case.name.to_owned(), format!("{}|{}|{ready}|{connected}|{authorized}", case.colour, case.message.text()))
    };
    let mut expected: Vec<(String, String)> = cases.iter().map(row).collect();
    expected.push(("ordered".to_owned(), format!("Red|{}|False|False|Unknown", Message::WaitingForInitialConnection.text())));
    wait_for(&kubectl, "with their causes", &expected);
    let seen: BTreeSet<Message> = cases.iter().map(|case| case.message).chain([Message::WaitingForInitialConnection]).collect();
    let unseen: Vec<&Message> = Message::ALL.iter().filter(|message| !seen.contains(message)).collect();
    assert!(unseen.is_empty(), "no cause was tried for {unseen:?}");

    // Away for ten minutes: whoever restarts takes a while, so the restart itself is taken back by another one.
    let mended: Vec<Value> = cases
        .iter()
        .filter(|case| case.comes_back && case.causes.get("reboot").is_none())
        .flat_map(|case| system(case.name, &json!({"profile": case.office["profile"]}), &json!({})))
        .collect();
    kubectl.apply(&mended);
    let back: Vec<(String, String)> =
        cases.iter().filter(|case| case.comes_back && case.causes.get("reboot").is_none()).map(|case| green(case.name)).collect();
    wait_for(&kubectl, "with their causes taken back", &back);
    eprintln!("matrix: {} cases, {} of {} messages, {} taken back to green", cases.len() + 1, seen.len(), Message::ALL.len(), back.len());
}
