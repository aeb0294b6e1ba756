//! Tokens of a pod's service account: kept while they are fresh, so that bringing volumes up to date does not ask for new ones each time.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use tokio::time::Instant;

use super::clock::later;
use super::cluster::Cluster;

/// How long a token lasts where the manifest does not say.
const LIFETIME: i64 = 3600;

/// A token's audience and lifetime in seconds.
type Wanted = (Option<String>, i64);

#[derive(Debug)]
struct Kept {
    token: String,
    renew: Instant,
}

/// The tokens of one pod.
#[derive(Debug, Default)]
pub struct Tokens {
    kept: Mutex<HashMap<Wanted, Kept>>,
}

impl Tokens {
    /// The token for this audience: the present one, or a new one where four fifths of its time have passed, as with the kubelet.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn get(&self, cluster: &dyn Cluster, pod: &Pod, audience: Option<&str>, seconds: Option<i64>) -> Result<String, String> {
        let seconds = seconds.unwrap_or(LIFETIME);
        let wanted = (audience.map(str::to_owned), seconds);
        let now = Instant::now();
        if let Some(kept) = self.kept.lock().unwrap_or_else(PoisonError::into_inner).get(&wanted).filter(|kept| kept.renew > now) {
            return Ok(kept.token.clone());
        }
        let token = cluster.token(pod, audience, Some(seconds)).await?;
        let lifetime = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
        let kept = Kept { token: token.clone(), renew: later(now, lifetime / 5 * 4) };
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).insert(wanted, kept);
        Ok(token)
    }
}
