//! A code becomes a certificate, once, and guessing gets nowhere.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::StreamExt as _;
use gateway::options::Rate;
use protocol::ENROL_PATH;
use serde_json::{Value, json};

use crate::client::{Credential, HOME, Session, certificate_request, enrolment, post, send_request};
use crate::world::{CODE, World, key};

fn request() -> String {
    certificate_request(&rcgen::KeyPair::generate().unwrap())
}

fn loopback(number: u16) -> IpAddr {
    let [high, low] = number.to_be_bytes();
    IpAddr::V4(Ipv4Addr::new(127, 1, high, low))
}

#[tokio::test]
async fn the_right_code_becomes_a_certificate_that_names_the_system_and_its_enrolment() {
    let world = World::new().await;
    let credential = world.enrolled("hq").await;
    let pem = x509_parser::pem::parse_x509_pem(credential.certificate.as_bytes()).unwrap().1;
    let certificate = pem.parse_x509().unwrap();
    let id = world.directory.systems.lock().unwrap()[&key("hq")].enrolment_id.clone().unwrap();
    assert_eq!(certificate.subject().to_string(), "CN=acme/hq");
    let names = certificate.subject_alternative_name().unwrap().unwrap();
    assert!(format!("{:?}", names.value.general_names).contains(&format!("switchboard:acme:hq:{id}")));
    assert!(certificate.extended_key_usage().unwrap().unwrap().value.client_auth && !certificate.is_ca());
    let days = (certificate.validity().not_after.timestamp() - certificate.validity().not_before.timestamp()) / 86_400;
    assert_eq!(days, 365);
    assert_eq!(world.directory.writes.load(Ordering::SeqCst), 1);
    assert_eq!(world.metric("enrolments_total", "enrolled") as u64, 1);
}

#[tokio::test]
async fn unknown_customer_unknown_system_and_wrong_code_are_one_answer_and_cause_no_write() {
    let world = World::new().await;
    let mut unknown_customer = enrolment("hq", CODE, &request());
    unknown_customer["customerId"] = json!("nobody");
    let mut answers: Vec<Value> = Vec::new();
    for body in
        [unknown_customer, enrolment("nosuch", "wrong", &request()), enrolment("hq", "wrong", &request()), enrolment("hq", "", &request())]
    {
        let answer = post(&world, ENROL_PATH, &body, None, HOME).await;
        assert_eq!((answer.status, answer.reason()), (403, "notRecognised"));
        answers.push(answer.body);
    }
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "{answers:?}");
    assert_eq!(world.directory.writes.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn an_enrolled_system_enrols_again_only_when_it_is_allowed() {
    let world = World::new().await;
    world.enrolled("hq").await;
    let again = post(&world, ENROL_PATH, &enrolment("hq", CODE, &request()), None, HOME).await;
    assert_eq!((again.status, again.reason()), (409, "alreadyEnrolled"));
    world.directory.change(&key("hq"), |entry| entry.enrolment_allowed = true);
    world.enrolled("hq").await;
}

#[tokio::test]
async fn a_system_whose_answer_was_lost_gets_its_certificate_again_for_the_same_key_only() {
    let world = World::new().await;
    let key_pair = rcgen::KeyPair::generate().unwrap();
    let body = enrolment("hq", CODE, &certificate_request(&key_pair));
    assert_eq!(post(&world, ENROL_PATH, &body, None, HOME).await.status, 200);
    let again = post(&world, ENROL_PATH, &body, None, HOME).await;
    assert_eq!((again.status, world.directory.writes.load(Ordering::SeqCst)), (200, 1));
    let certificate = again.body["certificate"].as_str().unwrap().to_owned();
    world.connected(&Credential { system: "hq".into(), key: key_pair, certificate }, 1).await;
}

#[tokio::test]
async fn of_two_simultaneous_enrolments_one_wins() {
    let world = World::new().await;
    let bodies = [enrolment("hq", CODE, &request()), enrolment("hq", CODE, &request())];
    let (first, second) = tokio::join!(post(&world, ENROL_PATH, &bodies[0], None, HOME), post(&world, ENROL_PATH, &bodies[1], None, HOME));
    let mut statuses = [first.status, second.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409]);
}

