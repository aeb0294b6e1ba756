//! Uploads in parts.

use s3s::dto::*;
use s3s::{S3Request, S3Response};

use super::Service;
use super::headers::{self, checksum_of, headers_of, set_checksum};
use super::listing::Coding;
use super::objects::signed;
use crate::digest::{self, Algorithm};
use crate::failure::Failure;
use crate::record::{self, Printed};
use crate::store::incoming;
use crate::store::upload::{Completion, Listed, MOST_PARTS};

/// Parts on a page at most, which is S3's.
pub(super) const PARTS_OF_PAGE: usize = 1000;
/// Uploads on a page at most, which is S3's.
const UPLOADS_OF_PAGE: usize = 1000;

fn algorithm_name(algorithm: Algorithm) -> ChecksumAlgorithm {
    ChecksumAlgorithm::from_static(algorithm.name())
}

fn composite() -> ChecksumType {
    ChecksumType::from_static(ChecksumType::COMPOSITE)
}

impl Service {
    pub(super) async fn create_multipart_upload(
        &self,
        request: S3Request<CreateMultipartUploadInput>,
    ) -> Result<S3Response<CreateMultipartUploadOutput>, Failure> {
        headers::refuse_what_is_not_done(&request.headers)?;
        let mut input = request.input;
        let bucket = self.store.bucket(&input.bucket)?;
        let algorithm = checksum_algorithm(input.checksum_algorithm.as_ref(), input.checksum_type.as_ref())?;
        let record =
            record::Upload { form: record::FORM, key: input.key.clone(), initiated: record::now(), algorithm, headers: headers_of!(input) };
        let upload = self.blocking(move |store| store.begin_upload(&bucket, record)).await?;
        Ok(S3Response::new(CreateMultipartUploadOutput {
            bucket: Some(input.bucket),
            key: Some(input.key),
            upload_id: Some(upload.id().to_owned()),
            checksum_algorithm: algorithm.map(algorithm_name),
            checksum_type: algorithm.map(|_| composite()),
            ..Default::default()
        }))
    }

    pub(super) async fn upload_part(&self, request: S3Request<UploadPartInput>) -> Result<S3Response<UploadPartOutput>, Failure> {
        headers::refuse_what_is_not_done(&request.headers)?;
        let input = request.input;
        let number = number(input.part_number)?;
        let upload = self.store.bucket(&input.bucket)?.upload(&input.key, &input.upload_id)?;
        let promise = headers::Promise::read(&request.headers, request.trailing_headers)?;
        let algorithms = promise.algorithms();
        if let Some(wanted) = upload.record.algorithm.filter(|wanted| !algorithms.contains(wanted)) {
            let (name, header) = (wanted.name(), wanted.header());
            return Err(Failure::InvalidRequest(format!("the upload was begun with {name} checksums; send {header} with every part")));
        }
        let length = headers::length(input.content_length, self.put_bytes)?;
        let received = incoming::receive(&self.store, input.body, length, algorithms).await?;
        promise.check(&received)?;
        let part = self.blocking(move |_| upload.add(number, received)).await?;
        let mut output = UploadPartOutput { e_tag: headers::etag(&part.etag()), ..Default::default() };
        set_checksum!(output, &part.checksum.as_ref().map(Printed::from));
        Ok(S3Response::new(output))
    }

