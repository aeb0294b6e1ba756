#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
use model::rights::Right;
use model::secret::Secret;

use super::*;
use crate::causes_check::parse;

fn now() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

fn with_password() -> State {
    let mut state = State::new(now());
    state.accounts.insert("COMAdmin".into(), Account { verifier: Some(Verifier::new(&Secret::new("pw"))), ..Account::default() });
    state
}

/// Outcome with the right password.
fn outcome(causes: &str, state: &State) -> SignInOutcome {
    match standing(&parse(causes).unwrap(), state, "COMAdmin", now()) {
        Standing::Refused(outcome) => outcome,
        Standing::Open { right, .. } => right,
    }
}

#[test]
fn each_state_of_an_account_has_its_outcome_and_the_one_that_blocks_most_wins() {
    let worst = "state: DisabledByAdministrator, locked: true, passwordExpired: true, newPasswordRequired: true";
    let full = "sessions: {limit: 3, inUse: 3}\n";
    let user = |rest: &str| format!("serviceUsers: [{{name: COMAdmin, passwordSecretKey: k, {rest}}}]\n");
    let state = with_password();
    assert_eq!(outcome("serviceUsers: [{name: Other}]", &state), SignInOutcome::UnknownUser);
    assert_eq!(outcome(&(user(worst) + full), &state), SignInOutcome::DisabledByAdministrator);
    assert_eq!(outcome(&(user(&worst.replace("ByAdministrator", "")) + full), &state), SignInOutcome::Disabled);
    assert_eq!(outcome(&user(""), &State::new(now())), SignInOutcome::Disabled, "no password was ever set");
    let enabled = worst.replace("DisabledByAdministrator", "Enabled");
    assert_eq!(outcome(&(user(&enabled) + full), &state), SignInOutcome::LockedTemporarily);
    let unlocked = enabled.replace("locked: true", "locked: false");
    assert_eq!(outcome(&(user(&unlocked) + full), &state), SignInOutcome::TooManySessions);
    assert_eq!(outcome(&user(&unlocked), &state), SignInOutcome::PasswordExpired);
    assert_eq!(outcome(&user("newPasswordRequired: true"), &state), SignInOutcome::NewPasswordRequired);
    assert_eq!(outcome(&user(""), &state), SignInOutcome::Accepted { rights: Right::ALL.to_vec() });
    assert_eq!(
        outcome(&user("rights: [Upgrade, Backup, Upgrade]"), &state),
        SignInOutcome::Accepted { rights: vec![Right::Backup, Right::Upgrade] }
    );
    assert_eq!(outcome(&user("rights: []"), &state), SignInOutcome::Accepted { rights: vec![] });
}

#[test]
fn wrong_passwords_lock_an_account_for_its_time_and_then_count_from_the_start() {
    let lockout = Lockout { attempts: 3, seconds: 60 };
    let mut account = Account::default();
    assert_eq!([0, 1, 2].map(|_| count_wrong_password(&mut account, &lockout, now())), [false, false, true]);
    let until = account.locked_until.unwrap();
    assert_eq!(until, now() + SignedDuration::from_secs(60));
    assert!(is_locked(&account, until - SignedDuration::from_millis(1)) && !is_locked(&account, until));
    assert!(!count_wrong_password(&mut account, &lockout, until));
    assert_eq!((account.wrong_attempts, account.locked_until), (1, None));
    assert!(forget_wrong_passwords(&mut account) && !forget_wrong_passwords(&mut account));
}
