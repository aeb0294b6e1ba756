//! Why a store does not open. Every text says which path, what is wrong and what to do.

use std::io;
use std::path::{Path, PathBuf};

/// Why a store could not be opened. Nothing has been changed then.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has the folder open.
    #[error("the data folder {} is in use by {}; stop that process, or use another data folder", path.display(), process(*pid))]
    InUse {
        /// The folder.
        path: PathBuf,
        /// The process, where it left its id.
        pid: Option<u32>,
    },
    /// The folder or a file in it cannot be read or written.
    #[error("cannot use {} for data: {cause}; {}", path.display(), remedy(cause))]
    Unwritable {
        /// The folder or file.
        path: PathBuf,
        /// What the system said.
        #[source]
        cause: io::Error,
    },
    /// The file was altered by something else, or the disk lost parts of it.
    #[error("the data file {} is damaged: {what}; nothing was changed or dropped; {}", path.display(), recovery(path, backup.as_deref()))]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where and how, naming the object where one is concerned.
        what: String,
        /// The copy made at the last start that found the file whole.
        backup: Option<PathBuf>,
    },
    /// The file was written by a later release.
    #[error("the data file {} has format {found}, and this release knows formats up to {known}; run the release that wrote it, or use another data folder", path.display())]
    TooNew {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u64,
        /// The latest format known here.
        known: u64,
    },
    /// The machine gives no thread.
    #[error("cannot start the thread that writes {}: {cause}; raise the limit on processes (ulimit -u) or stop some", path.display())]
    Thread {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        cause: io::Error,
    },
}

impl OpenError {
    pub(super) fn unwritable(path: &Path, cause: io::Error) -> Self {
        Self::Unwritable { path: path.to_owned(), cause }
    }
}

fn process(pid: Option<u32>) -> String {
    pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"))
}

fn remedy(cause: &io::Error) -> &'static str {
    match cause.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "free some space on that disk",
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => "a file is in its place: move it away, or use another data folder",
        _ => "make it readable and writable for this user, or use another data folder",
    }
}

fn recovery(path: &Path, backup: Option<&Path>) -> String {
    let path = path.display();
    match backup {
        Some(backup) => format!(
            "to go back to the last good copy: mv {path} {path}.damaged && cp {} {path}; to begin without any data, only move it away",
            backup.display()
        ),
        None => format!(
            "there is no good copy yet: put back a copy of your own, or move the file away to begin without any data (mv {path} {path}.damaged)"
        ),
    }
}
