//! Why a request is not done, and how S3 says it.

use std::io;
use std::path::Path;

use http::StatusCode;
use s3s::{S3Error, S3ErrorCode};

/// Why a request is not done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("there is no bucket {0:?}; create it, or check its name")]
    NoSuchBucket(String),
    #[error("the bucket {0:?} is there already, and yours")]
    BucketExists(String),
    #[error("the bucket name is not allowed; use 3 to 63 lower case letters, digits, '-' and '.'")]
    BucketName,
    #[error("there is no object with this key")]
    NoSuchKey,
    #[error("there is no such upload; it was completed, aborted, or never begun for this key")]
    NoSuchUpload,
    #[error("a condition of the request does not hold for what is stored; read it again")]
    Precondition,
    #[error("the object is unchanged")]
    NotModified,
    #[error("the disk of the object store is full; delete something or make it larger")]
    Full,
    #[error("what came is not what {0} says; send it again")]
    BadDigest(String),
    #[error("the {0} header is no valid checksum; give the digest in Base64")]
    InvalidDigest(String),
    #[error("the body ended early, was longer than said, or stalled; send it again")]
    IncompleteBody,
    #[error("the body is not the one that was signed; send it again as signed")]
    WrongPayload,
    #[error("the body is too large; at most {0} bytes are taken at once, larger objects in parts")]
    TooLarge(u64),
    #[error("part {0} was not uploaded, or its ETag or checksum is another; upload it again or list the parts")]
    InvalidPart(u32),
    #[error("the parts are not in ascending order; list every part once, by its number")]
    PartOrder,
    #[error("part {number} has {size} bytes; every part but the last needs at least {least}")]
    PartTooSmall { number: u32, size: u64, least: u64 },
    #[error("{0}")]
    InvalidRequest(String),
    #[error("{0}")]
    InvalidArgument(String),
    #[error("the range is outside the object")]
    InvalidRange,
    #[error("the XML of the request is not what this operation takes: {0}")]
    MalformedXml(String),
    #[error("{0}")]
    NotImplemented(String),
    #[error("the object store could not use its disk ({what}): {source}")]
    Disk { what: String, source: io::Error },
}

impl Failure {
    /// What the system said of a file: a full disk is told apart.
    pub(crate) fn disk(path: &Path, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full,
            _ => Self::Disk { what: path.display().to_string(), source },
        }
    }

    fn code(&self) -> S3ErrorCode {
        match self {
            Self::NoSuchBucket(_) => S3ErrorCode::NoSuchBucket,
            Self::BucketExists(_) => S3ErrorCode::BucketAlreadyOwnedByYou,
            Self::BucketName => S3ErrorCode::InvalidBucketName,
            Self::NoSuchKey => S3ErrorCode::NoSuchKey,
            Self::NoSuchUpload => S3ErrorCode::NoSuchUpload,
            Self::Precondition => S3ErrorCode::PreconditionFailed,
            Self::NotModified => S3ErrorCode::NotModified,
            Self::Full => S3ErrorCode::Custom("InsufficientStorage".into()),
            Self::BadDigest(_) => S3ErrorCode::BadDigest,
            Self::InvalidDigest(_) => S3ErrorCode::InvalidDigest,
            Self::IncompleteBody => S3ErrorCode::IncompleteBody,
            Self::WrongPayload => S3ErrorCode::Custom("XAmzContentSHA256Mismatch".into()),
            Self::TooLarge(_) => S3ErrorCode::EntityTooLarge,
            Self::InvalidPart(_) => S3ErrorCode::InvalidPart,
            Self::PartOrder => S3ErrorCode::InvalidPartOrder,
            Self::PartTooSmall { .. } => S3ErrorCode::EntityTooSmall,
            Self::InvalidRequest(_) => S3ErrorCode::InvalidRequest,
            Self::InvalidArgument(_) => S3ErrorCode::InvalidArgument,
            Self::InvalidRange => S3ErrorCode::InvalidRange,
            Self::MalformedXml(_) => S3ErrorCode::MalformedXML,
            Self::NotImplemented(_) => S3ErrorCode::NotImplemented,
            Self::Disk { .. } => S3ErrorCode::InternalError,
        }
    }
}

impl From<Failure> for S3Error {
    fn from(failure: Failure) -> Self {
        let mut error = S3Error::with_message(failure.code(), failure.to_string());
        match &failure {
            Failure::Full => {
                tracing::warn!("a write was refused: the disk of the object store is full");
                error.set_status_code(StatusCode::INSUFFICIENT_STORAGE);
            }
            Failure::WrongPayload => error.set_status_code(StatusCode::BAD_REQUEST),
            Failure::Disk { .. } => {
                tracing::error!(reason = %failure, "a request to the object store failed");
                error.set_message("the object store could not use its disk; its log says why");
            }
            _ => {}
        }
        error
    }
}
