//! Why a session ended, and what follows from it.

use model::connectivity::Absence;
use protocol::message::{CloseReason, Departure};

/// Why a session ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum End {
    /// The connection closed or broke.
    Disconnected,
    /// Nothing was heard for too long, or nothing could be sent.
    Silent,
    /// The system said goodbye.
    Goodbye(Departure),
    /// The gateway ended it, and says why in the last message.
    Close(CloseReason, String),
    /// The system could not prove that it knows the password: something else answers in its name.
    Unproved,
    /// What connected says that it is not the primary of its network.
    NotPrimary,
}

/// The same without words, for metrics and logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EndReason {
    Disconnected,
    Silent,
    Goodbye,
    Closed(CloseReason),
    Unproved,
    NotPrimary,
}

impl EndReason {
    /// Every reason, for metrics.
    pub(crate) const ALL: [Self; 13] = [
        Self::Disconnected,
        Self::Silent,
        Self::Goodbye,
        Self::Unproved,
        Self::NotPrimary,
        Self::Closed(CloseReason::Superseded),
        Self::Closed(CloseReason::UnsupportedVersion),
        Self::Closed(CloseReason::Malformed),
        Self::Closed(CloseReason::TooLarge),
        Self::Closed(CloseReason::TooManyMessages),
        Self::Closed(CloseReason::NotRecognised),
        Self::Closed(CloseReason::TimedOut),
        Self::Closed(CloseReason::GoingAway),
    ];

    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Disconnected => "disconnected",
            Self::Silent => "silent",
            Self::Goodbye => "goodbye",
            Self::Unproved => "unproved",
            Self::NotPrimary => "not_primary",
            Self::Closed(CloseReason::Superseded) => "superseded",
            Self::Closed(CloseReason::UnsupportedVersion) => "unsupported_version",
            Self::Closed(CloseReason::Malformed) => "malformed",
            Self::Closed(CloseReason::TooLarge) => "too_large",
            Self::Closed(CloseReason::TooManyMessages) => "too_many_messages",
            Self::Closed(CloseReason::NotRecognised) => "not_recognised",
            Self::Closed(CloseReason::TimedOut) => "timed_out",
            Self::Closed(CloseReason::GoingAway) => "going_away",
        }
    }
}

impl End {
    pub(crate) fn reason(&self) -> EndReason {
        match self {
            Self::Disconnected => EndReason::Disconnected,
            Self::Silent => EndReason::Silent,
            Self::Goodbye(_) => EndReason::Goodbye,
            Self::Close(reason, _) => EndReason::Closed(*reason),
            Self::Unproved => EndReason::Unproved,
            Self::NotPrimary => EndReason::NotPrimary,
        }
    }

    /// The last message to the system, if it is still there to hear it.
    pub(crate) fn last_words(&self) -> Option<(CloseReason, String)> {
        match self {
            Self::Disconnected | Self::Silent | Self::Goodbye(_) => None,
            Self::Close(reason, message) => Some((*reason, message.clone())),
            Self::Unproved => Some((
                CloseReason::NotRecognised,
                "what answers could not prove that it knows the service user's password, so it is not taken for the system; \
                 check what stands between system and COM"
                    .into(),
            )),
            Self::NotPrimary => Some((
                CloseReason::NotRecognised,
                "the first server in the hello is not a primary; only the primary of a network connects to COM".into(),
            )),
        }
    }

    /// What is known of the system afterwards. `None`: nothing new, because a newer session stands, the system was forgotten, or the gateway
    /// itself goes and the system will be back.
    pub(crate) fn absence(&self) -> Option<Absence> {
        match self {
            Self::Disconnected | Self::Silent | Self::Goodbye(Departure::Reboot | Departure::Shutdown) => Some(Absence::Offline),
            Self::Goodbye(Departure::RebootForChange) => Some(Absence::RebootingForChange),
            Self::Unproved => Some(Absence::Unrecognised),
            Self::NotPrimary => Some(Absence::NotPrimary),
            Self::Close(reason, _) => match reason {
                CloseReason::Superseded | CloseReason::GoingAway => None,
                CloseReason::UnsupportedVersion | CloseReason::Malformed => Some(Absence::Unrecognised),
                CloseReason::TooLarge | CloseReason::TooManyMessages | CloseReason::NotRecognised | CloseReason::TimedOut => {
                    Some(Absence::Offline)
                }
            },
        }
    }

    /// Whether the system did something wrong, so that a line at INFO is worth it even among many.
    pub(crate) fn is_misbehaviour(&self) -> bool {
        match self {
            Self::Disconnected | Self::Silent | Self::Goodbye(_) => false,
            Self::Unproved | Self::NotPrimary => true,
            Self::Close(reason, _) => !matches!(reason, CloseReason::Superseded | CloseReason::GoingAway),
        }
    }
}
