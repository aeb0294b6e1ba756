//! Why a store did not do it. No text holds the query of a URL or a secret.

use std::error::Error;

use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};

/// Longest excerpt of what a store or a library said.
const LONGEST_EXCERPT: usize = 300;

/// Why a store did not do it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// No connection, or it broke: what was tried and what came of it.
    #[error("the object store cannot be reached: {0}; see that it runs, that its address is right and that its certificate is trusted")]
    Unreachable(String),
    /// No answer in time: what was tried.
    #[error("the object store did not answer in time when asked to {0}; see whether it is overloaded or the network loses packets")]
    Timeout(String),
    /// Credentials or rights do not allow it: what was tried and what the store said.
    #[error("the object store does not allow to {0}; check the access key, and its rights on the bucket")]
    Forbidden(String),
    /// No such bucket: its name.
    #[error("the object store has no bucket {0:?}; create it, or correct the name")]
    NoBucket(String),
    /// No space, or over the quota: what was tried and what the store said.
    #[error("the object store is full and could not {0}; make space there or raise its quota")]
    Full(String),
    /// A lock holds the object: what was tried and what the store said.
    #[error("an object lock of the store did not allow to {0}; wait until the lock ends")]
    Locked(String),
    /// Too many requests: what was tried.
    #[error("the object store is busy and asked to {0} later; this is tried again")]
    Busy(String),
    /// The clocks of store and this machine differ: what was tried and what the store said.
    #[error("the object store refused to {0}, because its clock and this machine's differ; synchronise both")]
    ClockSkew(String),
    /// Refused for another reason.
    #[error("the object store refused to {operation}: {status} {code}: {message}; see the documentation of the store")]
    Refused {
        /// What was tried.
        operation: String,
        /// HTTP status.
        status: u16,
        /// The store's own code; empty where it gave none.
        code: String,
        /// What the store said, shortened.
        message: String,
    },
    /// The answer is none that S3 gives: what was tried and what is wrong.
    #[error(
        "the object store answered in a way that S3 does not: {0}; see that the endpoint is a store that speaks S3, and no proxy's own page"
    )]
    Unusable(String),
    /// Larger than the caller reads.
    #[error("the object {key} has {size} bytes, and at most {limit} are read; it is not what belongs there, look who wrote it")]
    TooLarge {
        /// Which.
        key: String,
        /// Its bytes.
        size: u64,
        /// Most bytes the caller takes.
        limit: u64,
    },
    /// The options cannot be used: why and what to do.
    #[error("the object store is not configured rightly: {0}")]
    Configuration(String),
    /// The store said yes, and then did not have it: the key and what is there instead.
    #[error("the object store took {0}; it does not keep what it takes: do not rely on it before that is explained")]
    NotStored(String),
    /// The upload is not known to the store: its key.
    #[error("the object store knows no such upload of {0}; it was finished or aborted, or cleaned up by the store: begin again")]
    NoUpload(String),
}

impl StoreError {
    /// The reason of a condition, in UpperCamelCase.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "StoreUnreachable",
            Self::Timeout(_) => "StoreTimeout",
            Self::Forbidden(_) => "StoreForbidden",
            Self::NoBucket(_) => "BucketMissing",
            Self::Full(_) => "StoreFull",
            Self::Locked(_) => "ObjectLocked",
            Self::Busy(_) => "StoreBusy",
            Self::ClockSkew(_) => "ClockSkew",
            Self::Refused { .. } => "StoreRefused",
            Self::Unusable(_) => "StoreUnusable",
            Self::TooLarge { .. } => "ObjectTooLarge",
            Self::Configuration(_) => "StoreMisconfigured",
            Self::NotStored(_) => "ObjectNotStored",
            Self::NoUpload(_) => "UploadMissing",
        }
    }
    /// Whether it may be gone at the next try without anybody changing an object of ours: back off and try again.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::Timeout(_) | Self::Full(_) | Self::Busy(_) | Self::ClockSkew(_) | Self::Unusable(_) => true,
            Self::NotStored(_) => true,
            Self::Refused { status, code, .. } => {
                *status != 501 && matches!(status, 408 | 409 | 425 | 429 | 500..)
                    || matches!(code.as_str(), "RequestTimeout" | "InternalError")
            }
            Self::Forbidden(_) | Self::NoBucket(_) | Self::Locked(_) => false,
            Self::TooLarge { .. } | Self::Configuration(_) | Self::NoUpload(_) => false,
        }
    }
    /// Whether the store as a whole does not work, so that asking it for something else is of no use now.
    pub(crate) fn is_outage(&self) -> bool {
        matches!(self, Self::Unreachable(_) | Self::Timeout(_) | Self::Busy(_) | Self::NoBucket(_) | Self::ClockSkew(_))
    }
}

/// At most [`LONGEST_EXCERPT`] characters, none of them control characters.
pub(crate) fn excerpt(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST_EXCERPT).collect()
}

