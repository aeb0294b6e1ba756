//! What a system permits: the remote operations switches (FLEET-9), and the options for voicemail backups and certificates.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Remote operations of a system. Off means refused, with the reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RemoteOperations {
    /// Centralized Management: System Status, SysMonitor and Web Manager through COM.
    pub centralized_management: bool,
    /// Centralized Diagnostics Log: log files are collected.
    pub centralized_diagnostics_log: bool,
    /// Remote Upgrade/Backup: backups, restores and upgrades; also starts the automatic backups.
    pub remote_upgrade_backup: bool,
    /// Remote Access: HTTPS, SSH and RDP through COM.
    pub remote_access: bool,
    /// Co-located Servers: Remote Access reaches servers beside the system through tunnels.
    pub co_located_servers: bool,
}

impl RemoteOperations {
    /// All five on.
    pub const ALL: Self = Self {
        centralized_management: true,
        centralized_diagnostics_log: true,
        remote_upgrade_backup: true,
        remote_access: true,
        co_located_servers: true,
    };

    /// Whether nothing at all is permitted: shown as `Remote Operations not permitted`.
    pub fn none_permitted(self) -> bool {
        self == Self::default()
    }
}

/// What parts of voicemail go into an automatic backup (BACKUP-3).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct VoicemailBackup {
    /// Configuration Backup.
    pub configuration: bool,
    /// Custom Prompts Backup.
    pub custom_prompts: bool,
    /// Selective Mailboxes Backup.
    pub selective_mailboxes: bool,
    /// The mailboxes of Selective Mailboxes Backup, by extension number.
    #[schemars(length(max = 1000), inner(length(min = 1, max = 15)))]
    pub mailboxes: Vec<String>,
}

/// Certificate switches of a system (CERT-2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct CertificateSwitches {
    /// Automatic Certificate Management: COM provides the certificate and renews it.
    pub automatic_certificate_management: bool,
    /// Automatic Phone Provisioning: phones follow when the system's certificate changes; only together with the former.
    pub automatic_phone_provisioning: bool,
}
