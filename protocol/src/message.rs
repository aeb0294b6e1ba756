//! Messages of a session. Each is one websocket text message: a JSON object with `type`.
//!
//! Unknown fields are ignored and unknown types of a newer minor revision are answered with an error, so that both sides can grow.

use jiff::Timestamp;
use model::account::SignInOutcome;
use model::ids::{CustomerId, SystemId};
use model::switches::{CertificateSwitches, RemoteOperations, VoicemailBackup};
use model::system::{Profile, ServerRole};
use model::version::SoftwareVersion;
use serde::{Deserialize, Serialize};

use crate::transfer::{LastRestore, Output, PartUpload, PresignedRequest};

/// From the system to the gateway.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum FromSystem {
    /// First message of a session.
    Hello(Box<Hello>),
    /// Answer to [`FromGateway::SignIn`]: SCRAM server-first message.
    Challenge {
        /// SCRAM server-first message.
        scram: String,
    },
    /// Outcome of the sign-in, also in place of a challenge where the account cannot be used at all.
    SignInResult(SignInResult),
    /// Something about the account changed on the system: sign in again.
    AccountChanged,
    /// What the system is changed: always the whole.
    Report(Box<Facts>),
    /// Answer to [`FromGateway::Request`].
    Answer(Answer),
    /// The system ends the session by itself.
    Goodbye {
        /// Why.
        reason: Departure,
    },
}

/// From the gateway to the system.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum FromGateway {
    /// Answer to a good hello.
    #[serde(rename_all = "camelCase")]
    Welcome {
        /// Protocol version of the session.
        protocol: u32,
        /// Seconds between pings.
        keepalive_seconds: u64,
        /// Seconds of silence after which the other side is gone.
        offline_after_seconds: u64,
        /// COM's time, for systems without a clock of their own.
        time: Timestamp,
    },
    /// COM signs in as its service user: SCRAM client-first message.
    SignIn {
        /// SCRAM client-first message.
        scram: String,
    },
    /// SCRAM client-final message.
    Proof {
        /// SCRAM client-final message.
        scram: String,
    },
    /// COM wants something done.
    Request(Request),
    /// The gateway ends the session.
    Close {
        /// Why.
        reason: CloseReason,
        /// What, why, what to do: for the system's log.
        message: String,
    },
}

/// First message of a session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Hello {
    /// Protocol version of the system.
    pub protocol: u32,
    /// Customer id; must be the certificate's.
    pub customer_id: CustomerId,
    /// System id; must be the certificate's.
    pub system_id: SystemId,
    /// Counter that the system keeps on its disk and raises before every session: the newer session fences the older.
    pub session: u64,
    /// What the system is.
    pub facts: Facts,
}

/// What a system reports of itself. Shown in COM, never edited there (FLEET-2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Facts {
    /// System name, at most 64 characters.
    pub system_name: String,
    /// Address of the system in its own network, at most 253 characters.
    pub address: String,
    /// Port of its web services.
    pub port: u16,
    /// Kind of installation.
    pub profile: Profile,
    /// Software version of the primary.
    pub version: SoftwareVersion,
    /// IANA time zone.
    pub time_zone: String,
    /// Servers of the network, the primary first; at most 150.
    pub servers: Vec<ServerFacts>,
    /// Remote operations switches.
    pub remote_operations: RemoteOperations,
    /// Voicemail backup options.
    pub voicemail_backup: VoicemailBackup,
    /// Certificate switches.
    pub certificates: CertificateSwitches,
    /// Number of the configuration; one more with every change.
    pub configuration_revision: u64,
    /// When the system last started.
    pub started: Timestamp,
    /// The last restore, once the restart that finished it is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_restore: Option<LastRestore>,
}

/// One server of a system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServerFacts {
    /// Name, unique in the system, at most 64 characters.
    pub name: String,
    /// What it does.
    pub role: ServerRole,
    /// Its software version.
    pub version: SoftwareVersion,
    /// Its address in the system's network.
    pub address: String,
    /// Whether the primary reaches it.
    pub online: bool,
    /// Services on it whose configuration can be backed up, as named in backup elements, for example `IPOffice`; at most 20.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<String>,
}

/// Outcome of a sign-in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SignInResult {
    /// The system's decision.
    #[serde(flatten)]
    pub outcome: SignInOutcome,
    /// SCRAM server-final message, with which the system proves that it knows the password too. Absent where no proof was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scram: Option<String>,
}

/// Why a system leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Departure {
    /// It restarts.
    Reboot,
    /// It restarts to finish an upgrade or a restore.
    RebootForChange,
    /// It is switched off.
    Shutdown,
}

