//! What the gateway asks about customers and systems. It knows no Kubernetes: whoever runs it answers.

use std::net::IpAddr;

use async_trait::async_trait;
use model::ids::{CustomerId, SystemKey};
use model::secret::Secret;
use model::system::Profile;
use model::version::SoftwareVersion;

/// Systems that nobody declared (FLEET-3), registered for one customer at most. Who has a customer's code can cause no more.
pub const REGISTRATIONS_OF_CUSTOMER: usize = 100;
/// The same for all customers together.
pub const REGISTRATIONS: usize = 1000;

/// Customers, systems and credentials, as the gateway needs them.
#[async_trait]
pub trait Directory: Send + Sync + 'static {
    /// The enrolment code of the customer's subscription, if the customer is known and has one. Answered from memory, without input or
    /// output: peers that proved nothing cause it.
    fn customer_code(&self, customer: &CustomerId) -> Option<Secret>;

    /// The system, if customer and system are known. Answered from memory.
    fn system(&self, key: &SystemKey) -> Option<SystemEntry>;

    /// Whether this enrolment is the system's after all: asked for a certificate that was proved, and that [`Directory::system`] does not show, because
    /// another replica may have recorded it a moment ago. Few at a time; the answer is remembered.
    async fn look_again(&self, key: &SystemKey, enrolment_id: &str) -> bool {
        let _ = (key, enrolment_id);
        false
    }

    /// Records that the system got a certificate under this enrolment id: one write. Called before the certificate is given out.
    ///
    /// When it returns `Ok`, [`Directory::system`] of this process must show the new id already, because the system connects at once.
    ///
    /// # Errors
    /// [`DirectoryError::AlreadyEnrolled`] if the system is enrolled and may not enrol again: of two simultaneous requests one gets this.
    async fn record_enrolment(&self, key: &SystemKey, enrolment_id: &str) -> Result<(), DirectoryError>;

    /// How a system stands that is not known, and whose customer's code was right. Answered from memory; `None`: it can be registered.
    fn registration(&self, key: &SystemKey) -> Option<Registered>;

    /// Registers a system that is not known, and whose customer's code was right: at most one write. Keeps to [`REGISTRATIONS_OF_CUSTOMER`]
    /// and [`REGISTRATIONS`]. From then on [`Directory::registration`] of this process must know it.
    ///
    /// # Errors
    /// It cannot be registered now, or the customer is gone.
    async fn register(&self, key: &SystemKey, candidate: &Candidate) -> Result<Registered, DirectoryError>;

    /// Credentials COM holds for the system; `None` if none are configured or their Secret is missing.
    ///
    /// # Errors
    /// They could not be read now.
    async fn credentials(&self, key: &SystemKey) -> Result<Option<Credentials>, DirectoryError>;
}

/// What is known of a system before it connects.
#[derive(Debug, Clone)]
pub struct SystemEntry {
    /// Enrolment id of the certificate that may connect; `None` if none may.
    pub enrolment_id: Option<String>,
    /// Whether the code may be exchanged for a certificate now.
    pub enrolment_allowed: bool,
}

/// What a system that nobody declared said of itself, bounded by the protocol, and where it dialled from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Name of the system.
    pub name: Option<String>,
    /// Kind of installation.
    pub profile: Option<Profile>,
    /// Software version.
    pub version: Option<SoftwareVersion>,
    /// Address it dialled from.
    pub address: IpAddr,
}

/// How a system stands that nobody declared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Registered {
    /// Somebody must decide.
    Waiting {
        /// Since when it is registered.
        since: jiff::Timestamp,
    },
    /// It was let in, and will be known in a moment.
    LetIn,
    /// It was denied.
    Denied,
    /// It was let in, and removed later: it does not come back by itself.
    Removed,
    /// [`REGISTRATIONS_OF_CUSTOMER`] are reached.
    CustomerFull,
    /// [`REGISTRATIONS`] are reached.
    Full,
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
