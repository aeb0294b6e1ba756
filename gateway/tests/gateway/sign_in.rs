//! COM's sign-in to the system: every outcome, and that a refused one is never repeated by itself.

use std::sync::atomic::Ordering;
use std::time::Duration;

use model::account::SignInOutcome;
use model::connectivity::Absence;
use model::rights::Right;
use protocol::link::SessionState;
use protocol::message::{CloseReason, FromGateway, FromSystem, SignInResult};
use serde_json::json;

use crate::client::Session;
use crate::world::{World, key};

fn signed_in(outcome: SignInOutcome) -> impl Fn(&protocol::link::SessionView) -> bool {
    move |view| view.state == SessionState::Connected { sign_in: Some(outcome.clone()) }
}

fn all_rights() -> SignInOutcome {
    SignInOutcome::Accepted { rights: Right::ALL.to_vec() }
}

async fn opened(world: &World) -> Session {
    world.directory.set_password(&key("hq"), "right");
    let credential = world.enrolled("hq").await;
    Session::open(world, &credential, 1).await
}

/// The gateway sends nothing for a moment.
async fn stays_quiet(session: &mut Session) {
    let message = tokio::time::timeout(Duration::from_millis(300), session.next_or_end()).await;
    assert!(message.is_err(), "{message:?} came");
}

#[tokio::test]
async fn with_the_right_password_com_is_signed_in_and_knows_its_rights() {
    let world = World::new().await;
    let mut session = opened(&world).await;
    assert_eq!(world.link.view(&key("hq")), None, "nothing is decided before the sign-in");
    session.answer_sign_in("right", None).await;
    world.view_becomes("hq", signed_in(all_rights())).await;
    assert_eq!(world.metric("sign_ins_total", "accepted") as u64, 1);
    assert_eq!(world.metric("sessions", "signed_in") as u64, 1);
}

#[tokio::test]
async fn with_a_wrong_password_com_tries_once_and_again_only_when_told() {
    let world = World::new().await;
    let mut session = opened(&world).await;
    session.answer_sign_in("changed on the system", None).await;
    world.view_becomes("hq", signed_in(SignInOutcome::WrongPassword)).await;
    stays_quiet(&mut session).await;
    world.directory.set_password(&key("hq"), "changed on the system");
    world.link.sign_in_again(&key("hq"));
    session.answer_sign_in("changed on the system", None).await;
    world.view_becomes("hq", signed_in(all_rights())).await;
}

#[tokio::test]
async fn a_connection_that_breaks_often_does_not_lock_the_account() {
    let world = World::new().await;
    world.directory.set_password(&key("hq"), "right");
    let credential = world.enrolled("hq").await;
    let mut session = Session::open(&world, &credential, 1).await;
    session.answer_sign_in("changed on the system", None).await;
    world.view_becomes("hq", signed_in(SignInOutcome::WrongPassword)).await;
    drop(session);
    world.view_becomes("hq", |view| matches!(view.state, SessionState::Away(_))).await;
    let mut session = Session::open(&world, &credential, 2).await;
    world.view_becomes("hq", signed_in(SignInOutcome::WrongPassword)).await;
    stays_quiet(&mut session).await;
    session.tell(&FromSystem::AccountChanged).await;
    session.answer_sign_in("still another", None).await;
    stays_quiet(&mut session).await;
    drop(session);
    // What COM is told while the system is away counts too.
    world.view_becomes("hq", |view| matches!(view.state, SessionState::Away(_))).await;
    world.link.sign_in_again(&key("hq"));
    let mut session = Session::open(&world, &credential, 3).await;
    session.answer_sign_in("right", None).await;
    world.view_becomes("hq", signed_in(all_rights())).await;
}

#[tokio::test]
async fn a_new_session_tries_a_refused_sign_in_again_after_a_while() {
    let world = World::with(|options| options.times.refused_sign_in_again_after = Duration::from_millis(600)).await;
    world.directory.set_password(&key("hq"), "right");
    let credential = world.enrolled("hq").await;
    let mut session = Session::open(&world, &credential, 1).await;
    session.answer_sign_in("", Some(SignInOutcome::Disabled)).await;
    world.view_becomes("hq", signed_in(SignInOutcome::Disabled)).await;
    let mut session = Session::open(&world, &credential, 2).await;
    session.answer_sign_in("right", None).await;
    world.view_becomes("hq", signed_in(all_rights())).await;
}

#[tokio::test]
async fn every_refusal_of_the_system_is_shown_and_waits_for_a_change_of_the_account() {
    let world = World::new().await;
    let mut session = opened(&world).await;
    for outcome in [
        SignInOutcome::UnknownUser,
        SignInOutcome::DisabledByAdministrator,
        SignInOutcome::Disabled,
        SignInOutcome::PasswordExpired,
        SignInOutcome::NewPasswordRequired,
        SignInOutcome::WrongPassword,
    ] {
        session.answer_sign_in("", Some(outcome.clone())).await;
        world.view_becomes("hq", signed_in(outcome)).await;
        stays_quiet(&mut session).await;
        session.tell(&FromSystem::AccountChanged).await;
    }
    session.answer_sign_in("right", None).await;
    world.view_becomes("hq", signed_in(all_rights())).await;
}