    pub(super) async fn list_parts(&self, request: S3Request<ListPartsInput>) -> Result<S3Response<ListPartsOutput>, Failure> {
        let input = request.input;
        let upload = self.store.bucket(&input.bucket)?.upload(&input.key, &input.upload_id)?;
        let limit = headers::limit(input.max_parts, PARTS_OF_PAGE)?;
        let marker = input.part_number_marker.unwrap_or(0);
        let (own, after) = (std::sync::Arc::clone(&upload), u32::try_from(marker).unwrap_or(0));
        let (parts, more) = self.blocking(move |_| Ok(own.parts(after, limit))).await?;
        let last = parts.last().and_then(|(number, _)| i32::try_from(*number).ok());
        let listed = parts.into_iter().map(|(number, part)| {
            let mut listed = Part {
                part_number: i32::try_from(number).ok(),
                size: Some(signed(part.size)),
                e_tag: headers::etag(&part.etag()),
                last_modified: Some(record::time(part.modified).into()),
                ..Default::default()
            };
            set_checksum!(listed, &part.checksum.as_ref().map(Printed::from));
            listed
        });
        Ok(S3Response::new(ListPartsOutput {
            parts: Some(listed.collect()),
            bucket: Some(input.bucket),
            key: Some(input.key),
            upload_id: Some(input.upload_id),
            checksum_algorithm: upload.record.algorithm.map(algorithm_name),
            checksum_type: upload.record.algorithm.map(|_| composite()),
            is_truncated: Some(more),
            max_parts: i32::try_from(limit).ok(),
            part_number_marker: Some(marker),
            next_part_number_marker: last.filter(|_| more),
            storage_class: Some(StorageClass::from_static(StorageClass::STANDARD)),
            ..Default::default()
        }))
    }

    pub(super) async fn list_multipart_uploads(
        &self,
        request: S3Request<ListMultipartUploadsInput>,
    ) -> Result<S3Response<ListMultipartUploadsOutput>, Failure> {
        let input = request.input;
        if input.delimiter.as_ref().is_some_and(|delimiter| !delimiter.is_empty()) {
            return Err(Failure::NotImplemented(String::from("uploads are listed by prefix only; leave the delimiter out")));
        }
        let bucket = self.store.bucket(&input.bucket)?;
        let limit = headers::limit(input.max_uploads, UPLOADS_OF_PAGE)?;
        let code = Coding::of(input.encoding_type.as_ref())?;
        let (prefix, key_marker) = (input.prefix.unwrap_or_default(), input.key_marker.unwrap_or_default());
        let id_marker = input.upload_id_marker.unwrap_or_default();
        let (uploads, more) = bucket.list_uploads(&prefix, (&key_marker, &id_marker), limit);
        let last = uploads.last().filter(|_| more);
        let next = last.map(|upload| (code.text(upload.record.key.clone()), upload.id().to_owned())).unzip();
        let listed = uploads.iter().map(|upload| MultipartUpload {
            key: Some(code.text(upload.record.key.clone())),
            upload_id: Some(upload.id().to_owned()),
            initiated: Some(record::time(upload.record.initiated).into()),
            checksum_algorithm: upload.record.algorithm.map(algorithm_name),
            checksum_type: upload.record.algorithm.map(|_| composite()),
            storage_class: Some(StorageClass::from_static(StorageClass::STANDARD)),
            ..Default::default()
        });
        Ok(S3Response::new(ListMultipartUploadsOutput {
            uploads: Some(listed.collect()),
            bucket: Some(input.bucket),
            encoding_type: input.encoding_type,
            is_truncated: Some(more),
            key_marker: Some(code.text(key_marker)),
            max_uploads: i32::try_from(limit).ok(),
            next_key_marker: next.0,
            next_upload_id_marker: next.1,
            prefix: Some(code.text(prefix)),
            upload_id_marker: Some(id_marker),
            ..Default::default()
        }))
    }

    pub(super) async fn complete_multipart_upload(
        &self,
        request: S3Request<CompleteMultipartUploadInput>,
    ) -> Result<S3Response<CompleteMultipartUploadOutput>, Failure> {
        let input = request.input;
        let bucket = self.store.bucket(&input.bucket)?;
        let parts = input.multipart_upload.clone().and_then(|upload| upload.parts).unwrap_or_default();
        let completion = Completion {
            parts: parts.iter().map(listed).collect::<Result<_, _>>()?,
            checksum: checksum_of!(input),
            condition: headers::condition(input.if_match, input.if_none_match)?,
            size: input.mpu_object_size.and_then(|size| u64::try_from(size).ok()),
        };
        let (key, id) = (input.key.clone(), input.upload_id);
        let record = self.blocking(move |store| store.complete_upload(&bucket, &key, &id, &completion)).await?;
        let mut output = CompleteMultipartUploadOutput {
            location: Some(format!("/{}/{}", input.bucket, input.key)),
            bucket: Some(input.bucket),
            key: Some(input.key),
            e_tag: headers::etag(&record.etag),
            ..Default::default()
        };
        set_checksum!(output, &record.checksum);
        output.checksum_type = record.checksum.as_ref().map(headers::checksum_type);
        Ok(S3Response::new(output))
    }

