#![allow(clippy::unwrap_used, reason = "tests")]
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;

use super::*;
use crate::authority::Authority;
use crate::directory::{Credentials, Directory, Registered, SystemEntry};
use crate::options::Times;
use crate::peers;

#[derive(Default)]
struct OneSystem {
    writes: AtomicUsize,
}

#[async_trait]
impl Directory for OneSystem {
    fn customer_code(&self, customer: &CustomerId) -> Option<Secret> {
        (customer.as_str() == "acme").then(|| Secret::new("right"))
    }

    fn system(&self, key: &SystemKey) -> Option<SystemEntry> {
        let entry = SystemEntry { enrolment_id: None, enrolment_allowed: true };
        (key.to_string() == "acme/hq").then_some(entry)
    }

    async fn record_enrolment(&self, _: &SystemKey, _: &str) -> Result<(), DirectoryError> {
        self.writes.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    fn registration(&self, _: &SystemKey) -> Option<Registered> {
        None
    }

    async fn register(&self, _: &SystemKey, _: &Candidate) -> Result<Registered, DirectoryError> {
        self.writes.fetch_add(1, Ordering::SeqCst);
        Ok(Registered::Denied)
    }

    async fn credentials(&self, _: &SystemKey) -> Result<Option<Credentials>, DirectoryError> {
        Ok(None)
    }
}

fn body(customer: &str, code: &str) -> Vec<u8> {
    let key = rcgen::KeyPair::generate().unwrap();
    let request = rcgen::CertificateParams::default().serialize_request(&key).unwrap().pem().unwrap();
    serde_json::json!({"protocol": 1, "customerId": customer, "systemId": "hq", "enrolmentCode": code, "certificateRequest": request})
        .to_string()
        .into_bytes()
}

#[tokio::test]
async fn ten_thousand_wrong_codes_take_no_memory_and_lock_nobody_else_out() {
    let directory = Arc::new(OneSystem::default());
    let shared = Arc::new(
        Shared::new(
            Limits::default(),
            Times::default(),
            Authority::create().unwrap(),
            tokio::sync::watch::Sender::new(String::new()).subscribe(),
            directory.clone(),
        )
        .unwrap(),
    );
    let size = |enrolments: &Enrolments| enrolments.per_address.size() + enrolments.per_customer.size();
    let before = size(&shared.enrolments);
    let wrong = body("acme", "wrong");
    let mut refused = 0;
    // One guesser: its own address is used up long before the customer is.
    for _ in 0..9500 {
        let problem = enrol(&shared, Ipv4Addr::new(127, 0, 0, 2).into(), &wrong).await.unwrap_err();
        refused += usize::from(problem.reason == ProblemReason::TooManyRequests);
        assert_eq!(problem.retry_after_seconds.is_some(), problem.reason == ProblemReason::TooManyRequests);
    }
    // And five hundred who guess at customers that do not exist, once each.
    for number in 0..500u16 {
        let [high, low] = number.to_be_bytes();
        let problem = enrol(&shared, Ipv4Addr::new(127, 2, high, low).into(), &body(&format!("c{number}"), "wrong")).await.unwrap_err();
        assert_eq!(problem.reason, ProblemReason::NotRecognised);
    }
    assert!(refused > 9400, "{refused}");
    assert_eq!(size(&shared.enrolments), before);
    assert_eq!(shared.peers.list().len(), peers::MOST);
    assert!(shared.enrolments.recent.lock().unwrap().is_empty());
    assert_eq!(directory.writes.load(Ordering::SeqCst), 0);
    enrol(&shared, Ipv4Addr::new(127, 0, 0, 3).into(), &body("acme", "right")).await.unwrap();
    assert_eq!(directory.writes.load(Ordering::SeqCst), 1);
}

#[test]
fn codes_are_compared_whole_and_no_code_matches_nothing() {
    let enrolments = Enrolments::new(&Limits::default());
    let code = Secret::new("right");
    assert!(enrolments.matches(Some(&code), &Secret::new("right")));
    for wrong in ["", "righ", "right ", "wrong"] {
        assert!(!enrolments.matches(Some(&code), &Secret::new(wrong)), "{wrong}");
    }
    assert!(!enrolments.matches(None, &Secret::new("")) && !enrolments.matches(Some(&Secret::new("")), &Secret::new("")));
}

#[test]
fn an_ipv6_network_counts_as_one_address() {
    let network = |text: &str| network_of(text.parse().unwrap());
    assert_eq!(network("2001:db8::1"), network("2001:db8::ffff:1"));
    assert_ne!(network("2001:db8::1"), network("2001:db8:0:1::1"));
    assert_eq!(network("::ffff:192.0.2.1"), network("192.0.2.1"));
}
