//! What replicas of COM say to each other: who holds which session, and what the leader wants of a system whose session another one holds.
//!
//! One connection from each replica to each other, TLS with certificates of an authority that signs for replicas alone; JSON, one message a line. Whoever
//! dialled is told of the sessions and asks; whoever was dialled holds them and answers. A newer replica may say more than an older one knows: unknown
//! fields are ignored, unknown messages too.

use std::time::Duration;

use jiff::Timestamp;
use model::account::SignInOutcome;
use model::ids::SystemKey;
use serde::{Deserialize, Serialize};

use crate::link::{Done, LinkError, SessionState};
use crate::message::{Command, Facts};

/// The version spoken here. The one before it is accepted, once there is one, so that replicas can be replaced one after the other.
pub const VERSION: u32 = 1;
/// The oldest version that is accepted.
pub const OLDEST_VERSION: u32 = 1;
/// Longest line in bytes: the largest message of a system, and what stands around it.
pub const LONGEST_LINE: usize = 2 * crate::LARGEST_MESSAGE;
/// A replica that has nothing to say says so this often.
pub const HEARTBEAT: Duration = Duration::from_secs(5);
/// After this silence the connection to a replica is given up and made anew.
pub const SILENCE: Duration = Duration::from_secs(15);
/// The name in the certificate of every replica.
pub const SERVER_NAME: &str = "replica.switchboard.internal";

/// First message each way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Greeting {
    /// Version that is spoken.
    pub protocol: u32,
    /// Name of the replica.
    pub replica: String,
    /// Another one for every process: a replica that was started anew knows nothing of what it held before.
    pub instance: String,
}

/// From the replica that holds sessions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum FromHolder {
    /// First message.
    Greeting(Greeting),
    /// What it knows of a system's session; at first of all, then of those that change.
    Session(Box<Held>),
    /// It knows nothing of this system any more.
    Gone {
        /// Which.
        key: SystemKey,
    },
    /// All it knew at the beginning was told.
    Complete,
    /// Nothing to say.
    Heartbeat,
    /// Answer to [`ToHolder::Request`].
    Answer {
        /// Number of the request.
        id: u64,
        /// What the system did.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        done: Option<Done>,
        /// Or why it did not.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<LinkError>,
    },
    /// It goes down in order: its systems dial another one.
    Leaving,
    /// Something that a newer replica says.
    #[serde(other)]
    Unknown,
}

/// To the replica that holds sessions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum ToHolder {
    /// First message.
    Greeting(Greeting),
    /// Ask a system.
    Request {
        /// Number of the request on this connection.
        id: u64,
        /// Term of the leader that asks; what comes from an older one is not done.
        term: u64,
        /// Which system.
        key: SystemKey,
        /// Operation id.
        operation: String,
        /// What.
        command: Command,
    },
    /// End the session of a system and forget it.
    Forget {
        /// Term of the leader.
        term: u64,
        /// Which.
        key: SystemKey,
    },
    /// Nothing to say.
    Heartbeat,
    /// Something that a newer replica says.
    #[serde(other)]
    Unknown,
}

/// What a replica knows of a system's session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Held {
    /// Which system.
    pub key: SystemKey,
    /// Its enrolment, which `counter` belongs to.
    pub enrolment_id: String,
    /// Counter of its newest session; absent where only something that is not the system was seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counter: Option<u64>,
    /// What it last reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub facts: Option<Facts>,
    /// How it stands; absent until the first sign-in is decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<SessionState>,
    /// Since when it stands like that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Whether this replica holds its session now.
    pub live: bool,
    /// Whether its newest session is another replica's: what stands here is from before.
    #[serde(default)]
    pub moved: bool,
    /// The last sign-in, where it was refused for a reason that does not pass by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<Refused>,
}

/// A sign-in that was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Refused {
    /// What the system decided.
    pub outcome: SignInOutcome,
    /// How long ago.
    pub seconds_ago: u64,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn key() -> SystemKey {
        SystemKey { customer: "acme".parse().unwrap(), system: "hq".parse().unwrap() }
    }

    #[test]
    fn what_is_said_is_read_as_it_was() {
        let answer = FromHolder::Answer {
            id: 7,
            done: None,
            error: Some(LinkError::Refused { reason: "DiskFull".into(), message: "no room".into() }),
        };
        let held = Held {
            key: key(),
            enrolment_id: "e".into(),
            counter: Some(3),
            facts: None,
            state: Some(SessionState::Connected { sign_in: Some(SignInOutcome::WrongPassword) }),
            since: Some(Timestamp::UNIX_EPOCH),
            live: true,
            moved: false,
            refused: Some(Refused { outcome: SignInOutcome::WrongPassword, seconds_ago: 5 }),
        };
        for message in
            [answer, FromHolder::Session(Box::new(held)), FromHolder::Gone { key: key() }, FromHolder::Complete, FromHolder::Leaving]
        {
            let text = serde_json::to_string(&message).unwrap();
            assert_eq!(serde_json::from_str::<FromHolder>(&text).unwrap(), message, "{text}");
        }
        let message = FromHolder::Answer { id: 1, done: Some(Done { configuration_revision: 4, output: None }), error: None };
        assert_eq!(serde_json::from_str::<FromHolder>(&serde_json::to_string(&message).unwrap()).unwrap(), message);
        let request = ToHolder::Request { id: 1, term: 2, key: key(), operation: "o".into(), command: Command::EndOperation };
        assert_eq!(serde_json::from_str::<ToHolder>(&serde_json::to_string(&request).unwrap()).unwrap(), request);
    }

    #[test]
    fn what_a_newer_replica_says_is_passed_over() {
        assert_eq!(serde_json::from_str::<FromHolder>(r#"{"type": "weather", "degrees": 21}"#).unwrap(), FromHolder::Unknown);
        assert_eq!(serde_json::from_str::<ToHolder>(r#"{"type": "weather", "degrees": 21}"#).unwrap(), ToHolder::Unknown);
        let text = r#"{"type": "session", "key": {"customer": "acme", "system": "hq"}, "enrolmentId": "e", "live": false, "mood": "good"}"#;
        assert!(
            matches!(serde_json::from_str::<FromHolder>(text).unwrap(), FromHolder::Session(held) if !held.moved && held.counter.is_none())
        );
    }
}
