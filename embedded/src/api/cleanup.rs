//! The way out of a CustomResourceDefinition: its objects first, in the background, however often that fails.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::Notify;

use super::crd::{CLEANUP, STORAGE, stored_at, text, words};
use super::{Api, metadata};
use crate::status::Status;
use crate::store::{Key, Write, WriteError};

/// How long the first failure is waited after, and how long the later ones at most.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// Which definitions are being cleaned up.
#[derive(Default)]
pub(super) struct Cleanups {
    running: Mutex<HashSet<String>>,
    /// Rings when somebody wants a failed clean-up tried at once.
    again: Notify,
}

impl Cleanups {
    fn running(&self) -> MutexGuard<'_, HashSet<String>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Notes the end of a clean-up, also of one that panics.
struct Running {
    api: Api,
    name: String,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.api.0.cleanups.running().remove(&self.name);
    }
}

/// Tries until it succeeds, or until the store is closed.
async fn persist<F: Future<Output = Result<(), Status>>>(name: &str, again: &Notify, mut attempt: impl FnMut() -> F) {
    let mut wait = FIRST_WAIT;
    while let Err(error) = attempt().await {
        if error.code == 503 {
            return;
        }
        tracing::warn!(definition = name, %error, seconds = wait.as_secs_f32(), "cannot delete the objects of a definition; trying again");
        // Either way it is time.
        let _ = tokio::time::timeout(wait, again.notified()).await;
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}

fn closed() -> Status {
    Status::new(503, "ServiceUnavailable", WriteError::Closed.to_string())
}

impl Api {
    /// A definition is to be deleted: its objects go first. Asked for again, a clean-up that failed is tried at once.
    pub(super) fn definition_going(&self, definition: &Value) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        self.set_ending(&stored_at(definition), true);
        let name = metadata::text(definition, "name").to_owned();
        if !self.0.cleanups.running().insert(name.clone()) {
            return self.0.cleanups.again.notify_waiters();
        }
        let running = Running { api: self.clone(), name };
        runtime.spawn(async move {
            let Running { api, name } = &running;
            persist(name, &api.0.cleanups.again, || api.clean_up(name)).await;
            let (api, name) = (api.clone(), name.clone());
            drop(running);
            // One of the same name may have come and be going since, and have found this one still running.
            if let Some(definition) = api.going(&name) {
                api.definition_going(&definition);
            }
        });
    }

    /// The definition of that name, if it still waits for a clean-up that can succeed.
    fn going(&self, name: &str) -> Option<Value> {
        if self.store().is_closed() {
            return None;
        }
        let definition = self.store().get(&Key::new(STORAGE, "", name))?.value();
        let waits = metadata::is_deleting(&definition) && words(&definition["metadata"]["finalizers"]).iter().any(|word| word == CLEANUP);
        waits.then_some(definition)
    }

    /// Deletes all objects of a definition, waits until they are gone and lets the definition go.
    async fn clean_up(&self, name: &str) -> Result<(), Status> {
        let key = Key::new(STORAGE, "", name);
        let Some(definition) = self.store().get(&key).map(|object| object.value()) else { return Ok(()) };
        let spec = &definition["spec"];
        let storage = stored_at(&definition);
        let kinds = self.kinds();
        if let Some(resource) = kinds.by_kind(text(spec, "group"), text(&spec["names"], "kind")).filter(|resource| resource.custom) {
            loop {
                let listing = self.store().list(&storage, None, None, None);
                if listing.objects.is_empty() {
                    break;
                }
                let mut watch = self.store().watch(&storage, None, listing.revision).map_err(Status::internal)?;
                self.delete_all(resource, &listing.objects).await?;
                if self.store().list(&storage, None, None, Some(1)).objects.is_empty() {
                    break;
                }
                // Somebody's finalizer holds the rest: look again whenever one of them changes.
                if watch.next().await.is_none() {
                    return Err(closed());
                }
            }
        }
        self.release(&key).await
    }

    /// Takes the finalizer away; without any other the definition is gone.
    async fn release(&self, key: &Key) -> Result<(), Status> {
        let kinds = self.kinds();
        let Some(resource) = kinds.get("apiextensions.k8s.io", "v1", "customresourcedefinitions") else { return Ok(()) };
        loop {
            let Some(present) = self.store().get(key) else { return Ok(()) };
            let mut definition = present.value();
            let mut finalizers = words(&definition["metadata"]["finalizers"]);
            finalizers.retain(|name| name != CLEANUP);
            let result = if finalizers.is_empty() {
                self.remove(resource, &present).await
            } else {
                definition["metadata"]["finalizers"] = json!(finalizers);
                self.store().write(Write::Update { key: key.clone(), expected: present.revision, value: definition }).await.map(drop)
            };
            match result {
                Ok(()) | Err(WriteError::Missing) => return Ok(()),
                Err(WriteError::Conflict) => {}
                Err(WriteError::Closed) => return Err(closed()),
                Err(error) => return Err(Status::internal(error)),
            }
        }
    }
}

#[cfg(test)]
mod tests;
