//! What the kinds that order an action on a system have in common (JOB-1 to JOB-4).

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use serde::{Deserialize, Serialize};

/// Name of the store that actions use which name none.
pub const DEFAULT_STORE: &str = "default";

/// Where an action stands. Only printed: the conditions are the contract.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
pub enum Phase {
    /// It waits: for its turn, for the system, or for the store.
    #[default]
    Waiting,
    /// Its time has not come.
    Scheduled,
    /// Its time may come, but somebody set it aside.
    Paused,
    /// It works on the system.
    InProgress,
    /// Done. For ever.
    Completed,
    /// Not done, and not tried again. For ever.
    Failed,
    /// Called off before it began. For ever.
    Stopped,
}

impl Phase {
    /// Every phase, for metrics.
    pub const ALL: [Phase; 7] =
        [Self::Waiting, Self::Scheduled, Self::Paused, Self::InProgress, Self::Completed, Self::Failed, Self::Stopped];
    /// Whether nothing more happens.
    pub fn is_final(self) -> bool {
        match self {
            Self::Completed | Self::Failed | Self::Stopped => true,
            Self::Waiting | Self::Scheduled | Self::Paused | Self::InProgress => false,
        }
    }
    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "Waiting",
            Self::Scheduled => "Scheduled",
            Self::Paused => "Paused",
            Self::InProgress => "InProgress",
            Self::Completed => "Completed",
            Self::Failed => "Failed",
            Self::Stopped => "Stopped",
        }
    }
}

/// Why an action is set aside or not done: the condition `Complete`.
pub fn message(conditions: &[Condition]) -> Option<&str> {
    conditions.iter().find(|condition| condition.type_ == "Complete").map(|condition| condition.message.as_str())
}

pub(crate) fn default_store() -> String {
    DEFAULT_STORE.to_owned()
}

/// A list of elements, or beginnings of their names.
pub(crate) fn elements_schema(description: &str) -> schemars::Schema {
    schemars::json_schema!({
        "type": "array",
        "description": description,
        "maxItems": 200,
        "x-kubernetes-list-type": "set",
        "items": {
            "type": "string", "minLength": 1, "maxLength": 160,
            "pattern": r"^(Configuration(/(IPOffice|ServerSettings|OneXPortal|MediaManager|WebRTCGateway|WebCollaboration|WebLM)(/.{1,64})?)?|VoicemailConfiguration|CustomPrompts|SelectiveVoicemails|AllVoicemails)$"
        }
    })
}

/// A moment, with its offset from UTC.
pub(crate) fn time_schema(description: &str) -> schemars::Schema {
    schemars::json_schema!({"type": "string", "format": "date-time", "maxLength": 40, "description": description})
}
