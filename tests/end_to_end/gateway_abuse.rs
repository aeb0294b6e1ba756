//! Peers that mean harm: they end their own connections, cost bounded memory and no write, and disturb nobody else.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use harness::dialer::{HOME, Session, Subscription, certificate_request};
use harness::kubectl::Kubectl;
use harness::switchboard::Switchboard;
use harness::{metrics, objects, processes};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_tungstenite::tungstenite::Message;

/// How often a wrong code is tried.
const WRONG_CODES: usize = 10_000;
/// At the same time.
const PEERS: usize = 16;
/// Bytes that this may cost. The tables of the gateway are fixed; the rest is what allocators keep.
const MEMORY: u64 = 48 * 1024 * 1024;

/// An address of a peer, other than the ones of systems.
fn address(number: usize) -> IpAddr {
    let [_, _, high, low] = u32::try_from(number % 2000).unwrap().to_be_bytes();
    IpAddr::V4(Ipv4Addr::new(127, 99, high, low.max(1)))
}

async fn try_codes(subscription: Subscription, next: Arc<AtomicUsize>, answers: Arc<[AtomicUsize; 2]>) {
    let (request, _) = certificate_request();
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= WRONG_CODES {
            return;
        }
        // Half of them for a system that exists, half for ones that do not; each tenth without the right form.
        let system = if number.is_multiple_of(2) { "office".to_owned() } else { format!("guess{number}") };
        let body =
            if number.is_multiple_of(10) { "{}".to_owned() } else { subscription.enrolment(&system, &format!("WRONG-{number}"), &request) };
        match subscription.post("/v1/enrol", &body, address(number)).await {
            Ok((403, _)) => answers[0].fetch_add(1, Ordering::Relaxed),
            Ok((400 | 429, _)) => answers[1].fetch_add(1, Ordering::Relaxed),
            other => panic!("a wrong code was answered with {other:?}"),
        };
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_wrong_enrolment_codes_cost_no_write_and_little_memory_and_a_right_one_still_works() {
    let plane = Switchboard::start(&[]);
    let kubectl = plane.kubectl();
    kubectl.apply(&objects::tenancy("abuse"));
    kubectl.apply(&[objects::ip_office("abuse", "office", &json!({"systemId": "office"}))]);
    kubectl.apply(&objects::system("abuse", "bystander"));
    kubectl.wait("abuse", "ipo/bystander", "condition=Ready");
    let subscription = Subscription::read(&kubectl, "abuse", "acme");
    metrics::wait_until_at_rest(&plane);
    let (memory, writes) = (processes::resident_bytes(plane.id()), metrics::writes(&plane));

    let (next, answers) = (Arc::new(AtomicUsize::new(0)), Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]));
    let peers: Vec<_> =
        (0..PEERS).map(|_| tokio::spawn(try_codes(subscription.clone(), Arc::clone(&next), Arc::clone(&answers)))).collect();
    for peer in peers {
        peer.await.unwrap();
    }
    let (refused, held_off) = (answers[0].load(Ordering::Relaxed), answers[1].load(Ordering::Relaxed));
    assert_eq!(refused + held_off, WRONG_CODES);
    assert!(refused > 0 && held_off > refused, "tries were not held off: {refused} looked at, {held_off} not");
    assert_eq!(metrics::writes_since(&plane, &writes), [].into(), "who proved nothing caused a write");
    let grown = processes::resident_bytes(plane.id()).saturating_sub(memory);
    assert!(grown < MEMORY, "memory grew by {grown} bytes");
    let lines = plane.log().lines().count();
    assert!(lines < 2000, "{lines} lines of log");
    assert_eq!(kubectl.field("abuse", "ipo/bystander", "{.status.connection.colour}"), "Green");

    // The one with the right code waits its turn, and is let in.
    kubectl.apply(&[objects::simulated_system("abuse", "office", &json!({}))]);
    kubectl.wait("abuse", "ipo/office", "condition=Ready");
}

/// A session that was welcomed.
async fn welcomed(subscription: &Subscription, credential: &harness::dialer::Credential, counter: u64) -> Session {
    let mut session = subscription.session(credential).await;
    session.say(subscription.hello(&credential.system, counter).to_string()).await;
    let welcome = session.next().await.expect("a welcome");
    assert_eq!(welcome["type"], "welcome");
    session
}

