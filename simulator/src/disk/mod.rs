//! The system's disk: one folder, used by one process at a time, usable after a power cut at any point.
//!
//! | file | what |
//! |---|---|
//! | `lock` | held while a process uses the disk |
//! | `state.json` | [`state::State`] |
//! | `identity.json` | [`identity::IdentityFile`], mode 0600 |
//! | `configuration/` | one file a revision |
//! | `log/` | log files, the oldest go when they take too much |
//! | `content/` | what a backup takes: [`content`] |
//! | `transfer/` | what backups and restores under way need: [`crate::transfer`] |

pub mod atomic;
pub mod configuration;
pub mod content;
pub mod identity;
pub mod space;
pub mod state;

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;

use identity::IdentityFile;
use state::{FORMAT, State};

const STATE: &str = "state.json";
const IDENTITY: &str = "identity.json";
const CONFIGURATION: &str = "configuration";
const LOG: &str = "log";
pub(crate) const CONTENT: &str = "content";
const TRANSFER: &str = "transfer";

/// Why a disk cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// Another process uses it.
    #[error("the disk {0} is used by another process; stop that one, or use another folder")]
    InUse(PathBuf),
    /// The file system says no.
    #[error("{path} cannot be {verb}: {source}; check that the folder exists, is writable and not full")]
    Io {
        /// What was tried.
        verb: &'static str,
        /// On which path.
        path: PathBuf,
        /// What the file system said.
        source: io::Error,
    },
    /// A file is not what was written.
    #[error("{path} is damaged: {why}; nothing was changed: put back a copy, or remove the whole folder to start as a new system")]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// Written by a newer version.
    #[error("{path} has format {format}, but this version reads up to {FORMAT}; use the version that wrote it, or a newer one")]
    Newer {
        /// Which file.
        path: PathBuf,
        /// Its format.
        format: u64,
    },
}

impl DiskError {
    /// Whether there was no room.
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Io { source, .. } if matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded))
    }
}

/// A disk in use.
#[derive(Debug)]
pub struct Disk {
    folder: PathBuf,
    /// A light disk is locked by whoever runs the fleet.
    lock: Option<File>,
}

impl Disk {
    /// Takes a folder as disk, making it where it does not exist, and reads what it remembers. Changes nothing that is there unless all of it is
    /// in order.
    ///
    /// # Errors
    /// In use, unwritable, damaged, or from a newer version.
    pub fn open(folder: &Path, now: Timestamp) -> Result<(Self, State, IdentityFile), DiskError> {
        std::fs::create_dir_all(folder).map_err(|source| failed("made", folder, source))?;
        let disk = Self { folder: folder.to_owned(), lock: Some(lock(folder)?) };
        let (state, identity) = disk.remembered(now)?;
        for part in [CONFIGURATION, LOG] {
            let path = folder.join(part);
            std::fs::create_dir_all(&path).map_err(|source| failed("made", &path, source))?;
        }
        let configurations = folder.join(CONFIGURATION);
        configuration::tidy(&configurations, &state.configuration).map_err(|source| failed("tidied", &configurations, source))?;
        Ok((disk, state, identity))
    }

    /// As [`Disk::open`], for a system of a load fleet: only what it must remember is written, and not waited for. Whoever runs the fleet sees to
    /// it that one process uses the folder.
    ///
    /// # Errors
    /// As [`Disk::open`].
    pub fn open_light(folder: &Path, now: Timestamp) -> Result<(Self, State, IdentityFile), DiskError> {
        std::fs::create_dir_all(folder).map_err(|source| failed("made", folder, source))?;
        let disk = Self { folder: folder.to_owned(), lock: None };
        let (state, identity) = disk.remembered(now)?;
        Ok((disk, state, identity))
    }

    /// Whether as little as possible is written.
    pub fn is_light(&self) -> bool {
        self.lock.is_none()
    }

