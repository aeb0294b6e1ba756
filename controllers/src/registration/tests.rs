#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use crds::Registration;
use crds::conditions::is_true;
use crds::customer::RegistrationPolicy;
use serde_json::json;

use super::plan::{CustomerState, Declared, ORIGIN, Observed, Plan, REGISTRATION, Step, object_name, plan};
use crate::caches::system_id;

fn registration(decision: &str) -> Registration {
    serde_json::from_value(json!({
        "apiVersion": "switchboard.dev/v1alpha1", "kind": "Registration",
        "metadata": {"name": "acme-shop", "namespace": "north", "uid": "u", "generation": 2},
        "spec": {"customer": "acme", "systemId": "shop", "profile": "Server Edition", "decision": decision}
    }))
    .unwrap()
}

fn plan_for(registration: &Registration, change: impl FnOnce(&mut Observed)) -> Plan {
    let mut observed = Observed {
        registration,
        customer: CustomerState::Present(RegistrationPolicy::Manual),
        owned: true,
        declared: None,
        in_the_way: None,
        refused: None,
        paused: false,
        now: jiff::Timestamp::UNIX_EPOCH,
    };
    change(&mut observed);
    plan(&observed)
}

/// Reason and message of `Ready`.
fn ready(plan: &Plan) -> (&str, &str) {
    let condition = plan.status.as_ref().unwrap().conditions.iter().find(|condition| condition.type_ == "Ready").unwrap();
    assert!(!condition.message.is_empty() && condition.observed_generation == Some(2));
    (&condition.reason, &condition.message)
}

fn office(deleting: bool) -> Option<Declared> {
    Some(Declared { name: "acme-shop".into(), deleting })
}

#[test]
fn nothing_is_made_before_somebody_decides() {
    let waits = plan_for(&registration("Pending"), |_| ());
    assert_eq!((&waits.step, ready(&waits).0), (&Step::None, "WaitingForApproval"));
    let denied = plan_for(&registration("Denied"), |_| ());
    assert_eq!((&denied.step, ready(&denied).0), (&Step::None, "Denied"));
}

#[test]
fn an_approved_system_gets_an_ip_office_that_says_where_it_came_from() {
    let Step::Create(office) = plan_for(&registration("Approved"), |_| ()).step else { panic!("nothing is made") };
    assert_eq!((office.metadata.name.as_deref(), office.metadata.namespace.as_deref()), (Some("acme-shop"), Some("north")));
    assert_eq!(
        (office.spec.customer.as_str(), system_id(&office).as_str(), office.spec.profile.as_str()),
        ("acme", "shop", "Server Edition")
    );
    assert_eq!(office.metadata.labels.as_ref().unwrap()[ORIGIN], "registration");
    assert_eq!(office.metadata.annotations.as_ref().unwrap()[REGISTRATION], "acme-shop");
    assert!(office.metadata.owner_references.is_none(), "it stays when the registration goes");

    let mut named = registration("Approved");
    named.spec.ip_office = Some("harbour".into());
    let Step::Create(office) = plan_for(&named, |_| ()).step else { panic!("nothing is made") };
    assert_eq!(office.metadata.name.as_deref(), Some("harbour"));
}

#[test]
fn what_was_made_is_in_status_once_it_is_seen_and_then_nothing_is_written() {
    let mut registration = registration("Approved");
    let made = plan_for(&registration, |o| o.declared = office(false));
    assert_eq!((&made.step, ready(&made).0), (&Step::None, "LetIn"));
    let status = made.status.unwrap();
    assert!(is_true(&status.conditions, "Ready") && status.ip_office.as_deref() == Some("acme-shop"));
    registration.status = Some(status.clone());
    let again = plan_for(&registration, |o| (o.declared, o.now) = (office(false), jiff::Timestamp::constant(1_000_000, 0)));
    assert_eq!(again.status, Some(status));
}

