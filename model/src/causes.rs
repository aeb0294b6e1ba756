//! What a simulated system is made of and what befalls it. Every field is a cause; what follows from it (a colour, a message) is never
//! written here but comes about.
//!
//! The types are the file the simulator reads, and carry the documentation and the bounds of the Kubernetes kind `SimulatedSystem`, which embeds
//! them.

mod content;
mod faults;

pub use content::Content;
pub use faults::{Break, Faults, RebootDuring, Transfers, Work};

use crate::rights::Right;
use crate::switches::{CertificateSwitches, RemoteOperations, VoicemailBackup};
use crate::system::{Profile, ServerRole};
use crate::version::SoftwareVersion;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Most service users on one system.
pub const MOST_SERVICE_USERS: usize = 20;
/// Most servers in one system.
pub const MOST_SERVERS: usize = 150;
/// Most units of a Small Community Network.
pub const MOST_UNITS: usize = 32;
/// Most phones of a system: they are few, because each is a story of its own in the log.
pub const MOST_PHONES: u32 = 50;

/// Causes of a simulated system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Causes {
    /// Kind of installation.
    #[serde(default = "default_profile")]
    pub profile: Profile,
    /// Software version of the primary.
    #[serde(default = "default_version")]
    #[schemars(with = "String", regex(pattern = r"^[0-9]{1,6}(\.[0-9]{1,6}){1,5}$"), length(max = 41))]
    pub software_version: SoftwareVersion,
    /// Name of the system as set on the system; its id where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub system_name: Option<String>,
    /// The system's own id in COM, 1 to 22 lower case letters and digits. A file `systemId` of the subscription wins.
    #[serde(skip_serializing_if = "Option::is_none")]
    // Not a field of the kind: there the id comes from the IPOffice that the system connects as.
    #[schemars(skip)]
    pub system_id: Option<String>,
    /// IANA time zone as set by hand on the system, for example `Europe/London`. What COM configures later counts until this field changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub time_zone: Option<String>,
    /// Address of the system in its own network; the address it connects from where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub address: Option<String>,
    /// Port of the system's web services.
    #[serde(default = "default_port")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: u16,
    /// Service users in the system's security settings. A system without any refuses every sign-in.
    #[serde(default)]
    #[schemars(length(max = 20), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub service_users: Vec<ServiceUser>,
    /// Remote operations switches as set by hand on the system. What COM configures later counts until this field changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remote_operations: Option<RemoteOperations>,
    /// Voicemail backup options as set by hand on the system. What COM configures later counts until this field changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub voicemail_backup: Option<VoicemailBackup>,
    /// Certificate switches as set by hand on the system. What COM configures later counts until this field changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificates: Option<CertificateSwitches>,
    /// How many applications may be signed in to the system, and how many are.
    #[serde(default)]
    pub sessions: Sessions,
    /// When wrong passwords lock an account.
    #[serde(default)]
    pub lockout: Lockout,
    /// The network between the system and COM.
    #[serde(default)]
    pub network: Network,
    /// The system's clock.
    #[serde(default)]
    pub clock: Clock,
    /// Servers of the system, the primary among them. Where empty, the system is its primary alone.
    #[serde(default)]
    #[schemars(length(max = 150), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub servers: Vec<Server>,
    /// A restart of the system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reboot: Option<Reboot>,
    /// What the system writes into its log.
    #[serde(default)]
    pub logging: Logging,
    /// What lies on the system's disk and goes into its backups. Counts when the content is first made: at the first start, and for a server when it first appears.
    #[serde(default)]
    pub content: Content,
    /// What goes wrong with disk and transfers.
    #[serde(default)]
    pub faults: Faults,
    /// How the system takes a restore.
    #[serde(default)]
    pub restore: Restoring,
    /// The Small Community Network that the system belongs to, where it belongs to one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub small_community_network: Option<SmallCommunityNetwork>,
    /// Phones that boot with the system and take their settings from it.
    #[serde(default)]
    pub phones: Phones,
}

/// A service user in the system's security settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ServiceUser {
    /// Name, for example `COMAdmin`.
    #[schemars(length(min = 1, max = 31))]
    pub name: String,
    /// Key of the password in the Secret of passwords. Where absent, the account never had a password and counts as disabled.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253), regex(pattern = r"^[-_a-zA-Z0-9][-._a-zA-Z0-9]*$"))]
    pub password_secret_key: Option<String>,
    /// Whether the account may be used.
    #[serde(default)]
    pub state: AccountState,
    /// Whether the account is locked temporarily, whatever passwords were tried.
    #[serde(default)]
    pub locked: bool,
    /// Whether the password has expired.
    #[serde(default)]
    pub password_expired: bool,
    /// Whether a new password must be set before the account is used.
    #[serde(default)]
    pub new_password_required: bool,
    /// Rights of the account out of those that COM needs; all four where absent.
    #[serde(default = "all_rights")]
    #[schemars(length(max = 4), extend("x-kubernetes-list-type" = "set"))]
    pub rights: Vec<Right>,
}

/// Whether an account may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum AccountState {
    /// It may be used.
    #[default]
    Enabled,
    /// It is off, for example because nobody switched it on.
    Disabled,
    /// An administrator switched it off.
    DisabledByAdministrator,
}

/// How many applications may be signed in to the system, and how many are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Sessions {
    /// Most applications signed in at a time, COM included.
    #[schemars(range(max = 1000))]
    pub limit: u32,
    /// How many are signed in without COM.
    #[schemars(range(max = 1000))]
    pub in_use: u32,
}

