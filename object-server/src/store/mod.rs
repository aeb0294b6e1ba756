//! The folder: buckets, objects, uploads, durable before a call returns. All calls block; the service makes them where that is allowed.
//!
//! | file | what |
//! |---|---|
//! | `disk` | files and folders made durable, things under way, room |
//! | `open` | what is there at the start, and what a crash left |
//! | `bucket` | a bucket: its objects in order of their keys |
//! | `commit` | an object appears, another disappears |
//! | `listing` | pages |
//! | `incoming` | bodies on their way to the disk, hashed |
//! | `outgoing` | objects on their way out |
//! | `upload` | uploads in parts |
//! | `sweeper` | removes what nobody reads any more |
//!
//! **Index.** In memory is which keys there are and which version of each; the rest is read from `object.json` when it is asked for. A page
//! of a listing therefore costs about the page. **Order.** A write is built in `staging`, renamed to its place, the folder of that place is
//! made durable, and only then the index shows it: what was read once is still there after a crash. **Readers** hold the [`bucket::Entry`]; what
//! was replaced or deleted is moved to `trash` at once and removed after its last reader.

pub(crate) mod bucket;
pub(crate) mod commit;
mod disk;
pub(crate) mod incoming;
pub(crate) mod listing;
mod open;
pub(crate) mod outgoing;
mod sweeper;
pub(crate) mod upload;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use crate::failure::Failure;
use crate::{name, record};

use bucket::Bucket;
use disk::Temporary;
use sweeper::Sweeper;

/// The folder, open.
pub(crate) struct Store {
    root: PathBuf,
    buckets: RwLock<BTreeMap<String, Arc<Bucket>>>,
    /// The next version of an object: higher than any on disk.
    versions: AtomicU64,
    temporary: AtomicU64,
    sweeper: Arc<Sweeper>,
    reserve: u64,
    _lock: disk::FolderLock,
}

impl Drop for Store {
    fn drop(&mut self) {
        self.sweeper.close();
    }
}

impl Store {
    /// A name in `staging` that nobody has.
    fn temporary(&self) -> Temporary {
        let number = self.temporary.fetch_add(1, Ordering::Relaxed);
        Temporary::new(self.root.join("staging").join(number.to_string()))
    }

    /// Fails if so many bytes more would leave less free than must stay.
    pub(crate) fn require_room(&self, bytes: u64) -> Result<(), Failure> {
        let free = disk::free_bytes(&self.root).map_err(|source| Failure::disk(&self.root, source))?;
        if free < self.reserve.saturating_add(bytes) { Err(Failure::Full) } else { Ok(()) }
    }

    /// A bucket.
    pub(crate) fn bucket(&self, name: &str) -> Result<Arc<Bucket>, Failure> {
        let buckets = self.buckets.read().unwrap_or_else(PoisonError::into_inner);
        buckets.get(name).cloned().ok_or_else(|| Failure::NoSuchBucket(name.chars().take(64).collect()))
    }

    /// All buckets by name, and when each was made in milliseconds since 1970.
    pub(crate) fn buckets(&self) -> Vec<(String, u64)> {
        let buckets = self.buckets.read().unwrap_or_else(PoisonError::into_inner);
        buckets.values().map(|bucket| (bucket.name().to_owned(), bucket.created())).collect()
    }

    /// Makes a bucket.
    pub(crate) fn create_bucket(&self, bucket: &str) -> Result<(), Failure> {
        if !name::is_bucket(bucket) {
            return Err(Failure::BucketName);
        }
        let mut buckets = self.buckets.write().unwrap_or_else(PoisonError::into_inner);
        if buckets.contains_key(bucket) {
            return Err(Failure::BucketExists(bucket.to_owned()));
        }
        let record = record::Bucket { form: record::FORM, created: record::now() };
        let temporary = self.temporary();
        let at = |path: &Path| {
            let path = path.to_owned();
            move |source| Failure::disk(&path, source)
        };
        std::fs::create_dir(temporary.path()).map_err(at(temporary.path()))?;
        for folder in ["objects", "uploads"] {
            let path = temporary.path().join(folder);
            std::fs::create_dir(&path).map_err(at(&path))?;
        }
        disk::write_json(&temporary.path().join("bucket.json"), &record)?;
        disk::sync_folder(temporary.path())?;
        let parent = self.root.join("buckets");
        let place = parent.join(bucket);
        temporary.move_to(&place)?;
        disk::sync_folder(&parent)?;
        buckets.insert(bucket.to_owned(), Arc::new(Bucket::new(bucket.to_owned(), place, record.created)));
        Ok(())
    }

    fn next_version(&self) -> u64 {
        self.versions.fetch_add(1, Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests;
