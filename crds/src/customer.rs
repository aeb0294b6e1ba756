//! `Customer` (FLEET-1).

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

/// Who the customer is, who stands above it, and how to reach it.
#[derive(CustomResource, KubeSchema, Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "switchboard.dev",
    version = "v1alpha1",
    kind = "Customer",
    plural = "customers",
    shortname = "cust",
    category = "switchboard",
    namespaced,
    status = "CustomerStatus",
    derive = "PartialEq",
    doc = "A customer: whose telephone systems are managed. Systems name their customer; a customer that still has systems is deleted once they are gone.",
    printcolumn = r#"{"name":"Customer","type":"string","jsonPath":".spec.displayName","description":"Name of the customer for people"}"#,
    printcolumn = r#"{"name":"Ready","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].status","description":"Whether the customer's systems can enrol"}"#,
    printcolumn = r#"{"name":"Systems","type":"integer","jsonPath":".status.systems.total","description":"Systems of the customer"}"#,
    printcolumn = r#"{"name":"Green","type":"integer","jsonPath":".status.systems.green","description":"Systems connected and well"}"#,
    printcolumn = r#"{"name":"Amber","type":"integer","jsonPath":".status.systems.amber","description":"Systems connected, but not authorized or not complete"}"#,
    printcolumn = r#"{"name":"Red","type":"integer","jsonPath":".status.systems.red","description":"Systems without a connection"}"#,
    printcolumn = r#"{"name":"Customer ID","type":"string","jsonPath":".status.customerId","priority":1,"description":"The id in host names and store paths"}"#,
    printcolumn = r#"{"name":"Provider","type":"string","jsonPath":".spec.provider","priority":1,"description":"Provider above the reseller"}"#,
    printcolumn = r#"{"name":"Reseller","type":"string","jsonPath":".spec.reseller","priority":1,"description":"Reseller above the customer"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = kube::core::Rule::new("has(self.customerId) == has(oldSelf.customerId) && (!has(self.customerId) || self.customerId == oldSelf.customerId)")
        .message("customerId cannot be changed, added or removed once the customer exists: host names and backups carry it; delete the customer and create it again under the other id")
)]
pub struct CustomerSpec {
    /// Name of the customer for people, unique among the customers of the namespace.
    #[schemars(length(min = 1, max = 128))]
    pub display_name: String,
    /// Id of the customer outside the cluster: host names, store paths, subscription. 1 to 22 lower case letters and digits. Derived from namespace and name where absent, so that the same manifests always give the same id. Never changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 22), regex(pattern = r"^[a-z0-9]+$"))]
    pub customer_id: Option<String>,
    /// Provider (distributor) above the reseller. People whose labels hold the same word are assigned to the customer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub provider: Option<String>,
    /// Reseller above the customer. People whose labels hold the same word are assigned to the customer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub reseller: Option<String>,
    /// At most 5 words to find customers by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "tags_schema")]
    pub tags: Vec<String>,
    /// How to reach the customer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contact: Option<Contact>,
    /// Who looks after the systems on site. Gets the subscription e-mail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub technical_contact: Option<TechnicalContact>,
    /// Postal address of the site.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub address: Option<String>,
    /// Whatever else people who manage the customer should know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub notes: Option<String>,
    /// What happens when a system that nobody declared dials in with the customer's enrolment code. Manual: a Registration is made and waits for approval. Automatic: the system is let in at once.
    #[serde(default)]
    pub registration: RegistrationPolicy,
    /// Login names of people assigned to the customer by hand. Assignment counts in the dashboard; what kubectl may do is a matter of RBAC on the namespace.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "assigned_users_schema")]
    pub assigned_users: Vec<String>,
}

/// What happens when a system that nobody declared dials in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub enum RegistrationPolicy {
    /// Somebody must approve it.
    #[default]
    Manual,
    /// It is let in at once.
    Automatic,
}

/// How to reach a customer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Contact {
    /// Telephone number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32))]
    pub phone: Option<String>,
    /// E-mail address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 254), regex(pattern = r"^[^@\s]+@[^@\s]+$"))]
    pub email: Option<String>,
}

/// Who looks after the systems on site.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TechnicalContact {
    /// Name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub name: Option<String>,
    /// Telephone number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32))]
    pub phone: Option<String>,
    /// E-mail address: where the subscription e-mail goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 254), regex(pattern = r"^[^@\s]+@[^@\s]+$"))]
    pub email: Option<String>,
}

/// What is known of a customer.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CustomerStatus {
    /// Generation of the spec that the rest of the status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Conditions: `Ready` (systems of the customer can enrol), `Paused`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "crate::conditions::list_schema")]
    pub conditions: Vec<Condition>,
    /// The id in use: the one given, or the one derived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer_id: Option<String>,
    /// Secret of the same namespace with what a system of this customer needs to connect: gateway address, its certificate authority, customer id, enrolment code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscription_secret: Option<String>,
    /// How many systems the customer has, by colour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub systems: Option<SystemCounts>,
}

/// Systems by colour.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SystemCounts {
    /// All.
    pub total: u32,
    /// Connected and well.
    pub green: u32,
    /// Connected, but not authorized, or a server of the network is offline.
    pub amber: u32,
    /// Not connected, or never seen.
    pub red: u32,
}

fn words(maximum: u32, length: u32, description: &str) -> schemars::Schema {
    schemars::json_schema!({
        "type": "array",
        "description": description,
        "maxItems": maximum,
        "x-kubernetes-list-type": "set",
        "items": {"type": "string", "minLength": 1, "maxLength": length}
    })
}

fn tags_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    words(5, 64, "At most 5 words to find customers by.")
}

fn assigned_users_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    words(
        100,
        15,
        "Login names of people assigned to the customer by hand. Assignment counts in the dashboard; what kubectl may do is a matter of RBAC on the namespace.",
    )
}
