//! A certificate becomes a newer one of the same enrolment.

use std::time::Duration;

use gateway::options::Rate;
use protocol::RENEW_PATH;
use serde_json::json;

use crate::client::{Credential, HOME, certificate_request, post};
use crate::world::{World, key};

#[tokio::test]
async fn a_renewed_certificate_connects_and_the_enrolment_stays() {
    let world = World::new().await;
    let old = world.enrolled("hq").await;
    let before = world.directory.system_id();
    let key_pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
    let body = json!({"protocol": 1, "certificateRequest": certificate_request(&key_pair)});
    let answer = post(&world, RENEW_PATH, &body, Some(&old), HOME).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(world.directory.system_id(), before);
    let new = Credential { system: "hq".into(), key: key_pair, certificate: answer.body["certificate"].as_str().unwrap().into() };
    world.connected(&new, 1).await;
    assert_eq!(world.metric("enrolments_total", "renewed") as u64, 1);
}

#[tokio::test]
async fn when_to_renew_is_two_thirds_through_the_life_of_the_certificate() {
    let world = World::with(|options| options.times.certificate_lifetime = Duration::from_secs(300)).await;
    let credential = world.enrolled("hq").await;
    let body = json!({"protocol": 1, "certificateRequest": certificate_request(&credential.key)});
    let answer = post(&world, RENEW_PATH, &body, Some(&credential), HOME).await;
    let time = |name: &str| answer.body[name].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    assert_eq!(time("expires").duration_since(time("renewAfter")).as_secs(), 100);
    let left = time("expires").duration_since(jiff::Timestamp::now()).as_secs();
    assert!((290..=300).contains(&left), "{left}");
}

#[tokio::test]
async fn a_withdrawn_certificate_is_not_renewed_and_a_good_one_not_without_end() {
    let world = World::with(|options| options.limits.renewals = Rate { burst: 2, interval: Duration::from_secs(60) }).await;
    let credential = world.enrolled("hq").await;
    let body = json!({"protocol": 1, "certificateRequest": certificate_request(&credential.key)});
    for status in [200, 200, 429] {
        assert_eq!(post(&world, RENEW_PATH, &body, Some(&credential), HOME).await.status, status);
    }
    world.directory.change(&key("hq"), |entry| entry.enrolment_id = None);
    let answer = post(&world, RENEW_PATH, &body, Some(&credential), HOME).await;
    assert_eq!((answer.status, answer.reason()), (403, "certificateNotAccepted"));
}
