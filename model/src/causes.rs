//! What a simulated system is like. Causes only, never results: no field names a message or a colour.
//!
//! The file the simulator reads, and part of the `SimulatedSystem` kind; the documentation of the fields is what `kubectl explain` prints.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::rights::Right;
use crate::switches::{CertificateSwitches, RemoteOperations, VoicemailBackup};
use crate::system::{Profile, ServerRole};

/// What a simulated system is like.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Causes {
    /// Kind of installation.
    pub profile: Profile,
    /// Software version, two to six numbers with dots. Below 11.1.1.0.0 the system is too old for remote services.
    #[schemars(length(min = 3, max = 40), regex(pattern = r"^[0-9]{1,6}(\.[0-9]{1,6}){1,5}$"))]
    pub software_version: String,
    /// Name the system gives itself. Where absent: the name of the object.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub system_name: Option<String>,
    /// Address of the system in the customer's network, as it reports it.
    #[schemars(length(min = 1, max = 253))]
    pub address: String,
    /// IANA time zone set on the system.
    #[schemars(length(min = 1, max = 64))]
    pub time_zone: String,
    /// Service users of the system.
    #[schemars(length(max = 20))]
    pub service_users: Vec<ServiceUser>,
    /// Wrong passwords in a row lock an account for a while.
    pub lockout: Lockout,
    /// Remote operations switches as set on the system by hand. What COM sets later stays until these change.
    pub remote_operations: RemoteOperations,
    /// Voicemail backup options as set on the system by hand. What COM sets later stays until these change.
    pub voicemail_backup: VoicemailBackup,
    /// Certificate switches as set on the system by hand. What COM sets later stays until these change.
    pub certificates: CertificateSwitches,
    /// Applications signed in to the system.
    pub sessions: Sessions,
    /// The network between the system and COM.
    pub network: Network,
    /// The system's clock.
    pub clock: Clock,
    /// Other servers of a Server Edition network.
    #[schemars(length(max = 149))]
    pub servers: Vec<NetworkServer>,
    /// A reboot by hand. Where absent none was ever asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reboot: Option<Reboot>,
    /// What the system writes into its log by itself.
    pub logging: Logging,
}

/// A service user of a system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ServiceUser {
    /// Name of the account.
    #[schemars(length(min = 1, max = 31))]
    pub name: String,
    /// Key with its password in the Secret of the system's passwords. Where absent the account never had a password, and cannot be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[-._a-zA-Z0-9]+$"))]
    pub password_key: Option<String>,
    /// State of the account.
    #[serde(default)]
    pub state: AccountState,
    /// Whether the password is past its end.
    #[serde(default)]
    pub password_expired: bool,
    /// Whether the system demands a new password before the account is used.
    #[serde(default)]
    pub new_password_required: bool,
    /// Rights of the account, out of those that COM needs. Where absent: all of the rights group COM Admin.
    #[serde(default = "all_rights")]
    #[schemars(length(max = 4))]
    pub rights: Vec<Right>,
}

/// State of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum AccountState {
    /// May be used.
    #[default]
    Enabled,
    /// Off, as on a new system.
    Disabled,
    /// Switched off by an administrator.
    DisabledByAdministrator,
    /// Locked until this changes.
    Locked,
}

/// When wrong passwords lock an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Lockout {
    /// Wrong passwords in a row that lock; 0 never locks.
    #[schemars(range(min = 0, max = 100))]
    pub attempts: u32,
    /// Seconds the lock holds.
    #[schemars(range(min = 1, max = 86400))]
    pub seconds: u32,
}

/// Applications signed in to a system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Sessions {
    /// How many may be signed in at a time.
    #[schemars(range(min = 1, max = 1000))]
    pub limit: u32,
    /// How many others are signed in now.
    #[schemars(range(min = 0, max = 1000))]
    pub in_use: u32,
}

/// The network between a system and COM.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Network {
    /// Whether the system reaches COM. Cutting it drops the session.
    pub connected: bool,
    /// Whether packets vanish without a trace: the session stays open and nothing comes or goes.
    pub silent: bool,
    /// Milliseconds added to whatever the system sends.
    #[schemars(range(min = 0, max = 60000))]
    pub latency_milliseconds: u32,
}

/// A system's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Clock {
    /// Seconds the clock is ahead of real time; negative is behind.
    #[schemars(range(min = -315_360_000, max = 315_360_000))]
    pub offset_seconds: i64,
}

/// A server of a Server Edition network beside the primary.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NetworkServer {
    /// Name, unique in the system.
    #[schemars(length(min = 1, max = 64))]
    pub name: String,
    /// What it does.
    pub role: ServerRole,
    /// Its address in the customer's network.
    #[schemars(length(min = 1, max = 253))]
    pub address: String,
    /// Its software version; the primary's where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 3, max = 40), regex(pattern = r"^[0-9]{1,6}(\.[0-9]{1,6}){1,5}$"))]
    pub software_version: Option<String>,
    /// Whether it is switched on and reached by the primary.
    #[serde(default = "yes")]
    pub powered: bool,
}

/// A reboot by hand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Reboot {
    /// Any text; a new one reboots the system once.
    #[schemars(length(min = 1, max = 64))]
    pub token: String,
    /// Seconds until the system is back.
    #[serde(default = "default_outage")]
    #[schemars(range(min = 0, max = 3600))]
    pub outage_seconds: u32,
}

/// What a system writes into its log by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Logging {
    /// Lines a minute.
    #[schemars(range(min = 0, max = 60000))]
    pub lines_per_minute: u32,
    /// Most bytes of log files kept on the system; the oldest go. 0 means what the profile allows (128 MB on an IP500 V2).
    #[schemars(range(min = 0, max = 4_294_967_296_u64))]
    pub maximum_bytes: u64,
}

fn all_rights() -> Vec<Right> {
    Right::ALL.to_vec()
}
fn yes() -> bool {
    true
}
fn default_outage() -> u32 {
    10
}

impl Default for Causes {
    fn default() -> Self {
        Self {
            profile: Profile::Ip500V2,
            software_version: "11.1.3.2.0".to_owned(),
            system_name: None,
            address: "192.0.2.1".to_owned(),
            time_zone: "UTC".to_owned(),
            service_users: Vec::new(),
            lockout: Lockout::default(),
            remote_operations: RemoteOperations::ALL,
            voicemail_backup: VoicemailBackup::default(),
            certificates: CertificateSwitches::default(),
            sessions: Sessions::default(),
            network: Network::default(),
            clock: Clock::default(),
            servers: Vec::new(),
            reboot: None,
            logging: Logging::default(),
        }
    }
}
impl Default for Lockout {
    fn default() -> Self {
        Self { attempts: 5, seconds: 60 }
    }
}
impl Default for Sessions {
    fn default() -> Self {
        Self { limit: 10, in_use: 0 }
    }
}
impl Default for Network {
    fn default() -> Self {
        Self { connected: true, silent: false, latency_milliseconds: 0 }
    }
}
impl Default for Logging {
    fn default() -> Self {
        Self { lines_per_minute: 6, maximum_bytes: 0 }
    }
}
