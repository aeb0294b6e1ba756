//! `IPOffice` (FLEET-2).

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use model::connectivity::Colour;
use model::switches::{CertificateSwitches, RemoteOperations, VoicemailBackup};
use model::system::{Profile, ServerRole};
use serde::{Deserialize, Serialize};

use crate::references::SecretKeyReference;

/// What the system is, what may be done with it, and the settings it should have. What it reports of itself is in status.
#[derive(CustomResource, KubeSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "switchboard.dev",
    version = "v1alpha1",
    kind = "IPOffice",
    plural = "ipoffices",
    singular = "ipoffice",
    shortname = "ipo",
    category = "switchboard",
    namespaced,
    status = "IPOfficeStatus",
    derive = "PartialEq",
    doc = "A telephone system: one IP500 V2 unit, or a Server Edition network with its primary, secondary, expansions and adjuncts. The system dials out to Switchboard; what it reports of itself is in status.",
    printcolumn = r#"{"name":"Customer","type":"string","jsonPath":".spec.customer","description":"Customer the system belongs to"}"#,
    printcolumn = r#"{"name":"Colour","type":"string","jsonPath":".status.connection.colour","description":"Red: no connection. Amber: connected, but not authorized or not complete. Green: connected and well"}"#,
    printcolumn = r#"{"name":"Ready","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].status","description":"Whether the system is green and its spec is carried out; why not is in the conditions"}"#,
    printcolumn = r#"{"name":"Connection","type":"string","jsonPath":".status.connection.message","description":"Connectivity message; where it ends in 'for last' the next column says how long"}"#,
    printcolumn = r#"{"name":"Since","type":"date","jsonPath":".status.connection.since","description":"How long the connection has been like that"}"#,
    printcolumn = r#"{"name":"Version","type":"string","jsonPath":".status.version","description":"Software version of the primary"}"#,
    printcolumn = r#"{"name":"Reason","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].reason","priority":1,"description":"Why it is ready or not, in a word"}"#,
    printcolumn = r#"{"name":"System Name","type":"string","jsonPath":".status.systemName","priority":1,"description":"Name the system reports"}"#,
    printcolumn = r#"{"name":"Profile","type":"string","jsonPath":".spec.profile","priority":1,"description":"Kind of installation"}"#,
    printcolumn = r#"{"name":"System ID","type":"string","jsonPath":".status.systemId","priority":1,"description":"The id in host names and store paths"}"#,
    printcolumn = r#"{"name":"Revision","type":"integer","jsonPath":".status.configurationRevision","priority":1,"description":"Number of the system's configuration"}"#,
    printcolumn = r#"{"name":"Operation","type":"string","jsonPath":".status.operation.kind","priority":1,"description":"The one action that may work on the system now"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = kube::core::Rule::new("self.customer == oldSelf.customer")
        .message("customer cannot be changed: host names and backups carry it; create the system again under the other customer"),
    validation = kube::core::Rule::new("has(self.systemId) == has(oldSelf.systemId) && (!has(self.systemId) || self.systemId == oldSelf.systemId)")
        .message("systemId cannot be changed, added or removed once the system exists: host names and backups carry it; create the system again under the other id"),
    validation = kube::core::Rule::new("!has(self.servers) || self.servers.size() == 0 || self.servers.exists_one(s, s.role == 'Primary')")
        .message("servers must have exactly one with the role Primary: it is the one that connects"),
    validation = kube::core::Rule::new("!has(self.servers) || self.servers.filter(s, s.role == 'Secondary').size() <= 1")
        .message("servers can have at most one with the role Secondary"),
    validation = kube::core::Rule::new("self.profile != 'IP500 V2' || !has(self.servers) || self.servers.all(s, s.role in ['Primary', 'ApplicationServer', 'UCM'])")
        .message("an IP500 V2 can have a Primary, application servers and UCM modules only; Secondary and Expansion belong to the profile Server Edition"),
    validation = kube::core::Rule::new("self.profile != 'ACCS' || !has(self.servers) || self.servers.all(s, s.role == 'Primary')")
        .message("an ACCS has one server, its Primary"),
)]
pub struct IPOfficeSpec {
    /// Name of the Customer in the same namespace. Cannot be changed.
    #[schemars(length(min = 1, max = 253))]
    pub customer: String,
    /// Id of the system outside the cluster, unique among the customer's systems: host names, store paths. 1 to 22 lower case letters and digits. Derived from namespace and name where absent. Never changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 22), regex(pattern = r"^[a-z0-9]+$"))]
    pub system_id: Option<String>,
    /// Kind of installation: a single IP500 V2 unit, a Server Edition network, or an ACCS.
    #[serde(default = "default_profile")]
    pub profile: Profile,
    /// The servers of the system. Where absent: one primary. In a Server Edition network only the primary connects; the others are reached through it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "servers_schema")]
    pub servers: Vec<Server>,
    /// The account on the system that COM signs in as. Without it the system is watched, and nothing else is possible.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_user: Option<ServiceUser>,
    /// IANA time zone of the system, such as Europe/London. Where absent the system's own setting stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), regex(pattern = r"^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*$"))]
    pub time_zone: Option<String>,
    /// Remote operations switches to set on the system. Each one that is absent stays as it is on the system. What is set on the system is in status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote_operations: Option<RemoteOperationsSettings>,
    /// What parts of voicemail go into automatic backups. Each one that is absent stays as it is on the system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub voicemail_backup: Option<VoicemailBackupOptions>,
    /// Certificate switches to set on the system. Each one that is absent stays as it is on the system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificates: Option<Certificates>,
    /// Tunnels through the system to servers beside it, for remote support.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "tunnels_schema")]
    pub tunnels: Vec<Tunnel>,
    /// Whether the system may enrol again although it did before. Set it for a replaced unit or a lost disk, and remove it afterwards: while it is set, whoever has the customer's enrolment code can take the system's place.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub allow_reenrolment: bool,
}

