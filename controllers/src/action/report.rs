//! Conditions of an action. Pure.

use crds::action::Phase;
use crds::conditions::{Finding, conditions};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

/// Reason of the condition `Complete` of an action that only waits for the lock. The controller of `IPOffice` grants it to such alone.
pub const WAITING_FOR_TURN: &str = "WaitingForTurn";

/// Why something is as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Because {
    /// Machine-readable, upper camel case.
    pub reason: String,
    /// What, why, what to do.
    pub message: String,
}

impl Because {
    /// From its two parts.
    pub fn new(reason: impl Into<String>, message: impl Into<String>) -> Self {
        // A condition takes up to 32 KiB; what a peer said is not repeated at that length.
        Self { reason: reason.into(), message: message.into().chars().take(2000).collect() }
    }
}

/// The conditions of an action in a phase.
pub fn of_phase(
    previous: &[Condition],
    phase: Phase,
    because: &Because,
    deletable: Option<&Because>,
    generation: Option<i64>,
    now: jiff::Timestamp,
) -> Vec<Condition> {
    let Because { reason, message } = because;
    let mut findings = vec![
        Finding::new("Complete", phase == Phase::Completed, reason.clone(), message.clone()),
        match phase {
            Phase::Failed => Finding::new("Failed", true, reason.clone(), message.clone()),
            _ => Finding::new("Failed", false, phase.as_str(), "nothing has failed for good"),
        },
    ];
    findings.extend(deletable.map(|Because { reason, message }| Finding::new("Deletable", false, reason.clone(), message.clone())));
    conditions(previous, &findings, generation, now)
}

/// Times in the API have no fractions of seconds: what is written must be what is read.
pub fn time(moment: jiff::Timestamp) -> Time {
    Time(jiff::Timestamp::from_second(moment.as_second()).unwrap_or(moment))
}
