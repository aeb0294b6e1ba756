//! Systems that nobody declared: who knows the customer's code is registered and waits for a decision; who does not causes nothing.

use std::collections::BTreeMap;

use futures::StreamExt as _;
use harness::dialer::{HOME, Subscription, certificate_request};
use harness::kubectl::Kubectl;
use harness::plane::Plane;
use harness::{metrics, objects, wait};
use serde_json::{Value, json};

const NAMESPACE: &str = "regs";
const READY_REASON: &str = "{.status.conditions[?(@.type==\"Ready\")].reason}";

/// A system that is set up on site, and that no IPOffice declares.
fn undeclared(name: &str, system_id: &str) -> Value {
    let mut system = objects::simulated_system(NAMESPACE, name, &json!({"profile": "Server Edition", "systemName": format!("The {name}")}));
    system["spec"]["undeclared"] = json!({"systemId": system_id});
    system
}

fn decide(kubectl: &Kubectl, registration: &str, decision: &str) {
    let patch = format!("{{\"spec\":{{\"decision\":\"{decision}\"}}}}");
    kubectl.ok(&["patch", "registration", registration, "-n", NAMESPACE, "--type=merge", "-p", &patch]);
}

/// Gives COM the password of the service user, as is done for any IPOffice.
fn give_credentials(kubectl: &Kubectl, ip_office: &str) {
    let patch = json!({"spec": {
        "serviceUser": {"passwordSecret": {"name": objects::SECRET}}, "remoteOperations": {"centralizedManagement": true}
    }});
    kubectl.ok(&["patch", "ipo", ip_office, "-n", NAMESPACE, "--type=merge", "-p", &patch.to_string()]);
}

/// Starts the system again: it dials in at once, instead of half a minute after it was sent away.
fn dial_at_once(kubectl: &Kubectl, system: &str) {
    kubectl.ok(&["delete", "pod", system, "-n", NAMESPACE]);
}

fn names(kubectl: &Kubectl, kind: &str) -> Vec<String> {
    let names = kubectl.ok(&["get", kind, "-n", NAMESPACE, "-o", "name"]);
    names.lines().map(|name| name.split('/').next_back().unwrap().to_owned()).collect()
}

fn exists(kubectl: &Kubectl, name: &str) -> bool {
    kubectl.run(&["get", name, "-n", NAMESPACE]).code == 0
}

fn wait_until_there(kubectl: &Kubectl, name: &str) {
    wait::until_true(&format!("{name} exists"), wait::SOON, || exists(kubectl, name));
}

