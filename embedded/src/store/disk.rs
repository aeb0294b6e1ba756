//! The file.

use std::io;
use std::path::{Path, PathBuf};

use super::object::{Event, Object, WriteError};

/// Why a store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder cannot be used.
    #[error("cannot use the data folder {}: {cause}; make it writable for this user or name another folder", path.display())]
    Unwritable {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
}

impl OpenError {
    pub(super) fn thread(path: &Path, cause: io::Error) -> Self {
        Self::Unwritable { path: path.to_owned(), cause }
    }
}

pub(super) struct Opened {
    pub disk: Disk,
    pub revision: u64,
    pub objects: Vec<Object>,
}

pub(super) struct Disk;

pub(super) fn open(folder: &Path) -> Result<Opened, OpenError> {
    std::fs::create_dir_all(folder).map_err(|cause| OpenError::Unwritable { path: folder.to_owned(), cause })?;
    Ok(Opened { disk: Disk, revision: 1, objects: Vec::new() })
}

impl Disk {
    pub(super) fn save(&mut self, _events: &[Event]) -> Result<(), WriteError> {
        Ok(())
    }
    pub(super) fn close(self, _revision: Option<u64>) {}
}
