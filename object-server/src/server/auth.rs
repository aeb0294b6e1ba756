//! Who may do everything.

use std::collections::HashMap;

use s3s::auth::{S3Auth, SecretKey};
use s3s::{S3Error, S3ErrorCode, S3Result};

use crate::options::{Credentials, OpenError};

/// Access key ids and their secrets.
pub(super) struct KnownKeys(HashMap<String, SecretKey>);

impl KnownKeys {
    /// Every id once, none empty, each with a secret.
    pub(super) fn new(credentials: Vec<Credentials>) -> Result<Self, OpenError> {
        let mut keys = HashMap::new();
        for Credentials { access_key_id, secret_access_key } in credentials {
            let empty = access_key_id.is_empty() || secret_access_key.is_empty();
            if empty || keys.insert(access_key_id.clone(), secret_access_key.into()).is_some() {
                return Err(OpenError::Credentials(access_key_id));
            }
        }
        Ok(Self(keys))
    }
}

#[async_trait::async_trait]
impl S3Auth for KnownKeys {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        let unknown =
            || S3Error::with_message(S3ErrorCode::InvalidAccessKeyId, "this access key id is not known here; check the credentials");
        self.0.get(access_key).cloned().ok_or_else(unknown)
    }
}
