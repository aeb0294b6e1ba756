//! Sessions: who is let in, who takes whose place, and what is known afterwards.

use std::time::Duration;

use futures::StreamExt as _;
use model::connectivity::Absence;
use protocol::link::SessionState;
use protocol::message::CloseReason;
use protocol::{RENEW_PATH, SESSION_PATH};
use serde_json::json;

use crate::client::{Credential, HOME, Session, dial, facts, hello, send_request};
use crate::world::{World, key, soon};

fn away(absence: Absence) -> impl Fn(&protocol::link::SessionView) -> bool {
    move |view| view.state == SessionState::Away(absence)
}

#[tokio::test]
async fn without_a_certificate_there_is_no_session_and_no_renewal() {
    let world = World::new().await;
    for (method, path) in [("GET", SESSION_PATH), ("POST", RENEW_PATH)] {
        let answer = send_request(&world, method, path, "{}", None, HOME).await.unwrap();
        assert_eq!((answer.status, answer.reason()), (403, "certificateNotAccepted"));
    }
}

#[tokio::test]
async fn a_certificate_of_another_authority_is_refused() {
    let (world, other) = (World::new().await, World::new().await);
    let foreign = other.enrolled("hq").await;
    assert!(Session::dial(&world, &foreign).await.is_err());
    soon(async {
        while world.metric("refusals_total", "tls_failed") < 1.0 {
            tokio::task::yield_now().await
        }
    })
    .await;
    assert_eq!(world.link.view(&key("hq")), None);
}

#[tokio::test]
async fn a_certificate_of_an_earlier_enrolment_is_refused() {
    let world = World::new().await;
    let old = world.enrolled("hq").await;
    world.directory.change(&key("hq"), |entry| entry.enrolment_allowed = true);
    let new = world.enrolled("hq").await;
    let answer = send_request(&world, "GET", SESSION_PATH, "", Some(&old), HOME).await.unwrap();
    assert_eq!((answer.status, answer.reason()), (403, "certificateNotAccepted"));
    world.connected(&new, 1).await;
}

#[tokio::test]
async fn a_session_shows_what_the_system_reports_and_says_what_changed_once() {
    let world = World::new().await;
    let credential = world.enrolled("hq").await;
    let mut session = world.connected(&credential, 7).await;
    let view = world.link.view(&key("hq")).unwrap();
    assert_eq!((view.session, view.facts.system_name.as_str()), (7, "HQ"));
    assert_eq!(view.state, SessionState::Connected { sign_in: None });
    let mut report = facts("Head Office");
    report["type"] = json!("report");
    session.say(&report).await;
    let reported = world.view_becomes("hq", |view| view.facts.system_name == "Head Office").await;
    assert_eq!(reported.since, view.since, "the state did not change");
    assert_eq!(world.metric("sessions", "connected") as u64, 1);

    let mut changes = world.link.changes();
    assert_eq!(soon(changes.next()).await, Some(key("hq")), "a new reader hears of what is known");
    session.say(&report).await;
    session.say(&json!({"type": "goodbye", "reason": "reboot"})).await;
    assert_eq!(soon(changes.next()).await, Some(key("hq")));
    let view = world.link.view(&key("hq")).unwrap();
    assert_eq!(view.state, SessionState::Away(Absence::Offline), "the same report again was no change, so this is the goodbye");
    assert_eq!(view.facts.system_name, "Head Office", "what was known stays");
}

#[tokio::test]
async fn a_newer_session_takes_the_place_of_the_standing_one_and_an_older_one_is_refused() {
    let world = World::new().await;
    let credential = world.enrolled("hq").await;
    let mut first = world.connected(&credential, 5).await;
    let second = world.connected(&credential, 6).await;
    assert_eq!(first.closes().await.0, CloseReason::Superseded);
    for counter in [5, 6] {
        let mut old = Session::dial(&world, &credential).await.unwrap();
        old.say(&hello("hq", counter)).await;
        let (reason, message) = old.closes().await;
        assert_eq!(reason, CloseReason::Superseded);
        assert!(message.contains("not newer than session 6"), "{message}");
    }
    let view = world.link.view(&key("hq")).unwrap();
    assert_eq!((view.session, matches!(view.state, SessionState::Connected { .. })), (6, true));
    drop(second);
    world.view_becomes("hq", away(Absence::Offline)).await;
    let mut old = Session::dial(&world, &credential).await.unwrap();
    old.say(&hello("hq", 6)).await;
    assert_eq!(old.closes().await.0, CloseReason::Superseded, "the counter counts after the session too");
    assert_eq!(world.metric("refusals_total", "old_session") as u64, 3);
}

#[tokio::test]
async fn a_system_that_enrolled_anew_may_count_anew() {
    let world = World::new().await;
    let credential = world.enrolled("hq").await;
    drop(world.connected(&credential, 50).await);
    world.directory.change(&key("hq"), |entry| entry.enrolment_allowed = true);
    let credential = world.enrolled("hq").await;
    world.connected(&credential, 1).await;
}

#[tokio::test]
async fn a_closed_connection_is_known_at_once_and_silence_after_its_bound() {
    let world = World::with(|options| {
        options.times.keepalive = Duration::from_millis(100);
        options.times.offline_after = Duration::from_secs(2);
    })
    .await;
    let credential = world.enrolled("hq").await;
    drop(world.connected(&credential, 1).await);
    world.view_becomes("hq", away(Absence::Offline)).await;

    // Read and answered pings keep a session; a system that reads nothing answers none.
    let mut session = world.connected(&credential, 2).await;
    let lively = tokio::time::timeout(Duration::from_secs(4), session.next_or_end()).await;
    assert!(lively.is_err(), "the session of a system that answers pings ended: {lively:?}");
    world.view_becomes("hq", away(Absence::Offline)).await;
    assert_eq!(world.metric("session_ends_total", "silent") as u64, 1);
    drop(session);
}

