//! Uploads in parts: begun and finished here, the parts are put by systems ([`crate::presign`]).

use std::collections::HashMap;
use std::time::Duration;

use archive::digest::Sha256;
use aws_sdk_s3::Config;
use aws_sdk_s3::primitives::DateTime;
use aws_sdk_s3::types::{ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart, EncodingType, MultipartUpload, Part};
use jiff::Timestamp;

use crate::client::{ObjectClient, timeouts};
use crate::error::{StoreError, classify};
use crate::listing::{decoded, next};
use crate::objects::DIGEST;

/// Longest time of one attempt to finish an upload: some stores copy the parts together before they answer.
pub const FINISH_TIMEOUT: Duration = Duration::from_secs(60);

/// An upload that is not finished.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upload {
    /// Key of the object it becomes.
    pub key: String,
    /// The store's id of it.
    pub id: String,
    /// When it was begun.
    pub started: Timestamp,
}

/// A part that is in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadedPart {
    /// Its number, from 1.
    pub number: u32,
    /// Bytes.
    pub size: u64,
    /// Its ETag.
    pub etag: String,
    /// Its SHA-256 as the store lists it; none where the store does not, and then nothing confirms the bytes but that the store took them with the
    /// digest signed.
    pub sha256: Option<Sha256>,
}

impl ObjectClient {
    /// Unfinished uploads of keys below `prefix`, oldest first.
    pub async fn find_uploads(&self, prefix: &str) -> Result<Vec<Upload>, StoreError> {
        let what = format!("list uploads of {prefix}");
        let mut found = Vec::new();
        let (mut key_marker, mut id_marker): (Option<String>, Option<String>) = (None, None);
        loop {
            let request = self.client().list_multipart_uploads().bucket(self.bucket()).prefix(self.full_key(prefix));
            let request =
                request.encoding_type(EncodingType::Url).set_key_marker(key_marker.clone()).set_upload_id_marker(id_marker.clone());
            let page = request.send().await.map_err(|error| classify(error, self.asked(&what)))?;
            let encoded = page.encoding_type() == Some(&EncodingType::Url);
            // Stores that list the uploads of other keys too are known.
            found.extend(
                page.uploads().iter().filter_map(|upload| self.upload(upload, encoded)).filter(|upload| upload.key.starts_with(prefix)),
            );
            let marker = |key: Option<&str>, id: Option<&str>| key.map(|key| format!("{key}\n{}", id.unwrap_or_default()));
            let named = marker(page.next_key_marker().map(|key| decoded(key, encoded)).as_deref(), page.next_upload_id_marker());
            let before = marker(key_marker.as_deref(), id_marker.as_deref());
            if next(page.is_truncated(), named.as_deref(), before.as_deref(), prefix)?.is_none() {
                break;
            }
            key_marker = page.next_key_marker().map(|key| decoded(key, encoded));
            id_marker = page.next_upload_id_marker().filter(|id| !id.is_empty()).map(str::to_owned);
        }
        found.sort_by(|left, right| (left.started, &left.key, &left.id).cmp(&(right.started, &right.key, &right.id)));
        Ok(found)
    }

    fn upload(&self, listed: &MultipartUpload, encoded: bool) -> Option<Upload> {
        let key = decoded(listed.key()?, encoded);
        let started = listed.initiated().and_then(timestamp).unwrap_or(Timestamp::UNIX_EPOCH);
        Some(Upload { key: self.own_key(&key)?.to_owned(), id: listed.upload_id()?.to_owned(), started })
    }

    /// Begins an upload, with SHA-256 for every part, and with encryption and lock as the options say. Where the digest of the whole is known
    /// it is kept with the object, for stores that tell no checksums ([`Stored::digest`](crate::Stored)).
    pub async fn begin_upload(&self, key: &str, whole: Option<&Sha256>) -> Result<Upload, StoreError> {
        let what = format!("begin an upload of {key}");
        let (encryption, kms_key) = self.encryption();
        let (mode, until) = self.lock()?;
        let request = self.client().create_multipart_upload().bucket(self.bucket()).key(self.full_key(key));
        let request = request.checksum_algorithm(ChecksumAlgorithm::Sha256);
        let request = request.set_metadata(whole.map(|whole| HashMap::from([(DIGEST.to_owned(), whole.to_string())])));
        let request = request.set_server_side_encryption(encryption).set_ssekms_key_id(kms_key);
        let request = request.set_object_lock_mode(mode).set_object_lock_retain_until_date(until);
        let begun = request.send().await.map_err(|error| classify(error, self.asked(&what)))?;
        let id = begun.upload_id().filter(|id| !id.is_empty());
        let id = id.ok_or_else(|| StoreError::Unusable(format!("asked to {what}, it gave no id of the upload")))?;
        Ok(Upload { key: key.to_owned(), id: id.to_owned(), started: Timestamp::now() })
    }

