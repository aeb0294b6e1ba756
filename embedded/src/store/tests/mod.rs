#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod files;
mod watches;
mod writes;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::{Key, Object, Store, Write, WriteError};

/// A folder of its own, removed at the end.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Self {
        let path = std::env::temp_dir().join(format!("store-test-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }
    pub fn path(&self) -> &Path {
        &self.0
    }
    pub fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub fn key(namespace: &str, name: &str) -> Key {
    Key::new("configmaps", namespace, name)
}

pub fn config_map(name: &str, text: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": {"app": name}}, "data": {"text": text}})
}

pub async fn create(store: &Store, key: &Key, text: &str) -> Result<Arc<Object>, WriteError> {
    store.write(Write::Create { key: key.clone(), value: config_map(&key.name, text) }).await
}

pub async fn update(store: &Store, key: &Key, expected: u64, text: &str) -> Result<Arc<Object>, WriteError> {
    store.write(Write::Update { key: key.clone(), expected, value: config_map(&key.name, text) }).await
}

pub async fn delete(store: &Store, key: &Key, expected: u64) -> Result<Arc<Object>, WriteError> {
    store.write(Write::Delete { key: key.clone(), expected }).await
}

/// Ten seconds are for ever here: what is awaited is there already or comes at once.
pub async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(10), future).await.expect("nothing came within ten seconds")
}
