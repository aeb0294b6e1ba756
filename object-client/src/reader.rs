//! Reading large objects as a stream that goes on after a broken connection.

use aws_sdk_s3::primitives::ByteStream;
use bytes::Bytes;

use crate::client::ObjectClient;
use crate::error::{StoreError, answer, classify, unreachable};
use crate::options::ATTEMPTS;

/// An object that is being read. Only the piece at hand is in memory.
pub struct ObjectReader {
    client: ObjectClient,
    key: String,
    size: u64,
    etag: Option<String>,
    offset: u64,
    body: ByteStream,
    /// Failures since the last byte came.
    failures: u32,
}

struct Opened {
    body: ByteStream,
    /// Bytes that are announced to come.
    length: u64,
    etag: Option<String>,
    range: Option<String>,
}

impl ObjectClient {
    /// Begins to read an object; none where it is not there.
    pub async fn open(&self, key: &str) -> Result<Option<ObjectReader>, StoreError> {
        let Some(opened) = self.get(key, 0, None).await? else {
            return Ok(None);
        };
        let Opened { body, length, etag, .. } = opened;
        Ok(Some(ObjectReader { client: self.clone(), key: key.to_owned(), size: length, etag, offset: 0, body, failures: 0 }))
    }

    async fn get(&self, key: &str, offset: u64, etag: Option<&str>) -> Result<Option<Opened>, StoreError> {
        let what = format!("read {key}");
        let mut request = self.client().get_object().bucket(self.bucket()).key(self.full_key(key));
        if offset > 0 {
            request = request.range(format!("bytes={offset}-")).set_if_match(etag.map(str::to_owned));
        }
        match request.send().await {
            Ok(output) => {
                let length = output.content_length().and_then(|length| u64::try_from(length).ok());
                let length =
                    length.ok_or_else(|| StoreError::Unusable(format!("asked to {what}, it does not say how many bytes there are")))?;
                let (etag, range) = (output.e_tag().map(str::to_owned), output.content_range().map(str::to_owned));
                Ok(Some(Opened { body: output.body, length, etag, range }))
            }
            Err(error) if answer(&error).is_some_and(|answer| answer.code == "NoSuchKey") => Ok(None),
            Err(error) => Err(classify(error, self.asked(&what))),
        }
    }
}

impl ObjectReader {
    /// Bytes of the whole object.
    pub fn size(&self) -> u64 {
        self.size
    }
    /// Bytes that were given so far.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The next bytes; none after the last one. Exactly [`ObjectReader::size`] bytes come, or an error. A broken connection is made again where it
    /// broke, and the object is the same one: it is asked for by its ETag.
    pub async fn next(&mut self) -> Result<Option<Bytes>, StoreError> {
        let patience = self.client.inner.attempt;
        loop {
            if self.offset == self.size {
                return Ok(None);
            }
            let reason = match tokio::time::timeout(patience, self.body.next()).await {
                Ok(Some(Ok(bytes))) if bytes.is_empty() => continue,
                Ok(Some(Ok(bytes))) => {
                    self.failures = 0;
                    self.offset += bytes.len() as u64;
                    if self.offset > self.size {
                        return Err(StoreError::Unusable(format!("{} has more bytes than announced", self.key)));
                    }
                    return Ok(Some(bytes));
                }
                Ok(Some(Err(error))) => format!("{error} after {} bytes", self.offset),
                Ok(None) => format!("it ended after {} of {} bytes", self.offset, self.size),
                Err(_) => format!("no byte came for {} s", patience.as_secs()),
            };
            self.failures += 1;
            let what = format!("read {}", self.key);
            if self.failures >= ATTEMPTS {
                return Err(unreachable(self.client.asked(&what), &reason));
            }
            self.reopen().await?;
        }
    }

    async fn reopen(&mut self) -> Result<(), StoreError> {
        let opened = self.client.get(&self.key, self.offset, self.etag.as_deref()).await?;
        let opened = opened.ok_or_else(|| StoreError::NotStored(format!("{} and it was gone while it was read", self.key)))?;
        let expected = format!("bytes {}-", self.offset);
        let continues = self.offset == 0 || opened.range.as_deref().is_some_and(|range| range.starts_with(&expected));
        if !continues || opened.length != self.size - self.offset || opened.etag != self.etag {
            return Err(StoreError::Unusable(format!("{} could not be read on from byte {}", self.key, self.offset)));
        }
        self.body = opened.body;
        Ok(())
    }
}
