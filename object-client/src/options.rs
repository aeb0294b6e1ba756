//! Everything about one store.

use std::time::Duration;

use model::secret::Secret;

use crate::error::StoreError;

/// Longest time to connect, TLS included.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest time of one attempt; also the longest time in which no byte of a body comes.
pub const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(20);
/// Attempts of one request.
pub const ATTEMPTS: u32 = 3;
/// Longest prefix of a store in bytes: with [`archive::layout::LONGEST_KEY`] it stays within the 1024 of S3.
pub const LONGEST_PREFIX: usize = 400;

/// How the bucket is named in requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Addressing {
    /// `https://host/bucket/key`: what most stores other than Amazon's expect.
    #[default]
    Path,
    /// `https://bucket.host/key`. Endpoints that are an address stay with [`Addressing::Path`].
    VirtualHost,
}

/// How the store encrypts what it keeps. The keys are the store's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Encryption {
    /// With keys the store manages (SSE-S3, AES-256).
    S3Managed,
    /// With a key of its key management (SSE-KMS).
    Kms {
        /// Which key; the bucket's own where absent.
        key_id: Option<String>,
    },
}

/// Who may end a lock early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockMode {
    /// Whoever has the right to bypass it.
    Governance,
    /// Nobody.
    Compliance,
}

/// How long objects cannot be deleted or replaced after they were written. The bucket must have been made with Object Lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ObjectLock {
    /// Who may end it early.
    pub mode: LockMode,
    /// Days; at least 1.
    pub days: u32,
}

/// Everything about one store. `Debug` shows no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// What this process dials: `https://host:port`. `http://` is taken too; whether it is allowed is for the caller to decide.
    pub endpoint: String,
    /// What presigned requests name, because the signature covers the host and systems may reach the store under another one. [`Options::endpoint`]
    /// where absent. Never dialled from here.
    pub system_endpoint: Option<String>,
    /// Region; stores that have none take `us-east-1`.
    pub region: String,
    /// Bucket.
    pub bucket: String,
    /// Empty, or a text that ends in `/`. It is put before every key here, and taken off again in listings.
    pub prefix: String,
    /// How the bucket is named in requests.
    pub addressing: Addressing,
    /// PEM of the authorities to trust, instead of this machine's. None: this machine's.
    pub authority: Option<String>,
    /// How the store encrypts. None: as the bucket says.
    pub encryption: Option<Encryption>,
    /// How long objects are locked. None: as the bucket says.
    pub object_lock: Option<ObjectLock>,
    /// Name of the access key.
    pub access_key_id: String,
    /// Its secret.
    pub secret_access_key: Secret,
    /// Token of temporary credentials.
    pub session_token: Option<Secret>,
}

impl Options {
    /// Refuses what no store could be reached with.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        check_endpoint("the endpoint", &self.endpoint)?;
        if let Some(endpoint) = &self.system_endpoint {
            check_endpoint("the endpoint for systems", endpoint)?;
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        if self.bucket.is_empty() || self.bucket.len() > 255 || !self.bucket.chars().all(plain) {
            return refuse(format!("{:?} is no name of a bucket; give its name alone, of a-z, 0-9, '.' and '-'", self.bucket));
        }
        let parts = self.prefix.strip_suffix('/').is_some_and(|inner| inner.split('/').all(|part| !matches!(part, "" | "." | "..")));
        let clean = self.prefix.len() <= LONGEST_PREFIX && !self.prefix.chars().any(char::is_control);
        let usable = self.prefix.is_empty() || (parts && clean);
        if !usable {
            return refuse(format!(
                "the prefix {:?} is not usable; leave it empty, or give names each followed by '/', at most {LONGEST_PREFIX} bytes",
                self.prefix
            ));
        }
        if self.region.is_empty() || !self.region.chars().all(plain) {
            return refuse(format!("{:?} is no region; give the store's, or us-east-1 where it has none", self.region));
        }
        if self.access_key_id.is_empty() || self.secret_access_key.expose().is_empty() {
            return refuse("the access key id or the secret access key is empty; give both".to_owned());
        }
        match self.object_lock {
            Some(ObjectLock { days: 0, .. }) => {
                refuse("an object lock of 0 days locks nothing; give at least 1, or leave it away".to_owned())
            }
            Some(ObjectLock { days, .. }) if days > 36_500 => {
                refuse(format!("an object lock of {days} days is longer than 100 years; give less"))
            }
            _ => Ok(()),
        }
    }
    /// Whether the endpoint is dialled with TLS.
    pub(crate) fn is_tls(&self) -> bool {
        self.endpoint.starts_with("https://")
    }
}

fn refuse<T>(why: String) -> Result<T, StoreError> {
    Err(StoreError::Configuration(why))
}

fn check_endpoint(what: &str, endpoint: &str) -> Result<(), StoreError> {
    // An endpoint with a password in it must not be printed.
    let bad = |reason: &str| refuse(format!("{what} is not usable: {reason}; give https://host or https://host:port and nothing more"));
    let Ok(uri) = endpoint.parse::<http::Uri>() else {
        return bad("it is no URL");
    };
    let Some(authority) = uri.authority() else {
        return bad("it names no host");
    };
    if !matches!(uri.scheme_str(), Some("https" | "http")) {
        return bad("it does not begin with https:// or http://");
    }
    if authority.as_str().contains('@') {
        return bad("it holds a user name");
    }
    if uri.query().is_some() || !matches!(uri.path(), "" | "/") {
        return bad("it has a path or a query");
    }
    Ok(())
}
