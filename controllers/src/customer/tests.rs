#![allow(clippy::unwrap_used, reason = "tests")]

use crds::conditions::is_true;
use serde_json::json;

use super::plan::*;
use super::*;
use model::connectivity::Colour;

fn customer(extra: serde_json::Value) -> Customer {
    let mut object = json!({
        "apiVersion": "switchboard.dev/v1alpha1", "kind": "Customer",
        "metadata": {"name": "acme", "namespace": "north", "uid": "u", "generation": 3},
        "spec": {"displayName": "Acme"}
    });
    object["metadata"].as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    serde_json::from_value(object).unwrap()
}

fn observed(customer: &Customer) -> Observed<'_> {
    Observed {
        customer,
        id: "acme1".parse().unwrap(),
        id_taken_by: None,
        name_taken_by: None,
        systems: vec![("hq".into(), Some(Colour::Green)), ("shop".into(), None), ("lab".into(), Some(Colour::Amber))],
        secret: SecretState::Missing,
        paused: false,
        now: jiff::Timestamp::UNIX_EPOCH,
    }
}

fn reason(plan: &Plan) -> (&str, &str) {
    let condition = &plan.status.conditions[0];
    (condition.status.as_str(), condition.reason.as_str())
}

#[test]
fn a_new_customer_gets_its_subscription_and_its_counts() {
    let customer = customer(json!({}));
    let plan = plan(&observed(&customer));
    assert!(plan.subscription && !plan.release && is_true(&plan.status.conditions, "Ready"));
    assert_eq!(plan.status.subscription_secret.as_deref(), Some("acme-subscription"));
    let counts = plan.status.systems.unwrap();
    assert_eq!((counts.total, counts.green, counts.amber, counts.red), (3, 1, 1, 1));
    assert_eq!(plan.status.observed_generation, Some(3));
}

#[test]
fn what_another_has_already_is_refused_and_named() {
    let customer = customer(json!({}));
    let with = |change: fn(&mut Observed)| {
        let mut seen = observed(&customer);
        change(&mut seen);
        plan(&seen)
    };
    let id = with(|o| o.id_taken_by = Some("south/acme".into()));
    assert_eq!(reason(&id), ("False", "DuplicateCustomerId"));
    assert!(!id.subscription && id.status.conditions[0].message.contains("south/acme"));
    let name = with(|o| o.name_taken_by = Some("north/older".into()));
    assert_eq!((reason(&name), name.subscription), (("False", "DuplicateDisplayName"), true));
    let secret = with(|o| o.secret = SecretState::Foreign);
    assert_eq!((reason(&secret), secret.subscription), (("False", "SecretTaken"), false));
}

#[test]
fn a_deletion_waits_for_the_systems_and_says_so() {
    let customer = customer(json!({"deletionTimestamp": "2026-01-01T00:00:00Z"}));
    let mut seen = observed(&customer);
    let waits = plan(&seen);
    assert_eq!(reason(&waits), ("False", "SystemsRemain"));
    assert!(waits.status.conditions[0].message.ends_with("delete the IPOffices hq, lab, shop") && !waits.release && !waits.subscription);
    seen.systems.clear();
    assert!(plan(&seen).release);
}

#[test]
fn a_paused_customer_is_left_as_it_is() {
    let mut customer = customer(json!({}));
    customer.status = Some(plan(&observed(&customer)).status);
    let mut seen = observed(&customer);
    seen.paused = true;
    let paused = plan(&seen);
    assert!(is_true(&paused.status.conditions, "Paused") && is_true(&paused.status.conditions, "Ready") && !paused.subscription);
    let before = customer.status.clone().unwrap();
    assert_eq!(paused.status.systems, before.systems);
}

#[test]
fn the_same_observation_gives_the_same_status() {
    let mut customer = customer(json!({}));
    let first = plan(&observed(&customer)).status;
    customer.status = Some(first.clone());
    let mut later = observed(&customer);
    later.now = jiff::Timestamp::constant(1_000_000, 0);
    assert_eq!(plan(&later).status, first);
}
