//! What is in the folder at the start, and what a crash left there.

use std::collections::BTreeMap;
use std::fs::{self, DirEntry, File};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, PoisonError, RwLock};

use super::Store;
use super::bucket::{Bucket, Entry};
use super::disk;
use super::sweeper::Sweeper;
use super::upload::Upload;
use crate::failure::Failure;
use crate::name::{self, Found};
use crate::options::OpenError;
use crate::record;

impl From<(&Path, Failure)> for OpenError {
    fn from((path, failure): (&Path, Failure)) -> Self {
        match failure {
            Failure::Disk { what, source } => Self::Folder { path: PathBuf::from(what), source },
            other => Self::Folder { path: path.to_owned(), source: std::io::Error::other(other) },
        }
    }
}

impl Store {
    /// Opens a folder, or makes it. `reserve` bytes must stay free on its file system.
    pub(crate) fn open(root: &Path, reserve: u64) -> Result<Self, OpenError> {
        let failed = |failure| OpenError::from((root, failure));
        let root = std::path::absolute(root).map_err(|source| OpenError::Folder { path: root.to_owned(), source })?;
        if root.as_os_str().len() > OpenError::LONGEST_FOLDER {
            return Err(OpenError::TooLong { path: root });
        }
        disk::make_folders(Path::new("/"), &root).map_err(failed)?;
        let lock = disk::lock(&root)?;
        for folder in ["buckets", "staging", "trash"] {
            disk::make_folders(&root, &root.join(folder)).map_err(failed)?;
        }
        // What a killed process wrote and this one sees may still be in memory only.
        let folder = File::open(&root).map_err(|source| OpenError::Folder { path: root.clone(), source })?;
        rustix::fs::syncfs(&folder).map_err(|source| OpenError::Folder { path: root.clone(), source: source.into() })?;
        for leftover in ["staging", "trash"].iter().map(|folder| entries(&root.join(folder))) {
            for leftover in leftover.map_err(failed)? {
                disk::remove(&leftover.path()).map_err(|source| OpenError::Folder { path: leftover.path(), source })?;
            }
        }
        let sweeper = Sweeper::start(root.join("trash")).map_err(|source| OpenError::Folder { path: root.clone(), source })?;
        let mut opening = Opening { sweeper: Arc::new(sweeper), highest: 0 };
        let buckets = opening.buckets(&root.join("buckets")).map_err(failed)?;
        Ok(Self {
            root,
            buckets: RwLock::new(buckets),
            versions: AtomicU64::new(opening.highest + 1),
            temporary: AtomicU64::new(0),
            sweeper: opening.sweeper,
            reserve,
            _lock: lock,
        })
    }
}

fn entries(folder: &Path) -> Result<Vec<DirEntry>, Failure> {
    let failed = |source| Failure::disk(folder, source);
    fs::read_dir(folder).map_err(failed)?.collect::<Result<_, _>>().map_err(failed)
}

fn stranger(path: &Path) {
    tracing::warn!(path = %path.display(), "this is nothing of the object store's and is left alone; remove it");
}

struct Opening {
    sweeper: Arc<Sweeper>,
    /// The highest version seen.
    highest: u64,
}

impl Opening {
    fn buckets(&mut self, folder: &Path) -> Result<BTreeMap<String, Arc<Bucket>>, Failure> {
        let mut buckets = BTreeMap::new();
        for entry in entries(folder)? {
            match entry.file_name().to_str() {
                Some(name) if name::is_bucket(name) => {
                    buckets.insert(name.to_owned(), Arc::new(self.bucket(name, entry.path())?));
                }
                _ => stranger(&entry.path()),
            }
        }
        Ok(buckets)
    }

    fn bucket(&mut self, name: &str, folder: PathBuf) -> Result<Bucket, Failure> {
        let path = folder.join("bucket.json");
        let file = File::open(&path).map_err(|source| Failure::disk(&path, source))?;
        let record: record::Bucket = disk::read_json(file, &path)?;
        if record.form > record::FORM {
            return Err(Failure::disk(&path, std::io::Error::other("it was written by a newer version of this program; run that one")));
        }
        let bucket = Bucket::new(name.to_owned(), folder, record.created);
        self.objects(&bucket)?;
        uploads(&bucket)?;
        Ok(bucket)
    }

    /// Walks all folders of keys; no file is opened.
    fn objects(&mut self, bucket: &Bucket) -> Result<(), Failure> {
        let mut index = bucket.index.write().unwrap_or_else(PoisonError::into_inner);
        let mut folders = vec![(bucket.objects_folder(), Vec::new())];
        while let Some((folder, start)) = folders.pop() {
            for entry in entries(&folder)? {
                let path = entry.path();
                let key = |end: &[u8]| [&start, end].concat();
                match entry.file_name().to_str().and_then(name::read) {
                    Some(Found::Folder(end)) => folders.push((path, key(&end))),
                    Some(Found::Object(end, version)) => {
                        let key = key(&end);
                        let expected = std::str::from_utf8(&key).is_ok_and(|key| bucket.place(key, version) == path);
                        if !expected {
                            stranger(&path);
                            continue;
                        }
                        self.highest = self.highest.max(version);
                        let entry = Arc::new(Entry::new(version, Arc::clone(&self.sweeper), None));
                        let overtaken = match index.get(&*key) {
                            Some(other) if other.version() > version => Some(entry),
                            _ => index.insert(key.into(), entry),
                        };
                        if let Some(overtaken) = overtaken {
                            self.retire(&folder, &path, overtaken)?;
                        }
                    }
                    None => stranger(&path),
                }
            }
        }
        Ok(())
    }

    /// Removes the lower of two versions: the higher one was durable, and the process ended before the lower was gone.
    fn retire(&self, folder: &Path, path: &Path, overtaken: Arc<Entry>) -> Result<(), Failure> {
        // Both have one name before the version.
        let name = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.split_once('@')).map(|(name, _)| name);
        let place = folder.join(format!("{}@{:016x}", name.unwrap_or_default(), overtaken.version()));
        fs::rename(&place, self.sweeper.place_of_version(overtaken.version())).map_err(|source| Failure::disk(&place, source))?;
        overtaken.retire();
        disk::sync_folder(folder)
    }
}

fn uploads(bucket: &Bucket) -> Result<(), Failure> {
    let mut uploads = bucket.uploads.write().unwrap_or_else(PoisonError::into_inner);
    for entry in entries(&bucket.uploads_folder())? {
        let folder = entry.path();
        let path = folder.join("upload.json");
        let record: Result<record::Upload, _> =
            File::open(&path).map_err(|source| Failure::disk(&path, source)).and_then(|file| disk::read_json(file, &path));
        match (entry.file_name().to_str(), record) {
            (Some(id), Ok(record)) if record.form <= record::FORM => {
                let parts = Upload::read_parts(&folder)?;
                let upload = Upload::new(id.into(), folder, record, parts);
                uploads.insert(upload.place(), Arc::new(upload));
            }
            _ => stranger(&folder),
        }
    }
    Ok(())
}