/// Why the gateway ends a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum CloseReason {
    /// A newer session of the same system took its place.
    Superseded,
    /// Protocol version not spoken here.
    UnsupportedVersion,
    /// A message that cannot be read, or at the wrong time.
    Malformed,
    /// A message larger than [`crate::LARGEST_MESSAGE`].
    TooLarge,
    /// More messages than the gateway takes.
    TooManyMessages,
    /// Hello names another system than the certificate, or a system that is gone.
    NotRecognised,
    /// No hello, or no end to the sign-in, in time.
    TimedOut,
    /// The gateway is going down: connect again.
    GoingAway,
}

/// Something COM wants done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    /// Number of the request in this session.
    pub id: u64,
    /// Id of the operation it belongs to. A system remembers the last 64: a repeated one does nothing twice and gets the same answer. The commands
    /// of a backup or restore share one id; see [`crate::transfer`].
    pub operation: String,
    /// What.
    pub command: Command,
}

/// What a system can be asked to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "camelCase")]
pub enum Command {
    /// Change settings; those that are absent stay. Answered once they stand on the system's disk; a report follows.
    Configure(Settings),
    /// Pack elements on the system's own disk, split into parts. A system packs one operation at a time: a newer one takes the place of an older.
    #[serde(rename_all = "camelCase")]
    PrepareBackup {
        /// What to pack: elements, or beginnings of their names.
        selections: Vec<String>,
        /// Bytes of a part; the last may be smaller. Doubled by the system as often as an element would have more than 10 000 parts.
        part_size: u64,
    },
    /// Tell the digests of a packed element's parts.
    #[serde(rename_all = "camelCase")]
    DescribeParts {
        /// Which element.
        element: String,
        /// Number of the first part, from 1. At most [`crate::transfer::MOST_PARTS_DESCRIBED`] are told.
        first: u32,
    },
    /// Put parts of a packed element into the store.
    #[serde(rename_all = "camelCase")]
    UploadParts {
        /// Which element.
        element: String,
        /// The parts; at most [`crate::transfer::MOST_PARTS_ORDERED`].
        parts: Vec<PartUpload>,
        /// Authority to trust for the store (PEM); absent: those that everybody trusts.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        authority: Option<String>,
    },
    /// Fetch an element from the store to a place beside what is in use, and check its bytes and its members.
    #[serde(rename_all = "camelCase")]
    FetchElement {
        /// Which element.
        element: String,
        /// Bytes it must have.
        size: u64,
        /// SHA-256 it must have.
        sha256: String,
        /// The request.
        request: PresignedRequest,
        /// Authority to trust for the store (PEM); absent: those that everybody trusts.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        authority: Option<String>,
    },
    /// Tell what the fetched elements would change.
    #[serde(rename_all = "camelCase")]
    PreviewRestore {
        /// The elements; all must have been fetched.
        elements: Vec<String>,
    },
    /// Replace what is in use by the fetched elements, all or none of them, and restart.
    #[serde(rename_all = "camelCase")]
    ApplyRestore {
        /// The elements; all must have been fetched.
        elements: Vec<String>,
        /// Which backup they are of.
        backup_id: String,
        /// Number of the configuration in the backup.
        configuration_revision: u64,
    },
    /// Remove what the operation left on the disk: packed and fetched elements. Answered also where nothing is left.
    EndOperation,
}

/// Settings COM may change on a system. Absent means: leave it as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Settings {
    /// Remote operations switches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote_operations: Option<RemoteOperations>,
    /// Voicemail backup options.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub voicemail_backup: Option<VoicemailBackup>,
    /// Certificate switches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificates: Option<CertificateSwitches>,
    /// IANA time zone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
}

/// Answer to a [`Request`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    /// Number of the request.
    pub id: u64,
    /// What came of it.
    #[serde(flatten)]
    pub result: AnswerResult,
}

/// What came of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "camelCase")]
pub enum AnswerResult {
    /// Done.
    #[serde(rename_all = "camelCase")]
    Done {
        /// The configuration's number afterwards.
        configuration_revision: u64,
        /// What the command gives beyond that.
        #[serde(flatten, default, skip_serializing_if = "Option::is_none")]
        output: Option<Output>,
    },
    /// Refused or failed.
    Failed {
        /// Machine-readable, upper camel case, for example `NotSignedIn`, `InsufficientRights`, `UnknownCommand`, `InvalidSetting`, `DiskFull`, and for
        /// backups and restores `RemoteUpgradeBackupOff`, `UnknownElement`, `NotPrepared`, `NotFetched`, `DigestMismatch`, `ArchiveRefused`.
        reason: String,
        /// What, why, what to do.
        message: String,
    },
}