    pub(super) async fn abort_multipart_upload(
        &self,
        request: S3Request<AbortMultipartUploadInput>,
    ) -> Result<S3Response<AbortMultipartUploadOutput>, Failure> {
        let input = request.input;
        let bucket = self.store.bucket(&input.bucket)?;
        self.blocking(move |store| store.abort_upload(&bucket, &input.key, &input.upload_id)).await?;
        Ok(S3Response::new(AbortMultipartUploadOutput::default()))
    }
}

/// The number of a part within S3's bounds.
fn number(number: i32) -> Result<u32, Failure> {
    let bound = || Failure::InvalidArgument(format!("parts are numbered 1 to {MOST_PARTS}"));
    u32::try_from(number).ok().filter(|number| (1..=MOST_PARTS).contains(number)).ok_or_else(bound)
}

/// What all parts of an upload come with. Of several parts only composite checksums are kept, which CRC-64 does not have.
fn checksum_algorithm(name: Option<&ChecksumAlgorithm>, kind: Option<&ChecksumType>) -> Result<Option<Algorithm>, Failure> {
    let unknown = || Failure::InvalidRequest(String::from("the checksum algorithm is not known; use SHA256"));
    let algorithm = name.map(|name| Algorithm::parse(name.as_str()).ok_or_else(unknown)).transpose()?;
    let full = kind.is_some_and(|kind| kind.as_str() == ChecksumType::FULL_OBJECT);
    if full || algorithm == Some(Algorithm::Crc64nvme) {
        let why = "uploads in parts have composite checksums here; use SHA256, SHA1, CRC32 or CRC32C with the type COMPOSITE";
        return Err(Failure::NotImplemented(String::from(why)));
    }
    Ok(algorithm)
}

fn listed(part: &CompletedPart) -> Result<Listed, Failure> {
    let number = number(part.part_number.ok_or_else(|| Failure::MalformedXml(String::from("a part has no number")))?)?;
    let printed = checksum_of!(part);
    let checksum = printed.map(|printed| {
        let checksum = digest::Checksum::from_base64(printed.algorithm, &printed.value);
        checksum.ok_or(Failure::InvalidPart(number))
    });
    Ok(Listed { number, etag: part.e_tag.as_ref().map(|etag| etag.value().to_owned()), checksum: checksum.transpose()? })
}

/// The parts of an object, as GetObjectAttributes lists them.
pub(super) fn attributes(record: &record::Object, limit: usize, marker: i32) -> GetObjectAttributesParts {
    let after = |part: &&record::Part| i64::from(part.number) > i64::from(marker);
    let mut rest = record.parts.iter().filter(after);
    let parts: Vec<ObjectPart> = rest
        .by_ref()
        .take(limit)
        .map(|part| {
            let mut listed =
                ObjectPart { part_number: i32::try_from(part.number).ok(), size: Some(signed(part.size)), ..Default::default() };
            set_checksum!(listed, &part.checksum);
            listed
        })
        .collect();
    let more = limit > 0 && rest.next().is_some();
    GetObjectAttributesParts {
        is_truncated: Some(more),
        max_parts: i32::try_from(limit).ok(),
        next_part_number_marker: parts.last().and_then(|part| part.part_number).filter(|_| more),
        part_number_marker: Some(marker),
        parts: Some(parts).filter(|_| record.checksum.is_some()),
        total_parts_count: i32::try_from(record.parts.len()).ok(),
    }
}
