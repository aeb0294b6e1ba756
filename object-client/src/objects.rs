//! Reading, writing and deleting whole objects.

use std::time::{Duration, SystemTime};

use archive::digest::Sha256;
use aws_sdk_s3::Config;
use aws_sdk_s3::operation::put_object::builders::PutObjectFluentBuilder;
use aws_sdk_s3::primitives::{ByteStream, DateTime};
use aws_sdk_s3::types::{ChecksumMode, ObjectLockMode, ServerSideEncryption};
use bytes::Bytes;

use crate::client::{ObjectClient, timeouts};
use crate::error::{StoreError, answer, classify};
use crate::options::{Encryption, LockMode, ObjectLock};

/// Bytes a second that a connection is expected to carry at least: larger objects get more time.
const SLOWEST: u64 = 256 << 10;

/// Name under which an object keeps the SHA-256 of all its bytes, as whoever began its upload knew it.
pub(crate) const DIGEST: &str = "sha256";

/// What the store says of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Bytes.
    pub size: u64,
    /// Its SHA-256 checksum as the store prints it (`x-amz-checksum-sha256`); none where the store keeps none.
    pub checksum: Option<String>,
    /// The SHA-256 of all its bytes as it was known when its upload began; none where nobody said. The store did not compute it.
    pub digest: Option<Sha256>,
    /// Its ETag, with the quotes.
    pub etag: String,
}

/// What became of an object that was to be written once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// It was not there, and is now.
    New,
    /// It was there with the same bytes.
    SameThere,
    /// It is there with other bytes, and was left alone.
    OtherThere,
}

impl Written {
    /// Whether the object holds what was to be written.
    pub fn is_there(self) -> bool {
        matches!(self, Self::New | Self::SameThere)
    }
}

/// How a conditional put went.
enum Put {
    Done,
    /// Something is there.
    Exists,
    /// The store knows no conditions.
    NoConditions,
}

