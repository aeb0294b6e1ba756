//! A system that nobody declared and that knows its customer's code is registered once, and told how it stands. All others cause nothing.

use std::sync::atomic::Ordering;
use std::time::Duration;

use gateway::Registered;
use gateway::options::Rate;
use gateway::peers::{MOST, Unproved};
use protocol::ENROL_PATH;
use serde_json::{Value, json};

use crate::client::{HOME, certificate_request, enrolment, post};
use crate::world::{CODE, World, entry, key};

fn request(system: &str, code: &str) -> Value {
    enrolment(system, code, &certificate_request(&rcgen::KeyPair::generate().unwrap()))
}

fn writes(world: &World) -> usize {
    world.directory.writes.load(Ordering::SeqCst)
}

#[tokio::test]
async fn an_undeclared_system_is_registered_by_one_write_and_enrols_once_it_is_declared() {
    let world = World::new().await;
    let mut body = request("shop", CODE);
    for (field, value) in [("systemName", "Shop"), ("profile", "Server Edition"), ("version", "11.1.3.2.0")] {
        body[field] = json!(value);
    }
    for _ in 0..3 {
        let answer = post(&world, ENROL_PATH, &body, None, HOME).await;
        assert_eq!((answer.status, answer.reason()), (403, "approvalPending"), "{answer:?}");
        assert_eq!(answer.body["retryAfterSeconds"], 10);
        assert!(answer.head.contains("retry-after: 10") && answer.body["message"].as_str().unwrap().contains("approve"), "{answer:?}");
    }
    assert_eq!(writes(&world), 1, "a repeated try is answered from memory");
    let candidate = world.directory.registrations.lock().unwrap()[&key("shop")].0.clone();
    assert_eq!((candidate.name.as_deref(), candidate.address), (Some("Shop"), HOME));
    assert_eq!(candidate.profile.map(model::system::Profile::as_str), Some("Server Edition"));
    assert_eq!(candidate.version.as_ref().map(model::version::SoftwareVersion::as_str), Some("11.1.3.2.0"));
    world.directory.systems.lock().unwrap().insert(key("shop"), entry());
    assert_eq!(post(&world, ENROL_PATH, &body, None, HOME).await.status, 200);
    assert_eq!(world.metric("enrolments_total", "approval_pending") as u64, 3);
}

#[tokio::test]
async fn each_standing_has_its_own_words_and_none_gets_a_certificate() {
    let world = World::new().await;
    let long_ago = jiff::Timestamp::now() - jiff::SignedDuration::from_hours(24);
    for (standing, status, reason, wait) in [
        (Registered::Waiting { since: long_ago }, 403, "approvalPending", Some(300)),
        (Registered::LetIn, 403, "approvalPending", Some(2)),
        (Registered::Denied, 403, "denied", None),
        (Registered::Removed, 403, "denied", None),
        (Registered::CustomerFull, 429, "tooManyRegistrations", Some(600)),
        (Registered::Full, 429, "tooManyRegistrations", Some(600)),
    ] {
        *world.directory.policy.lock().unwrap() = Some(standing);
        world.directory.registrations.lock().unwrap().clear();
        let answer = post(&world, ENROL_PATH, &request("shop", CODE), None, HOME).await;
        assert_eq!((answer.status, answer.reason()), (status, reason), "{standing:?}");
        assert_eq!(answer.body["retryAfterSeconds"].as_u64(), wait, "{standing:?}");
        assert!(answer.body["certificate"].is_null() && !answer.body["message"].as_str().unwrap().is_empty());
    }
}

#[tokio::test]
async fn nothing_is_registered_for_a_wrong_code_an_unknown_customer_or_a_request_that_could_never_enrol() {
    let world = World::new().await;
    let mut unknown_customer = request("shop", CODE);
    unknown_customer["customerId"] = json!("nobody");
    for body in [unknown_customer, request("shop", "wrong")] {
        let answer = post(&world, ENROL_PATH, &body, None, HOME).await;
        assert_eq!((answer.status, answer.reason()), (403, "notRecognised"));
    }
    let mut bad_names = Vec::new();
    for (field, value) in [
        ("systemName", json!("")),
        ("systemName", json!("x".repeat(65))),
        ("systemName", json!("a\u{1b}[2J")),
        ("profile", json!("PBX")),
        ("version", json!("new")),
    ] {
        let mut body = request("shop", CODE);
        body[field] = value;
        bad_names.push(body);
    }
    bad_names.push(enrolment("shop", CODE, "no certificate request"));
    for body in bad_names {
        let answer = post(&world, ENROL_PATH, &body, None, HOME).await;
        assert_eq!((answer.status, answer.reason()), (400, "malformed"), "{body}");
    }
    assert_eq!((writes(&world), world.directory.registrations.lock().unwrap().len()), (0, 0));
}

#[tokio::test]
async fn new_systems_register_at_a_rate_and_those_that_are_registered_are_not_held_up_by_it() {
    let world = World::with(|options| options.limits.registrations = Rate { burst: 2, interval: Duration::from_secs(600) }).await;
    let bodies = ["a", "b", "c"].map(|system| request(system, CODE));
    let mut reasons = Vec::new();
    for body in &bodies {
        reasons.push(post(&world, ENROL_PATH, body, None, HOME).await.reason().to_owned());
    }
    assert_eq!(reasons, ["approvalPending", "approvalPending", "tooManyRequests"]);
    assert_eq!(post(&world, ENROL_PATH, &bodies[0], None, HOME).await.reason(), "approvalPending");
    assert_eq!(writes(&world), 2);
}

#[tokio::test]
async fn a_directory_that_is_down_is_said_and_the_system_registers_later() {
    let world = World::new().await;
    world.directory.unavailable.store(true, Ordering::SeqCst);
    let body = request("shop", CODE);
    assert_eq!(post(&world, ENROL_PATH, &body, None, HOME).await.reason(), "unavailable");
    world.directory.unavailable.store(false, Ordering::SeqCst);
    assert_eq!(post(&world, ENROL_PATH, &body, None, HOME).await.reason(), "approvalPending");
}

#[tokio::test]
async fn who_proves_nothing_is_listed_until_it_proves_itself() {
    let world = World::new().await;
    let mut unknown_customer = request("hq", CODE);
    unknown_customer["customerId"] = json!("nobody");
    let wrong = request("hq", "wrong");
    for body in [&wrong, &unknown_customer, &wrong] {
        post(&world, ENROL_PATH, body, None, HOME).await;
    }
    let list = world.peers.list();
    let seen: Vec<_> = list.iter().map(|peer| (peer.customer_id.as_str(), peer.system_id.as_str(), peer.tries, peer.reason)).collect();
    assert_eq!(seen, [("acme", "hq", 2, Unproved::WrongCode), ("nobody", "hq", 1, Unproved::UnknownCustomer)]);
    assert!(list.iter().all(|peer| peer.address == HOME));
    assert_eq!(world.metric("unproved_peers", "wrong_code") as u64, 1);
    world.enrolled("hq").await;
    assert_eq!(world.peers.list().len(), 1, "{MOST} at most, and none that proved itself");
}
