//! Systems that nobody declared and that know their customer's code (FLEET-3): registered once, and told how they stand.
//!
//! A right code proves the customer only. What it can cause is bounded: so many registrations (see [`crate::directory`]), one write for each
//! new system id, none for a repeated try, and new ones no faster than [`crate::options::Limits::registrations`].

use std::sync::Arc;

use model::ids::SystemKey;
use protocol::enrolment::{Problem, ProblemReason};
use tokio::time::timeout;

use crate::directory::{Candidate, DirectoryError, REGISTRATIONS, REGISTRATIONS_OF_CUSTOMER, Registered};
use crate::enrolment::{problem, too_many, unavailable};
use crate::shared::Shared;

/// What was let in is known within a moment.
const LET_IN_WAIT: u64 = 2;
/// Who waits asks again after a tenth of the time it has waited, within these seconds: soon at first, when somebody is at it.
const SHORTEST_WAIT: i64 = 10;
const LONGEST_WAIT: i64 = 300;
/// Room for another registration is made by somebody.
const FULL_WAIT: u64 = 600;

/// Registers the system if it is new, and says how it stands: never a certificate.
pub(crate) async fn turn_away(shared: &Arc<Shared>, key: SystemKey, candidate: Candidate) -> Problem {
    if let Some(standing) = shared.directory.registration(&key) {
        return describe(standing);
    }
    if let Err(wait) = shared.enrolments.registrations.take(&key.customer) {
        return too_many(wait, "new systems of this customer", "they are registered one after the other");
    }
    match register(shared, key, candidate).await {
        Ok(standing) => describe(standing),
        Err(DirectoryError::Unknown) => problem(ProblemReason::NotRecognised, "the customer was deleted while the system registered"),
        Err(error @ (DirectoryError::AlreadyEnrolled | DirectoryError::Unavailable(_))) => {
            if shared.peer_log_lines.take().is_ok() {
                tracing::warn!(reason = %error, "a system could not be registered");
            }
            unavailable()
        }
    }
}

/// In a task of its own: once begun it is finished and remembered, even if the peer goes away.
async fn register(shared: &Arc<Shared>, key: SystemKey, candidate: Candidate) -> Result<Registered, DirectoryError> {
    let (shared, limit) = (shared.clone(), shared.times.directory_timeout);
    let registering = tokio::spawn(async move {
        let registered = shared.directory.register(&key, &candidate).await;
        if let Ok(Registered::Waiting { .. } | Registered::LetIn) = registered {
            tracing::info!(customer = %key.customer, system = %key.system, peer = %candidate.address, "a system that nobody declared registered");
        }
        registered
    });
    match timeout(limit, registering).await {
        Ok(Ok(result)) => result,
        Ok(Err(error)) => Err(DirectoryError::Unavailable(error.to_string())),
        Err(_) => Err(DirectoryError::Unavailable("no answer in time".to_owned())),
    }
}

fn describe(standing: Registered) -> Problem {
    let after = |seconds, reason, message: String| Problem { retry_after_seconds: Some(seconds), ..problem(reason, message) };
    match standing {
        Registered::Waiting { since } => after(
            waiting(jiff::Timestamp::now().duration_since(since).as_secs()),
            ProblemReason::ApprovalPending,
            "the code is right, but nobody declared this system: it is registered and waits until an administrator approves it".to_owned(),
        ),
        Registered::LetIn => {
            after(LET_IN_WAIT, ProblemReason::ApprovalPending, "the system was let in and will be known in a moment; try again".to_owned())
        }
        Registered::Denied => problem(
            ProblemReason::Denied,
            "an administrator denied this system; if that is wrong, have its registration deleted or approved",
        ),
        Registered::Removed => problem(
            ProblemReason::Denied,
            "an administrator removed this system; to have it come back, have its registration deleted, and it registers anew",
        ),
        Registered::CustomerFull => after(
            FULL_WAIT,
            ProblemReason::TooManyRegistrations,
            format!(
                "the customer has {REGISTRATIONS_OF_CUSTOMER} registrations already, and no more are taken; have an administrator delete those that are decided"
            ),
        ),
        Registered::Full => after(
            FULL_WAIT,
            ProblemReason::TooManyRegistrations,
            format!(
                "there are {REGISTRATIONS} registrations already, and no more are taken; have an administrator delete those that are decided"
            ),
        ),
    }
}

/// Seconds until the next try of a system that has waited for `waited`.
fn waiting(waited: i64) -> u64 {
    u64::try_from((waited / 10).clamp(SHORTEST_WAIT, LONGEST_WAIT)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::waiting;

    #[test]
    fn who_has_waited_long_asks_seldom() {
        assert_eq!([-5, 0, 100, 600, 86_400].map(waiting), [10, 10, 10, 60, 300]);
    }
}
