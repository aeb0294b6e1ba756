//! Objects, whole and in ranges.

use std::ops::Range as Bytes;
use std::time::UNIX_EPOCH;

use http::StatusCode;
use s3s::dto::*;
use s3s::{S3Request, S3Response};

use super::headers::{self, headers_of, set_checksum};
use super::{Service, multipart};
use crate::failure::Failure;
use crate::record;
use crate::store::bucket::Opened;
use crate::store::commit::Condition;
use crate::store::{incoming, outgoing};

/// Keys in one DeleteObjects, which is S3's.
const MOST_DELETED: usize = 1000;

impl Service {
    pub(super) async fn put_object(&self, request: S3Request<PutObjectInput>) -> Result<S3Response<PutObjectOutput>, Failure> {
        headers::refuse_what_is_not_done(&request.headers)?;
        let mut input = request.input;
        let bucket = self.store.bucket(&input.bucket)?;
        let promise = headers::Promise::read(&request.headers, request.trailing_headers)?;
        let condition = headers::condition(input.if_match.take(), input.if_none_match.take())?;
        let length = headers::length(input.content_length, self.put_bytes)?;
        let about = headers_of!(input);
        let received = incoming::receive(&self.store, input.body, length, promise.algorithms()).await?;
        promise.check(&received)?;
        let key = input.key;
        let record = self.blocking(move |store| store.put(&bucket, &key, about, received, &condition)).await?;
        let mut output = PutObjectOutput { e_tag: headers::etag(&record.etag), ..Default::default() };
        set_checksum!(output, &record.checksum);
        output.checksum_type = record.checksum.as_ref().map(headers::checksum_type);
        Ok(S3Response::new(output))
    }

    async fn open(&self, bucket: &str, key: String, version: Option<&str>) -> Result<Opened, Failure> {
        let bucket = self.store.bucket(bucket)?;
        if version.is_some_and(|version| version != "null") {
            return Err(Failure::NotImplemented(String::from("this object store keeps no versions; leave the version id out")));
        }
        self.blocking(move |_| bucket.open(&key)).await
    }

    pub(super) async fn get_object(&self, request: S3Request<GetObjectInput>) -> Result<S3Response<GetObjectOutput>, Failure> {
        let input = request.input;
        let opened = self.open(&input.bucket, input.key, input.version_id.as_deref()).await?;
        let wanted = Wanted {
            matches: input.if_match,
            matches_none: input.if_none_match,
            modified_since: input.if_modified_since,
            unmodified_since: input.if_unmodified_since,
            range: input.range,
            part: input.part_number,
        };
        let slice = wanted.slice(&opened.record)?;
        let record = &opened.record;
        let mut output = GetObjectOutput {
            accept_ranges: Some(String::from("bytes")),
            content_length: Some(signed(slice.range.end - slice.range.start)),
            content_range: slice.content_range(record.size),
            e_tag: headers::etag(&record.etag),
            last_modified: Some(record::time(record.modified).into()),
            parts_count: slice.parts_count,
            content_type: record.headers.content_type.clone(),
            content_encoding: record.headers.content_encoding.clone(),
            content_disposition: record.headers.content_disposition.clone(),
            content_language: record.headers.content_language.clone(),
            cache_control: record.headers.cache_control.clone(),
            expires: headers::expires(record.headers.expires.as_deref()),
            metadata: headers::metadata(record.headers.metadata.clone()),
            ..Default::default()
        };
        if input.checksum_mode.is_some() && !slice.partial {
            set_checksum!(output, &record.checksum);
            output.checksum_type = record.checksum.as_ref().map(headers::checksum_type);
        }
        let status = slice.status();
        output.body = Some(StreamingBlob::wrap(outgoing::stream(opened, slice.range)));
        Ok(S3Response { status, ..S3Response::new(output) })
    }