fn make_systems(kubectl: &Kubectl) {
    kubectl.apply(&objects::tenancy("abuse"));
    // Nobody signs in to the one that is driven by hand.
    kubectl.apply(&[objects::ip_office("abuse", "rogue", &json!({"systemId": "rogue", "serviceUser": null, "remoteOperations": null}))]);
    kubectl.apply(&objects::system("abuse", "bystander"));
    kubectl.wait("abuse", "ipo/bystander", "condition=Ready");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_misbehaves_ends_alone_and_is_told_why() {
    let plane = Switchboard::start(&[]);
    let kubectl = plane.kubectl();
    make_systems(&kubectl);
    let subscription = Subscription::read(&kubectl, "abuse", "acme");
    // More of the status may follow.
    metrics::wait_until_at_rest(&plane);
    let before = kubectl.object("abuse", "ipo/bystander");
    let rogue = subscription.enrol("rogue").await;

    let long = "x".repeat(300_000);
    let another = subscription.hello("bystander", 99).to_string();
    let mut counter = 0;
    for (what, messages, reason) in [
        ("no JSON", vec![Message::text("{\"type\": \"report\"")], "malformed"),
        ("an unknown type", vec![Message::text(r#"{"type":"reboot"}"#)], "malformed"),
        ("a type at the wrong time", vec![Message::text(r#"{"type":"challenge","scram":"r=a,s=YQ==,i=4096"}"#)], "malformed"),
        ("a binary message", vec![Message::binary(vec![0_u8; 64])], "malformed"),
        ("a text that goes too deep", vec![Message::text("[".repeat(100_000))], "malformed"),
        ("a message too large", vec![Message::text(format!("{{\"type\":\"report\",\"systemName\":\"{long}\"}}"))], "tooLarge"),
        ("a second hello, for another system", vec![Message::text(another)], "malformed"),
        ("a flood", vec![Message::text(r#"{"type":"accountChanged"}"#); 2000], "tooManyMessages"),
    ] {
        counter += 1;
        let mut session = welcomed(&subscription, &rogue, counter).await;
        for message in messages {
            session.send(message).await;
        }
        let (told, message) = session.closes().await;
        assert_eq!(told, reason, "{what}: {message}");
        assert!(!message.is_empty(), "{what}: it is not said why");
    }

    // Before the welcome: another version, another system, no hello at all.
    let version = json!({"type": "hello", "protocol": 99, "customerId": subscription.customer, "systemId": "rogue", "session": 50});
    let other = subscription.hello("bystander", 51);
    for (first, reason) in
        [(version.to_string(), "unsupportedVersion"), (other.to_string(), "notRecognised"), ("hello".to_owned(), "malformed")]
    {
        let mut session = subscription.session(&rogue).await;
        session.say(first).await;
        assert_eq!(session.closes().await.0, reason);
    }
    let mut old = subscription.session(&rogue).await;
    old.say(subscription.hello("rogue", 1).to_string()).await;
    assert_eq!(old.closes().await.0, "superseded", "a counter that was used is fenced");

    // After all that it is let in again as soon as it behaves; the other one never noticed.
    let _well = welcomed(&subscription, &rogue, 100).await;
    kubectl.wait_for_field("abuse", "ipo/rogue", "{.status.conditions[?(@.type==\"Connected\")].status}", "True");
    let after = kubectl.object("abuse", "ipo/bystander");
    assert_eq!(after["status"], before["status"]);
    assert_eq!(kubectl.field("abuse", "pod/bystander", "{.status.containerStatuses[0].restartCount}"), "0");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn noise_on_the_ports_is_turned_away() {
    let plane = Switchboard::start(&[]);
    let kubectl = plane.kubectl();
    make_systems(&kubectl);
    let subscription = Subscription::read(&kubectl, "abuse", "acme");

    // No TLS at all, on every port that speaks TLS.
    for port in [plane.ports.gateway, plane.ports.api] {
        for noise in [&b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..], &[0xff; 4096], &[0x16, 3, 1, 0xff, 0xff]] {
            let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            stream.write_all(noise).await.unwrap();
            stream.shutdown().await.unwrap();
            let mut answer = Vec::new();
            // An alert or nothing, then the end; also a reset.
            let ended = tokio::time::timeout(harness::wait::SOON, stream.read_to_end(&mut answer)).await;
            assert!(ended.is_ok(), "the connection to {port} stays open");
        }
    }
    // TLS, but not what is spoken there.
    let too_large = format!("{{\"enrolmentCode\":\"{}\"}}", "x".repeat(20_000));
    let cases = [("/v1/enrol", too_large.as_str(), 413), ("/v1/enrol", "no JSON", 400), ("/v2/enrol", "{}", 404), ("/v1/renew", "{}", 403)];
    for (path, body, status) in cases {
        let (answered, problem) = subscription.post(path, body, HOME).await.unwrap();
        assert_eq!(answered, status, "{path}: {problem}");
        assert!(problem["message"].as_str().is_some_and(|message| !message.is_empty()), "{path}: {problem}");
    }
    let version = json!({"protocol": 99, "customerId": "a", "systemId": "b", "enrolmentCode": "c", "certificateRequest": "d"}).to_string();
    let (_, problem) = subscription.post("/v1/enrol", &version, HOME).await.unwrap();
    assert_eq!(problem["reason"], "unsupportedVersion");

    // A code is used once, and only by the one it was used by.
    let _rogue = subscription.enrol("rogue").await;
    let (request, _) = certificate_request();
    let (status, problem) =
        subscription.post("/v1/enrol", &subscription.enrolment("rogue", &subscription.code, &request), HOME).await.unwrap();
    assert_eq!((status, problem["reason"].as_str()), (409, Some("alreadyEnrolled")), "{problem}");

    assert_eq!(kubectl.field("abuse", "ipo/bystander", "{.status.connection.colour}"), "Green");
    assert_eq!(metrics::request(&plane, "GET", "/readyz", "").0, 200);
}
