//! The manifest of a backup: written last, it makes the backup exist (promise 2). It says all that a restore and the catalogue need, so that both
//! work from the store alone.
//!
//! The form is versioned. Within a version only optional fields are added, and every reader skips those it does not know. What a reader must not
//! skip, for example a new sort of element, the writer names in `requires`; what changes the meaning of a field raises `schemaVersion`. Manifests
//! of every version stay readable for ever: `archive/fixtures/` holds one of each.

mod check;

use jiff::Timestamp;
use model::ids::{CustomerId, SystemId, SystemKey};
use model::system::{Profile, ServerRole};
use model::version::SoftwareVersion;
use serde::{Deserialize, Serialize};

pub use self::check::Fault;
pub use crate::digest::MOST_PARTS;
use crate::digest::{Composite, Part, Sha256};
use crate::element::{BackupElement, ElementKind, Occasion};
use crate::layout::{BackupId, Folder, MOST_ELEMENTS};

/// The version written here, and the highest one read.
pub const SCHEMA_VERSION: u32 = 1;
/// Names in `requires` that this reader knows.
const KNOWN_REQUIREMENTS: [&str; 0] = [];
/// Largest manifest in bytes. An element of 10 000 parts takes some 1.6 MiB.
pub const LARGEST: usize = 16 << 20;
/// Largest element in bytes, which is S3's limit (5 TiB).
pub const LARGEST_ELEMENT: u64 = 5 << 40;

/// A backup that exists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// Version of this form; [`SCHEMA_VERSION`] when written here.
    pub schema_version: u32,
    /// What a reader must know beyond this version to use the backup.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requires: Vec<String>,
    /// Program and version that wrote the manifest, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub written_by: String,
    /// Which backup.
    pub backup_id: BackupId,
    /// Whose.
    pub customer_id: CustomerId,
    /// Of what system.
    pub system_id: SystemId,
    /// The `IPOffice` object at that time.
    pub ip_office: ObjectReference,
    /// The `Backup` object that ordered it.
    pub backup: ObjectReference,
    /// Ordered by a person, or by a schedule.
    pub occasion: Occasion,
    /// Name that the person gave the backup (JOB-1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// When the system began to collect the backup.
    pub started: Timestamp,
    /// When the last element was in the store.
    pub finished: Timestamp,
    /// Software version of the primary.
    pub software_version: SoftwareVersion,
    /// Kind of installation.
    pub profile: Profile,
    /// Number of the system's configuration that was backed up; a restore is done when the system reports it as restored.
    pub configuration_revision: u64,
    /// Name the system reported.
    pub system_name: String,
    /// IANA time zone the system reported.
    pub time_zone: String,
    /// Servers of the system at that time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub servers: Vec<Server>,
    /// What is in the backup.
    pub elements: Vec<Element>,
    /// Sums over the elements.
    pub totals: Totals,
}

/// An object of Kubernetes at the time of the backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectReference {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// UID.
    pub uid: String,
}

/// A server of the system at the time of the backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Server {
    /// Name.
    pub name: String,
    /// What it did.
    pub role: ServerRole,
    /// Its software version.
    pub software_version: SoftwareVersion,
}

/// One element: one object in the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Element {
    /// What it is.
    pub element: BackupElement,
    /// Where it is; always in the backup's own folder.
    pub key: String,
    /// Bytes.
    pub size: u64,
    /// Digest of all bytes.
    pub sha256: Sha256,
    /// The parts it was uploaded in, in order.
    pub parts: Vec<Part>,
}

impl Element {
    /// What the store keeps as the checksum of this object.
    pub fn composite(&self) -> Composite {
        Composite::of(self.parts.iter().map(|part| &part.sha256))
    }
}

/// Sums over a backup's elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Totals {
    /// How many elements.
    pub elements: u64,
    /// How many parts in all.
    pub parts: u64,
    /// How many bytes in all.
    pub size: u64,
}

impl Totals {
    /// Of these elements. Sums stay at their highest value rather than wrap; such elements are refused by themselves.
    pub fn of(elements: &[Element]) -> Self {
        elements.iter().fold(Self { elements: 0, parts: 0, size: 0 }, |sum, element| Self {
            elements: sum.elements + 1,
            parts: sum.parts + element.parts.len() as u64,
            size: sum.size.saturating_add(element.size),
        })
    }
}