    pub(super) async fn head_object(&self, request: S3Request<HeadObjectInput>) -> Result<S3Response<HeadObjectOutput>, Failure> {
        let input = request.input;
        let record = self.open(&input.bucket, input.key, input.version_id.as_deref()).await?.record;
        let wanted = Wanted {
            matches: input.if_match,
            matches_none: input.if_none_match,
            modified_since: input.if_modified_since,
            unmodified_since: input.if_unmodified_since,
            range: input.range,
            part: input.part_number,
        };
        let slice = wanted.slice(&record)?;
        let mut output = HeadObjectOutput {
            accept_ranges: Some(String::from("bytes")),
            content_length: Some(signed(slice.range.end - slice.range.start)),
            content_range: slice.content_range(record.size),
            e_tag: headers::etag(&record.etag),
            last_modified: Some(record::time(record.modified).into()),
            parts_count: slice.parts_count,
            content_type: record.headers.content_type,
            content_encoding: record.headers.content_encoding,
            content_disposition: record.headers.content_disposition,
            content_language: record.headers.content_language,
            cache_control: record.headers.cache_control,
            expires: headers::expires(record.headers.expires.as_deref()),
            metadata: headers::metadata(record.headers.metadata),
            ..Default::default()
        };
        if input.checksum_mode.is_some() && !slice.partial {
            set_checksum!(output, &record.checksum);
            output.checksum_type = record.checksum.as_ref().map(headers::checksum_type);
        }
        Ok(S3Response { status: slice.status(), ..S3Response::new(output) })
    }

    pub(super) async fn get_object_attributes(
        &self,
        request: S3Request<GetObjectAttributesInput>,
    ) -> Result<S3Response<GetObjectAttributesOutput>, Failure> {
        let input = request.input;
        let record = self.open(&input.bucket, input.key, input.version_id.as_deref()).await?.record;
        let asked = |name: &str| input.object_attributes.iter().any(|attribute| attribute.as_str() == name);
        let mut output = GetObjectAttributesOutput { last_modified: Some(record::time(record.modified).into()), ..Default::default() };
        if asked(ObjectAttributes::ETAG) {
            output.e_tag = headers::etag(&record.etag);
        }
        if asked(ObjectAttributes::OBJECT_SIZE) {
            output.object_size = Some(signed(record.size));
        }
        if asked(ObjectAttributes::STORAGE_CLASS) {
            output.storage_class = Some(StorageClass::from_static(StorageClass::STANDARD));
        }
        if let Some(printed) = record.checksum.as_ref().filter(|_| asked(ObjectAttributes::CHECKSUM)) {
            // S3 says the number of parts elsewhere here.
            let value = printed.value.split('-').next().unwrap_or_default().to_owned();
            let mut checksum = Checksum { checksum_type: Some(headers::checksum_type(printed)), ..Default::default() };
            set_checksum!(checksum, Some(&record::Printed { algorithm: printed.algorithm, value }));
            output.checksum = Some(checksum);
        }
        if asked(ObjectAttributes::OBJECT_PARTS) && record.upload.is_some() {
            let limit = headers::limit(input.max_parts, multipart::PARTS_OF_PAGE)?;
            output.object_parts = Some(multipart::attributes(&record, limit, input.part_number_marker.unwrap_or(0)));
        }
        Ok(S3Response::new(output))
    }

    pub(super) async fn delete_object(&self, request: S3Request<DeleteObjectInput>) -> Result<S3Response<DeleteObjectOutput>, Failure> {
        let input = request.input;
        let bucket = self.store.bucket(&input.bucket)?;
        let conditions_not_done = input.if_match_last_modified_time.is_some() || input.if_match_size.is_some();
        if conditions_not_done || input.version_id.is_some_and(|version| version != "null") {
            return Err(Failure::NotImplemented(String::from(
                "this object store deletes by key and ETag only; leave other conditions out",
            )));
        }
        let condition = headers::condition(input.if_match, None)?;
        self.blocking(move |store| store.delete(&bucket, &input.key, &condition)).await?;
        Ok(S3Response::new(DeleteObjectOutput::default()))
    }

