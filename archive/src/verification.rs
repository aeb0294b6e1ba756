//! What reading a backup again has found. `Completed` means that the store confirmed sizes and digests; only reading every byte, or restoring it,
//! finds a store that lies. The record lies beside the manifest, because manifests are never written twice, and the catalogue is the store.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::digest::Sha256;
use crate::layout::BackupId;

/// The version written here, and the highest one read.
pub const SCHEMA_VERSION: u32 = 1;
/// Largest record in bytes.
pub const LARGEST: usize = 64 << 10;

/// How the backup was proved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Method {
    /// Every byte was read and its digest compared.
    Reading,
    /// It was restored into a scratch system and found equal (BEYOND-2).
    Drill,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome")]
pub enum Outcome {
    /// Everything is as the manifest says.
    Verified,
    /// It is not.
    Damaged {
        /// What differs: element and place, no content.
        reason: String,
    },
}

/// The record of one verification. The newest replaces the one before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// Version of this form.
    pub schema_version: u32,
    /// Which backup.
    pub backup_id: BackupId,
    /// Digest of the manifest's bytes: a record says nothing about another manifest.
    pub manifest_sha256: Sha256,
    /// When.
    pub time: Timestamp,
    /// How.
    pub method: Method,
    /// What was found.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// The part of a record that every version has.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head {
    schema_version: u64,
}

/// What is known of a complete backup's bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Soundness {
    /// Nobody has read it again yet.
    Unverified,
    /// Read again and found whole, at this time.
    Verified(Timestamp),
    /// Read again and found damaged.
    Damaged(String),
}

impl Record {
    /// The bytes to store as `verification.json`.
    pub fn write(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec_pretty(self).expect("a record has text keys and no maps");
        bytes.push(b'\n');
        bytes
    }
}

impl Soundness {
    /// What a record says about the backup `id` with this manifest. A record that cannot be read or is about something else says nothing: the
    /// backup counts as unverified, and is verified again. None for a record that only a newer Switchboard understands: nothing may be concluded.
    pub fn from_record(bytes: &[u8], id: &BackupId, manifest: Sha256) -> Option<Self> {
        if bytes.len() > LARGEST {
            return Some(Self::Unverified);
        }
        if serde_json::from_slice::<Head>(bytes).is_ok_and(|head| head.schema_version > u64::from(SCHEMA_VERSION)) {
            return None;
        }
        let soundness = match serde_json::from_slice::<Record>(bytes) {
            Ok(record) if record.backup_id == *id && record.manifest_sha256 == manifest => match record.outcome {
                Outcome::Verified => Self::Verified(record.time),
                Outcome::Damaged { reason } => Self::Damaged(reason),
            },
            Ok(_) | Err(_) => Self::Unverified,
        };
        Some(soundness)
    }
    /// Whether the backup may be restored as far as is known.
    pub fn is_sound(&self) -> bool {
        !matches!(self, Self::Damaged(_))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn record(outcome: Outcome) -> Record {
        let time: Timestamp = "2026-11-23T05:00:00Z".parse().unwrap();
        Record {
            schema_version: SCHEMA_VERSION,
            backup_id: BackupId::new("2026-11-22T02:13:05Z".parse().unwrap(), "uid").unwrap(),
            manifest_sha256: Sha256::of(b"manifest"),
            time,
            method: Method::Reading,
            outcome,
        }
    }

    #[test]
    fn a_record_tells_about_its_own_backup_and_manifest_only() {
        let verified = record(Outcome::Verified);
        let (bytes, id, manifest) = (verified.write(), &verified.backup_id, verified.manifest_sha256);
        assert_eq!(Soundness::from_record(&bytes, id, manifest), Some(Soundness::Verified(verified.time)));
        assert_eq!(Soundness::from_record(&bytes, id, Sha256::of(b"other")), Some(Soundness::Unverified));
        let other = BackupId::new(id.created(), "other").unwrap();
        assert_eq!(Soundness::from_record(&bytes, &other, manifest), Some(Soundness::Unverified));
        let damaged = record(Outcome::Damaged { reason: "CustomPrompts, part 3".into() }).write();
        let soundness = Soundness::from_record(&damaged, id, manifest).unwrap();
        assert!(!soundness.is_sound() && soundness == Soundness::Damaged("CustomPrompts, part 3".into()));
    }

    #[test]
    fn a_record_that_cannot_be_read_says_nothing() {
        let verified = record(Outcome::Verified);
        let read = |bytes: &[u8]| Soundness::from_record(bytes, &verified.backup_id, verified.manifest_sha256);
        let spaces = [verified.write(), vec![b' '; LARGEST]].concat();
        for bytes in [&b""[..], b"{}", b"null", &spaces] {
            assert_eq!(read(bytes), Some(Soundness::Unverified));
        }
        assert_eq!(read(b"{\"schemaVersion\": 2, \"else\": 1}"), None, "a newer one may say anything");
    }

    #[test]
    fn the_form_of_version_1_stays() {
        let text = String::from_utf8(record(Outcome::Verified).write()).unwrap();
        let expected = serde_json::json!({
            "schemaVersion": 1, "backupId": record(Outcome::Verified).backup_id.as_str(), "manifestSha256": Sha256::of(b"manifest").to_string(),
            "time": "2026-11-23T05:00:00Z", "method": "Reading", "outcome": "Verified"
        });
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), expected);
    }
}