/// Why a manifest is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// Too many bytes.
    #[error(
        "the manifest has {0} bytes; one of this version has at most {LARGEST}; it was not written by Switchboard, restore another backup"
    )]
    TooLarge(usize),
    /// Not JSON, or not of this form.
    #[error("the manifest cannot be read: {0}; it was damaged or not written by Switchboard; restore another backup")]
    Unreadable(String),
    /// A version of the form that is not known yet.
    #[error(
        "the manifest has schemaVersion {0}, and this Switchboard reads up to {SCHEMA_VERSION}; a newer Switchboard wrote it: use that version"
    )]
    Future(u64),
    /// Something it needs that is not known yet.
    #[error("the manifest requires {}, which this Switchboard does not know; a newer one wrote it: use that version", .0.join(", "))]
    Requires(Vec<String>),
    /// Of another backup than its folder says.
    #[error("the manifest is of backup {} of system {}, but lies in the folder of {} of {}; it was copied there: restore from its own folder", found.id, found.system, folder.id, folder.system)]
    Foreign {
        /// Where it lies.
        folder: Box<Folder>,
        /// Of what it is.
        found: Box<Folder>,
    },
    /// It contradicts itself.
    #[error("the manifest contradicts itself: {}; it was damaged or not written by Switchboard; restore another backup", list(.0))]
    Inconsistent(Vec<Fault>),
}

impl ManifestError {
    /// Whether a newer Switchboard can use the backup: nothing is wrong with it.
    pub fn is_newer(&self) -> bool {
        match self {
            Self::Future(_) | Self::Requires(_) => true,
            Self::TooLarge(_) | Self::Unreadable(_) | Self::Foreign { .. } | Self::Inconsistent(_) => false,
        }
    }
}

fn list(faults: &[Fault]) -> String {
    let texts: Vec<_> = faults.iter().take(3).map(Fault::to_string).collect();
    let more = faults.len().saturating_sub(3);
    if more == 0 { texts.join("; ") } else { format!("{}; and {more} more", texts.join("; ")) }
}

/// The part of a manifest that every version has, read before anything else.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head {
    schema_version: u64,
    #[serde(default)]
    requires: Vec<String>,
}

impl Manifest {
    /// Where the backup is.
    pub fn folder(&self) -> Folder {
        Folder { system: SystemKey { customer: self.customer_id.clone(), system: self.system_id.clone() }, id: self.backup_id.clone() }
    }

    /// Whether there is content of this sort in the backup.
    pub fn holds(&self, kind: ElementKind) -> bool {
        self.elements.iter().any(|element| element.element.kind() == kind)
    }

    /// The bytes to store as `manifest.json`. Refuses to write what [`Manifest::read`] would not accept.
    pub fn write(&self) -> Result<Vec<u8>, ManifestError> {
        self.accept(&self.folder())?;
        let mut bytes = serde_json::to_vec_pretty(self).map_err(|error| ManifestError::Unreadable(error.to_string()))?;
        bytes.push(b'\n');
        if bytes.len() > LARGEST { Err(ManifestError::TooLarge(bytes.len())) } else { Ok(bytes) }
    }

    /// The manifest that lies in `folder`, if it is one that can be relied on.
    pub fn read(bytes: &[u8], folder: &Folder) -> Result<Self, ManifestError> {
        if bytes.len() > LARGEST {
            return Err(ManifestError::TooLarge(bytes.len()));
        }
        let unreadable = |error: serde_json::Error| ManifestError::Unreadable(error.to_string().chars().take(300).collect());
        let head: Head = serde_json::from_slice(bytes).map_err(unreadable)?;
        if head.schema_version == 0 {
            return Err(ManifestError::Unreadable("schemaVersion is 0, and the first version is 1".into()));
        }
        if head.schema_version > u64::from(SCHEMA_VERSION) {
            return Err(ManifestError::Future(head.schema_version));
        }
        refuse_unknown(&head.requires)?;
        let manifest: Self = serde_json::from_slice(bytes).map_err(unreadable)?;
        manifest.accept(folder)?;
        Ok(manifest)
    }

    fn accept(&self, folder: &Folder) -> Result<(), ManifestError> {
        refuse_unknown(&self.requires)?;
        let found = self.folder();
        if found != *folder {
            return Err(ManifestError::Foreign { folder: Box::new(folder.clone()), found: Box::new(found) });
        }
        let faults = check::faults(self);
        if faults.is_empty() { Ok(()) } else { Err(ManifestError::Inconsistent(faults)) }
    }
}

fn refuse_unknown(requires: &[String]) -> Result<(), ManifestError> {
    let unknown = requires.iter().filter(|name| !KNOWN_REQUIREMENTS.contains(&name.as_str()));
    let unknown: Vec<String> = unknown.take(10).map(|name| name.chars().filter(|c| !c.is_control()).take(60).collect()).collect();
    if unknown.is_empty() { Ok(()) } else { Err(ManifestError::Requires(unknown)) }
}

#[cfg(test)]
mod tests;