    /// In the order given: what is deleted first is gone first, also after a crash.
    pub(super) async fn delete_objects(&self, request: S3Request<DeleteObjectsInput>) -> Result<S3Response<DeleteObjectsOutput>, Failure> {
        let bucket = self.store.bucket(&request.input.bucket)?;
        let Delete { objects, quiet } = request.input.delete;
        if objects.is_empty() || objects.len() > MOST_DELETED {
            return Err(Failure::MalformedXml(format!("list 1 to {MOST_DELETED} keys")));
        }
        let outcomes = self.blocking(move |store| {
            let delete = |object: ObjectIdentifier| {
                let conditional = object.last_modified_time.is_some() || object.size.is_some() || object.version_id.is_some();
                let condition = object.e_tag.map_or(Condition::None, |etag| Condition::ETag(etag.into_value()));
                let outcome = if conditional {
                    Err(Failure::NotImplemented(String::from("this object store deletes by key and ETag only")))
                } else {
                    store.delete(&bucket, &object.key, &condition)
                };
                (object.key, outcome)
            };
            Ok(objects.into_iter().map(delete).collect::<Vec<_>>())
        });
        let mut output = DeleteObjectsOutput::default();
        for (key, outcome) in outcomes.await? {
            match outcome {
                Ok(()) if quiet == Some(true) => {}
                Ok(()) => output.deleted.get_or_insert_default().push(DeletedObject { key: Some(key), ..Default::default() }),
                Err(failure) => {
                    let error = s3s::S3Error::from(failure);
                    output.errors.get_or_insert_default().push(Error {
                        code: Some(error.code().as_str().to_owned()),
                        key: Some(key),
                        message: error.message().map(str::to_owned),
                        version_id: None,
                    });
                }
            }
        }
        Ok(S3Response::new(output))
    }
}

/// What of an object is wanted, and when.
struct Wanted {
    matches: Option<ETagCondition>,
    matches_none: Option<ETagCondition>,
    modified_since: Option<Timestamp>,
    unmodified_since: Option<Timestamp>,
    range: Option<Range>,
    part: Option<i32>,
}

/// What of an object is sent.
struct Slice {
    range: Bytes<u64>,
    partial: bool,
    parts_count: Option<i32>,
}

impl Wanted {
    /// The conditions in the order of RFC 9110, section 13.2.2.
    fn slice(self, record: &record::Object) -> Result<Slice, Failure> {
        let same = |condition: &ETagCondition| match condition {
            ETagCondition::Any => true,
            ETagCondition::ETag(etag) => etag.value() == record.etag,
        };
        // Dates in headers have whole seconds.
        let modified = Timestamp::from(UNIX_EPOCH + std::time::Duration::from_secs(record.modified / 1000));
        match (&self.matches, &self.unmodified_since) {
            (Some(condition), _) if !same(condition) => return Err(Failure::Precondition),
            (None, Some(since)) if modified > *since => return Err(Failure::Precondition),
            _ => {}
        }
        match (&self.matches_none, &self.modified_since) {
            (Some(condition), _) if same(condition) => return Err(Failure::NotModified),
            (None, Some(since)) if modified <= *since => return Err(Failure::NotModified),
            _ => {}
        }
        match (self.range, self.part) {
            (None, None) => Ok(Slice { range: 0..record.size, partial: false, parts_count: None }),
            (Some(range), None) => {
                let range = range.check(record.size).map_err(|_| Failure::InvalidRange)?;
                Ok(Slice { range, partial: true, parts_count: None })
            }
            (None, Some(number)) => part(record, number),
            (Some(_), Some(_)) => Err(Failure::InvalidRequest(String::from("give a range or a part number, not both"))),
        }
    }
}

/// The part with a number.
fn part(record: &record::Object, number: i32) -> Result<Slice, Failure> {
    let mut start = 0;
    for part in &record.parts {
        if i64::from(part.number) == i64::from(number) {
            let parts_count = record.upload.is_some().then(|| i32::try_from(record.parts.len()).unwrap_or(i32::MAX));
            return Ok(Slice { range: start..start + part.size, partial: part.size < record.size, parts_count });
        }
        start += part.size;
    }
    Err(Failure::InvalidRange)
}

impl Slice {
    fn content_range(&self, size: u64) -> Option<String> {
        (self.partial && !self.range.is_empty()).then(|| format!("bytes {}-{}/{size}", self.range.start, self.range.end - 1))
    }

    fn status(&self) -> Option<StatusCode> {
        self.partial.then_some(StatusCode::PARTIAL_CONTENT)
    }
}

/// Sizes are far below 2^63.
pub(super) fn signed(size: u64) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}