#[test]
fn an_automatic_customer_approves_and_does_so_visibly() {
    let automatic = |o: &mut Observed| o.customer = CustomerState::Present(RegistrationPolicy::Automatic);
    let plan = plan_for(&registration("Pending"), automatic);
    assert_eq!((plan.step, plan.status), (Step::Approve, None));
    assert_eq!(ready(&plan_for(&registration("Denied"), automatic)).0, "Denied");
}

#[test]
fn a_deleted_ip_office_is_not_made_again_whatever_the_policy() {
    let mut registration = registration("Approved");
    registration.status = plan_for(&registration, |o| o.declared = office(false)).status;
    let going = plan_for(&registration, |o| o.declared = office(true));
    assert_eq!((&going.step, ready(&going).0), (&Step::None, "IPOfficeDeleting"));
    registration.status = going.status;
    for policy in [RegistrationPolicy::Manual, RegistrationPolicy::Automatic] {
        let gone = plan_for(&registration, |o| o.customer = CustomerState::Present(policy));
        assert_eq!((&gone.step, ready(&gone).0), (&Step::None, "IPOfficeDeleted"));
        assert!(ready(&gone).1.contains("delete this Registration"), "{}", ready(&gone).1);
    }
}

#[test]
fn somebody_elses_ip_office_of_the_name_is_named_and_left_alone() {
    let taken = plan_for(&registration("Approved"), |o| o.in_the_way = Some("the system hq of the Customer acme".into()));
    assert_eq!((&taken.step, ready(&taken).0), (&Step::None, "NameTaken"));
    assert!(ready(&taken).1.contains("the IPOffice acme-shop exists and is the system hq of the Customer acme"), "{}", ready(&taken).1);
    let refused = plan_for(&registration("Approved"), |o| o.refused = Some("no room".into()));
    assert_eq!((&refused.step, ready(&refused).0), (&Step::None, "IPOfficeRefused"));
}

#[test]
fn an_ip_office_made_by_hand_counts_more_than_the_decision() {
    let pending = plan_for(&registration("Pending"), |o| o.declared = office(false));
    assert_eq!(ready(&pending).0, "Declared");
    assert_eq!(pending.status.as_ref().unwrap().ip_office, None, "it was not let in by the registration");
    assert_eq!(ready(&plan_for(&registration("Denied"), |o| o.declared = office(false))).0, "DeniedButDeclared");
}

#[test]
fn it_goes_with_its_customer_and_makes_nothing_for_one_that_goes() {
    assert_eq!(plan_for(&registration("Approved"), |o| o.owned = false).step, Step::Own);
    for (customer, reason) in [
        (CustomerState::Missing, "CustomerNotFound"),
        (CustomerState::Deleting, "CustomerDeleting"),
        (CustomerState::WithoutId, "CustomerNotReady"),
    ] {
        let plan = plan_for(&registration("Approved"), |o| (o.customer, o.owned) = (customer, false));
        assert_eq!((&plan.step, ready(&plan).0), (&Step::None, reason));
    }
}

#[test]
fn a_paused_registration_is_left_as_it_is() {
    let mut registration = registration("Approved");
    registration.status = plan_for(&self::registration("Pending"), |_| ()).status;
    let paused = plan_for(&registration, |o| o.paused = true);
    assert_eq!((&paused.step, ready(&paused).0), (&Step::None, "WaitingForApproval"));
    assert!(is_true(&paused.status.unwrap().conditions, "Paused"));
}

#[test]
fn names_say_customer_and_system_and_stay_within_what_the_api_takes() {
    assert_eq!(object_name("acme", "shop"), "acme-shop");
    let long = object_name(&format!("{}.{}", "a".repeat(199), "b".repeat(50)), "shop");
    assert!(long.len() <= 253 && long.ends_with("-shop") && !long.contains(".-"), "{long}");
    assert_ne!(long, object_name(&format!("{}.{}", "a".repeat(199), "c".repeat(50)), "shop"));
}
