#![allow(clippy::unwrap_used, reason = "tests")]

use model::account::SignInOutcome;

use super::*;
use crate::replicas::follow::Ask;

const OFFLINE_AFTER: Duration = Duration::from_secs(90);

fn key(system: &str) -> SystemKey {
    SystemKey { customer: "acme".parse().unwrap(), system: system.parse().unwrap() }
}

fn held(system: &str, counter: u64) -> Held {
    Held {
        key: key(system),
        enrolment_id: "e".into(),
        counter: Some(counter),
        facts: None,
        state: Some(SessionState::Connected { sign_in: Some(SignInOutcome::WrongPassword) }),
        since: Some(Timestamp::now()),
        live: true,
        moved: false,
        refused: None,
    }
}

fn greeting(replica: &str, instance: &str) -> Greeting {
    Greeting { protocol: 1, replica: replica.into(), instance: instance.into() }
}

fn asks() -> mpsc::Sender<Ask> {
    mpsc::channel(1).0
}

/// A replica that has told of these.
fn following<'a>(mirrors: &'a Mirrors, replica: &str, instance: &str, sessions: &[Held]) -> Following<'a> {
    let following = mirrors.begin(&greeting(replica, instance), asks());
    sessions.iter().for_each(|held| following.told(held.clone()));
    following.complete();
    following
}

fn state(mirrors: &Mirrors, system: &str) -> Vec<SessionState> {
    mirrors.of(&key(system)).into_iter().filter_map(|told| told.held.state).collect()
}

fn offline() -> SessionState {
    SessionState::Away(Absence::Offline)
}

#[test]
fn what_a_replica_told_stands_for_the_offline_bound_after_it_is_gone() {
    let mirrors = Mirrors::new(OFFLINE_AFTER);
    drop(following(&mirrors, "a", "1", &[held("hq", 3)]));
    let connected = vec![held("hq", 3).state.unwrap()];
    assert_eq!((state(&mirrors, "hq"), mirrors.count()), (connected.clone(), (0, 1)));
    assert!(mirrors.holder(&held("hq", 3)).is_none(), "nothing can be asked of who is gone");
    mirrors.age(Instant::now() + Duration::from_secs(80), |_| None);
    assert_eq!(state(&mirrors, "hq"), connected);
    mirrors.age(Instant::now() + Duration::from_secs(91), |_| None);
    assert_eq!(state(&mirrors, "hq"), [offline()]);
    // The same process is heard again: it had stood still.
    let again = following(&mirrors, "a", "1", &[held("hq", 3)]);
    assert_eq!((state(&mirrors, "hq"), mirrors.count()), (connected, (1, 0)));
    assert!(mirrors.holder(&held("hq", 3)).is_some());
    drop(again);
}

#[test]
fn a_system_that_came_back_elsewhere_in_time_is_never_taken_for_offline() {
    let mirrors = Mirrors::new(OFFLINE_AFTER);
    drop(following(&mirrors, "a", "1", &[held("hq", 3), held("branch", 7), held("shop", 1)]));
    let _b = following(&mirrors, "b", "1", &[held("hq", 4)]);
    // The branch is here.
    let here = |system: &SystemKey| (*system == key("branch")).then(|| held("branch", 8));
    mirrors.age(Instant::now() + Duration::from_secs(91), here);
    assert_eq!(state(&mirrors, "hq"), [held("hq", 4).state.unwrap()], "what others know better is dropped");
    assert_eq!(state(&mirrors, "branch"), []);
    assert_eq!(state(&mirrors, "shop"), [offline()], "what nobody else knows is kept");
    // It comes too, late: nothing is left of the dead.
    let _c = following(&mirrors, "c", "1", &[held("shop", 2)]);
    mirrors.age(Instant::now(), here);
    assert_eq!(mirrors.count(), (2, 0));
}

#[test]
fn a_session_that_is_not_decided_yet_takes_no_view_from_the_dead() {
    let mirrors = Mirrors::new(OFFLINE_AFTER);
    drop(following(&mirrors, "a", "1", &[held("hq", 3)]));
    let mut undecided = held("hq", 4);
    (undecided.state, undecided.since) = (None, None);
    let _b = following(&mirrors, "b", "1", &[undecided]);
    mirrors.age(Instant::now() + Duration::from_secs(91), |_| None);
    assert_eq!(state(&mirrors, "hq"), [offline()]);
}

#[test]
fn a_replica_that_started_anew_knows_nothing_and_the_one_before_it_has_the_bound() {
    let mirrors = Mirrors::new(OFFLINE_AFTER);
    let before = following(&mirrors, "a", "1", &[held("hq", 3)]);
    let after = following(&mirrors, "a", "2", &[]);
    drop(before);
    assert_eq!(state(&mirrors, "hq"), [held("hq", 3).state.unwrap()]);
    after.told(held("hq", 4));
    assert_eq!(state(&mirrors, "hq").len(), 2);
}

#[test]
fn what_is_not_told_again_on_a_new_connection_is_gone() {
    let mirrors = Mirrors::new(OFFLINE_AFTER);
    let first = following(&mirrors, "a", "1", &[held("hq", 3), held("branch", 1)]);
    let again = mirrors.begin(&greeting("a", "1"), asks());
    drop(first);
    again.told(held("hq", 3));
    assert_eq!(state(&mirrors, "branch").len(), 1, "it may come yet");
    again.complete();
    assert_eq!((state(&mirrors, "branch").len(), state(&mirrors, "hq").len()), (0, 1));
    again.gone(&key("hq"));
    assert_eq!(state(&mirrors, "hq").len(), 0);
}

#[test]
fn what_is_forgotten_is_not_remembered_of_the_dead() {
    let mirrors = Mirrors::new(OFFLINE_AFTER);
    drop(following(&mirrors, "a", "1", &[held("hq", 3)]));
    mirrors.forget(&key("hq"));
    assert_eq!(state(&mirrors, "hq"), []);
}