/// When wrong passwords lock an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Lockout {
    /// Wrong passwords in a row that lock an account.
    #[schemars(range(min = 1, max = 1000))]
    pub attempts: u32,
    /// Seconds an account then stays locked.
    #[schemars(range(min = 1, max = 86400))]
    pub seconds: u32,
}

/// The network between the system and COM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Network {
    /// Whether the system has a network.
    pub connected: bool,
    /// Only while not connected: packets vanish instead of connections being broken, so that COM hears nothing.
    pub silent: bool,
    /// Milliseconds a message takes in one direction.
    #[schemars(range(max = 60000))]
    pub latency_milliseconds: u32,
    /// Percentage of packets that are lost and sent again.
    #[schemars(range(max = 100))]
    pub loss_percent: u8,
}

/// The system's clock.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Clock {
    /// Seconds the system's clock is ahead of the true time; negative where it is behind.
    #[schemars(range(min = -3_153_600_000i64, max = 3_153_600_000i64))]
    pub offset_seconds: i64,
}

/// A server of the system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Server {
    /// Name, unique in the system.
    #[schemars(length(min = 1, max = 64))]
    pub name: String,
    /// What it does.
    pub role: ServerRole,
    /// Its software version; the primary's where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", regex(pattern = r"^[0-9]{1,6}(\.[0-9]{1,6}){1,5}$"), length(max = 41))]
    pub version: Option<SoftwareVersion>,
    /// Its address in the system's network; the system's own where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub address: Option<String>,
    /// Whether the primary reaches it. An application server also needs the service user `Adjunct Server` on the system, enabled and with a password, to join.
    #[serde(default = "yes")]
    pub online: bool,
}

/// A restart of the system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Reboot {
    /// Any text. The system restarts once each time it changes; what stands here when the system first starts restarts nothing.
    #[schemars(length(min = 1, max = 64))]
    pub token: String,
    /// Seconds the system is away.
    #[serde(default = "default_outage")]
    #[schemars(range(max = 86400))]
    pub outage_seconds: u32,
    /// Whether it restarts to finish an upgrade or a restore, and says so when it leaves.
    #[serde(default)]
    pub for_change: bool,
}

/// What the system writes into its log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Logging {
    /// Lines of everyday call traffic per minute, beside what really happens.
    #[schemars(range(max = 60000))]
    pub lines_per_minute: u32,
    /// Megabytes (10^6 bytes) of log files the system keeps; what such a system keeps where absent: 128 for `IP500 V2`, 4000 for the others.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 4000))]
    pub keep_megabytes: Option<u32>,
}

/// How the system takes a restore.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Restoring {
    /// Seconds the system is away to finish a restore.
    #[schemars(range(max = 86400))]
    pub outage_seconds: u32,
}

/// A Small Community Network: several control units that call each other without a dial prefix.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SmallCommunityNetwork {
    /// Name of the network.
    #[schemars(length(min = 1, max = 64))]
    pub name: String,
    /// Names of the other units.
    #[serde(default)]
    #[schemars(length(max = 32), inner(length(min = 1, max = 64)), extend("x-kubernetes-list-type" = "set"))]
    pub units: Vec<String>,
}

/// Phones that boot with the system and take their settings from it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Phones {
    /// How many.
    #[schemars(range(max = 50))]
    pub count: u32,
    /// Which series they are.
    pub series: PhoneSeries,
}

/// A series of phones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum PhoneSeries {
    /// 9600 series.
    #[serde(rename = "9600")]
    Series9600,
    /// J100 series.
    #[default]
    J100,
}

impl PhoneSeries {
    /// As users write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Series9600 => "9600",
            Self::J100 => "J100",
        }
    }
}

impl Default for Causes {
    fn default() -> Self {
        Self {
            profile: default_profile(),
            software_version: default_version(),
            system_name: None,
            system_id: None,
            time_zone: None,
            address: None,
            port: default_port(),
            service_users: Vec::new(),
            remote_operations: None,
            voicemail_backup: None,
            certificates: None,
            sessions: Sessions::default(),
            lockout: Lockout::default(),
            network: Network::default(),
            clock: Clock::default(),
            servers: Vec::new(),
            reboot: None,
            logging: Logging::default(),
            content: Content::default(),
            faults: Faults::default(),
            restore: Restoring::default(),
            small_community_network: None,
            phones: Phones::default(),
        }
    }
}

impl Default for Restoring {
    fn default() -> Self {
        Self { outage_seconds: 3 }
    }
}

impl Default for Sessions {
    fn default() -> Self {
        Self { limit: 10, in_use: 0 }
    }
}

impl Default for Lockout {
    fn default() -> Self {
        Self { attempts: 5, seconds: 600 }
    }
}

impl Default for Network {
    fn default() -> Self {
        Self { connected: true, silent: false, latency_milliseconds: 0, loss_percent: 0 }
    }
}

impl Default for Logging {
    fn default() -> Self {
        Self { lines_per_minute: 6, keep_megabytes: None }
    }
}

fn default_profile() -> Profile {
    Profile::Ip500V2
}

fn default_version() -> SoftwareVersion {
    "11.1.3.2.0".parse().expect("it is a version")
}

fn default_port() -> u16 {
    443
}

fn default_outage() -> u32 {
    30
}

fn all_rights() -> Vec<Right> {
    Right::ALL.to_vec()
}

fn yes() -> bool {
    true
}
