//! What stands in `object.json` and `upload.json`.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::digest::{Algorithm, Checksum};

/// The form of the records. A server refuses higher ones than it knows.
pub(crate) const FORM: u32 = 1;

/// What a client said of an object and wants back with it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Headers {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) content_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) content_encoding: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) content_disposition: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) content_language: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cache_control: Option<String>,
    /// A date as in HTTP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) expires: Option<String>,
    /// Of `x-amz-meta-…`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) metadata: BTreeMap<String, String>,
}

/// A checksum as S3 prints it: Base64, and for the composite of several parts `-<parts>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Printed {
    pub(crate) algorithm: Algorithm,
    pub(crate) value: String,
}

impl Printed {
    pub(crate) fn is_composite(&self) -> bool {
        self.value.contains('-')
    }
}

impl From<&Checksum> for Printed {
    fn from(checksum: &Checksum) -> Self {
        Self { algorithm: checksum.algorithm, value: checksum.to_base64() }
    }
}

/// A part of an object: the file `part-<number>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Part {
    /// 1 to 10 000.
    pub(crate) number: u32,
    /// Bytes.
    pub(crate) size: u64,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) checksum: Option<Printed>,
}

impl Part {
    /// Its file in the object's folder.
    pub(crate) fn file(number: u32) -> String {
        format!("part-{number:05}")
    }
}

/// An object: `object.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Object {
    pub(crate) form: u32,
    pub(crate) key: String,
    /// Bytes.
    pub(crate) size: u64,
    /// Milliseconds since 1970.
    pub(crate) modified: u64,
    /// Without quotes.
    pub(crate) etag: String,
    #[serde(flatten)]
    pub(crate) headers: Headers,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) checksum: Option<Printed>,
    /// The upload it was completed from.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) upload: Option<String>,
    pub(crate) parts: Vec<Part>,
}

/// An upload in parts: `upload.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Upload {
    pub(crate) form: u32,
    pub(crate) key: String,
    /// Milliseconds since 1970.
    pub(crate) initiated: u64,
    /// What every part must come with.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) algorithm: Option<Algorithm>,
    #[serde(flatten)]
    pub(crate) headers: Headers,
}

/// A bucket: `bucket.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Bucket {
    pub(crate) form: u32,
    /// Milliseconds since 1970.
    pub(crate) created: u64,
}

/// Milliseconds since 1970.
pub(crate) fn now() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
}

/// The reverse of [`now`].
pub(crate) fn time(milliseconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(milliseconds)
}
