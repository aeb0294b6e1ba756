//! Conditions: the contract with everyone who waits for a state.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

/// What a controller found out; becomes a [`Condition`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Type of the condition, upper camel case.
    pub kind: &'static str,
    /// `Some(true)` is `True`, `None` is `Unknown`.
    pub holds: Option<bool>,
    /// Machine-readable reason, upper camel case.
    pub reason: String,
    /// What, why, what to do.
    pub message: String,
}

impl Finding {
    /// A finding that is known.
    pub fn new(kind: &'static str, holds: bool, reason: impl Into<String>, message: impl Into<String>) -> Self {
        Self { kind, holds: Some(holds), reason: reason.into(), message: message.into() }
    }

    fn status(&self) -> &'static str {
        match self.holds {
            Some(true) => "True",
            Some(false) => "False",
            None => "Unknown",
        }
    }
}

/// Conditions for findings, in the findings' order: `lastTransitionTime` moves only where the status changed, and conditions nobody found again go.
pub fn conditions(previous: &[Condition], findings: &[Finding], generation: Option<i64>, now: jiff::Timestamp) -> Vec<Condition> {
    findings
        .iter()
        .map(|finding| {
            let since = previous
                .iter()
                .find(|condition| condition.type_ == finding.kind && condition.status == finding.status())
                .map_or_else(|| Time(now), |condition| condition.last_transition_time.clone());
            Condition {
                type_: finding.kind.to_owned(),
                status: finding.status().to_owned(),
                reason: finding.reason.clone(),
                message: finding.message.clone(),
                last_transition_time: since,
                observed_generation: generation,
            }
        })
        .collect()
}

/// Whether a condition is `True`.
pub fn is_true(conditions: &[Condition], kind: &str) -> bool {
    conditions.iter().any(|condition| condition.type_ == kind && condition.status == "True")
}

/// Marks the conditions of a schema as the list they are: one a type.
pub(crate) fn list_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
    let mut schema = generator.subschema_for::<Vec<Condition>>();
    schema.insert("x-kubernetes-list-type".into(), "map".into());
    schema.insert("x-kubernetes-list-map-keys".into(), serde_json::json!(["type"]));
    schema
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_transition_time_moves_only_with_the_status() {
        let at = |second| jiff::Timestamp::constant(second, 0);
        let first = conditions(&[], &[Finding::new("Ready", false, "A", "a")], Some(1), at(10));
        let reason = conditions(&first, &[Finding::new("Ready", false, "B", "b")], Some(2), at(20));
        assert_eq!((reason[0].last_transition_time.0, reason[0].reason.as_str()), (at(10), "B"));
        let status = conditions(&reason, &[Finding::new("Ready", true, "B", "b")], Some(2), at(30));
        assert_eq!(status[0].last_transition_time.0, at(30));
        assert!(is_true(&status, "Ready") && !is_true(&reason, "Ready"));
        assert!(conditions(&status, &[], Some(2), at(40)).is_empty());
    }
}
