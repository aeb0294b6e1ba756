//! From cause to message and back: every cause is set in a SimulatedSystem or on the way to it, and the message follows at the IPOffice.

use harness::objects;
use harness::plane::Plane;
use harness::switchboard::Switchboard;
use harness::{kubectl::Kubectl, metrics, processes, wait};
use rustix::process::Signal;
use serde_json::{Value, json};

const MESSAGE: &str = "{.status.connection.message}";
const COLOUR: &str = "{.status.connection.colour}";

fn set_causes(kubectl: &Kubectl, causes: &Value) {
    kubectl.apply(&[objects::simulated_system("causes", "office", causes)]);
}

/// The account of the service user with something wrong about it.
fn account(wrong: Value) -> Value {
    let mut account = json!({"name": "COMAdmin", "passwordSecretKey": "password"});
    account.as_object_mut().unwrap().extend(wrong.as_object().unwrap().clone());
    json!({"serviceUsers": [account]})
}

#[test]
fn each_cause_gives_its_message_and_colour_and_taking_it_back_brings_green() {
    let plane = Plane::start();
    let kubectl = plane.kubectl();
    kubectl.apply(&objects::tenancy("causes"));
    kubectl.apply(&objects::system("causes", "office"));
    kubectl.wait_for_field("causes", "ipo/office", MESSAGE, "Connection successful");
    let pod = kubectl.field("causes", "pod/office", "{.metadata.uid}");
    let rights = ["SecurityWriteOwnPassword", "Backup", "Upgrade", "ServiceMonitorRead"];
    let without = |right: &str| account(json!({"rights": rights.iter().filter(|each| **each != right).collect::<Vec<_>>()}));
    let causes = [
        (account(json!({"state": "DisabledByAdministrator"})), "Service user account has been disabled by the administrator", "Amber"),
        (account(json!({"state": "Disabled"})), "Service user account is currently disabled", "Amber"),
        (account(json!({"locked": true})), "Service user account has been locked temporarily", "Amber"),
        (account(json!({"passwordExpired": true})), "Service User password has expired.", "Amber"),
        (account(json!({"newPasswordRequired": true})), "New password is required for Service Use account", "Amber"),
        (json!({"serviceUsers": [{"name": "Administrator", "passwordSecretKey": "password"}]}), "Invalid credentials", "Amber"),
        (account(json!({"rights": []})), "No user rights are enable for this system", "Amber"),
        (without("ServiceMonitorRead"), "Service Monitor Read rights not enabled", "Amber"),
        (without("Upgrade"), "Upgrade rights are not enabled for this system", "Amber"),
        (without("Backup"), "Insufficient Rights", "Amber"),
        (json!({"sessions": {"limit": 3, "inUse": 3}}), "Maximum concurrent sessions limit has been exceeded", "Amber"),
        (json!({"network": {"connected": false}}), "System is either not reachable or offline for last", "Red"),
    ];
    for (cause, message, colour) in &causes {
        set_causes(&kubectl, cause);
        kubectl.wait_for_field("causes", "ipo/office", MESSAGE, message);
        assert_eq!(kubectl.field("causes", "ipo/office", COLOUR), *colour, "{message}");
        let ready = kubectl.field("causes", "ipo/office", "{.status.conditions[?(@.type==\"Ready\")].message}");
        assert!(ready.starts_with(message) && ready.len() > message.len(), "{ready:?} says what, but not what to do");
        // Taking it back.
        set_causes(&kubectl, &json!({}));
        kubectl.wait_for_field("causes", "ipo/office", MESSAGE, "Connection successful");
        assert_eq!(kubectl.field("causes", "ipo/office", COLOUR), "Green");
    }
    assert_eq!(
        kubectl.field("causes", "pod/office", "{.metadata.uid} {.status.containerStatuses[0].restartCount}"),
        format!("{pod} 0"),
        "all that without a restart"
    );
}

