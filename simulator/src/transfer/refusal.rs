//! Why a command of a backup or restore is not carried out.

use protocol::message::AnswerResult;

use crate::disk::DiskError;

/// Why not. The texts go to COM and into the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The system has no such element.
    #[error("the system has no element {asked:?}; it has {has}")]
    UnknownElement {
        /// What was asked for.
        asked: String,
        /// What there is.
        has: String,
    },
    /// The primary does not reach the server.
    #[error("{element} is on the server {server:?}, which the primary does not reach; bring it online, or leave its elements out")]
    ServerOffline {
        /// Which element.
        element: String,
        /// On which server.
        server: String,
    },
    /// What was ordered makes no sense.
    #[error("{0}")]
    InvalidOrder(String),
    /// Not packed by this operation.
    #[error("{0} is not packed for this operation; prepare the backup first")]
    NotPrepared(String),
    /// Not fetched by this operation.
    #[error("{0} is not on the system's disk for this operation; fetch it first")]
    NotFetched(String),
    /// No room.
    #[error("the disk is full: {missing} bytes more are needed for {what}; make room, or leave elements out")]
    DiskFull {
        /// What for.
        what: String,
        /// How much more, as far as known.
        missing: u64,
    },
    /// The disk says no.
    #[error("{0}")]
    DiskFailed(String),
    /// Not the bytes that were backed up.
    #[error(
        "{element} came as {found}, not as {expected}; nothing was changed and what came was removed: verify the backup, or restore another"
    )]
    DigestMismatch {
        /// Which element.
        element: String,
        /// What came.
        found: String,
        /// What was ordered.
        expected: String,
    },
    /// The archive is not one of that element, or dangerous.
    #[error("the archive of {element} is refused, nothing was changed and it was removed: {why}")]
    ArchiveRefused {
        /// Which element.
        element: String,
        /// What is wrong with it.
        why: String,
    },
    /// Another restore is being finished.
    #[error("the system is about to restart for the restore {0:?}; wait for it")]
    RestoreRunning(String),
    /// Called off meanwhile.
    #[error("called off: the operation ended, a newer one took its place, or the system restarts; ask again")]
    CalledOff,
}

impl Refusal {
    /// Machine-readable, as in an answer.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::UnknownElement { .. } => "UnknownElement",
            Self::ServerOffline { .. } => "ServerOffline",
            Self::InvalidOrder(_) => "InvalidOrder",
            Self::NotPrepared(_) => "NotPrepared",
            Self::NotFetched(_) => "NotFetched",
            Self::DiskFull { .. } => "DiskFull",
            Self::DiskFailed(_) => "DiskFailed",
            Self::DigestMismatch { .. } => "DigestMismatch",
            Self::ArchiveRefused { .. } => "ArchiveRefused",
            Self::RestoreRunning(_) => "RestoreRunning",
            Self::CalledOff => "CalledOff",
        }
    }

    /// As an answer. COM keeps 1024 characters of a message.
    pub fn answer(&self) -> AnswerResult {
        let message = self.to_string().chars().take(1024).collect();
        AnswerResult::Failed { reason: self.reason().to_owned(), message }
    }

    /// From what the file system said about some work.
    pub fn of_disk(what: &str, error: &std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => Self::DiskFull { what: what.to_owned(), missing: 1 },
            _ => Self::DiskFailed(format!("{what} failed on the system's disk: {error}; look at the disk")),
        }
    }
}

impl From<DiskError> for Refusal {
    fn from(error: DiskError) -> Self {
        if error.is_full() { Self::DiskFull { what: error.to_string(), missing: 1 } } else { Self::DiskFailed(error.to_string()) }
    }
}
