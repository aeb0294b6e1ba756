//! Enrolment: the code of the subscription e-mail becomes a client certificate, once.

use model::ids::{CustomerId, SystemId};
use model::secret::Secret;
use model::system::Profile;
use model::version::SoftwareVersion;
use serde::{Deserialize, Serialize};

/// Body of `POST /v1/enrol`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EnrolmentRequest {
    /// Protocol version of the system.
    pub protocol: u32,
    /// Customer id from the subscription.
    pub customer_id: CustomerId,
    /// The system's own id.
    pub system_id: SystemId,
    /// Enrolment code from the subscription.
    pub enrolment_code: Secret,
    /// PKCS #10 certificate request in PEM, signed by the key the certificate is for. Its subject is ignored: COM decides the name.
    pub certificate_request: String,
    /// Name of the system, 1 to [`LONGEST_NAME`] characters, shown to whoever decides about a system that nobody declared (FLEET-3).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system_name: Option<String>,
    /// Kind of installation, for the same purpose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<Profile>,
    /// Software version of the primary, for the same purpose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<SoftwareVersion>,
}

/// Longest [`EnrolmentRequest::system_name`], in characters.
pub const LONGEST_NAME: usize = 64;

/// Why an enrolment request is not taken although it could be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnrolmentRequestError {
    /// The name is empty or too long.
    #[error("systemName has {0} characters; send 1 to {LONGEST_NAME}, or leave it out")]
    NameLength(usize),
    /// The name would disturb a terminal.
    #[error("systemName has a control character; remove it, or leave systemName out")]
    NameCharacter,
}

impl EnrolmentRequest {
    /// Checks what the types do not say.
    ///
    /// # Errors
    /// The name is empty, too long, or has control characters.
    pub fn check(&self) -> Result<(), EnrolmentRequestError> {
        let Some(name) = &self.system_name else { return Ok(()) };
        let length = name.chars().count();
        if !(1..=LONGEST_NAME).contains(&length) {
            return Err(EnrolmentRequestError::NameLength(length));
        }
        if name.chars().any(char::is_control) { Err(EnrolmentRequestError::NameCharacter) } else { Ok(()) }
    }
}

/// Body of `POST /v1/renew`, sent with the client certificate that is to be replaced.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RenewalRequest {
    /// Protocol version of the system.
    pub protocol: u32,
    /// As in [`EnrolmentRequest::certificate_request`].
    pub certificate_request: String,
}

/// Answer to both: 200.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CertificateAnswer {
    /// Client certificate in PEM.
    pub certificate: String,
    /// The authority's certificate in PEM.
    pub authority: String,
    /// When to ask for a new one (RFC 3339); two thirds of the certificate's life.
    pub renew_after: jiff::Timestamp,
    /// End of the certificate (RFC 3339).
    pub expires: jiff::Timestamp,
}

/// Body of every refusal over HTTP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "camelCase")]
#[error("{message}")]
pub struct Problem {
    /// Machine-readable.
    pub reason: ProblemReason,
    /// What, why, what to do.
    pub message: String,
    /// Seconds to wait before the next try, where trying again can help.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_seconds: Option<u64>,
}

/// Why a request was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ProblemReason {
    /// Customer, system or code is wrong. Which of them is not said to a peer that proved nothing.
    NotRecognised,
    /// The system is enrolled already; an administrator must allow it again.
    AlreadyEnrolled,
    /// Too many tries; wait.
    TooManyRequests,
    /// Not JSON, a missing field, a bad certificate request.
    Malformed,
    /// Larger than [`crate::LARGEST_MESSAGE`].
    TooLarge,
    /// Protocol version not spoken here.
    UnsupportedVersion,
    /// The certificate does not stand for a system that may connect: revoked, replaced, or the system was deleted.
    CertificateNotAccepted,
    /// COM cannot answer now; try again.
    Unavailable,
    /// The code is right, but nobody declared the system: it is registered, and an administrator must approve it; try again later.
    ApprovalPending,
    /// The code is right, but an administrator denied the system, or removed it.
    Denied,
    /// The code is right, but as many systems as may wait are registered already.
    TooManyRegistrations,
}
