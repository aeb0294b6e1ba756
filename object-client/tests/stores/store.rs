//! A store that runs for one test.

use std::any::Any;
use std::path::{Path, PathBuf};

use model::secret::Secret;
use object_client::{Addressing, ObjectClient, Options};

/// The bucket that is there.
pub const BUCKET: &str = "backups-of-north";
/// Prefix of all keys in it.
pub const PREFIX: &str = "switchboard/one/";

/// A store that runs until this is dropped.
pub struct Store {
    /// How to reach it, with all rights.
    pub options: Options,
    /// File with the authority of its certificate, where it speaks TLS.
    pub authority: Option<PathBuf>,
    /// Whether it lists the SHA-256 of parts.
    pub lists_digests: bool,
    /// Whether it tells the SHA-256 of objects.
    pub tells_checksums: bool,
    /// What stops it.
    pub _guard: Box<dyn Any + Send + Sync>,
}

impl Store {
    /// Options with all rights.
    pub fn options(endpoint: String, key: &str, secret: &str) -> Options {
        Options {
            endpoint,
            system_endpoint: None,
            region: "us-east-1".into(),
            bucket: BUCKET.into(),
            prefix: PREFIX.into(),
            addressing: Addressing::Path,
            authority: None,
            encryption: None,
            object_lock: None,
            access_key_id: key.into(),
            secret_access_key: Secret::new(secret),
            session_token: None,
        }
    }
    /// A client with all rights.
    pub fn client(&self) -> ObjectClient {
        ObjectClient::new(self.options.clone()).unwrap()
    }
    /// A client with other options.
    pub fn client_with(&self, change: impl FnOnce(&mut Options)) -> ObjectClient {
        let mut options = self.options.clone();
        change(&mut options);
        ObjectClient::new(options).unwrap()
    }
}

/// A folder that goes when this is dropped.
pub struct Folder(PathBuf);

impl Folder {
    /// A new one.
    pub fn new() -> Self {
        let path = std::env::temp_dir().join(format!("switchboard-store-{}", uuid::Uuid::new_v4().simple()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}
impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
