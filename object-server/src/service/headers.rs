//! What requests say and answers carry in headers.

use http::HeaderMap;
use s3s::TrailingHeaders;
use s3s::dto::{ETag, ETagCondition, Metadata, Timestamp, TimestampFormat};

use crate::digest::{Algorithm, Checksum, Md5Digest, md5_from_base64};
use crate::failure::Failure;
use crate::record::Printed;
use crate::store::commit::Condition;
use crate::store::incoming::Received;

/// Headers that ask for what this store does not do, by their beginnings.
const NOT_DONE: [(&str, &str); 7] = [
    ("x-amz-server-side-encryption", "encryption at rest"),
    ("x-amz-object-lock", "object lock"),
    ("x-amz-bucket-object-lock", "object lock"),
    ("x-amz-tagging", "tags"),
    ("x-amz-grant", "access control lists"),
    ("x-amz-website", "web sites"),
    ("x-amz-write-offset", "appending"),
];

/// Fails where a request asks for what this store does not do.
pub(super) fn refuse_what_is_not_done(headers: &HeaderMap) -> Result<(), Failure> {
    let refuse = |what: &str| Err(Failure::NotImplemented(format!("this object store has no {what}; leave it out of the request")));
    for (beginning, what) in NOT_DONE {
        if headers.keys().any(|name| name.as_str().starts_with(beginning)) {
            return refuse(what);
        }
    }
    let value = |name: &str| headers.get(name).map(|value| value.as_bytes());
    match (value("x-amz-acl"), value("x-amz-storage-class")) {
        (Some(acl), _) if acl != b"private" && acl != b"bucket-owner-full-control" => refuse("access control lists"),
        (_, Some(class)) if class != b"STANDARD" => refuse("storage class but STANDARD"),
        _ => Ok(()),
    }
}

/// What a body must turn out to be.
pub(super) struct Promise {
    md5: Option<Md5Digest>,
    said: Vec<Checksum>,
    trailing: Vec<Algorithm>,
    trailers: Option<TrailingHeaders>,
}

impl Promise {
    /// From the headers of a request with a body.
    pub(super) fn read(headers: &HeaderMap, trailers: Option<TrailingHeaders>) -> Result<Self, Failure> {
        let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or_default());
        let invalid = |name: &str| Failure::InvalidDigest(name.to_owned());
        let md5 = text("content-md5").map(|text| md5_from_base64(text).ok_or_else(|| invalid("content-md5"))).transpose()?;
        let said = Algorithm::ALL.into_iter().filter_map(|algorithm| Some((algorithm, text(algorithm.header())?)));
        let said = said.map(|(algorithm, text)| Checksum::from_base64(algorithm, text).ok_or_else(|| invalid(algorithm.header())));
        let said = said.collect::<Result<Vec<_>, _>>()?;
        let announced = headers.get_all("x-amz-trailer").iter().filter_map(|value| value.to_str().ok()).flat_map(|list| list.split(','));
        let trailing: Vec<_> = announced
            .filter_map(|name| Algorithm::ALL.into_iter().find(|algorithm| algorithm.header().eq_ignore_ascii_case(name.trim())))
            .collect();
        if said.len() + trailing.len() > 1 {
            return Err(Failure::InvalidRequest(String::from("a body has one checksum at most; send a single x-amz-checksum-… header")));
        }
        Ok(Self { md5, said, trailing, trailers })
    }

    /// What is to be computed.
    pub(super) fn algorithms(&self) -> Vec<Algorithm> {
        self.said.iter().map(|checksum| checksum.algorithm).chain(self.trailing.iter().copied()).collect()
    }

    /// Whether what came is what was said.
    pub(super) fn check(&self, received: &Received) -> Result<(), Failure> {
        if self.md5.is_some_and(|md5| md5 != received.md5) {
            return Err(Failure::BadDigest(String::from("content-md5")));
        }
        let trailers = self.trailers.as_ref().and_then(TrailingHeaders::take).unwrap_or_default();
        let mut wanted = self.said.clone();
        for &algorithm in &self.trailing {
            let text = trailers.get(algorithm.header()).and_then(|value| value.to_str().ok());
            let checksum = text.and_then(|text| Checksum::from_base64(algorithm, text.trim()));
            wanted.push(checksum.ok_or_else(|| Failure::InvalidDigest(algorithm.header().to_owned()))?);
        }
        match wanted.iter().find(|checksum| !received.checksums.contains(checksum)) {
            Some(checksum) => Err(Failure::BadDigest(checksum.algorithm.header().to_owned())),
            None => Ok(()),
        }
    }
}

