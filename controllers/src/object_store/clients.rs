//! Clients of the object stores, by name, for the actions.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use object_client::{Guard, ObjectClient, Options, StoreError};
use runtime::fence::Fence;

use crate::action::report::Because;

struct Entry {
    /// What the client was made from: UID and generation of the object, version of its Secret.
    made_from: String,
    client: Result<ObjectClient, Because>,
}

/// The clients.
pub struct Clients {
    all: Mutex<HashMap<String, Entry>>,
    guard: Guard,
}

impl std::fmt::Debug for Clients {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Clients")
    }
}

impl Clients {
    fn with<T>(&self, work: impl FnOnce(&mut HashMap<String, Entry>) -> T) -> T {
        work(&mut self.all.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Clients that change nothing in a store unless this process leads at that moment.
    pub fn guarded(fence: Fence) -> Self {
        let guard = Guard::new(move || fence.check().map(drop).map_err(|error| error.to_string()));
        Self { all: Mutex::default(), guard }
    }

    /// A new client.
    ///
    /// # Errors
    /// The options cannot be used.
    pub fn make(&self, options: Options) -> Result<ObjectClient, StoreError> {
        ObjectClient::guarded(options, self.guard.clone())
    }

    /// The client of a store.
    ///
    /// # Errors
    /// There is no such store, or it cannot be used as it is configured.
    pub fn get(&self, name: &str) -> Result<ObjectClient, Because> {
        self.with(|clients| match clients.get(name) {
            Some(entry) => entry.client.clone(),
            None => Err(Because::new(
                "StoreNotFound",
                format!("there is no ObjectStore {name}, or it was made this moment; create it if it is missing"),
            )),
        })
    }

    /// The client, if it was made from this.
    pub fn current(&self, name: &str, made_from: &str) -> Option<ObjectClient> {
        self.with(|clients| clients.get(name).filter(|entry| entry.made_from == made_from).and_then(|entry| entry.client.clone().ok()))
    }

    /// The store has this client now.
    pub fn set(&self, name: &str, made_from: String, client: ObjectClient) {
        self.with(|clients| clients.insert(name.to_owned(), Entry { made_from, client: Ok(client) }));
    }

    /// The store cannot be used as it is configured.
    pub fn fail(&self, name: &str, because: Because) {
        self.with(|clients| clients.insert(name.to_owned(), Entry { made_from: String::new(), client: Err(because) }));
    }

    /// The store is gone.
    pub fn remove(&self, name: &str) {
        self.with(|clients| clients.remove(name));
    }
}