#[test]
fn an_undeclared_system_waits_is_approved_turns_green_and_does_not_come_back_once_it_is_removed() {
    let plane = Plane::start();
    let kubectl = plane.kubectl();
    kubectl.apply(&objects::tenancy(NAMESPACE));
    kubectl.apply(&[undeclared("shop", "shop1")]);
    wait_until_there(&kubectl, "reg/acme-shop1");
    kubectl.wait_for_field(NAMESPACE, "reg/acme-shop1", READY_REASON, "WaitingForApproval");
    let shown = kubectl.ok(&["get", "registrations", "-n", NAMESPACE]);
    for word in ["acme-shop1", "The shop", "Server Edition", "Pending", "False"] {
        assert!(shown.contains(word), "no {word:?} in\n{shown}");
    }
    assert!(names(&kubectl, "ipo").is_empty(), "nothing is made before somebody decides");
    assert_eq!(metrics::value(&plane, "switchboard_registrations{decision=\"pending\"}") as u64, 1);

    decide(&kubectl, "acme-shop1", "Approved");
    kubectl.wait(NAMESPACE, "reg/acme-shop1", "condition=Ready");
    assert_eq!(kubectl.field(NAMESPACE, "reg/acme-shop1", "{.status.ipOffice}"), "acme-shop1");
    let made = kubectl.object(NAMESPACE, "ipo/acme-shop1");
    assert_eq!((made["spec"]["systemId"].as_str(), made["spec"]["profile"].as_str()), (Some("shop1"), Some("Server Edition")));
    assert_eq!(made["metadata"]["labels"]["switchboard.dev/origin"], "registration");
    kubectl.wait(NAMESPACE, "ipo/acme-shop1", "condition=Connected");
    give_credentials(&kubectl, "acme-shop1");
    kubectl.wait_for_field(NAMESPACE, "ipo/acme-shop1", "{.status.connection.colour}", "Green");
    let refused =
        kubectl.refused(&["patch", "reg", "acme-shop1", "-n", NAMESPACE, "--type=merge", "-p", r#"{"spec":{"decision":"Denied"}}"#], "");
    assert!(refused.contains("an approved registration stays approved"), "{refused}");

    // Removed while the registration stands: it is sent away, and says so.
    kubectl.ok(&["delete", "ipo", "acme-shop1", "-n", NAMESPACE]);
    kubectl.wait_for_field(NAMESPACE, "reg/acme-shop1", READY_REASON, "IPOfficeDeleted");
    dial_at_once(&kubectl, "shop");
    wait::until_true("the system is told", wait::SOON, || {
        plane.system_log(NAMESPACE, "shop").contains("an administrator removed this system")
    });
    assert!(names(&kubectl, "ipo").is_empty(), "it came back by itself");

    // Without the registration it registers anew; and its new IPOffice stays when the registration goes.
    let first = kubectl.field(NAMESPACE, "reg/acme-shop1", "{.metadata.uid}");
    kubectl.ok(&["delete", "reg", "acme-shop1", "-n", NAMESPACE]);
    dial_at_once(&kubectl, "shop");
    wait::until_true("it registers anew", wait::SOON, || {
        let now = kubectl.run(&["get", "reg", "acme-shop1", "-n", NAMESPACE, "-o", "jsonpath={.metadata.uid}"]);
        now.code == 0 && now.out != first
    });
    decide(&kubectl, "acme-shop1", "Approved");
    kubectl.wait(NAMESPACE, "reg/acme-shop1", "condition=Ready");
    kubectl.ok(&["delete", "reg", "acme-shop1", "-n", NAMESPACE]);
    kubectl.wait(NAMESPACE, "ipo/acme-shop1", "condition=Connected");
    assert_eq!((names(&kubectl, "ipo"), names(&kubectl, "reg")), (vec!["acme-shop1".to_owned()], Vec::new()));
}

#[test]
fn an_automatic_customer_lets_systems_in_and_takes_its_registrations_with_it() {
    let plane = Plane::start();
    let kubectl = plane.kubectl();
    kubectl.apply(&objects::tenancy(NAMESPACE));
    kubectl.apply(&[undeclared("early", "early")]);
    wait_until_there(&kubectl, "reg/acme-early");
    // One that waited before is approved as well, and it shows.
    kubectl.apply(&[objects::customer(NAMESPACE, "acme", &json!({"registration": "Automatic"})), undeclared("late", "late")]);
    for system in ["acme-early", "acme-late"] {
        wait_until_there(&kubectl, &format!("ipo/{system}"));
        kubectl.wait(NAMESPACE, &format!("ipo/{system}"), "condition=Connected");
        // Written beside the IPOffice.
        kubectl.wait_for_field(NAMESPACE, &format!("reg/{system}"), "{.status.ipOffice}", system);
        assert_eq!(kubectl.field(NAMESPACE, &format!("reg/{system}"), "{.spec.decision}"), "Approved");
        give_credentials(&kubectl, system);
        kubectl.wait_for_field(NAMESPACE, &format!("ipo/{system}"), "{.status.connection.colour}", "Green");
    }
    kubectl.ok(&["delete", "sim", "--all", "-n", NAMESPACE]);
    kubectl.ok(&["delete", "ipo", "--all", "-n", NAMESPACE]);
    kubectl.ok(&["delete", "customer", "acme", "-n", NAMESPACE]);
    wait::until_true("the registrations go with their customer", wait::SOON, || names(&kubectl, "reg").is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_code_causes_no_object_and_a_denied_system_is_told_so() {
    let plane = Plane::start();
    let kubectl = plane.kubectl();
    kubectl.apply(&objects::tenancy(NAMESPACE));
    let subscription = Subscription::read(&kubectl, NAMESPACE, "acme");
    metrics::wait_until_at_rest(&plane);
    let before = metrics::writes(&plane);
    let (request, _) = certificate_request();
    for _ in 0..3 {
        let (status, problem) = subscription.post("/v1/enrol", &subscription.enrolment("shop", "WRONG", &request), HOME).await.unwrap();
        assert_eq!((status, problem["reason"].as_str()), (403, Some("notRecognised")), "{problem}");
    }
    let (status, page) = metrics::request(&plane, "GET", "/peers", "");
    let page: Value = serde_json::from_str(&page).unwrap();
    let peer = &page["peers"][0];
    assert_eq!((status, peer["systemId"].as_str(), peer["tries"].as_u64()), (200, Some("shop"), Some(3)), "{page}");
    assert_eq!((peer["address"].as_str(), peer["reason"].as_str()), (Some("127.0.0.1"), Some("wrongCode")), "{page}");
    assert_eq!(metrics::value(&plane, "switchboard_gateway_unproved_peers{reason=\"wrong_code\"}") as u64, 1);
    assert_eq!(metrics::writes_since(&plane, &before), BTreeMap::new());

    let enrol = || async {
        let (_, problem) =
            subscription.post("/v1/enrol", &subscription.enrolment("shop", &subscription.code, &request), HOME).await.unwrap();
        problem["reason"].as_str().unwrap_or_default().to_owned()
    };
    assert_eq!(enrol().await, "approvalPending");
    kubectl.wait_for_field(NAMESPACE, "reg/acme-shop", READY_REASON, "WaitingForApproval");
    decide(&kubectl, "acme-shop", "Denied");
    kubectl.wait_for_field(NAMESPACE, "reg/acme-shop", READY_REASON, "Denied");
    metrics::wait_until_at_rest(&plane);
    let before = metrics::writes(&plane);
    for _ in 0..3 {
        assert_eq!(enrol().await, "denied");
    }
    assert_eq!(metrics::writes_since(&plane, &before), BTreeMap::new(), "it is answered from memory");
    assert!(names(&kubectl, "ipo").is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_right_code_causes_a_hundred_registrations_by_a_hundred_writes_and_then_clear_refusals() {
    const SYSTEMS: usize = 150;
    const MOST: usize = 100;
    let plane = Plane::start();
    let kubectl = plane.kubectl();
    kubectl.apply(&objects::tenancy(NAMESPACE));
    let subscription = Subscription::read(&kubectl, NAMESPACE, "acme");
    let before = metrics::writes(&plane);
    let (request, _) = certificate_request();
    let try_all = || async {
        let tries = futures::stream::iter(0..SYSTEMS).map(|number| {
            let body = subscription.enrolment(&format!("s{number}"), &subscription.code, &request);
            let subscription = &subscription;
            async move { subscription.post("/v1/enrol", &body, HOME).await.unwrap() }
        });
        tries.buffer_unordered(8).collect::<Vec<(u16, Value)>>().await
    };
    for round in 0..2 {
        let answers = try_all().await;
        let count = |reason: &str| answers.iter().filter(|(_, problem)| problem["reason"] == reason).count();
        assert_eq!((count("approvalPending"), count("tooManyRegistrations")), (MOST, SYSTEMS - MOST), "in round {round}: {answers:?}");
        let (status, refusal) = answers.iter().find(|(_, problem)| problem["reason"] == "tooManyRegistrations").unwrap();
        let message = refusal["message"].as_str().unwrap();
        assert!(
            *status == 429 && message.contains("the customer has 100 registrations already") && message.contains("delete"),
            "{message}"
        );
    }
    assert_eq!(names(&kubectl, "reg").len(), MOST);
    let created = metrics::writes_since(&plane, &before)["create registrations.switchboard.dev"];
    assert_eq!(created, MOST as u64, "one write each, none for repeats");
    let refused = metrics::value(&plane, "switchboard_gateway_enrolments_total{result=\"too_many_registrations\"}");
    assert_eq!(refused as usize, 2 * (SYSTEMS - MOST));

    // Room that is made is used.
    kubectl.ok(&["delete", "reg", "--all", "-n", NAMESPACE]);
    wait::until_true("the cache follows", wait::SOON, || metrics::value(&plane, "switchboard_registrations{decision=\"pending\"}") < 1.0);
    let body = subscription.enrolment("another", &subscription.code, &request);
    let registers = async {
        // Where the tries before used the customer's rate up, one more is free every ten seconds.
        while subscription.post("/v1/enrol", &body, HOME).await.unwrap().1["reason"] != "approvalPending" {
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        }
    };
    tokio::time::timeout(wait::SOON, registers).await.expect("another system registers");
    wait_until_there(&kubectl, "reg/acme-another");
}