    fn remembered(&self, now: Timestamp) -> Result<(State, IdentityFile), DiskError> {
        let folder = &self.folder;
        let state: Option<State> = read(&folder.join(STATE), |value| {
            let format = value.get("format").and_then(serde_json::Value::as_u64);
            format.filter(|format| *format > u64::from(FORMAT))
        })?;
        let identity: IdentityFile = read(&folder.join(IDENTITY), |_| None)?.unwrap_or_default();
        let state = match state {
            Some(state) => state,
            None if identity.current.is_some() || folder.join(CONFIGURATION).exists() => {
                return Err(DiskError::Damaged {
                    path: folder.join(STATE),
                    why: "it is gone, though the disk was in use before".to_owned(),
                });
            }
            None => {
                let state = State::new(now);
                self.write_json(STATE, &state)?;
                state
            }
        };
        if let Some(why) = state.problem() {
            return Err(DiskError::Damaged { path: folder.join(STATE), why });
        }
        Ok((state, identity))
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Folder of what a backup takes.
    pub fn content_folder(&self) -> PathBuf {
        self.folder.join(CONTENT)
    }

    /// Folder of what backups and restores under way need.
    pub fn transfer_folder(&self) -> PathBuf {
        self.folder.join(TRANSFER)
    }

    /// Folder of the log files.
    pub fn log_folder(&self) -> PathBuf {
        self.folder.join(LOG)
    }

    /// Makes `next` what the system remembers. A new revision's file is written first.
    ///
    /// # Errors
    /// As the file system says; then `previous` still counts.
    pub fn save_state(&self, previous: &State, next: &State) -> Result<(), DiskError> {
        let configurations = self.folder.join(CONFIGURATION);
        let changed = previous.configuration != next.configuration && !self.is_light();
        if changed {
            configuration::write(&configurations, &next.configuration).map_err(|source| failed("written", &configurations, source))?;
        }
        self.write_json(STATE, next)?;
        if changed {
            // Only room is lost when this fails, and the next start tries again.
            let _ = configuration::tidy(&configurations, &next.configuration);
        }
        Ok(())
    }

    /// Writes key and certificate.
    ///
    /// # Errors
    /// As the file system says; then the old ones still count.
    pub fn save_identity(&self, identity: &IdentityFile) -> Result<(), DiskError> {
        self.write_json(IDENTITY, identity)
    }

    fn write_json<T: Serialize>(&self, name: &str, value: &T) -> Result<(), DiskError> {
        let path = self.folder.join(name);
        let text = serde_json::to_vec_pretty(value).map_err(|error| failed("written", &path, io::Error::other(error)))?;
        let write = if self.is_light() { atomic::write_lightly } else { atomic::write };
        write(&path, &text).map_err(|source| failed("written", &path, source))
    }
}

pub(crate) fn failed(verb: &'static str, path: &Path, source: io::Error) -> DiskError {
    DiskError::Io { verb, path: path.to_owned(), source }
}

fn lock(folder: &Path) -> Result<File, DiskError> {
    let path = folder.join("lock");
    let file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(|source| failed("opened", &path, source))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(DiskError::InUse(folder.to_owned())),
        Err(TryLockError::Error(source)) => Err(failed("locked", &path, source)),
    }
}

/// Reads a file of the disk; `None` where there is none. `newer` says which format a file of a newer version has.
fn read<T: DeserializeOwned>(path: &Path, newer: impl Fn(&serde_json::Value) -> Option<u64>) -> Result<Option<T>, DiskError> {
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(failed("read", path, source)),
    };
    let damaged = |error: serde_json::Error| DiskError::Damaged { path: path.to_owned(), why: error.to_string() };
    let value: serde_json::Value = serde_json::from_slice(&text).map_err(damaged)?;
    if let Some(format) = newer(&value) {
        return Err(DiskError::Newer { path: path.to_owned(), format });
    }
    serde_json::from_value(value).map(Some).map_err(damaged)
}

#[cfg(test)]
mod tests;