#[tokio::test]
async fn what_passes_by_itself_is_tried_again_by_itself() {
    let world = World::with(|options| options.times.sign_in_again_after = Duration::from_millis(100)).await;
    let mut session = opened(&world).await;
    for outcome in [SignInOutcome::LockedTemporarily, SignInOutcome::TooManySessions] {
        session.answer_sign_in("", Some(outcome.clone())).await;
        world.view_becomes("hq", signed_in(outcome)).await;
    }
    session.answer_sign_in("right", None).await;
    world.view_becomes("hq", signed_in(all_rights())).await;
}

#[tokio::test]
async fn credentials_that_appear_and_go_are_followed() {
    let world = World::new().await;
    let credential = world.enrolled("hq").await;
    let mut session = world.connected(&credential, 1).await;
    world.directory.set_password(&key("hq"), "right");
    world.link.sign_in_again(&key("hq"));
    session.answer_sign_in("right", None).await;
    world.view_becomes("hq", signed_in(all_rights())).await;
    world.directory.passwords.lock().unwrap().clear();
    world.link.sign_in_again(&key("hq"));
    world.view_becomes("hq", |view| view.state == SessionState::Connected { sign_in: None }).await;
}

#[tokio::test]
async fn a_directory_that_is_down_delays_the_sign_in() {
    let world = World::new().await;
    let credential = world.enrolled("hq").await;
    world.directory.set_password(&key("hq"), "right");
    world.directory.unavailable.store(true, Ordering::SeqCst);
    let mut session = Session::open(&world, &credential, 1).await;
    stays_quiet(&mut session).await;
    world.directory.unavailable.store(false, Ordering::SeqCst);
    session.answer_sign_in("right", None).await;
    world.view_becomes("hq", signed_in(all_rights())).await;
}

#[tokio::test]
async fn what_accepts_without_knowing_the_password_is_not_taken_for_the_system() {
    let world = World::new().await;
    let mut session = opened(&world).await;
    let FromGateway::SignIn { scram } = session.next().await else { panic!("no sign-in came") };
    let nonce = scram.split("r=").nth(1).unwrap();
    session.say(&json!({"type": "challenge", "scram": format!("r={nonce}more,s=c2FsdA==,i=4096")})).await;
    assert!(matches!(session.next().await, FromGateway::Proof { .. }));
    let invented = SignInResult { outcome: all_rights(), scram: Some("v=AAAA".into()) };
    session.tell(&FromSystem::SignInResult(invented)).await;
    assert_eq!(session.closes().await.0, CloseReason::NotRecognised);
    world.view_becomes("hq", |view| view.state == SessionState::Away(Absence::Unrecognised)).await;
    assert_eq!(world.metric("sign_ins_total", "unproved") as u64, 1);
}

#[tokio::test]
async fn accepting_without_any_proof_is_no_sign_in_either() {
    let world = World::new().await;
    let mut session = opened(&world).await;
    session.answer_sign_in("", Some(all_rights())).await;
    assert_eq!(session.closes().await.0, CloseReason::NotRecognised);
    world.view_becomes("hq", |view| view.state == SessionState::Away(Absence::Unrecognised)).await;
}

#[tokio::test]
async fn a_challenge_that_costs_too_much_or_that_nobody_asked_for_ends_the_session() {
    let world = World::new().await;
    let mut session = opened(&world).await;
    let FromGateway::SignIn { scram } = session.next().await else { panic!("no sign-in came") };
    let nonce = scram.split("r=").nth(1).unwrap();
    session.say(&json!({"type": "challenge", "scram": format!("r={nonce}more,s=c2FsdA==,i=900000000")})).await;
    let (reason, message) = session.closes().await;
    assert!(reason == CloseReason::Malformed && message.contains("iterations"), "{message}");

    let credential = world.enrolled("branch").await;
    let mut session = Session::open(&world, &credential, 1).await;
    session.say(&json!({"type": "challenge", "scram": "r=x"})).await;
    assert_eq!(session.closes().await.0, CloseReason::Malformed);
}

#[tokio::test]
async fn a_system_that_does_not_answer_the_sign_in_is_let_go() {
    let world = World::with(|options| options.times.handshake_timeout = Duration::from_secs(2)).await;
    let mut session = opened(&world).await;
    assert!(matches!(session.next().await, FromGateway::SignIn { .. }));
    assert_eq!(session.closes().await.0, CloseReason::TimedOut);
    world.view_becomes("hq", |view| view.state == SessionState::Away(Absence::Offline)).await;
}
