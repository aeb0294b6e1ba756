#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod crash;
mod listing;
mod reading;

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt as _;
use s3s::dto::StreamingBlob;

use super::Store;
use super::commit::Condition;
use super::incoming::{Received, receive};
use crate::digest::Algorithm;
use crate::failure::Failure;
use crate::record::Headers;

const BUCKET: &str = "things";

/// A store in a folder that goes with it.
struct Fixture {
    folder: PathBuf,
    store: Option<Arc<Store>>,
}

impl Fixture {
    fn new() -> Self {
        let folder = std::env::temp_dir().join(format!("object-store-{}", uuid::Uuid::new_v4()));
        let fixture = Self { store: Some(Arc::new(Store::open(&folder, 0).unwrap())), folder };
        fixture.store().create_bucket(BUCKET).unwrap();
        fixture
    }

    fn store(&self) -> &Arc<Store> {
        self.store.as_ref().unwrap()
    }

    fn close(&mut self) {
        self.store = None;
    }

    fn reopen(&mut self) {
        self.close();
        self.store = Some(Arc::new(Store::open(&self.folder, 0).unwrap()));
    }

    fn objects(&self) -> PathBuf {
        self.folder.join("buckets").join(BUCKET).join("objects")
    }

    fn names(&self, folder: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.folder.join(folder)).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    async fn receive(&self, bytes: &[u8]) -> Received {
        let body = body(vec![Ok(Bytes::copy_from_slice(bytes))]);
        receive(self.store(), Some(body), bytes.len() as u64, vec![Algorithm::Sha256]).await.unwrap()
    }

    async fn put_if(&self, key: &str, bytes: &[u8], condition: Condition) -> Result<(), Failure> {
        let (received, bucket) = (self.receive(bytes).await, self.store().bucket(BUCKET).unwrap());
        self.store().put(&bucket, key, Headers::default(), received, &condition).map(|_| ())
    }

    async fn put(&self, key: &str, bytes: &[u8]) {
        self.put_if(key, bytes, Condition::None).await.unwrap();
    }

    fn delete(&self, key: &str) {
        self.store().delete(&self.store().bucket(BUCKET).unwrap(), key, &Condition::None).unwrap();
    }

    async fn get(&self, key: &str) -> Result<Vec<u8>, Failure> {
        let opened = self.store().bucket(BUCKET)?.open(key)?;
        let size = opened.record.size;
        let pieces: Vec<_> = super::outgoing::stream(opened, 0..size).collect().await;
        Ok(pieces.into_iter().map(|piece| piece.unwrap()).collect::<Vec<_>>().concat())
    }

    fn keys(&self) -> Vec<String> {
        let page = self.store().bucket(BUCKET).unwrap().list(&super::listing::Query { limit: 1000, ..Default::default() });
        page.items.iter().map(|item| String::from_utf8(item.name().to_vec()).unwrap()).collect()
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        self.close();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn body(pieces: Vec<std::io::Result<Bytes>>) -> StreamingBlob {
    StreamingBlob::wrap(futures::stream::iter(pieces))
}