#[tokio::test]
async fn bad_bodies_are_told_what_is_wrong() {
    let world = World::new().await;
    let mut newer = enrolment("hq", CODE, &request());
    newer["protocol"] = json!(2);
    newer["unheard"] = json!(true);
    let weak = enrolment("hq", CODE, "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n");
    let cases = [
        ("not json".to_owned(), 400, "malformed"),
        (json!({"protocol": 1}).to_string(), 400, "malformed"),
        (enrolment("h/q", CODE, &request()).to_string(), 400, "malformed"),
        (weak.to_string(), 400, "malformed"),
        (newer.to_string(), 400, "unsupportedVersion"),
        (format!("{{\"protocol\":1,\"x\":\"{}\"}}", "x".repeat(20_000)), 413, "tooLarge"),
    ];
    for (body, status, reason) in cases {
        let answer = send_request(&world, "POST", ENROL_PATH, &body, None, HOME).await.unwrap();
        assert_eq!((answer.status, answer.reason()), (status, reason), "{answer:?}");
        assert!(!answer.body["message"].as_str().unwrap().is_empty());
    }
    assert_eq!(send_request(&world, "GET", ENROL_PATH, "", None, HOME).await.unwrap().status, 405);
    assert_eq!(send_request(&world, "GET", "/nothing", "", None, HOME).await.unwrap().status, 404);
}

#[tokio::test]
async fn a_directory_that_is_down_is_said_and_the_code_stays_good() {
    let world = World::new().await;
    world.directory.unavailable.store(true, Ordering::SeqCst);
    let answer = post(&world, ENROL_PATH, &enrolment("hq", CODE, &request()), None, HOME).await;
    assert_eq!((answer.status, answer.reason()), (503, "unavailable"));
    assert!(answer.head.contains("retry-after: 5"), "{}", answer.head);
    world.directory.unavailable.store(false, Ordering::SeqCst);
    world.enrolled("hq").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_wrong_codes_from_many_addresses_lock_nobody_out_for_long() {
    let world = World::with(|options| {
        // As by default, but the wait is shorter; not so short that a slow machine may try as often as it can.
        options.limits.failures_per_customer = Rate { burst: 60, interval: Duration::from_millis(200) };
    })
    .await;
    let body = enrolment("hq", "wrong", &request());
    let limited = futures::stream::iter(0..1000u16)
        .map(|number| {
            let (world, body) = (&world, &body);
            async move {
                let answer = post(world, ENROL_PATH, body, None, loopback(number % 300)).await;
                match answer.status {
                    403 => false,
                    429 => {
                        assert!(
                            answer.head.contains("retry-after: ") && answer.body["retryAfterSeconds"].as_u64() >= Some(1),
                            "{answer:?}"
                        );
                        true
                    }
                    other => panic!("{other}"),
                }
            }
        })
        .buffer_unordered(16)
        .filter(|limited| std::future::ready(*limited))
        .count()
        .await;
    assert!(limited > 100, "only {limited} of 1000 were turned away");
    assert_eq!(world.directory.writes.load(Ordering::SeqCst), 0);
    // The customer's bucket has room for one again soon, whoever emptied it.
    let body = enrolment("hq", CODE, &request());
    crate::world::soon(async { while post(&world, ENROL_PATH, &body, None, HOME).await.status == 429 {} }).await;
    assert_eq!(world.directory.writes.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn wrong_codes_from_one_address_are_turned_away_while_the_right_code_passes_from_another() {
    let world = World::new().await;
    let wrong = enrolment("hq", "wrong", &request());
    for tries in 0..12 {
        let answer = post(&world, ENROL_PATH, &wrong, None, loopback(1)).await;
        assert_eq!(answer.status, if tries < 10 { 403 } else { 429 });
    }
    // Even the right code waits there, so that guessing on is worth nothing.
    assert_eq!(post(&world, ENROL_PATH, &enrolment("hq", CODE, &request()), None, loopback(1)).await.status, 429);
    let credential = Credential::enrol(&world, "hq").await;
    Session::open(&world, &credential, 1).await;
}