/// A server of a system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Server {
    /// Name, unique in the system.
    #[schemars(length(min = 1, max = 64))]
    pub name: String,
    /// What the server does.
    pub role: ServerRole,
    /// Address of the server in the customer's network, for notes: the address in use is reported by the system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub address: Option<String>,
}

/// The account on the system that COM signs in as.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceUser {
    /// Name of the account.
    #[serde(default = "default_service_user")]
    #[schemars(length(min = 1, max = 31))]
    pub name: String,
    /// Where its password is.
    pub password_secret: SecretKeyReference,
}

// FLEET-9.
/// Remote operations switches to set on a system. Off means refused, with the reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RemoteOperationsSettings {
    /// Centralized Management: System Status, SysMonitor and Web Manager through COM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub centralized_management: Option<bool>,
    /// Centralized Diagnostics Log: log files are collected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub centralized_diagnostics_log: Option<bool>,
    /// Remote Upgrade/Backup: backups, restores and upgrades; also starts the automatic backups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote_upgrade_backup: Option<bool>,
    /// Remote Access: HTTPS, SSH and RDP through COM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote_access: Option<bool>,
    /// Co-located Servers: Remote Access reaches servers beside the system through tunnels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub co_located_servers: Option<bool>,
}

/// What parts of voicemail go into automatic backups.
#[derive(KubeSchema, Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = kube::core::Rule::new("!has(self.mailboxes) || self.mailboxes.size() == 0 || (has(self.selectiveMailboxes) && self.selectiveMailboxes)")
    .message("mailboxes are backed up only with selectiveMailboxes: true; set it, or remove the mailboxes"))]
pub struct VoicemailBackupOptions {
    /// Configuration Backup: the configuration of the voicemail service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub configuration: Option<bool>,
    /// Custom Prompts Backup: the prompts in the custom prompts folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custom_prompts: Option<bool>,
    /// Selective Mailboxes Backup: the messages of the mailboxes below.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selective_mailboxes: Option<bool>,
    /// Mailboxes of Selective Mailboxes Backup, by extension number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "mailboxes_schema")]
    pub mailboxes: Option<Vec<String>>,
}

/// Certificate switches.
#[derive(KubeSchema, Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = kube::core::Rule::new("!has(self.automaticPhoneProvisioning) || !self.automaticPhoneProvisioning || (has(self.automaticCertificateManagement) && self.automaticCertificateManagement)")
    .message("automaticPhoneProvisioning works only together with automaticCertificateManagement: true"))]
pub struct Certificates {
    /// Automatic Certificate Management: COM provides the system's certificate and renews it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub automatic_certificate_management: Option<bool>,
    /// Automatic Phone Provisioning: phones follow when the system's certificate changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub automatic_phone_provisioning: Option<bool>,
}

