//! What the gateway asks about customers and systems. It knows no Kubernetes: whoever runs it answers.

use async_trait::async_trait;
use model::ids::SystemKey;
use model::secret::Secret;

/// Customers, systems and credentials, as the gateway needs them.
#[async_trait]
pub trait Directory: Send + Sync + 'static {
    /// The system, if customer and system are known. Answered from memory, without input or output: peers that proved nothing cause it.
    fn system(&self, key: &SystemKey) -> Option<SystemEntry>;

    /// Records that the system got a certificate under this enrolment id: one write. Called before the certificate is given out.
    ///
    /// When it returns `Ok`, [`Directory::system`] of this process must show the new id already, because the system connects at once.
    ///
    /// # Errors
    /// [`DirectoryError::AlreadyEnrolled`] if the system is enrolled and may not enrol again: of two simultaneous requests one gets this.
    async fn record_enrolment(&self, key: &SystemKey, enrolment_id: &str) -> Result<(), DirectoryError>;

    /// Credentials COM holds for the system; `None` if none are configured or their Secret is missing.
    ///
    /// # Errors
    /// They could not be read now.
    async fn credentials(&self, key: &SystemKey) -> Result<Option<Credentials>, DirectoryError>;
}

/// What is known of a system before it connects.
#[derive(Debug, Clone)]
pub struct SystemEntry {
    /// The enrolment code of its subscription; without one nothing can be enrolled.
    pub enrolment_code: Option<Secret>,
    /// Enrolment id of the certificate that may connect; `None` if none may.
    pub enrolment_id: Option<String>,
    /// Whether the code may be exchanged for a certificate now.
    pub enrolment_allowed: bool,
}

/// Name and password of the service user on a system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// Service user, usually `COMAdmin`.
    pub user: String,
    /// Its password.
    pub password: Secret,
}

/// Why the directory did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DirectoryError {
    /// The system has a certificate and may not get another by its code.
    #[error("the system is enrolled already; an administrator must allow it to enrol again")]
    AlreadyEnrolled,
    /// The directory cannot answer now.
    #[error("the directory cannot answer now ({0}); try again")]
    Unavailable(String),
    /// No such customer or system, any more.
    #[error("the directory does not know the system; was it deleted?")]
    Unknown,
}
