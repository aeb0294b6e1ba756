//! How controllers and dashboard reach a system, wherever its session is.

use async_trait::async_trait;
use futures::stream::BoxStream;
use jiff::Timestamp;
use model::account::SignInOutcome;
use model::connectivity::Absence;
use model::ids::SystemKey;
use serde::{Deserialize, Serialize};

use crate::message::{Command, Facts};
use crate::transfer::Output;

/// What is known of a system's session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionView {
    /// Whether a session stands, and how it stands.
    pub state: SessionState,
    /// Since when it is like that.
    pub since: Timestamp,
    /// Counter of the last session: the system's own.
    pub session: u64,
    /// What the system last reported.
    pub facts: Facts,
}

/// Whether a session stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SessionState {
    /// Established, and the sign-in decided (`None`: COM holds no credentials).
    #[serde(rename_all = "camelCase")]
    Connected {
        /// Outcome of the sign-in.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sign_in: Option<SignInOutcome>,
    },
    /// Gone.
    Away(Absence),
}

/// Why a system could not be asked, or refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(tag = "error", rename_all = "camelCase")]
pub enum LinkError {
    /// No session.
    #[error("the system is not connected; try again once it is")]
    NotConnected,
    /// The session ended before the answer came: whether it was done is unknown, and asking again with the same operation id is safe.
    #[error("the session ended before the system answered; ask again with the same operation id")]
    Interrupted,
    /// No answer in time.
    #[error("the system did not answer in time; ask again with the same operation id")]
    TimedOut,
    /// Too much is waiting for this system already.
    #[error("too many requests are waiting for the system; try again later")]
    Busy,
    /// The system said no.
    #[error("the system refused ({reason}): {message}")]
    Refused {
        /// Machine-readable.
        reason: String,
        /// The system's words.
        message: String,
    },
}

/// Done: what the system answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Done {
    /// The configuration's number afterwards.
    pub configuration_revision: u64,
    /// What the command gives beyond that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Output>,
}

/// The way to a system.
#[async_trait]
pub trait SystemLink: Send + Sync {
    /// What is known of its session; `None` if none was seen since this process started.
    fn view(&self, system: &SystemKey) -> Option<SessionView>;

    /// Since when something with the system's certificate connects that does not speak the protocol, although the system itself was not seen
    /// since this process started, so that there is no view to say it.
    fn unrecognised_since(&self, system: &SystemKey) -> Option<Timestamp> {
        let _ = system;
        None
    }

    /// Asks a system to do something. Repeating a request with the same operation id does nothing twice.
    async fn request(&self, system: &SystemKey, operation: &str, command: Command) -> Result<Done, LinkError>;

    /// Credentials of the system changed, appeared or went: sign in again, if its session is held by this process.
    fn sign_in_again(&self, system: &SystemKey);

    /// The system was deleted or its enrolment withdrawn: end its session and forget it.
    fn forget(&self, system: &SystemKey);

    /// Systems whose view changed. Coalesced: a slow reader sees each changed system, not each change.
    fn changes(&self) -> BoxStream<'static, SystemKey>;
}
