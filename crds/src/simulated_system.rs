//! `SimulatedSystem`: a pretended telephone system in a pod. `IPOffice` knows nothing of it.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use model::causes::Causes;
use serde::{Deserialize, Serialize};

/// Whose system it pretends to be, and what it is like.
#[derive(CustomResource, KubeSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "simulation.switchboard.dev",
    version = "v1alpha1",
    kind = "SimulatedSystem",
    plural = "simulatedsystems",
    shortname = "sim",
    category = "switchboard",
    namespaced,
    status = "SimulatedSystemStatus",
    derive = "PartialEq",
    doc = "A pretended telephone system in a pod: a program with a disk, a clock and faults. Its fields are causes, never results: what follows from them shows at the IPOffice that it connects as.",
    printcolumn = r#"{"name":"Customer","type":"string","jsonPath":".spec.customer","description":"Customer whose subscription the system uses"}"#,
    printcolumn = r#"{"name":"System ID","type":"string","jsonPath":".status.systemId","description":"Id the system connects as"}"#,
    printcolumn = r#"{"name":"Ready","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].status","description":"Whether the pod runs and has booted"}"#,
    printcolumn = r#"{"name":"Reason","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].reason","description":"Why, in a word"}"#,
    printcolumn = r#"{"name":"Pod","type":"string","jsonPath":".status.pod","description":"Pod the system runs in"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = kube::core::Rule::new("self.customer == oldSelf.customer")
        .message("customer cannot be changed: the system's disk belongs to one subscription; create it again"),
    validation = kube::core::Rule::new("has(self.ipOffice) == has(oldSelf.ipOffice) && (!has(self.ipOffice) || self.ipOffice == oldSelf.ipOffice)")
        .message("ipOffice cannot be changed: the system's disk holds one identity; create it again"),
    validation = kube::core::Rule::new("has(self.undeclared) == has(oldSelf.undeclared) && (!has(self.undeclared) || self.undeclared.systemId == oldSelf.undeclared.systemId)")
        .message("undeclared cannot be changed, added or removed: the system's disk holds one identity; create it again"),
    validation = kube::core::Rule::new("!has(self.undeclared) || !has(self.ipOffice)")
        .message("give ipOffice or undeclared, not both: a system that is undeclared connects as no IPOffice that exists beforehand")
)]
pub struct SimulatedSystemSpec {
    /// Name of the Customer in the same namespace whose subscription the system uses.
    #[schemars(length(min = 1, max = 253))]
    pub customer: String,
    /// Name of the IPOffice in the same namespace that the system connects as. Where absent: the one of the same name as this object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub ip_office: Option<String>,
    /// Where given, the system dials in although no IPOffice declares it, as one that was set up on site with its customer's subscription and nobody told Switchboard of. It shows up as a Registration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undeclared: Option<Undeclared>,
    /// Secret of the same namespace with the passwords of the service users, one key each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub passwords_secret: Option<String>,
    /// What the system is like: accounts, rights, switches, network, clock, reboots. Changes take effect while it runs.
    #[serde(default)]
    pub causes: Causes,
}

/// A system that no IPOffice declares.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Undeclared {
    /// Id the system calls itself by, among the customer's systems.
    #[schemars(length(min = 1, max = 22), regex(pattern = r"^[a-z0-9]+$"))]
    pub system_id: String,
}

/// What is known of a simulated system.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SimulatedSystemStatus {
    /// Generation of the spec that the rest of the status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Conditions: `Ready` (the pod runs and has booted), `Paused`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "crate::conditions::list_schema")]
    pub conditions: Vec<Condition>,
    /// Pod the system runs in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<String>,
    /// Id the system connects as.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system_id: Option<String>,
}
