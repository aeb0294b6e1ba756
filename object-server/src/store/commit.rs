//! An object appears, another disappears: one rename each, durable before it is seen.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::{Arc, PoisonError};

use super::Store;
use super::bucket::{Bucket, Entry, Key, Summary};
use super::disk::{self, Temporary};
use super::incoming::Received;
use crate::digest::hex;
use crate::failure::Failure;
use crate::record::{self, Headers, Printed};

/// What must hold of the present object for a write to be done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Condition {
    /// Nothing.
    #[default]
    None,
    /// There is none.
    Absent,
    /// There is one.
    Present,
    /// There is one with this ETag, without quotes.
    ETag(String),
    /// There is none, or one with another ETag.
    NotETag(String),
}

impl Condition {
    fn check(&self, bucket: &Bucket, key: &str, entry: Option<&Arc<Entry>>) -> Result<(), Failure> {
        let has_etag = |wanted: &str| match entry {
            Some(entry) => bucket.summary(key.as_bytes(), entry).map(|summary| &*summary.etag == wanted),
            None => Ok(false),
        };
        let holds = match self {
            Self::None => true,
            Self::Absent => entry.is_none(),
            Self::Present if entry.is_none() => return Err(Failure::NoSuchKey),
            Self::Present => true,
            Self::ETag(_) if entry.is_none() => return Err(Failure::NoSuchKey),
            Self::ETag(etag) => has_etag(etag)?,
            Self::NotETag(etag) => !has_etag(etag)?,
        };
        if holds { Ok(()) } else { Err(Failure::Precondition) }
    }
}

impl Store {
    /// Puts an object of one part.
    pub(crate) fn put(
        &self,
        bucket: &Bucket,
        key: &str,
        headers: Headers,
        received: Received,
        condition: &Condition,
    ) -> Result<record::Object, Failure> {
        let checksum = received.checksums.first().map(Printed::from);
        let record = record::Object {
            form: record::FORM,
            key: key.to_owned(),
            size: received.size,
            modified: record::now(),
            etag: hex(&received.md5),
            headers,
            checksum,
            upload: None,
            parts: vec![record::Part { number: 1, size: received.size, checksum: None }],
        };
        let staged = self.temporary();
        fs::create_dir(staged.path()).map_err(|source| Failure::disk(staged.path(), source))?;
        received.file.move_to(&staged.path().join(record::Part::file(1)))?;
        self.commit(bucket, staged, &record, condition)?;
        Ok(record)
    }

    /// Makes a staged folder, which has the parts, the present version of the key.
    pub(super) fn commit(&self, bucket: &Bucket, staged: Temporary, record: &record::Object, condition: &Condition) -> Result<(), Failure> {
        let key = record.key.as_str();
        disk::write_json(&staged.path().join("object.json"), record)?;
        disk::sync_folder(staged.path())?;
        let _key = bucket.lock_key(key);
        let old = bucket.entry(key);
        condition.check(bucket, key, old.as_ref())?;
        let version = self.next_version();
        let place = bucket.place(key, version);
        let entry = Arc::new(Entry::new(version, Arc::clone(&self.sweeper), Some(Summary::from(record))));
        bucket.put_in_place(staged, &place).inspect_err(|_| {
            // It may be there and not be durable: it must not be found at the next start after an error was answered.
            let _ = self.retire(&place, &entry);
        })?;
        bucket.index.write().unwrap_or_else(PoisonError::into_inner).insert(key.as_bytes().into(), entry);
        if let Some(old) = old {
            self.retire_replaced(bucket, key, old);
        }
        Ok(())
    }

    /// Deletes a key; one that is not there is deleted.
    pub(crate) fn delete(&self, bucket: &Bucket, key: &str, condition: &Condition) -> Result<(), Failure> {
        let _key = bucket.lock_key(key);
        let Some(entry) = bucket.entry(key) else {
            return if *condition == Condition::None { Ok(()) } else { Err(Failure::NoSuchKey) };
        };
        condition.check(bucket, key, Some(&entry))?;
        self.retire_stale(bucket, key)?;
        let place = bucket.place(key, entry.version());
        let Some(parent) = place.parent() else { return Err(Failure::NoSuchKey) };
        let synced = {
            // Until it is durable that the key is gone, nobody removes the folder that must say so.
            let _shared = bucket.folders.read().unwrap_or_else(PoisonError::into_inner);
            self.retire(&place, &entry).map_err(|source| Failure::disk(&place, source))?;
            disk::sync_folder(parent)
        };
        bucket.index.write().unwrap_or_else(PoisonError::into_inner).remove(key.as_bytes());
        bucket.remove_empty_folders(parent);
        synced
    }

    /// Moves a version to the trash. That it is gone is durable once its folder is.
    fn retire(&self, place: &Path, entry: &Entry) -> io::Result<()> {
        fs::rename(place, self.sweeper.place_of_version(entry.version()))?;
        entry.retire();
        Ok(())
    }

    /// A replaced version that comes back after a crash is lower than the present one, and removed at the start. One that cannot be moved now
    /// is remembered, so that it does not outlive its key.
    fn retire_replaced(&self, bucket: &Bucket, key: &str, old: Arc<Entry>) {
        let place = bucket.place(key, old.version());
        if let Err(error) = self.retire(&place, &old) {
            tracing::warn!(path = %place.display(), %error, "cannot remove the replaced version of an object; it goes with the object");
            let mut stale = bucket.stale.lock().unwrap_or_else(PoisonError::into_inner);
            stale.entry(key.as_bytes().into()).or_default().push(old);
        }
    }

    fn retire_stale(&self, bucket: &Bucket, key: &str) -> Result<(), Failure> {
        let mut stale = bucket.stale.lock().unwrap_or_else(PoisonError::into_inner);
        let stale_key: Key = key.as_bytes().into();
        while let Some(entry) = stale.get(&stale_key).and_then(|entries| entries.last()) {
            let place = bucket.place(key, entry.version());
            match self.retire(&place, entry) {
                Err(source) if source.kind() != io::ErrorKind::NotFound => return Err(Failure::disk(&place, source)),
                _ => stale.get_mut(&stale_key).and_then(Vec::pop),
            };
        }
        stale.remove(&stale_key);
        Ok(())
    }
}

impl Bucket {
    /// Renames a staged folder to its place and makes that durable.
    fn put_in_place(&self, staged: Temporary, place: &Path) -> Result<(), Failure> {
        let Some(parent) = place.parent() else { return Err(Failure::NoSuchKey) };
        let objects = self.objects_folder();
        loop {
            let shared = self.folders.read().unwrap_or_else(PoisonError::into_inner);
            // Whoever made these folders made them durable before he let go of the lock.
            if parent.is_dir() {
                staged.move_to(place)?;
                drop(shared);
                return disk::sync_folder(parent);
            }
            drop(shared);
            let _alone = self.folders.write().unwrap_or_else(PoisonError::into_inner);
            disk::make_folders(&objects, parent)?;
        }
    }

    /// Removes a folder of keys and those above while nothing is in them.
    fn remove_empty_folders(&self, folder: &Path) {
        let objects = self.objects_folder();
        let _alone = self.folders.write().unwrap_or_else(PoisonError::into_inner);
        let mut folder = folder;
        while folder != objects && fs::remove_dir(folder).is_ok() {
            let Some(parent) = folder.parent() else { return };
            folder = parent;
        }
    }
}
