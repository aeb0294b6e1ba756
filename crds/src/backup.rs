//! `Backup` (BACKUP-1): one backup of one system, ordered by a person.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use crate::action::Phase;

/// What to back up, and when.
#[derive(CustomResource, KubeSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "switchboard.dev",
    version = "v1alpha1",
    kind = "Backup",
    plural = "backups",
    shortname = "bak",
    category = "switchboard",
    namespaced,
    status = "BackupStatus",
    derive = "PartialEq",
    doc = "One backup of one system, at once or at a set time. The object is the order and its report; the backup itself is in the object store, with a manifest that makes it exist, and outlives the object. The newest 3 completed objects of a system stay.",
    printcolumn = r#"{"name":"System","type":"string","jsonPath":".spec.ipOffice","description":"IPOffice that is backed up"}"#,
    printcolumn = r#"{"name":"Phase","type":"string","jsonPath":".status.phase","description":"Where it stands; why is in the conditions"}"#,
    printcolumn = r#"{"name":"Backup ID","type":"string","jsonPath":".status.backupId","description":"The backup in the store"}"#,
    printcolumn = r#"{"name":"Size","type":"integer","jsonPath":".status.size","description":"Bytes of all elements"}"#,
    printcolumn = r#"{"name":"Completed","type":"date","jsonPath":".status.completionTime","description":"When it ended"}"#,
    printcolumn = r#"{"name":"Name","type":"string","jsonPath":".spec.displayName","priority":1,"description":"Name for people"}"#,
    printcolumn = r#"{"name":"Reason","type":"string","jsonPath":".status.conditions[?(@.type==\"Complete\")].reason","priority":1,"description":"Why it stands there, in a word"}"#,
    printcolumn = r#"{"name":"Starts","type":"string","jsonPath":".spec.startTime","priority":1,"description":"When it is to begin"}"#,
    printcolumn = r#"{"name":"Progress","type":"string","jsonPath":".status.progress","priority":1,"description":"How far it is"}"#,
    printcolumn = r#"{"name":"Store","type":"string","jsonPath":".spec.objectStore","priority":1,"description":"ObjectStore it goes to"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = kube::core::Rule::new("self.ipOffice == oldSelf.ipOffice && self.objectStore == oldSelf.objectStore && has(self.displayName) == has(oldSelf.displayName) && (!has(self.displayName) || self.displayName == oldSelf.displayName) && has(self.elements) == has(oldSelf.elements) && (!has(self.elements) || self.elements == oldSelf.elements) && has(self.startTime) == has(oldSelf.startTime) && (!has(self.startTime) || self.startTime == oldSelf.startTime)")
        .message("a Backup cannot be changed, but for paused, stopped and deletionPolicy; create another one"),
    validation = kube::core::Rule::new("!oldSelf.stopped || self.stopped")
        .message("stopped is final; create another Backup"),
    validation = kube::core::Rule::new("!has(self.elements) || !(self.elements.exists(e, e == 'AllVoicemails') && self.elements.exists(e, e == 'SelectiveVoicemails'))")
        .message("SelectiveVoicemails and AllVoicemails cannot be in one backup, because the messages would be in it twice; keep one of the two")
)]
pub struct BackupSpec {
    /// Name of the IPOffice in the same namespace.
    #[schemars(length(min = 1, max = 253))]
    pub ip_office: String,
    /// Name of the ObjectStore that the backup goes to.
    #[serde(default = "crate::action::default_store")]
    #[schemars(length(min = 1, max = 253))]
    pub object_store: String,
    /// Name of the backup for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub display_name: Option<String>,
    /// What to back up. Where absent or empty: all configuration, voicemail configuration and custom prompts, as far as the system has them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "elements_schema")]
    pub elements: Vec<String>,
    /// When to begin; at once where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "start_time_schema")]
    pub start_time: Option<Time>,
    /// Sets a scheduled backup aside until it is taken back. Has no effect once the backup has begun.
    #[serde(default)]
    pub paused: bool,
    /// Calls a backup off that has not begun. Final. Has no effect once the backup has begun.
    #[serde(default)]
    pub stopped: bool,
    /// What happens to the backup in the store when this object is deleted: it stays (Retain), or goes (Delete).
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
}

/// What happens to a backup when its object is deleted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub enum DeletionPolicy {
    /// It stays in the store.
    #[default]
    Retain,
    /// It is deleted from the store.
    Delete,
}

/// How a backup stands.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BackupStatus {
    /// Generation of the spec that the rest of the status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Conditions: `Complete` (the backup is in the store, its sizes and digests confirmed), `Failed` (it is not, and is not tried again), `Deletable` (only while the object is being deleted: what that waits for), `Paused`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "crate::conditions::list_schema")]
    pub conditions: Vec<Condition>,
    /// Where it stands, in a word. For people; wait for conditions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    /// The backup in the store. Set before the system is asked to do anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup_id: Option<String>,
    /// Beginning of the keys of the backup in the store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<String>,
    /// UID of the IPOffice when it began. One that is made anew under the same name is another system's, and ends it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system_uid: Option<String>,
    /// When it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Time>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completion_time: Option<Time>,
    /// How many elements are in the store, of how many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<String>,
    /// Bytes of all elements.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<i64>,
    /// What is in the backup.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "stored_elements_schema")]
    pub elements: Vec<StoredElement>,
    /// Number of the configuration that was backed up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub configuration_revision: Option<i64>,
}

/// An element in the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StoredElement {
    /// Which.
    pub element: String,
    /// Bytes.
    pub size: i64,
    /// SHA-256 of its bytes.
    pub sha256: String,
}

fn elements_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    crate::action::elements_schema(
        "What to back up: Configuration (all services on all servers), Configuration/<service>, Configuration/<service>/<server>, VoicemailConfiguration, CustomPrompts, SelectiveVoicemails (the mailboxes selected on the system) or AllVoicemails. Where absent or empty: all configuration, voicemail configuration and custom prompts, as far as the system has them. An IP500 V2 gives its configuration only.",
    )
}

fn start_time_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    crate::action::time_schema("When to begin, with its offset from UTC, such as 2026-12-24T02:00:00+01:00. At once where absent or past.")
}

fn stored_elements_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
    let items = generator.subschema_for::<StoredElement>();
    schemars::json_schema!({
        "type": "array",
        "description": "What is in the backup.",
        "maxItems": 2000,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["element"],
        "items": items
    })
}