// REMOTE-6.
/// A tunnel through the system to a server beside it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Tunnel {
    /// Name, unique in the system.
    #[schemars(length(min = 1, max = 64))]
    pub name: String,
    /// What the tunnel is for; decides the default port.
    pub application: TunnelApplication,
    /// Name of the server of this system it is routed through; the primary where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub through: Option<String>,
    /// Address of the server beside the system.
    #[schemars(length(min = 1, max = 253))]
    pub server_address: String,
    /// Port; where absent 22 for SSH, 3389 for RDP, 443 for HTTPS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<u16>,
}

/// What a tunnel is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub enum TunnelApplication {
    /// Secure shell and file transfer, port 22.
    SSH,
    /// Remote desktop, port 3389.
    RDP,
    /// Web pages, port 443.
    HTTPS,
}

/// What is known of a system.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IPOfficeStatus {
    /// Generation of the spec that the rest of the status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Conditions: `Ready` (green), `Connected` (a session stands), `Authorized` (the sign-in was accepted, with the rights it needs), `Enrolled`, `Valid` (the spec can be carried out), `Configured` (the system has the settings of the spec), `Paused`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "crate::conditions::list_schema")]
    pub conditions: Vec<Condition>,
    /// Customer id in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer_id: Option<String>,
    /// System id in use: the one given, or the one derived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system_id: Option<String>,
    /// The certificate that the system got when it enrolled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enrolment: Option<Enrolment>,
    /// The connection, in one colour and one message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection: Option<Connection>,
    // FLEET-7.
    /// The one action that may work on the system now. Granted by the controller of this kind alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<Operation>,
    /// Name the system reports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system_name: Option<String>,
    /// Address the system reports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Port the system reports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Kind of installation the system reports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<Profile>,
    /// Software version of the primary.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Time zone the system reports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// Servers the system reports.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "reported_servers_schema")]
    pub servers: Vec<ReportedServer>,
    /// Remote operations switches as set on the system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote_operations: Option<RemoteOperations>,
    /// Voicemail backup options as set on the system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub voicemail_backup: Option<VoicemailBackup>,
    /// Certificate switches as set on the system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificates: Option<CertificateSwitches>,
    /// Number of the system's configuration; one more with every change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub configuration_revision: Option<i64>,
    /// When the system last started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<Time>,
}

/// The certificate a system got when it enrolled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Enrolment {
    /// Id that the certificate carries; only the newest enrolment may connect.
    pub id: String,
    /// When the system enrolled.
    pub time: Time,
}

// FLEET-4, FLEET-5.
/// A connection in one colour and one message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Connection {
    /// Red: no connection. Amber: connected, but not authorized, or a server of its network is offline. Green: connected and well.
    pub colour: Colour,
    /// Connectivity message. Where it ends in 'for last', how long follows from `since`.
    pub message: String,
    /// Since when it is like that.
    pub since: Time,
}

/// The one action that may work on a system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Operation {
    /// Kind of the action's object.
    pub kind: String,
    /// Name of the action's object.
    pub name: String,
    /// Identity of the action's object.
    pub uid: String,
}

/// A server as the system reports it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReportedServer {
    /// Name.
    pub name: String,
    /// What it does.
    pub role: ServerRole,
    /// Its software version.
    pub version: String,
    /// Its address in the customer's network.
    pub address: String,
    /// Whether the primary reaches it.
    pub online: bool,
}

fn default_profile() -> Profile {
    Profile::Ip500V2
}

fn default_service_user() -> String {
    model::rights::DEFAULT_SERVICE_USER.to_owned()
}

fn named_list<T: schemars::JsonSchema>(generator: &mut schemars::SchemaGenerator, maximum: u32, description: &str) -> schemars::Schema {
    let items = generator.subschema_for::<T>();
    schemars::json_schema!({
        "type": "array",
        "description": description,
        "maxItems": maximum,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["name"],
        "items": items
    })
}

fn servers_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
    named_list::<Server>(
        generator,
        150,
        "The servers of the system. Where absent: one primary. In a Server Edition network only the primary connects; the others are reached through it.",
    )
}

fn tunnels_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
    named_list::<Tunnel>(generator, 100, "Tunnels through the system to servers beside it, for remote support.")
}

fn reported_servers_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
    named_list::<ReportedServer>(generator, 150, "Servers the system reports.")
}

fn mailboxes_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "array",
        "description": "Mailboxes of Selective Mailboxes Backup, by extension number.",
        "maxItems": 1000,
        "x-kubernetes-list-type": "set",
        "items": {"type": "string", "minLength": 1, "maxLength": 15, "pattern": "^[0-9]+$"}
    })
}