/// An error and its causes, each once.
fn chain(error: &dyn Error) -> String {
    let mut texts = vec![error.to_string()];
    let mut next = error.source();
    while let Some(cause) = next {
        let text = cause.to_string();
        if !texts.iter().any(|known| known.contains(&text)) {
            texts.push(text);
        }
        next = cause.source();
    }
    excerpt(&texts.join(": "))
}

/// What was asked of which store, for the texts of errors.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub endpoint: &'a str,
    pub bucket: &'a str,
    /// What was tried, after "to": `read backups/…`.
    pub operation: &'a str,
}

/// What is known of an answer that is no success.
pub(crate) struct Answer {
    pub status: u16,
    pub code: String,
    pub message: String,
}

/// The answer in an error of the library; none where no answer came.
pub(crate) fn answer<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> Option<Answer> {
    let SdkError::ServiceError(service) = error else {
        return None;
    };
    let text = |text: Option<&str>| excerpt(text.unwrap_or_default());
    Some(Answer { status: service.raw().status().as_u16(), code: text(service.err().code()), message: text(service.err().message()) })
}

/// Our error for one of the library.
pub(crate) fn classify<E>(error: SdkError<E, HttpResponse>, asked: Asked<'_>) -> StoreError
where
    E: ProvideErrorMetadata + Error + 'static,
{
    if let Some(answer) = answer(&error) {
        return refusal(answer, asked);
    }
    let operation = asked.operation;
    match error {
        SdkError::TimeoutError(_) => StoreError::Timeout(operation.to_owned()),
        SdkError::DispatchFailure(failure) => {
            let reason = failure.as_connector_error().map_or_else(|| "the connection failed".to_owned(), |error| chain(error));
            if failure.is_timeout() { StoreError::Timeout(operation.to_owned()) } else { unreachable(asked, &reason) }
        }
        SdkError::ResponseError(response) => {
            let status = response.raw().status().as_u16();
            StoreError::Unusable(format!("asked to {operation}, its answer with status {status} could not be read"))
        }
        SdkError::ConstructionFailure(failure) => StoreError::Configuration(format!(
            "no request to {operation} could be made: {}",
            chain(&SdkError::<E, HttpResponse>::ConstructionFailure(failure))
        )),
        other => StoreError::Unusable(format!("asked to {operation}: {}", chain(&other))),
    }
}

/// The connection could not be made, or broke.
pub(crate) fn unreachable(asked: Asked<'_>, reason: &str) -> StoreError {
    StoreError::Unreachable(format!("asked {} to {}: {}", asked.endpoint, asked.operation, excerpt(reason)))
}

/// What a refusal means.
pub(crate) fn refusal(answer: Answer, asked: Asked<'_>) -> StoreError {
    let Answer { status, code, message } = answer;
    let operation = asked.operation;
    let said = || match (code.as_str(), message.as_str()) {
        ("", "") => format!("{operation} (status {status})"),
        ("", message) => format!("{operation} ({status}: {message})"),
        (code, message) => format!("{operation} ({code}: {message})"),
    };
    let mentions = |words: &[&str]| words.iter().any(|word| message.to_ascii_lowercase().contains(word));
    match (code.as_str(), status) {
        ("NoSuchBucket", _) => StoreError::NoBucket(asked.bucket.to_owned()),
        ("NoSuchUpload", _) => StoreError::NoUpload(operation.to_owned()),
        ("RequestTimeTooSkewed", _) => StoreError::ClockSkew(said()),
        ("InsufficientStorage" | "StorageFull" | "XMinioStorageFull" | "QuotaExceeded" | "XMinioAdminBucketQuotaExceeded", _)
        | (_, 507) => StoreError::Full(said()),
        ("ObjectLocked" | "XMinioObjectLocked", _) => StoreError::Locked(said()),
        (_, 400 | 403 | 409) if mentions(&["object lock", "worm protected", "retention"]) => StoreError::Locked(said()),
        ("SlowDown" | "ServiceUnavailable" | "TooManyRequests" | "RequestLimitExceeded" | "Throttling", _) | (_, 429 | 503) => {
            StoreError::Busy(operation.to_owned())
        }
        ("RequestTimeout", _) | (_, 408 | 504) => StoreError::Timeout(operation.to_owned()),
        ("PermanentRedirect" | "TemporaryRedirect" | "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException", _)
        | (_, 301 | 302 | 307 | 308) => StoreError::Configuration(format!(
            "it sends us elsewhere when asked to {}; set the region or the endpoint of the bucket",
            said()
        )),
        (_, 401 | 403) => StoreError::Forbidden(said()),
        ("", 200..=299) => StoreError::Unusable(format!("asked to {operation}, its answer with status {status} is none of S3's")),
        _ => StoreError::Refused { operation: operation.to_owned(), status, code, message },
    }
}
