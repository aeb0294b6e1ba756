//! What the kinds that order an action on a system do alike (FLEET-7, JOB-1 to JOB-4).
//!
//! | module | what |
//! |---|---|
//! | [`finished`] | which finished objects go (pure) |
//! | [`lock`] | who may work on a system (pure) |
//! | [`turn`] | whether an action may begin, waits, or is refused (pure) |
//! | [`ordered`] | what is alike in their kinds |
//! | [`reach`] | asking the system and the store, with patience |
//! | [`runs`] | what is under way in this process |
//! | [`report`] | conditions (pure) |

pub mod finished;
pub mod lock;
pub mod ordered;
pub mod reach;
pub mod report;
pub mod runs;
pub mod turn;

use std::fmt::Debug;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::{DeleteParams, Preconditions};
use kube::{Api, Resource, ResourceExt as _};
use serde::de::DeserializeOwned;

use crate::error::ReconcileError;

/// How patient actions are.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// An action that has made no progress for so long fails with the last reason: the system is away, or the store.
    pub without_progress: Duration,
    /// An action whose time has come and that could not begin for so long fails: nobody wants a restore that begins a week later.
    pub to_begin: Duration,
    /// The same for restores, which are at once: nobody wants one that begins an evening later.
    pub to_restore: Duration,
    /// An action that began so long ago is not begun again when it breaks off.
    pub in_all: Duration,
    /// Wait before an action that broke off is begun again.
    pub again: Duration,
    /// First wait before something is tried again; it doubles.
    pub first_wait: Duration,
    /// Longest wait before something is tried again.
    pub longest_wait: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            without_progress: Duration::from_secs(3600),
            to_begin: Duration::from_secs(24 * 3600),
            to_restore: Duration::from_secs(3600),
            in_all: Duration::from_secs(24 * 3600),
            again: Duration::from_secs(2),
            first_wait: Duration::from_millis(500),
            longest_wait: Duration::from_secs(15),
        }
    }
}

impl Patience {
    /// When an action that began then ends at the latest.
    pub fn deadline(&self, began: Option<&Time>) -> jiff::Timestamp {
        let began = began.map_or_else(jiff::Timestamp::now, |began| began.0);
        began.checked_add(self.in_all).unwrap_or(jiff::Timestamp::MAX)
    }

    /// Whether an action that began then is not begun again.
    pub fn exhausted(&self, began: Option<jiff::Timestamp>, now: jiff::Timestamp) -> bool {
        began.is_some_and(|began| Duration::try_from(now.duration_since(began)).is_ok_and(|lasted| lasted > self.in_all))
    }
}

/// Finished objects of a kind that stay for each system: the newest that did something, and of the others those among the newest of all.
pub const MOST_FINISHED: usize = 3;

/// Deletes a finished object whose place newer ones took; this very object, and no other of the same name.
///
/// # Errors
/// The API server's answer.
pub async fn prune<K>(api: &Api<K>, object: &K) -> Result<(), ReconcileError>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
{
    let (kind, name) = (K::kind(&()), object.name_any());
    let preconditions = Some(Preconditions { uid: object.uid(), resource_version: None });
    match api.delete(&name, &DeleteParams { preconditions, ..DeleteParams::default() }).await {
        Ok(_) => {
            tracing::info!(%kind, namespace = object.namespace(), name, "a finished object was deleted, because newer ones took its place");
            Ok(())
        }
        Err(kube::Error::Api(status)) if status.code == 404 || status.code == 409 => Ok(()),
        Err(error) => Err(ReconcileError::api("delete", format!("{kind} {name}, whose place newer ones took"))(error)),
    }
}
