//! Bearer tokens. Fixed ones are random and kept in a file; those of service accounts are signed (JWT, HS256), so nothing need be kept.

use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use serde_json::{Value, json};

use super::private::{self, FileError};
use crate::api::authorize::{Bearer, Tokens};
use crate::status::Status;
use crate::store::{Key, Store};
use crate::user::User;

/// Bytes of randomness in a token or key.
const SECRET: usize = 32;
/// Where service accounts stand in the store.
const SERVICE_ACCOUNTS: &str = "serviceaccounts";
/// Where pods stand.
const PODS: &str = "pods";
/// Whom the tokens name as their issuer, and whom they are for where nobody is named.
pub const ISSUER: &str = "https://kubernetes.default.svc";
/// Kubernetes' bounds for the lifetime of a token.
const LIFETIME_SECONDS: std::ops::RangeInclusive<i64> = 600..=(1 << 32);

/// The system gives no random bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the system gives no random bytes; see that /dev/urandom can be read")]
pub struct NoRandomness;

/// Why tokens could not be read or made.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The file with the secret.
    #[error(transparent)]
    File(#[from] FileError),
    /// See [`NoRandomness`].
    #[error(transparent)]
    Random(#[from] NoRandomness),
    /// The file holds something else.
    #[error("{0} does not hold a token; move it away to have it made anew, then hand out the new kubeconfig")]
    Malformed(String),
}

/// A token of 256 random bits, as text that fits a header.
///
/// # Errors
/// [`NoRandomness`].
pub fn random() -> Result<String, NoRandomness> {
    random_bytes().map(|bytes| URL_SAFE_NO_PAD.encode(bytes))
}

fn random_bytes() -> Result<[u8; SECRET], NoRandomness> {
    let mut bytes = [0; SECRET];
    SystemRandom::new().fill(&mut bytes).map_err(|_| NoRandomness)?;
    Ok(bytes)
}

/// The token kept in a file; made at the first call, the same at every later one.
///
/// # Errors
/// [`TokenError`] where the file cannot be used.
pub fn kept_in(path: &Path) -> Result<String, TokenError> {
    if let Some(text) = private::read(path)? {
        let token = text.trim();
        let whole = URL_SAFE_NO_PAD.decode(token).is_ok_and(|bytes| bytes.len() == SECRET);
        return if whole { Ok(token.to_owned()) } else { Err(TokenError::Malformed(path.display().to_string())) };
    }
    let token = random()?;
    private::write(path, format!("{token}\n").as_bytes())?;
    Ok(token)
}

/// Tokens that stand for fixed users.
///
/// They are looked up by a keyed hash under a key only this process has, so the time a look-up takes says nothing about any token.
pub struct FixedTokens {
    key: hmac::Key,
    users: HashMap<Vec<u8>, User>,
}

impl FixedTokens {
    /// No tokens yet.
    ///
    /// # Errors
    /// [`NoRandomness`].
    pub fn new() -> Result<Self, NoRandomness> {
        Ok(Self { key: hmac::Key::new(hmac::HMAC_SHA256, &random_bytes()?), users: HashMap::new() })
    }

    /// Lets a token stand for a user.
    #[must_use]
    pub fn with(mut self, token: &str, user: User) -> Self {
        let hash = self.hash(token);
        self.users.insert(hash, user);
        self
    }

    /// Whom a token stands for.
    pub fn user(&self, token: &str) -> Option<User> {
        self.users.get(&self.hash(token)).cloned()
    }

    fn hash(&self, token: &str) -> Vec<u8> {
        hmac::sign(&self.key, token.as_bytes()).as_ref().to_vec()
    }
}

/// Tokens of service accounts: valid while they last and the account, under the same uid, exists; and the pod, if they are bound to one.
pub struct ServiceAccountTokens {
    key: hmac::Key,
    store: Store,
}

impl ServiceAccountTokens {
    /// With the signing key kept in a file, so that tokens outlive a restart.
    ///
    /// # Errors
    /// [`TokenError`] where the file cannot be used.
    pub fn open(path: &Path, store: Store) -> Result<Self, TokenError> {
        let secret = kept_in(path)?;
        Ok(Self { key: hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), store })
    }

    /// With a signing key of this process.
    ///
    /// # Errors
    /// [`NoRandomness`].
    pub fn for_this_process(store: Store) -> Result<Self, NoRandomness> {
        Ok(Self { key: hmac::Key::new(hmac::HMAC_SHA256, &random_bytes()?), store })
    }

    fn sign(&self, claims: &Value) -> String {
        let header = URL_SAFE_NO_PAD.encode(json!({"alg": "HS256", "typ": "JWT"}).to_string());
        let signed = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims.to_string()));
        let tag = hmac::sign(&self.key, signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag))
    }

    /// The claims of a token with a good signature. `verify` compares in constant time.
    fn claims(&self, token: &str) -> Option<Value> {
        let (signed, tag) = token.rsplit_once('.')?;
        hmac::verify(&self.key, signed.as_bytes(), &URL_SAFE_NO_PAD.decode(tag).ok()?).ok()?;
        let (_, claims) = signed.split_once('.')?;
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()
    }

    fn exists(&self, storage: &str, namespace: &str, name: &str, uid: &str) -> bool {
        let object = self.store.get(&Key::new(storage, namespace, name));
        object.is_some_and(|object| object.value()["metadata"]["uid"] == uid)
    }

    fn issue_at(&self, now: i64, bearer: &Bearer<'_>, audiences: &[String], seconds: i64) -> Result<(String, String), Status> {
        if !LIFETIME_SECONDS.contains(&seconds) {
            return Err(Status::bad_request(format!(
                "spec.expirationSeconds: Invalid value: {seconds}: may not specify a duration less than 10 minutes or larger than 2^32 seconds"
            )));
        }
        let Bearer { namespace, name, uid, pod } = *bearer;
        let ends = now + seconds;
        let audiences = if audiences.is_empty() { vec![ISSUER.to_owned()] } else { audiences.to_vec() };
        let mut claims = json!({
            "iss": ISSUER,
            "sub": format!("system:serviceaccount:{namespace}:{name}"),
            "aud": audiences,
            "iat": now,
            "nbf": now,
            "exp": ends,
            "jti": uuid::Uuid::new_v4().to_string(),
            "kubernetes.io": {"namespace": namespace, "serviceaccount": {"name": name, "uid": uid}},
        });
        if let Some((name, uid)) = pod {
            claims["kubernetes.io"]["pod"] = json!({"name": name, "uid": uid});
        }
        let text = jiff::Timestamp::from_second(ends).map_err(Status::internal)?.to_string();
        Ok((self.sign(&claims), text))
    }

    fn user_at(&self, now: i64, token: &str) -> Option<User> {
        let claims = self.claims(token)?;
        let time = |name: &str| claims[name].as_i64();
        if claims["iss"] != ISSUER || now < time("nbf")? || now >= time("exp")? {
            return None;
        }
        // A token for another audience is not for this server.
        claims["aud"].as_array()?.iter().any(|audience| audience == ISSUER).then_some(())?;
        let bound = &claims["kubernetes.io"];
        let (namespace, account) = (bound["namespace"].as_str()?, &bound["serviceaccount"]);
        let (name, uid) = (account["name"].as_str()?, account["uid"].as_str()?);
        if !self.exists(SERVICE_ACCOUNTS, namespace, name, uid) {
            return None;
        }
        let mut user = User::service_account(namespace, name, uid);
        if let Some(pod) = bound.get("pod") {
            let (name, uid) = (pod["name"].as_str()?, pod["uid"].as_str()?);
            self.exists(PODS, namespace, name, uid).then_some(())?;
            for (key, value) in [("name", name), ("uid", uid)] {
                user.extra.insert(format!("authentication.kubernetes.io/pod-{key}"), vec![value.to_owned()]);
            }
        }
        Some(user)
    }
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

impl Tokens for ServiceAccountTokens {
    fn issue(&self, bearer: &Bearer<'_>, audiences: &[String], seconds: i64) -> Result<(String, String), Status> {
        self.issue_at(now(), bearer, audiences, seconds)
    }

    fn user(&self, token: &str) -> Option<User> {
        self.user_at(now(), token)
    }
}

#[cfg(test)]
mod tests;