#[tokio::test]
async fn what_a_goodbye_says_decides_what_is_shown() {
    let world = World::new().await;
    let credential = world.enrolled("hq").await;
    for (counter, (reason, absence)) in
        (1..).zip([("reboot", Absence::Offline), ("rebootForChange", Absence::RebootingForChange), ("shutdown", Absence::Offline)])
    {
        let mut session = world.connected(&credential, counter).await;
        session.say(&json!({"type": "goodbye", "reason": reason})).await;
        world.view_becomes("hq", away(absence)).await;
    }
}

#[tokio::test]
async fn what_has_the_certificate_but_not_the_protocol_is_not_recognised() {
    let world = World::new().await;
    let credential = world.enrolled("hq").await;
    let mut session = Session::dial(&world, &credential).await.unwrap();
    session.say_text("GET / HTTP/1.0".into()).await;
    assert_eq!(session.closes().await.0, CloseReason::Malformed);
    soon(async {
        while world.link.unrecognised_since(&key("hq")).is_none() {
            tokio::task::yield_now().await
        }
    })
    .await;
    assert_eq!(world.link.view(&key("hq")), None, "nothing is known that could be shown");

    drop(world.connected(&credential, 1).await);
    world.view_becomes("hq", away(Absence::Offline)).await;
    assert_eq!(world.link.unrecognised_since(&key("hq")), None);
    let mut session = Session::dial(&world, &credential).await.unwrap();
    session.say(&json!({"type": "accountChanged"})).await;
    assert_eq!(session.closes().await.0, CloseReason::Malformed);
    world.view_becomes("hq", away(Absence::Unrecognised)).await;
}

#[tokio::test]
async fn a_stranger_with_the_certificate_does_not_disturb_the_session_that_stands() {
    let world = World::new().await;
    let credential = world.enrolled("hq").await;
    let _session = world.connected(&credential, 1).await;
    let mut stranger = Session::dial(&world, &credential).await.unwrap();
    stranger.say_text("nonsense".into()).await;
    assert_eq!(stranger.closes().await.0, CloseReason::Malformed);
    assert_eq!(world.link.view(&key("hq")).unwrap().state, SessionState::Connected { sign_in: None });
}

#[tokio::test]
async fn a_hello_of_another_system_or_of_no_primary_is_refused() {
    let world = World::new().await;
    let credential = world.enrolled("hq").await;
    let mut session = Session::dial(&world, &credential).await.unwrap();
    session.say(&hello("branch", 1)).await;
    let (reason, message) = session.closes().await;
    assert_eq!(reason, CloseReason::NotRecognised);
    assert!(message.contains("acme/branch") && message.contains("acme/hq"), "{message}");
    assert_eq!(world.link.view(&key("branch")), None);

    drop(world.connected(&credential, 1).await);
    let mut session = Session::dial(&world, &credential).await.unwrap();
    let mut secondary = hello("hq", 2);
    secondary["facts"]["servers"][0]["role"] = json!("Secondary");
    session.say(&secondary).await;
    assert_eq!(session.closes().await.0, CloseReason::NotRecognised);
    world.view_becomes("hq", away(Absence::NotPrimary)).await;
}

#[tokio::test]
async fn a_peer_that_says_nothing_is_let_go() {
    let world = World::with(|options| options.times.handshake_timeout = Duration::from_secs(2)).await;
    let credential = world.enrolled("hq").await;
    let mut silent = Session::dial(&world, &credential).await.unwrap();
    assert_eq!(silent.closes().await.0, CloseReason::TimedOut);
    // Before TLS and before the request as well.
    let tcp = tokio::net::TcpStream::connect(world.address).await.unwrap();
    let tls = dial(&world, None, HOME).await.unwrap();
    soon(async {
        while world.metric("refusals_total", "request_timed_out") < 1.0 {
            tokio::task::yield_now().await
        }
    })
    .await;
    drop((tcp, tls));
}

#[tokio::test]
async fn a_forgotten_system_is_told_and_nothing_of_it_stays() {
    let world = World::new().await;
    let credential = world.enrolled("hq").await;
    let mut session = world.connected(&credential, 9).await;
    let mut changes = world.link.changes();
    soon(changes.next()).await;
    world.link.forget(&key("hq"));
    assert_eq!(session.closes().await.0, CloseReason::NotRecognised);
    assert_eq!(soon(changes.next()).await, Some(key("hq")));
    assert_eq!(world.link.view(&key("hq")), None);
    // Even its counter is forgotten.
    world.connected(&credential, 1).await;
}

#[tokio::test]
async fn a_session_whose_enrolment_is_withdrawn_ends_by_the_next_keepalive() {
    let world = World::with(|options| options.times.keepalive = Duration::from_millis(50)).await;
    let credential: Credential = world.enrolled("hq").await;
    let mut session = world.connected(&credential, 1).await;
    world.directory.change(&key("hq"), |entry| entry.enrolment_id = None);
    assert_eq!(session.closes().await.0, CloseReason::NotRecognised);
    world.view_becomes("hq", away(Absence::Offline)).await;
}
