//! Who may sign in: the system's own decision, from its accounts (FLEET-5, FLEET-9). Pure.
//!
//! The order in which a system looks, the first that holds is the answer:
//! 1. no such service user, 2. switched off by an administrator, 3. off, or never given a password, 4. locked, 5. too many sessions,
//! 6. wrong password, 7. password expired, 8. new password required, 9. accepted.

use jiff::{SignedDuration, Timestamp};
use model::account::SignInOutcome;
use protocol::scram::Verifier;

use crate::causes::{AccountState, Causes, Lockout, ServiceUser};
use crate::disk::state::{Account, State};

/// What a sign-in under a name meets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// Refused whatever the password.
    Refused(SignInOutcome),
    /// A password is asked for.
    Open {
        /// How it is recognised.
        verifier: Verifier,
        /// The answer to the right one.
        right: SignInOutcome,
    },
}

/// What a sign-in under `name` meets now.
pub fn standing(causes: &Causes, state: &State, name: &str, now: Timestamp) -> Standing {
    let Some(user) = causes.service_users.iter().find(|user| user.name == name) else {
        return Standing::Refused(SignInOutcome::UnknownUser);
    };
    match user.state {
        AccountState::DisabledByAdministrator => return Standing::Refused(SignInOutcome::DisabledByAdministrator),
        AccountState::Disabled => return Standing::Refused(SignInOutcome::Disabled),
        AccountState::Enabled => {}
    }
    let account = state.accounts.get(name);
    let Some(verifier) = account.and_then(|account| account.verifier.clone()) else {
        return Standing::Refused(SignInOutcome::Disabled);
    };
    if user.locked || account.is_some_and(|account| is_locked(account, now)) {
        return Standing::Refused(SignInOutcome::LockedTemporarily);
    }
    if causes.sessions.in_use >= causes.sessions.limit {
        return Standing::Refused(SignInOutcome::TooManySessions);
    }
    Standing::Open { verifier, right: answer_to_the_right_password(user) }
}

fn answer_to_the_right_password(user: &ServiceUser) -> SignInOutcome {
    if user.password_expired {
        SignInOutcome::PasswordExpired
    } else if user.new_password_required {
        SignInOutcome::NewPasswordRequired
    } else {
        let mut rights = user.rights.clone();
        rights.sort();
        rights.dedup();
        SignInOutcome::Accepted { rights }
    }
}

fn is_locked(account: &Account, now: Timestamp) -> bool {
    account.locked_until.is_some_and(|until| now < until)
}

/// Counts a wrong password. Returns whether it locked the account. The lock shows from the next attempt on.
pub fn count_wrong_password(account: &mut Account, lockout: &Lockout, now: Timestamp) -> bool {
    // A lock that ran out leaves a clean slate.
    if account.locked_until.take().is_some() {
        account.wrong_attempts = 0;
    }
    account.wrong_attempts = account.wrong_attempts.saturating_add(1);
    if account.wrong_attempts < lockout.attempts {
        return false;
    }
    account.locked_until = now.saturating_add(SignedDuration::from_secs(i64::from(lockout.seconds))).ok();
    true
}

/// Forgets wrong passwords: the right one came, or the password was changed. Returns whether there was anything to forget.
pub fn forget_wrong_passwords(account: &mut Account) -> bool {
    let counted = account.wrong_attempts > 0 || account.locked_until.is_some();
    account.wrong_attempts = 0;
    account.locked_until = None;
    counted
}

#[cfg(test)]
mod tests;
