//! `Registration` (FLEET-3): a system that nobody declared and that knows its customer's enrolment code.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

/// Which system, and whether it is let in.
#[derive(CustomResource, KubeSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "switchboard.dev",
    version = "v1alpha1",
    kind = "Registration",
    plural = "registrations",
    shortname = "reg",
    category = "switchboard",
    namespaced,
    status = "RegistrationStatus",
    derive = "PartialEq",
    doc = "A system that nobody declared, that dialled in and proved that it knows the enrolment code of its customer. Made by Switchboard; approve it to have its IPOffice made, deny it to send the system away, or delete it to have it come again.",
    printcolumn = r#"{"name":"Customer","type":"string","jsonPath":".spec.customer","description":"Customer whose enrolment code it knows"}"#,
    printcolumn = r#"{"name":"System ID","type":"string","jsonPath":".spec.systemId","description":"Id the system calls itself by"}"#,
    printcolumn = r#"{"name":"System Name","type":"string","jsonPath":".spec.systemName","description":"Name the system gave"}"#,
    printcolumn = r#"{"name":"Profile","type":"string","jsonPath":".spec.profile","description":"Kind of installation it says it is"}"#,
    printcolumn = r#"{"name":"Decision","type":"string","jsonPath":".spec.decision","description":"Pending, Approved or Denied"}"#,
    printcolumn = r#"{"name":"Ready","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].status","description":"Whether the IPOffice was made"}"#,
    printcolumn = r#"{"name":"Address","type":"string","jsonPath":".spec.address","priority":1,"description":"Address it dialled from"}"#,
    printcolumn = r#"{"name":"Version","type":"string","jsonPath":".spec.version","priority":1,"description":"Software version it gave"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = kube::core::Rule::new("self.customer == oldSelf.customer && self.systemId == oldSelf.systemId")
        .message("customer and systemId are what the system said and cannot be changed"),
    validation = kube::core::Rule::new("oldSelf.decision != 'Approved' || self.decision == 'Approved'")
        .message("an approved registration stays approved; delete the IPOffice to send the system away")
)]
pub struct RegistrationSpec {
    /// Name of the Customer in the same namespace.
    #[schemars(length(min = 1, max = 253))]
    pub customer: String,
    /// Id the system calls itself by.
    #[schemars(length(min = 1, max = 22), regex(pattern = r"^[a-z0-9]+$"))]
    pub system_id: String,
    /// Name the system gave.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub system_name: Option<String>,
    /// Kind of installation it says it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<model::system::Profile>,
    /// Software version it gave.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 41))]
    pub version: Option<String>,
    /// Address it dialled from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub address: Option<String>,
    /// Approved: make its IPOffice. Denied: send it away. Pending: it waits.
    #[serde(default)]
    pub decision: Decision,
    /// Name of the IPOffice to make; `<customer>-<system id>` where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9][a-z0-9.-]*$"))]
    pub ip_office: Option<String>,
}

/// Whether a system is let in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub enum Decision {
    /// Nobody decided yet.
    #[default]
    Pending,
    /// Its IPOffice is made.
    Approved,
    /// It is sent away.
    Denied,
}

/// How a registration stands.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RegistrationStatus {
    /// Generation of the spec that the rest of the status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Conditions: `Ready` (the IPOffice was made), `Paused`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "crate::conditions::list_schema")]
    pub conditions: Vec<Condition>,
    /// The IPOffice that was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip_office: Option<String>,
}
