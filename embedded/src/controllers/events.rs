//! Removes Events that are old: they tell what happens, and are no archive.

use std::time::Duration;

use jiff::Timestamp;
use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, ListParams, Preconditions};
use kube::core::GroupVersionKind;
use kube::{Client, Error, ResourceExt};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

/// How long an Event is kept after it was last seen, as in Kubernetes.
pub const KEPT: Duration = Duration::from_secs(3600);
/// Time between two rounds.
const PERIOD: Duration = Duration::from_secs(300);
/// Events read at a time.
const PAGE: u32 = 500;
/// Events deleted in one round at most; the next one goes on.
const AT_MOST: usize = 5000;

/// Removes old Events until shutdown.
pub async fn run(client: Client, shutdown: CancellationToken) {
    let mut turn = tokio::time::interval(PERIOD);
    turn.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let rounds = async {
        loop {
            turn.tick().await;
            match expire(&client, Timestamp::now()).await {
                Ok(0) => {}
                Ok(removed) => tracing::debug!(removed, "old events were removed"),
                Err(error) => tracing::warn!(%error, "old events could not be removed; it is tried again in some minutes"),
            }
        }
    };
    tokio::select! {
        () = shutdown.cancelled() => {}
        () = rounds => {}
    }
}

/// Removes what is old; returns how many that were. Writes nothing when nothing is.
///
/// # Errors
/// What the server says; what was removed until then stays removed.
pub async fn expire(client: &Client, now: Timestamp) -> Result<usize, Error> {
    let kind = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk("", "v1", "Event"), "events");
    let all: Api<DynamicObject> = Api::all_with(client.clone(), &kind);
    let mut page = ListParams::default().limit(PAGE);
    let mut removed = 0;
    loop {
        let list = all.list(&page).await?;
        for event in list.items.iter().filter(|event| is_old(event, now)) {
            if removed == AT_MOST {
                return Ok(removed);
            }
            let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), &event.namespace().unwrap_or_default(), &kind);
            // One that was seen again meanwhile has another version.
            let preconditions = Preconditions { uid: event.uid(), resource_version: event.resource_version() };
            let how = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
            match api.delete(&event.name_any(), &how).await {
                Ok(_) => removed += 1,
                Err(Error::Api(status)) if status.code == 404 || status.code == 409 => {}
                Err(error) => return Err(error),
            }
        }
        match list.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => page = ListParams::default().limit(PAGE).continue_token(&token),
            None => return Ok(removed),
        }
    }
}

/// An Event without any time is left alone.
fn is_old(event: &DynamicObject, now: Timestamp) -> bool {
    let times = ["/lastTimestamp", "/eventTime", "/series/lastObservedTime"];
    let told = times.iter().filter_map(|place| event.data.pointer(place).and_then(Value::as_str)?.parse::<Timestamp>().ok());
    let created = event.creation_timestamp().map(|time| time.0);
    told.chain(created).max().is_some_and(|last| Duration::try_from(now.duration_since(last)).is_ok_and(|age| age > KEPT))
}