#[test]
fn credentials_versions_switches_and_restarts_give_their_messages() {
    let plane = Plane::start();
    let kubectl = plane.kubectl();
    kubectl.apply(&objects::tenancy("causes"));
    kubectl.apply(&[
        objects::ip_office("causes", "office", &json!({"serviceUser": null, "remoteOperations": null})),
        objects::simulated_system("causes", "office", &json!({})),
    ]);
    let says = |message: &str| kubectl.wait_for_field("causes", "ipo/office", MESSAGE, message);
    says("No authorization provided. Limited functionality will be available for the customer.");
    // Signed in, but every switch of the system is off.
    kubectl.apply(&[objects::ip_office("causes", "office", &json!({"remoteOperations": null}))]);
    says("Remote Operations not permitted");
    kubectl.apply(&[objects::ip_office("causes", "office", &json!({}))]);
    says("Connection successful");

    // A wrong password, in COM or on the system, and the right one again.
    kubectl.apply(&[objects::secret("causes", "wrong", "Correct-House-7")]);
    kubectl.apply(&[objects::ip_office("causes", "office", &json!({"serviceUser": {"passwordSecret": {"name": "wrong"}}}))]);
    says("Authorization failed");
    kubectl.wait("causes", "ipo/office", "condition=Authorized=False");
    kubectl.wait("causes", "ipo/office", "condition=Connected");
    kubectl.apply(&[objects::secret("causes", "wrong", objects::PASSWORD)]);
    says("Connection successful");
    kubectl.wait("causes", "ipo/office", "condition=Authorized");

    // An announced restart for an upgrade, and a plain one.
    for (token, for_change, message) in [
        ("1", true, "System is either not reachable or not a valid primary IP Office system"),
        ("2", false, "System is either not reachable or offline for last"),
    ] {
        let watch = kubectl.follow(&["get", "ipo/office", "-n", "causes", "-w", "-o", "jsonpath={.status.connection.message}{\"\\n\"}"]);
        let begun = watch.line(0, |line| line == "Connection successful");
        // Away for so long that it is told before the system is back, however late.
        set_causes(&kubectl, &json!({"reboot": {"token": token, "outageSeconds": 5, "forChange": for_change}}));
        let away = watch.line(begun, |line| line == message);
        watch.line(away, |line| line == "Connection successful");
    }

    // Too old for anything but being watched; and a server of its network that is gone.
    set_causes(&kubectl, &json!({"softwareVersion": "11.1.0.9.9"}));
    says("Legacy");
    set_causes(&kubectl, &json!({}));
    says("Connection successful");
    set_causes(
        &kubectl,
        &json!({"servers": [
            {"name": "office", "role": "Primary"}, {"name": "apps", "role": "ApplicationServer", "online": false}
        ]}),
    );
    kubectl.wait_for_field("causes", "ipo/office", COLOUR, "Amber");
    assert_eq!(kubectl.field("causes", "ipo/office", MESSAGE), "Connection successful");
}

#[test]
fn a_killed_system_turns_red_is_started_again_and_turns_green() {
    let plane = Switchboard::start(&[]);
    let kubectl = plane.kubectl();
    kubectl.apply(&objects::tenancy("causes"));
    kubectl.apply(&objects::system("causes", "office"));
    kubectl.apply(&objects::system("causes", "other"));
    kubectl.wait("causes", "ipo/office", "condition=Ready");
    kubectl.wait("causes", "ipo/other", "condition=Ready");
    // More of its status may follow.
    metrics::wait_until_at_rest(&plane);
    let since = kubectl.field("causes", "ipo/other", "{.status.connection.since} {.metadata.resourceVersion}");
    let pod = kubectl.field("causes", "pod/office", "{.metadata.uid}");
    let process = processes::of_pod(&plane.data(), &pod).unwrap();

    let watch = kubectl.follow(&["get", "ipo/office", "-n", "causes", "-w", "-o", "jsonpath={.status.connection.colour}{\"\\n\"}"]);
    let begun = watch.line(0, |line| line == "Green");
    processes::signal(process, Signal::KILL);
    // docs/protocol.md: a connection that closes without goodbye makes the system offline at once. Waited for less long than the 90 s of silence after
    // which it would be offline as well.
    let red = watch.line(begun, |line| line == "Red");
    watch.line(red, |line| line == "Green");

    kubectl.wait_for_field("causes", "pod/office", "{.status.containerStatuses[0].restartCount}", "1");
    assert_eq!(kubectl.field("causes", "pod/office", "{.metadata.uid}"), pod, "the pod is the same, its container is new");
    assert_eq!(kubectl.field("causes", "pod/office", "{.status.containerStatuses[0].lastState.terminated.exitCode}"), "137");
    let again = processes::of_pod(&plane.data(), &pod).unwrap();
    assert!(again != process && !processes::runs(process));
    let previous = kubectl.ok(&["logs", "office", "-n", "causes", "--previous"]);
    assert!(previous.contains("start number 1") && kubectl.ok(&["logs", "office", "-n", "causes"]).contains("start number 2"));
    wait::until_true("the event of the restart", wait::SOON, || {
        kubectl.ok(&["events", "-n", "causes", "--for", "ipo/office"]).contains("OfflineForLast")
    });
    assert_eq!(
        kubectl.field("causes", "ipo/other", "{.status.connection.since} {.metadata.resourceVersion}"),
        since,
        "the other system is not touched"
    );
}
