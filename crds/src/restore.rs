//! `Restore` (BACKUP-4): one backup back onto one system.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use crate::action::Phase;

/// Which backup, and onto which system.
#[derive(CustomResource, KubeSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "switchboard.dev",
    version = "v1alpha1",
    kind = "Restore",
    plural = "restores",
    shortname = "rst",
    category = "switchboard",
    namespaced,
    status = "RestoreStatus",
    derive = "PartialEq",
    doc = "Puts a backup, or chosen elements of it, back onto a system, at once. The system fetches and checks all of it before anything in use is touched, then restarts; the restore is complete when the system reports it. Never scheduled. Cannot be changed.",
    printcolumn = r#"{"name":"System","type":"string","jsonPath":".spec.ipOffice","description":"IPOffice that is restored"}"#,
    printcolumn = r#"{"name":"Phase","type":"string","jsonPath":".status.phase","description":"Where it stands; why is in the conditions"}"#,
    printcolumn = r#"{"name":"Backup ID","type":"string","jsonPath":".status.backupId","description":"The backup in the store"}"#,
    printcolumn = r#"{"name":"Dry Run","type":"boolean","jsonPath":".spec.dryRun","description":"Whether it only says what would change"}"#,
    printcolumn = r#"{"name":"Completed","type":"date","jsonPath":".status.completionTime","description":"When it ended"}"#,
    printcolumn = r#"{"name":"Name","type":"string","jsonPath":".spec.displayName","priority":1,"description":"Name for people"}"#,
    printcolumn = r#"{"name":"Progress","type":"string","jsonPath":".status.progress","priority":1,"description":"How far it is"}"#,
    printcolumn = r#"{"name":"Reason","type":"string","jsonPath":".status.conditions[?(@.type==\"Complete\")].reason","priority":1,"description":"Why it stands there, in a word"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = kube::core::Rule::new("self == oldSelf").message("a Restore cannot be changed; create another one"),
    validation = kube::core::Rule::new("(has(self.source.backup) ? 1 : 0) + (has(self.source.backupId) ? 1 : 0) + (has(self.source.latestBefore) ? 1 : 0) == 1")
        .message("source must have exactly one of backup, backupId and latestBefore"),
    validation = kube::core::Rule::new("!has(self.source.systemId) || !has(self.source.backup)")
        .message("source.systemId goes with backupId or latestBefore; a Backup says by itself of which system it is")
)]
pub struct RestoreSpec {
    /// Name of the IPOffice in the same namespace that is restored.
    #[schemars(length(min = 1, max = 253))]
    pub ip_office: String,
    /// Name of the ObjectStore that holds the backup.
    #[serde(default = "crate::action::default_store")]
    #[schemars(length(min = 1, max = 253))]
    pub object_store: String,
    /// Name of the restore for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub display_name: Option<String>,
    /// Which backup. Always one of the same customer.
    pub source: RestoreSource,
    /// What to restore out of it; everything in it where absent or empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "elements_schema")]
    pub elements: Vec<String>,
    /// Fetch and check the backup and say in status what it would change; change nothing.
    #[serde(default)]
    pub dry_run: bool,
}

/// Which backup: exactly one of `backup`, `backupId` and `latestBefore`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RestoreSource {
    /// Name of a Backup in the same namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub backup: Option<String>,
    /// Id of a backup in the store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 40), regex(pattern = r"^[0-9]{8}t[0-9]{6}z-[a-z0-9]{12}$"))]
    pub backup_id: Option<String>,
    /// The newest sound backup that was finished at this moment or before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "latest_before_schema")]
    pub latest_before: Option<Time>,
    /// Id of another system of the same customer whose backup it is: for a replacement. The restored system's own where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 22), regex(pattern = r"^[a-z0-9]+$"))]
    pub system_id: Option<String>,
}

/// How a restore stands.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RestoreStatus {
    /// Generation of the spec that the rest of the status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Conditions: `Complete` (the system reports that it was restored; or, in a dry run, what would change is in `elements`), `Failed` (it is not, and is not tried again), `Deletable` (only while the object is being deleted: what that waits for), `Paused`.
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
    /// What it does now: how many elements the system has fetched and checked, of how many; or that it restarts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<String>,
    /// Since when the system has been told to put the backup into use. From then on the restore is not called off any more; before, deleting the object calls it off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applying_since: Option<Time>,
    /// What was restored or, in a dry run, would be.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "restored_elements_schema")]
    pub elements: Vec<RestoredElement>,
    /// Number of the configuration in the backup.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub configuration_revision: Option<i64>,
}

/// An element of a restore.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RestoredElement {
    /// Which.
    pub element: String,
    /// Bytes of its archive.
    pub size: i64,
    /// What would change; in dry runs only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changes: Option<Changes>,
}

/// What a restore would change in an element, in files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Changes {
    /// In the backup and not on the system.
    pub added: u32,
    /// With another content.
    pub changed: u32,
    /// On the system and not in the backup: they would go.
    pub removed: u32,
    /// The same.
    pub unchanged: u32,
    /// Some that differ: `+` added, `~` changed, `-` removed. At most 20.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub examples: Vec<String>,
}

fn elements_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    crate::action::elements_schema(
        "What to restore out of the backup, named as in Backup.spec.elements; everything in it where absent or empty.",
    )
}

fn latest_before_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    crate::action::time_schema("The newest sound backup that was finished at this moment or before, with its offset from UTC.")
}

fn restored_elements_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
    let items = generator.subschema_for::<RestoredElement>();
    schemars::json_schema!({
        "type": "array",
        "description": "What was restored or, in a dry run, would be.",
        "maxItems": 2000,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["element"],
        "items": items
    })
}