impl ObjectClient {
    /// The bytes of an object; none where it is not there.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`] where it has more than `limit` bytes; they are not read then.
    pub async fn read(&self, key: &str, limit: usize) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(mut reader) = self.open(key).await? else {
            return Ok(None);
        };
        let (size, most) = (reader.size(), limit as u64);
        if size > most {
            return Err(StoreError::TooLarge { key: key.to_owned(), size, limit: most });
        }
        let mut content = Vec::with_capacity(usize::try_from(size).unwrap_or(limit));
        while let Some(bytes) = reader.next().await? {
            content.extend_from_slice(&bytes);
        }
        Ok(Some(content))
    }

    /// The first `most` bytes of an object, or all of it where it has fewer; none where it is not there.
    pub(crate) async fn read_beginning(&self, key: &str, most: usize) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(mut reader) = self.open(key).await? else {
            return Ok(None);
        };
        let mut content = Vec::new();
        while content.len() < most
            && let Some(bytes) = reader.next().await?
        {
            content.extend_from_slice(&bytes);
        }
        content.truncate(most);
        Ok(Some(content))
    }

    /// Writes a small object, in place of one that is there. The store compares the SHA-256, and is asked for the size afterwards.
    pub async fn write(&self, key: &str, bytes: Vec<u8>) -> Result<(), StoreError> {
        let bytes = Bytes::from(bytes);
        let request = self.locked(self.put_request(key, &bytes))?;
        self.put(key, request, bytes.len()).await?;
        self.confirm(key, bytes.len() as u64).await
    }

    /// Without encryption by our wish and without lock.
    pub(crate) async fn put_plain(&self, key: &str, bytes: Vec<u8>) -> Result<(), StoreError> {
        let bytes = Bytes::from(bytes);
        self.put(key, self.put_request(key, &bytes), bytes.len()).await
    }

    /// Writes a small object unless there is one. Where two write at once, a store that knows `If-None-Match` lets one win; with others the later
    /// one may win: such stores are no place to decide who is first.
    pub async fn write_new(&self, key: &str, bytes: Vec<u8>) -> Result<Written, StoreError> {
        let bytes = Bytes::from(bytes);
        // Some stores take the condition and ignore it: look first.
        if let Some(found) = self.compare(key, &bytes).await? {
            return Ok(found);
        }
        let put = self.put_if_absent(key, &bytes).await?;
        match put {
            Put::Done => {}
            Put::Exists => {
                // It was there and went again, or is being written by somebody else just now.
                return self.compare(key, &bytes).await?.ok_or_else(|| StoreError::Busy(format!("write {key}")));
            }
            Put::NoConditions => self.put(key, self.locked(self.put_request(key, &bytes))?, bytes.len()).await?,
        }
        self.confirm(key, bytes.len() as u64).await?;
        Ok(Written::New)
    }

    async fn put_if_absent(&self, key: &str, bytes: &Bytes) -> Result<Put, StoreError> {
        let what = format!("write {key}");
        let request = self.locked(self.put_request(key, bytes))?.if_none_match("*");
        let Err(error) = request.customize().config_override(self.patience(bytes.len())).send().await else {
            return Ok(Put::Done);
        };
        match answer(&error).map(|answer| (answer.status, answer.code)) {
            Some((412, _)) => Ok(Put::Exists),
            Some((409, code)) if code == "ConditionalRequestConflict" || code == "OperationAborted" => Ok(Put::Exists),
            Some((501, _)) => Ok(Put::NoConditions),
            Some((400, code)) if code == "NotImplemented" => Ok(Put::NoConditions),
            _ => Err(classify(error, self.asked(&what))),
        }
    }

    /// What is there compared with these bytes; none where nothing is there.
    async fn compare(&self, key: &str, bytes: &Bytes) -> Result<Option<Written>, StoreError> {
        match self.read(key, bytes.len()).await {
            Ok(None) => Ok(None),
            Ok(Some(found)) if found == *bytes => Ok(Some(Written::SameThere)),
            Ok(Some(_)) | Err(StoreError::TooLarge { .. }) => Ok(Some(Written::OtherThere)),
            Err(error) => Err(error),
        }
    }

    fn put_request(&self, key: &str, bytes: &Bytes) -> PutObjectFluentBuilder {
        let request = self.client().put_object().bucket(self.bucket()).key(self.full_key(key));
        request.checksum_sha256(Sha256::of(bytes).to_base64()).body(ByteStream::from(bytes.clone()))
    }

    /// With encryption and lock as the options say.
    fn locked(&self, request: PutObjectFluentBuilder) -> Result<PutObjectFluentBuilder, StoreError> {
        let (encryption, key) = self.encryption();
        let (mode, until) = self.lock()?;
        let request = request.set_server_side_encryption(encryption).set_ssekms_key_id(key);
        Ok(request.set_object_lock_mode(mode).set_object_lock_retain_until_date(until))
    }

    async fn put(&self, key: &str, request: PutObjectFluentBuilder, length: usize) -> Result<(), StoreError> {
        let what = format!("write {key}");
        let sent = request.customize().config_override(self.patience(length)).send().await;
        sent.map(drop).map_err(|error| classify(error, self.asked(&what)))
    }

    /// Whether the object is there with this size after the store said so.
    pub(crate) async fn confirm(&self, key: &str, size: u64) -> Result<(), StoreError> {
        match self.stored(key).await? {
            Some(stored) if stored.size == size => Ok(()),
            Some(stored) => Err(StoreError::NotStored(format!("{key} with {size} bytes and has {} of them", stored.size))),
            None => Err(StoreError::NotStored(format!("{key} and does not have it"))),
        }
    }

    /// Deletes objects one after the other in the order given, so that a removal that is cut short has taken a beginning of them. What is not there
    /// counts as deleted. In a bucket with versions the bytes stay until the store's own rules remove old versions.
    ///
    /// # Errors
    /// [`StoreError::Locked`] where a lock holds one; those before it are gone, those after it are not.
    pub async fn delete(&self, keys: &[String]) -> Result<(), StoreError> {
        for key in keys {
            let what = format!("delete {key}");
            let Err(error) = self.client().delete_object().bucket(self.bucket()).key(self.full_key(key)).send().await else {
                continue;
            };
            if answer(&error).is_none_or(|answer| answer.code != "NoSuchKey") {
                return Err(classify(error, self.asked(&what)));
            }
        }
        Ok(())
    }

    /// What the store says of an object; none where it is not there.
    pub async fn stored(&self, key: &str) -> Result<Option<Stored>, StoreError> {
        let what = format!("look at {key}");
        let request = self.client().head_object().bucket(self.bucket()).key(self.full_key(key)).checksum_mode(ChecksumMode::Enabled);
        match request.send().await {
            Ok(head) => {
                let size = head.content_length().and_then(|size| u64::try_from(size).ok());
                let size =
                    size.ok_or_else(|| StoreError::Unusable(format!("asked to {what}, it does not say how many bytes there are")))?;
                let checksum = head.checksum_sha256().map(str::to_owned);
                let digest = head.metadata().and_then(|metadata| metadata.get(DIGEST)).and_then(|digest| digest.parse().ok());
                Ok(Some(Stored { size, checksum, digest, etag: head.e_tag().unwrap_or_default().to_owned() }))
            }
            Err(error) if answer(&error).is_some_and(|answer| answer.status == 404) => self.bucket_there().await.map(|()| None),
            Err(error) => Err(classify(error, self.asked(&what))),
        }
    }

    /// An answer without a body does not say whether object or bucket is missing.
    async fn bucket_there(&self) -> Result<(), StoreError> {
        match self.client().head_bucket().bucket(self.bucket()).send().await {
            Err(error) if answer(&error).is_some_and(|answer| answer.status == 404) => Err(StoreError::NoBucket(self.bucket().to_owned())),
            // Whoever may not look at the bucket may still read objects.
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// Time for an attempt to send so many bytes.
    fn patience(&self, length: usize) -> aws_sdk_s3::config::Builder {
        let more = Duration::from_secs(length as u64 / SLOWEST);
        Config::builder().timeout_config(timeouts(self.inner.attempt + more))
    }

    pub(crate) fn encryption(&self) -> (Option<ServerSideEncryption>, Option<String>) {
        match &self.options().encryption {
            None => (None, None),
            Some(Encryption::S3Managed) => (Some(ServerSideEncryption::Aes256), None),
            Some(Encryption::Kms { key_id }) => (Some(ServerSideEncryption::AwsKms), key_id.clone()),
        }
    }

    pub(crate) fn lock(&self) -> Result<(Option<ObjectLockMode>, Option<DateTime>), StoreError> {
        let Some(ObjectLock { mode, days }) = self.options().object_lock else {
            return Ok((None, None));
        };
        let until = SystemTime::now().checked_add(Duration::from_secs(u64::from(days) * 86_400));
        let until = until.ok_or_else(|| StoreError::Configuration(format!("a lock of {days} days ends at no time that exists")))?;
        let mode = match mode {
            LockMode::Governance => ObjectLockMode::Governance,
            LockMode::Compliance => ObjectLockMode::Compliance,
        };
        Ok((Some(mode), Some(DateTime::from(until))))
    }
}
