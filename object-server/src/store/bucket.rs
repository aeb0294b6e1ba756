//! A bucket: its objects in order of their keys, and its uploads.

use std::collections::BTreeMap;
use std::fs::File;
use std::hash::{BuildHasher as _, RandomState};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, RwLockReadGuard};

use rustix::fs::{Mode, OFlags, openat};
use rustix::io::Errno;
use serde::Deserialize;

use super::disk;
use super::sweeper::Sweeper;
use super::upload::Upload;
use crate::failure::Failure;
use crate::{name, record};

/// A key's bytes: their order is the order of listings.
pub(crate) type Key = Box<[u8]>;

/// What listings say of an object: the part of `object.json` that they read.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Summary {
    pub(crate) size: u64,
    /// Milliseconds since 1970.
    pub(crate) modified: u64,
    /// Without quotes.
    pub(crate) etag: Box<str>,
}

impl From<&record::Object> for Summary {
    fn from(object: &record::Object) -> Self {
        Self { size: object.size, modified: object.modified, etag: object.etag.as_str().into() }
    }
}

/// A version of an object. Once it was retired, its files go with the last one who holds this.
pub(crate) struct Entry {
    version: u64,
    summary: OnceLock<Summary>,
    retired: AtomicBool,
    sweeper: Arc<Sweeper>,
}

impl Entry {
    /// What listings say of it is read later where it is not known.
    pub(super) fn new(version: u64, sweeper: Arc<Sweeper>, summary: Option<Summary>) -> Self {
        Self { version, summary: summary.map(OnceLock::from).unwrap_or_default(), retired: AtomicBool::new(false), sweeper }
    }

    pub(super) fn version(&self) -> u64 {
        self.version
    }

    /// It is in `trash` now.
    pub(super) fn retire(&self) {
        self.retired.store(true, Ordering::Release);
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        if self.retired.load(Ordering::Acquire) {
            self.sweeper.sweep(self.sweeper.place_of_version(self.version));
        }
    }
}

/// An object that is being read: it stays whole whatever becomes of the key.
pub(crate) struct Opened {
    pub(crate) record: record::Object,
    folder: OwnedFd,
    _entry: Arc<Entry>,
}

impl Opened {
    /// The file of a part.
    pub(super) fn part(&self, number: u32) -> std::io::Result<File> {
        Ok(openat(&self.folder, record::Part::file(number), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?.into())
    }
}

/// Objects by key.
pub(crate) type Index = BTreeMap<Key, Arc<Entry>>;
/// Uploads by key, then id, which is by when they began.
pub(crate) type Uploads = BTreeMap<(Key, Box<str>), Arc<Upload>>;

const KEY_LOCKS: usize = 64;

/// A bucket.
pub(crate) struct Bucket {
    name: String,
    folder: PathBuf,
    created: u64,
    pub(super) index: RwLock<Index>,
    pub(super) uploads: RwLock<Uploads>,
    /// Replaced versions that could not be moved away: they must go before their key is deleted, or a restart would bring them back.
    pub(super) stale: Mutex<BTreeMap<Key, Vec<Arc<Entry>>>>,
    /// Held to read while something is put into a folder of keys, to write while such folders are made or removed.
    pub(super) folders: RwLock<()>,
    key_locks: [Mutex<()>; KEY_LOCKS],
    key_hasher: RandomState,
}

impl Bucket {
    pub(super) fn new(name: String, folder: PathBuf, created: u64) -> Self {
        Self {
            name,
            folder,
            created,
            index: RwLock::default(),
            uploads: RwLock::default(),
            stale: Mutex::default(),
            folders: RwLock::default(),
            key_locks: std::array::from_fn(|_| Mutex::new(())),
            key_hasher: RandomState::new(),
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Milliseconds since 1970.
    pub(crate) fn created(&self) -> u64 {
        self.created
    }

    pub(super) fn objects_folder(&self) -> PathBuf {
        self.folder.join("objects")
    }

    pub(super) fn uploads_folder(&self) -> PathBuf {
        self.folder.join("uploads")
    }

    /// The folder of a version of a key.
    pub(super) fn place(&self, key: &str, version: u64) -> PathBuf {
        self.objects_folder().join(name::path(key, version))
    }

    /// One write to a key at a time.
    pub(super) fn lock_key(&self, key: &str) -> MutexGuard<'_, ()> {
        let slot = self.key_hasher.hash_one(key) as usize % KEY_LOCKS;
        self.key_locks[slot].lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn read_index(&self) -> RwLockReadGuard<'_, Index> {
        self.index.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The present version of a key.
    pub(super) fn entry(&self, key: &str) -> Option<Arc<Entry>> {
        self.read_index().get(key.as_bytes()).cloned()
    }

    /// Opens the present version of a key.
    pub(crate) fn open(&self, key: &str) -> Result<Opened, Failure> {
        self.open_entry(key, self.entry(key).ok_or(Failure::NoSuchKey)?)
    }

    pub(super) fn open_entry(&self, key: &str, entry: Arc<Entry>) -> Result<Opened, Failure> {
        let place = self.place(key, entry.version);
        let folder = match open_folder(&place) {
            // It was retired meanwhile: then it is there, until the entry goes.
            Err(Errno::NOENT) => open_folder(&entry.sweeper.place_of_version(entry.version)),
            opened => opened,
        };
        let folder = folder.map_err(|source| Failure::disk(&place, source.into()))?;
        let path = place.join("object.json");
        let file = openat(&folder, "object.json", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
        let record: record::Object = disk::read_json(file.map_err(|source| Failure::disk(&path, source.into()))?.into(), &path)?;
        if record.key != key || record.form > record::FORM {
            return Err(Failure::disk(&path, std::io::Error::other("this is another object, or of a newer version of this program")));
        }
        let _ = entry.summary.set(Summary::from(&record));
        Ok(Opened { record, folder, _entry: entry })
    }

    /// What listings say of an object.
    pub(crate) fn summary(&self, key: &[u8], entry: &Arc<Entry>) -> Result<Summary, Failure> {
        if let Some(summary) = entry.summary.get() {
            return Ok(summary.clone());
        }
        let key = std::str::from_utf8(key).map_err(|_| Failure::NoSuchKey)?;
        let path = self.place(key, entry.version).join("object.json");
        let file = File::open(&path).or_else(|error| match error.kind() {
            // It was retired meanwhile: then it is there, until the entry goes.
            std::io::ErrorKind::NotFound => File::open(entry.sweeper.place_of_version(entry.version).join("object.json")),
            _ => Err(error),
        });
        let summary: Summary = disk::read_json(file.map_err(|source| Failure::disk(&path, source))?, &path)?;
        Ok(entry.summary.get_or_init(|| summary).clone())
    }
}

fn open_folder(path: &Path) -> Result<OwnedFd, Errno> {
    rustix::fs::open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}