    /// The parts of an upload that are in the store, in order of their numbers.
    ///
    /// # Errors
    /// [`StoreError::NoUpload`] where the store does not know the upload any more.
    pub async fn uploaded_parts(&self, upload: &Upload) -> Result<Vec<UploadedPart>, StoreError> {
        let what = format!("list parts of {}", upload.key);
        let mut parts = Vec::new();
        let mut marker: Option<String> = None;
        loop {
            let request = self.client().list_parts().bucket(self.bucket()).key(self.full_key(&upload.key)).upload_id(&upload.id);
            let page = request.set_part_number_marker(marker.clone()).send().await;
            let page = page.map_err(|error| no_upload(classify(error, self.asked(&what)), upload))?;
            for part in page.parts() {
                parts.push(
                    uploaded(part).ok_or_else(|| StoreError::Unusable(format!("a part of {} has no number, size or ETag", upload.key)))?,
                );
            }
            marker = next(page.is_truncated(), page.next_part_number_marker(), marker.as_deref(), &upload.key)?;
            if marker.is_none() {
                break;
            }
        }
        parts.sort_by_key(|part| part.number);
        Ok(parts)
    }

    /// Makes the object of its parts, and asks for its size afterwards. Give the digest of every part, from the order that put it where the store
    /// listed none: stores that do not list them demand them here all the same (SeaweedFS does). May be repeated: where the store does not know the upload any more and the
    /// object is there with the right size, it is done. Whether its bytes are right [`ObjectClient::stored`] says, as far as the store keeps checksums.
    ///
    /// # Errors
    /// [`StoreError::NoUpload`] where neither the upload nor such an object is there.
    pub async fn finish_upload(&self, upload: &Upload, parts: &[UploadedPart]) -> Result<(), StoreError> {
        let what = format!("finish the upload of {}", upload.key);
        let size = parts.iter().map(|part| part.size).sum();
        let request = self.client().complete_multipart_upload().bucket(self.bucket()).key(self.full_key(&upload.key)).upload_id(&upload.id);
        let request = request.multipart_upload(completed(parts)?);
        let patience = Config::builder().timeout_config(timeouts(FINISH_TIMEOUT));
        let Err(error) = request.customize().config_override(patience).send().await else {
            return self.confirm(&upload.key, size).await;
        };
        match no_upload(classify(error, self.asked(&what)), upload) {
            StoreError::NoUpload(key) => match self.stored(&upload.key).await? {
                Some(stored) if stored.size == size => Ok(()),
                Some(_) | None => Err(StoreError::NoUpload(key)),
            },
            error => Err(error),
        }
    }

    /// Throws an upload and its parts away. One that is gone already counts as aborted.
    pub async fn abort_upload(&self, upload: &Upload) -> Result<(), StoreError> {
        let what = format!("abort the upload of {}", upload.key);
        let request = self.client().abort_multipart_upload().bucket(self.bucket()).key(self.full_key(&upload.key)).upload_id(&upload.id);
        match request.send().await.map_err(|error| classify(error, self.asked(&what))) {
            Ok(_) | Err(StoreError::NoUpload(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// The key instead of what was tried.
fn no_upload(error: StoreError, upload: &Upload) -> StoreError {
    match error {
        StoreError::NoUpload(_) => StoreError::NoUpload(upload.key.clone()),
        other => other,
    }
}

fn timestamp(time: &DateTime) -> Option<Timestamp> {
    Timestamp::new(time.secs(), i32::try_from(time.subsec_nanos()).ok()?).ok()
}

fn uploaded(part: &Part) -> Option<UploadedPart> {
    Some(UploadedPart {
        number: u32::try_from(part.part_number()?).ok()?,
        size: u64::try_from(part.size()?).ok()?,
        etag: part.e_tag()?.to_owned(),
        // A text that is no digest confirms nothing.
        sha256: part.checksum_sha256().and_then(|text| Sha256::from_base64(text).ok()),
    })
}

fn completed(parts: &[UploadedPart]) -> Result<CompletedMultipartUpload, StoreError> {
    let mut upload = CompletedMultipartUpload::builder();
    for part in parts {
        let number =
            i32::try_from(part.number).map_err(|_| StoreError::Configuration(format!("{} is no number of a part", part.number)))?;
        let digest = part.sha256.map(|digest| digest.to_base64());
        upload = upload.parts(CompletedPart::builder().part_number(number).e_tag(&part.etag).set_checksum_sha256(digest).build());
    }
    Ok(upload.build())
}
