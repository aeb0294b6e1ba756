//! What the system proves itself with: its key and the certificate COM gave it, in one file that only its owner can read.

use jiff::Timestamp;
use model::ids::{CustomerId, SystemId};
use model::secret::Secret;
use serde::{Deserialize, Serialize};

/// Content of `identity.json`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct IdentityFile {
    /// What is used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current: Option<Identity>,
    /// Key a certificate was asked for. It is on the disk before it is sent, so that after a crash the same key asks again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending_key: Option<Secret>,
}

/// A certificate and its key.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Identity {
    /// Customer it stands for.
    pub customer_id: CustomerId,
    /// System it stands for.
    pub system_id: SystemId,
    /// PKCS #8 in PEM.
    pub private_key: Secret,
    /// Client certificate in PEM.
    pub certificate: String,
    /// The authority's certificate in PEM.
    pub authority: String,
    /// When to ask for a new one.
    pub renew_after: Timestamp,
    /// End of the certificate.
    pub expires: Timestamp,
}
