//! The client, and whether the store is there and lets us in.

use std::fmt;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::{RetryConfig, RetryPartition};
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{
    BehaviorVersion, Builder, Credentials, Region, RequestChecksumCalculation, ResponseChecksumValidation, SharedHttpClient,
    StalledStreamProtectionConfig,
};
use model::secret::Secret;

use crate::error::{Asked, StoreError, answer, classify};
use crate::guard::Guard;
use crate::http_client;
use crate::options::{ATTEMPT_TIMEOUT, ATTEMPTS, Addressing, CONNECT_TIMEOUT, Options};

/// First and longest wait between attempts, with jitter.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(2));
/// Longest a presigned request of a probe could be used.
const PROBE_LIFETIME: Duration = Duration::from_secs(60);

/// A client of one store. Cheap to clone; all clones share connections.
#[derive(Clone)]
pub struct ObjectClient {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub options: Options,
    /// For what this process does.
    pub client: Client,
    /// For what others do: signs for the endpoint that they dial, and dials nothing.
    pub signer: Client,
    /// Longest time of an attempt, and longest wait for the next bytes of a body.
    pub attempt: Duration,
}

impl fmt::Debug for ObjectClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ObjectClient").field(&self.inner.options).finish()
    }
}

/// What a look at the store has shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Probe {
    /// Whether keys may be listed. Without it there is no catalogue, and nothing is ever removed.
    pub may_list: bool,
}

impl ObjectClient {
    /// A client with these options. Dials nothing yet.
    ///
    /// # Errors
    /// [`StoreError::Configuration`] where the options cannot be used.
    pub fn new(options: Options) -> Result<Self, StoreError> {
        Self::with_attempt_timeout(options, ATTEMPT_TIMEOUT)
    }

    /// The same with another bound instead of [`ATTEMPT_TIMEOUT`], for stores on the same machine.
    ///
    /// # Errors
    /// As [`ObjectClient::new`].
    pub fn with_attempt_timeout(options: Options, attempt: Duration) -> Result<Self, StoreError> {
        Self::build(options, attempt, None)
    }

    /// The same, through which nothing is changed in the store where `guard` says no. What others do with presigned requests it does not see.
    ///
    /// # Errors
    /// As [`ObjectClient::new`].
    pub fn guarded(options: Options, guard: Guard) -> Result<Self, StoreError> {
        Self::build(options, ATTEMPT_TIMEOUT, Some(guard))
    }

    fn build(options: Options, attempt: Duration, guard: Option<Guard>) -> Result<Self, StoreError> {
        options.check()?;
        let connections = http_client::build(&options)?;
        let mut acting = configuration(&options, &options.endpoint, connections.clone(), attempt);
        if let Some(guard) = guard {
            acting = acting.interceptor(guard);
        }
        let client = Client::from_conf(acting.build());
        let endpoint = options.system_endpoint.as_ref().unwrap_or(&options.endpoint);
        let signer = Client::from_conf(configuration(&options, endpoint, connections, attempt).build());
        Ok(Self { inner: Arc::new(Inner { options, client, signer, attempt }) })
    }

    /// What the client was made with.
    pub fn options(&self) -> &Options {
        &self.inner.options
    }

    /// Whether the bucket is there and may be listed. One or two requests, and nothing is written.
    pub async fn probe(&self) -> Result<Probe, StoreError> {
        let what = "list the bucket";
        let request = self.client().list_objects_v2().bucket(self.bucket()).prefix(&self.inner.options.prefix).max_keys(1);
        let Err(error) = request.send().await else {
            return Ok(Probe { may_list: true });
        };
        let denied = answer(&error).is_some_and(|answer| answer.code == "AccessDenied");
        let error = classify(error, self.asked(what));
        if !denied {
            return Err(error);
        }
        // Whoever may not list may still be let in.
        match self.client().head_bucket().bucket(self.bucket()).send().await {
            Ok(_) => Ok(Probe { may_list: false }),
            Err(_) => Err(error),
        }
    }

    /// Whether objects can be written, read and deleted, and requests be signed: puts a tiny object `probe/<random>`, reads it back and deletes it.
    /// The name is the process's: a store that lets nothing be deleted does not fill, and an error that stays reads the same each time.
    /// It is neither encrypted by our wish nor locked. Nothing is sent to [`Options::system_endpoint`]: only systems may reach it.
    pub async fn probe_write(&self) -> Result<(), StoreError> {
        static NAME: LazyLock<String> = LazyLock::new(|| format!("probe/{}", uuid::Uuid::new_v4().simple()));
        let key = NAME.clone();
        let content = b"written by a probe of Switchboard, and deleted at once\n".to_vec();
        self.presign_get(&key, PROBE_LIFETIME).await?;
        // What backups are asked to be written with, such as encryption and lock, must be taken too; nothing comes of it.
        let upload = self.begin_upload(&key, None).await?;
        self.abort_upload(&upload).await?;
        self.put_plain(&key, content.clone()).await?;
        let read = self.read(&key, content.len()).await;
        // What was written goes, whatever was read.
        let deleted = self.delete(std::slice::from_ref(&key)).await;
        match read? {
            Some(read) if read == content => deleted,
            Some(_) => Err(StoreError::NotStored(format!("{key} and gave other bytes back"))),
            None => Err(StoreError::NotStored(format!("{key} and did not give it back"))),
        }
    }

    pub(crate) fn client(&self) -> &Client {
        &self.inner.client
    }
    pub(crate) fn bucket(&self) -> &str {
        &self.inner.options.bucket
    }
    /// The key in the bucket.
    pub(crate) fn full_key(&self, key: &str) -> String {
        format!("{}{key}", self.inner.options.prefix)
    }
    /// The key without the prefix; none where it is not below it.
    pub(crate) fn own_key<'a>(&self, key: &'a str) -> Option<&'a str> {
        key.strip_prefix(self.inner.options.prefix.as_str()).filter(|key| !key.is_empty())
    }
    pub(crate) fn asked<'a>(&'a self, operation: &'a str) -> Asked<'a> {
        Asked { endpoint: &self.inner.options.endpoint, bucket: self.bucket(), operation }
    }
}

fn configuration(options: &Options, endpoint: &str, connections: SharedHttpClient, attempt: Duration) -> Builder {
    let token = options.session_token.as_ref().map(|token| token.expose().to_owned());
    let secret: &Secret = &options.secret_access_key;
    let credentials = Credentials::new(options.access_key_id.clone(), secret.expose(), token, None, "switchboard");
    let retries = RetryConfig::standard().with_max_attempts(ATTEMPTS).with_initial_backoff(BACKOFF.0).with_max_backoff(BACKOFF.1);
    Builder::new()
        .behavior_version(BehaviorVersion::latest())
        .credentials_provider(credentials)
        .region(Region::new(options.region.clone()))
        .endpoint_url(endpoint)
        .force_path_style(options.addressing == Addressing::Path)
        .http_client(connections)
        .timeout_config(timeouts(attempt))
        .retry_config(retries)
        // Of its own, so that one store that is down does not use up the retries of the others.
        .retry_partition(RetryPartition::new(format!("{endpoint} {}", options.bucket)))
        // Bodies are read with bounds of our own.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        // Checksums are SHA-256 and ours; what the library adds by itself many stores refuse.
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
        .disable_s3_express_session_auth(true)
}

/// Bounds of a request whose attempts may take this long.
pub(crate) fn timeouts(attempt: Duration) -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .operation_attempt_timeout(attempt)
        .operation_timeout(attempt * ATTEMPTS + BACKOFF.1 * ATTEMPTS)
        .build()
}
