//! Files and folders made durable, things under way, room, and one process a folder.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock, statvfs};
use rustix::io::Errno;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::failure::Failure;
use crate::options::OpenError;

/// Makes the names in a folder durable.
pub(super) fn sync_folder(path: &Path) -> Result<(), Failure> {
    File::open(path).and_then(|folder| folder.sync_all()).map_err(|source| Failure::disk(path, source))
}

/// A new file, not yet durable.
pub(super) fn create(path: &Path) -> Result<File, Failure> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(|source| Failure::disk(path, source))
}

/// A new file with JSON, its content durable, its name not yet.
pub(super) fn write_json(path: &Path, value: &impl Serialize) -> Result<(), Failure> {
    let mut file = create(path)?;
    let text = serde_json::to_vec(value).map_err(|source| Failure::disk(path, source.into()))?;
    file.write_all(&text).and_then(|()| file.sync_all()).map_err(|source| Failure::disk(path, source))
}

/// Reads what [`write_json`] wrote.
pub(super) fn read_json<T: DeserializeOwned>(mut file: File, path: &Path) -> Result<T, Failure> {
    let mut text = Vec::new();
    file.read_to_end(&mut text).map_err(|source| Failure::disk(path, source))?;
    serde_json::from_slice(&text).map_err(|source| Failure::disk(path, source.into()))
}

/// Makes a folder and those above it down from `base`, each durable in the one above.
pub(super) fn make_folders(base: &Path, path: &Path) -> Result<(), Failure> {
    if path == base || path.is_dir() {
        return Ok(());
    }
    let Some(parent) = path.parent() else { return Ok(()) };
    make_folders(base, parent)?;
    match fs::DirBuilder::new().mode(0o700).create(path) {
        Err(source) if source.kind() != io::ErrorKind::AlreadyExists => Err(Failure::disk(path, source)),
        _ => sync_folder(parent),
    }
}

/// Removes a file or a folder with all that is in it; what is not there is removed.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    removed.or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) })
}

/// Bytes that are free for this user on the file system of a path.
pub(super) fn free_bytes(path: &Path) -> io::Result<u64> {
    let status = statvfs(path)?;
    Ok(status.f_bavail.saturating_mul(status.f_frsize))
}

/// A file or folder in `staging`, removed when it is dropped before it is moved to its place.
#[derive(Debug)]
pub(crate) struct Temporary {
    path: PathBuf,
    moved: bool,
}

impl Temporary {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, moved: false }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Renames it; the new name is not yet durable.
    pub(super) fn move_to(mut self, place: &Path) -> Result<(), Failure> {
        fs::rename(&self.path, place).map_err(|source| Failure::disk(place, source))?;
        self.moved = true;
        Ok(())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if self.moved {
            return;
        }
        if let Err(error) = remove(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "cannot remove an interrupted write; the next start will");
        }
    }
}

/// The lock on a folder. It ends with the process, however that ends.
#[derive(Debug)]
pub(super) struct FolderLock {
    _file: File,
}

/// Locks a folder for this process.
pub(super) fn lock(folder: &Path) -> Result<FolderLock, OpenError> {
    let path = folder.join("lock");
    let unusable = |source| OpenError::Folder { path: path.clone(), source };
    let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path).map_err(unusable)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(Errno::WOULDBLOCK) => {
            let mut text = String::new();
            let pid = file.read_to_string(&mut text).ok().and_then(|_| text.trim().parse().ok());
            return Err(OpenError::InUse { path: folder.to_owned(), pid });
        }
        Err(source) => return Err(unusable(source.into())),
    }
    file.set_len(0).and_then(|()| file.rewind()).and_then(|()| writeln!(file, "{}", std::process::id())).map_err(unusable)?;
    Ok(FolderLock { _file: file })
}