/// What a write must find, from `If-Match` and `If-None-Match`.
pub(super) fn condition(matches: Option<ETagCondition>, matches_none: Option<ETagCondition>) -> Result<Condition, Failure> {
    Ok(match (matches, matches_none) {
        (None, None) => Condition::None,
        (Some(ETagCondition::Any), None) => Condition::Present,
        (Some(ETagCondition::ETag(etag)), None) => Condition::ETag(etag.into_value()),
        (None, Some(ETagCondition::Any)) => Condition::Absent,
        (None, Some(ETagCondition::ETag(etag))) => Condition::NotETag(etag.into_value()),
        (Some(_), Some(_)) => return Err(Failure::InvalidRequest(String::from("give If-Match or If-None-Match, not both"))),
    })
}

/// The date of a stored `Expires`.
pub(super) fn expires(text: Option<&str>) -> Option<Timestamp> {
    Timestamp::parse(TimestampFormat::HttpDate, text?).ok()
}

/// What a client said of an object, from the fields that several inputs share.
macro_rules! headers_of {
    ($input:expr) => {
        crate::record::Headers {
            content_type: $input.content_type.take(),
            content_encoding: $input.content_encoding.take(),
            content_disposition: $input.content_disposition.take(),
            content_language: $input.content_language.take(),
            cache_control: $input.cache_control.take(),
            expires: $input.expires.take().and_then(|time| {
                let mut text = Vec::new();
                time.format(s3s::dto::TimestampFormat::HttpDate, &mut text).ok()?;
                String::from_utf8(text).ok()
            }),
            metadata: $input.metadata.take().unwrap_or_default().into_iter().collect(),
        }
    };
}
pub(super) use headers_of;

/// Sets the field of a checksum's algorithm, which many outputs have alike.
macro_rules! set_checksum {
    ($output:expr, $checksum:expr) => {
        if let Some(checksum) = $checksum {
            let checksum: &crate::record::Printed = checksum;
            let value = Some(checksum.value.clone());
            match checksum.algorithm {
                crate::digest::Algorithm::Crc32 => $output.checksum_crc32 = value,
                crate::digest::Algorithm::Crc32c => $output.checksum_crc32c = value,
                crate::digest::Algorithm::Crc64nvme => $output.checksum_crc64nvme = value,
                crate::digest::Algorithm::Sha1 => $output.checksum_sha1 = value,
                crate::digest::Algorithm::Sha256 => $output.checksum_sha256 = value,
            }
        }
    };
}
pub(super) use set_checksum;

/// The checksum among the fields of an input, as printed.
macro_rules! checksum_of {
    ($input:expr) => {{
        use crate::digest::Algorithm;
        let given = [
            (Algorithm::Crc32, &$input.checksum_crc32),
            (Algorithm::Crc32c, &$input.checksum_crc32c),
            (Algorithm::Crc64nvme, &$input.checksum_crc64nvme),
            (Algorithm::Sha1, &$input.checksum_sha1),
            (Algorithm::Sha256, &$input.checksum_sha256),
        ];
        let found = given.into_iter().find_map(|(algorithm, value)| Some((algorithm, value.clone()?)));
        found.map(|(algorithm, value)| crate::record::Printed { algorithm, value })
    }};
}
pub(super) use checksum_of;

pub(super) fn checksum_type(checksum: &Printed) -> s3s::dto::ChecksumType {
    use s3s::dto::ChecksumType;
    ChecksumType::from_static(if checksum.is_composite() { ChecksumType::COMPOSITE } else { ChecksumType::FULL_OBJECT })
}

pub(super) fn etag(value: &str) -> Option<ETag> {
    Some(ETag::Strong(value.to_owned()))
}

pub(super) fn metadata(metadata: std::collections::BTreeMap<String, String>) -> Option<Metadata> {
    (!metadata.is_empty()).then(|| metadata.into_iter().collect())
}

/// The length of a body. S3 wants it said before.
pub(super) fn length(content_length: Option<i64>, most: u64) -> Result<u64, Failure> {
    let length = content_length.and_then(|length| u64::try_from(length).ok());
    let length = length.ok_or_else(|| Failure::InvalidRequest(String::from("the length of the body is not said; send Content-Length")))?;
    if length > most { Err(Failure::TooLarge(most)) } else { Ok(length) }
}

/// A count from a request within 0 and `most`, which is also what holds where none is given.
pub(super) fn limit(asked: Option<i32>, most: usize) -> Result<usize, Failure> {
    match asked {
        None => Ok(most),
        Some(asked) => match usize::try_from(asked) {
            Ok(asked) => Ok(asked.min(most)),
            Err(_) => Err(Failure::InvalidArgument(String::from("a limit of a page is negative; give 0 to 1000"))),
        },
    }
}
