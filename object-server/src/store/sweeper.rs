//! Removes what is in `trash`, on a thread of its own: a large object takes a while.

use std::path::PathBuf;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;

use super::disk;

/// The way to the thread.
pub(super) struct Sweeper {
    trash: PathBuf,
    sender: Sender<Option<PathBuf>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Sweeper {
    pub(super) fn start(trash: PathBuf) -> std::io::Result<Self> {
        let (sender, receiver) = channel::<Option<PathBuf>>();
        let thread = std::thread::Builder::new().name(String::from("object-sweeper")).spawn(move || {
            while let Ok(Some(path)) = receiver.recv() {
                if let Err(error) = disk::remove(&path) {
                    tracing::warn!(path = %path.display(), %error, "cannot remove a deleted object; the next start will");
                }
            }
        })?;
        Ok(Self { trash, sender, thread: Mutex::new(Some(thread)) })
    }

    /// Where a removed version of an object is.
    pub(super) fn place_of_version(&self, version: u64) -> PathBuf {
        self.trash.join(format!("{version:016x}"))
    }

    /// Where a removed upload is.
    pub(super) fn place_of_upload(&self, id: &str) -> PathBuf {
        self.trash.join(format!("upload-{id}"))
    }

    /// Removes something, later. What comes after [`Sweeper::close`] stays for the next start.
    pub(super) fn sweep(&self, path: PathBuf) {
        let _ = self.sender.send(Some(path));
    }

    /// Ends once what was given before is removed.
    pub(super) fn close(&self) {
        let _ = self.sender.send(None);
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread that removes deleted objects ended by a panic");
        }
    }
}
