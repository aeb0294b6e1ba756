//! `ObjectStore`: where backups are.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

/// Where the store is, and how to use it.
#[derive(CustomResource, KubeSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "switchboard.dev",
    version = "v1alpha1",
    kind = "ObjectStore",
    plural = "objectstores",
    shortname = "store",
    category = "switchboard",
    status = "ObjectStoreStatus",
    derive = "PartialEq",
    doc = "A bucket in a store that speaks S3. Backups go from the systems straight into it and come straight out of it; Switchboard itself only signs the requests, completes uploads and writes manifests. Cluster-scoped: administrators manage it, actions of every namespace use it by name.",
    printcolumn = r#"{"name":"Endpoint","type":"string","jsonPath":".spec.endpoint","description":"What Switchboard dials"}"#,
    printcolumn = r#"{"name":"Bucket","type":"string","jsonPath":".spec.bucket","description":"Bucket"}"#,
    printcolumn = r#"{"name":"Ready","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].status","description":"Whether the store can be used now"}"#,
    printcolumn = r#"{"name":"Reason","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].reason","description":"Why, in a word"}"#,
    printcolumn = r#"{"name":"System Endpoint","type":"string","jsonPath":".spec.systemEndpoint","priority":1,"description":"What systems dial, where it is another"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = kube::core::Rule::new("!has(self.certificateAuthority) || !self.certificateAuthority.contains('PRIVATE KEY')")
        .message("certificateAuthority holds a private key, and everybody who may read this object would have it; give certificates alone, and make a new key"),
    validation = kube::core::Rule::new("self.allowPlainHttp || self.endpoint.startsWith('https://')")
        .message("endpoint must begin with https://; for a store on the same machine or a trusted network set allowPlainHttp: true"),
    validation = kube::core::Rule::new("self.allowPlainHttp || !has(self.systemEndpoint) || self.systemEndpoint.startsWith('https://')")
        .message("systemEndpoint must begin with https://; for a store on the same machine or a trusted network set allowPlainHttp: true")
)]
pub struct ObjectStoreSpec {
    /// URL that Switchboard dials: scheme, host and port, without a path.
    #[schemars(length(min = 8, max = 300), regex(pattern = r"^https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?/?$"))]
    pub endpoint: String,
    /// URL that systems dial, where they reach the store under another name than Switchboard does. Presigned requests carry it: the signature covers the host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 8, max = 300), regex(pattern = r"^https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?/?$"))]
    pub system_endpoint: Option<String>,
    /// Bucket. It must exist.
    #[schemars(length(min = 3, max = 63), regex(pattern = r"^[a-z0-9][a-z0-9.-]*[a-z0-9]$"))]
    pub bucket: String,
    /// Put before every key, where the bucket is shared; ends in a slash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 256), regex(pattern = r"^[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*/$"))]
    pub prefix: Option<String>,
    /// Region that requests are signed for.
    #[serde(default = "default_region")]
    #[schemars(length(min = 1, max = 64))]
    pub region: String,
    /// Where the bucket stands in a URL: Path (endpoint/bucket/key), or VirtualHost (bucket.endpoint/key).
    #[serde(default)]
    pub addressing: AddressingStyle,
    /// Secret with `accessKeyId`, `secretAccessKey` and, for temporary credentials, `sessionToken`.
    pub credentials_secret: SecretReference,
    /// Certificate authorities of the store in PEM, trusted in place of the usual ones by Switchboard and by the systems.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 65536))]
    pub certificate_authority: Option<String>,
    /// Encryption that the store applies to what it keeps. Where absent: the bucket's own setting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encryption: Option<StoreEncryption>,
    /// Lock that the store puts on every object, so that nobody can delete backups before the time. The bucket must have been made with object lock. Retention of Switchboard cannot delete them either, and says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object_lock: Option<StoreLock>,
    /// Whether plain HTTP may be used. Whoever listens then reads the backups.
    #[serde(default)]
    pub allow_plain_http: bool,
}

/// A Secret anywhere in the cluster: the kind that refers to it is cluster-scoped.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretReference {
    /// Namespace of the Secret.
    #[schemars(length(min = 1, max = 63))]
    pub namespace: String,
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// Where the bucket stands in a URL.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub enum AddressingStyle {
    /// After the host.
    #[default]
    Path,
    /// In the host's name.
    VirtualHost,
}

/// Encryption that the store applies.
#[derive(KubeSchema, Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = kube::core::Rule::new("!has(self.keyId) || self.algorithm == 'KMS'")
    .message("keyId belongs to algorithm KMS; remove it, or set the algorithm"))]
pub struct StoreEncryption {
    /// S3Managed: keys of the store (SSE-S3). KMS: a key of its key management service (SSE-KMS).
    pub algorithm: EncryptionAlgorithm,
    /// Key of the key management service; its default key where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048))]
    pub key_id: Option<String>,
}

/// Who holds the keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub enum EncryptionAlgorithm {
    /// SSE-S3.
    S3Managed,
    /// SSE-KMS.
    #[serde(rename = "KMS")]
    Kms,
}

/// Lock that the store puts on every object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StoreLock {
    /// Governance: privileged users of the store may lift it. Compliance: nobody may.
    pub mode: StoreLockMode,
    /// Days it holds.
    #[schemars(range(min = 1, max = 36500))]
    pub days: u32,
}

/// Who may lift the lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub enum StoreLockMode {
    /// Privileged users of the store.
    Governance,
    /// Nobody.
    Compliance,
}

/// What is known of a store.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ObjectStoreStatus {
    /// Generation of the spec that the rest of the status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Conditions: `Ready` (actions may use it), `Reachable` (the last probe listed the bucket, and wrote, read and deleted an object), `Paused`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "crate::conditions::list_schema")]
    pub conditions: Vec<Condition>,
}

fn default_region() -> String {
    "us-east-1".to_owned()
}
