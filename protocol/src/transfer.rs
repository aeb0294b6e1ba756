//! Backups and restores: what a system packs, where it puts it, what it fetches (BACKUP-1, BACKUP-4). Bulk data goes between the system and the
//! object store; only orders and digests pass the session.
//!
//! All commands of one backup or restore carry the same operation id, that of the action. Each may be repeated at any time, also after the
//! session broke or either side restarted: what is done already is not done again. A system answers within [`WORK_SLICE`]; where the work is not
//! finished by then it answers [`Output::InProgress`] and goes on, and COM asks again with the same command.
//!
//! Elements are named as in `archive::element`, digests are 64 lower case hexadecimal digits.

use std::collections::BTreeMap;
use std::time::Duration;

use model::secret::Secret;
use serde::{Deserialize, Serialize};

/// Within this time a system answers, finished or not.
pub const WORK_SLICE: Duration = Duration::from_secs(10);
/// Most parts in one answer to [`crate::message::Command::DescribeParts`], so that it fits a message.
pub const MOST_PARTS_DESCRIBED: u32 = 1000;
/// Most parts in one [`crate::message::Command::UploadParts`], so that it fits a message.
pub const MOST_PARTS_ORDERED: usize = 64;

/// A request to the object store that the system may make. The URL is a secret: whoever has it may do what it says until it expires.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PresignedRequest {
    /// `PUT` or `GET`.
    pub method: String,
    /// URL with the signature in its query.
    pub url: Secret,
    /// Headers that are signed and must be sent as they are.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
}

/// Order to put one part of a packed element into the store.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PartUpload {
    /// Number of the part, from 1.
    pub number: u32,
    /// The request; the part's digest is among its signed headers.
    pub request: PresignedRequest,
}

/// An element that is packed on the system's disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PackedElement {
    /// Which.
    pub element: String,
    /// Bytes.
    pub size: u64,
    /// SHA-256 of all bytes.
    pub sha256: String,
    /// How many parts of the ordered size it has; at least 1.
    pub parts: u32,
}

/// One part of a packed element.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PartDigest {
    /// Bytes.
    pub size: u64,
    /// SHA-256 of these bytes.
    pub sha256: String,
}

/// Why a request to the store did not succeed. Nothing of the URL's query is in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StoreFailure {
    /// HTTP status; absent where no answer came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The store's own error code, for example `AccessDenied`; empty where it gave none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub code: String,
    /// What, why, what to do.
    pub message: String,
}

/// What a restore would change in one element.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ElementChanges {
    /// Which.
    pub element: String,
    /// Files that are in the backup and not on the system.
    pub added: u32,
    /// Files whose content differs.
    pub changed: u32,
    /// Files that are on the system and not in the backup: they go.
    pub removed: u32,
    /// Files that are the same.
    pub unchanged: u32,
    /// Some of those that differ, each with `+`, `~` or `-` and a blank before it; at most 20.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub examples: Vec<String>,
}

/// What a finished or running request gives beyond the configuration's number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "output", rename_all = "camelCase")]
pub enum Output {
    /// Not finished: ask again with the same command.
    #[serde(rename_all = "camelCase")]
    InProgress {
        /// Bytes done.
        done: u64,
        /// Bytes in all, as far as known; 0 where not.
        total: u64,
    },
    /// Answer to `prepareBackup`: the elements, in a fixed order.
    #[serde(rename_all = "camelCase")]
    Packed {
        /// The elements.
        elements: Vec<PackedElement>,
        /// When packing began, by the system's clock.
        started: jiff::Timestamp,
    },
    /// Answer to `describeParts`.
    #[serde(rename_all = "camelCase")]
    Parts {
        /// The parts from the number asked for on, in order.
        parts: Vec<PartDigest>,
    },
    /// Answer to `uploadParts`: what is in the store now. Parts that are not named were not put and need a new order.
    #[serde(rename_all = "camelCase")]
    Uploaded {
        /// Numbers of the parts.
        parts: Vec<u32>,
        /// Why it stopped before all were there; absent also where only its time was up.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        failure: Option<StoreFailure>,
    },
    /// Answer to `fetchElement`: it is on the system's disk, whole and checked.
    Fetched,
    /// `fetchElement` stopped: order again with a new request, it goes on where it stopped.
    #[serde(rename_all = "camelCase")]
    FetchStopped {
        /// Why.
        failure: StoreFailure,
    },
    /// Answer to `previewRestore`.
    #[serde(rename_all = "camelCase")]
    Preview {
        /// One for each element fetched.
        elements: Vec<ElementChanges>,
    },
}

/// The last restore of a system, reported after the restart that finished it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LastRestore {
    /// Operation id of the restore.
    pub operation: String,
    /// Backup that was restored.
    pub backup_id: String,
    /// Number of the configuration that was restored: that of the backup.
    pub configuration_revision: u64,
    /// What went wrong; absent where all was restored. What was there before is kept then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}
