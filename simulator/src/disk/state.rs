//! What a system remembers across restarts.

use std::collections::{BTreeMap, VecDeque};

use jiff::Timestamp;
use model::switches::{CertificateSwitches, RemoteOperations, VoicemailBackup};
use protocol::message::AnswerResult;
use protocol::scram::Verifier;
use protocol::transfer::LastRestore;
use serde::{Deserialize, Serialize};

/// Format of `state.json` written here.
pub const FORMAT: u32 = 1;
/// Operations a system remembers, so that a repeated one does nothing twice.
pub const OPERATIONS_REMEMBERED: usize = 64;

/// Content of `state.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct State {
    /// Format of the file.
    pub format: u32,
    /// Counter of the last session.
    pub session: u64,
    /// How often the system started.
    pub starts: u64,
    /// What is remembered of each service user, by name.
    pub accounts: BTreeMap<String, Account>,
    /// The configuration.
    pub configuration: Configuration,
    /// Operations done, the oldest first; at most [`OPERATIONS_REMEMBERED`].
    pub operations: VecDeque<DoneOperation>,
    /// Causes as last seen: only a change of one touches the disk.
    pub seen: SeenCauses,
    /// A restore that was begun and is not finished.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restoring: Option<Restoring>,
    /// The last restore.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_restore: Option<LastRestore>,
}

/// A restore that was begun. It is on the disk before anything of it is, so that a start after a crash finishes it or takes it back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Restoring {
    /// Operation id of the restore.
    pub operation: String,
    /// Backup that is restored.
    pub backup_id: String,
    /// Number of the configuration in the backup.
    pub configuration_revision: u64,
    /// What is to be put in place, once all of it is unpacked; absent while it is being unpacked. From then on there is no way back: the next
    /// start puts it in place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replacements: Option<Vec<Replacement>>,
}

/// One folder that takes the place of another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Replacement {
    /// The new folder, below `transfer/`.
    pub from: String,
    /// Where the old one goes meanwhile, below `transfer/`.
    pub aside: String,
    /// The place, below `content/`.
    pub to: String,
    /// Whether its `settings.json` becomes the configuration.
    #[serde(default)]
    pub takes_settings: bool,
}

/// What is remembered of a service user.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Account {
    /// How a password is recognised; absent while it never had one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verifier: Option<Verifier>,
    /// Wrong passwords in a row.
    #[serde(default)]
    pub wrong_attempts: u32,
    /// Until when it is locked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locked_until: Option<Timestamp>,
}

/// The part of the configuration that COM may change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Configuration {
    /// One more with every change.
    pub revision: u64,
    /// When it was changed, by the system's clock.
    pub changed: Timestamp,
    /// Who changed it: a service user, or `the administrator` for a change made by hand.
    pub changed_by: String,
    /// IANA time zone.
    pub time_zone: String,
    /// Remote operations switches.
    pub remote_operations: RemoteOperations,
    /// Voicemail backup options.
    pub voicemail_backup: VoicemailBackup,
    /// Certificate switches.
    pub certificates: CertificateSwitches,
}

/// An operation that was done, and what was answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DoneOperation {
    /// Its id.
    pub operation: String,
    /// The answer, given again when it is asked for again.
    pub answer: AnswerResult,
}

/// Causes as last seen.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct SeenCauses {
    /// `timeZone`.
    pub time_zone: Option<String>,
    /// `remoteOperations`.
    pub remote_operations: Option<RemoteOperations>,
    /// `voicemailBackup`.
    pub voicemail_backup: Option<VoicemailBackup>,
    /// `certificates`.
    pub certificates: Option<CertificateSwitches>,
    /// `reboot.token`.
    pub reboot_token: Option<String>,
    /// `faults.transfers.break.token`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub break_token: Option<String>,
    /// `faults.rebootDuring.token`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reboot_during_token: Option<String>,
}

impl State {
    /// State of a system that was never started.
    pub fn new(now: Timestamp) -> Self {
        Self {
            format: FORMAT,
            session: 0,
            starts: 0,
            accounts: BTreeMap::new(),
            configuration: Configuration {
                revision: 1,
                changed: now,
                changed_by: "the factory".to_owned(),
                time_zone: "UTC".to_owned(),
                remote_operations: RemoteOperations::default(),
                voicemail_backup: VoicemailBackup::default(),
                certificates: CertificateSwitches::default(),
            },
            operations: VecDeque::new(),
            seen: SeenCauses::default(),
            restoring: None,
            last_restore: None,
        }
    }

    /// Remembers an operation and its answer, and forgets the oldest beyond the limit.
    pub fn remember(&mut self, operation: &str, answer: AnswerResult) {
        self.operations.push_back(DoneOperation { operation: operation.to_owned(), answer });
        while self.operations.len() > OPERATIONS_REMEMBERED {
            self.operations.pop_front();
        }
    }

    /// The answer of an operation done before.
    pub fn recall(&self, operation: &str) -> Option<&AnswerResult> {
        self.operations.iter().find(|done| done.operation == operation).map(|done| &done.answer)
    }

    /// Why this cannot be the state of a system.
    pub fn problem(&self) -> Option<String> {
        if self.configuration.revision == 0 {
            return Some("the configuration has revision 0".to_owned());
        }
        if self.operations.len() > OPERATIONS_REMEMBERED {
            return Some(format!("{} operations are remembered, more than {OPERATIONS_REMEMBERED}", self.operations.len()));
        }
        None
    }
}
