//! One process a folder.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::error::OpenError;

/// File in the data folder that is locked while the folder is in use; holds the process id. The lock ends with the process, however it ends.
const NAME: &str = "lock";

/// The held lock.
#[derive(Debug)]
pub(super) struct FolderLock {
    _file: File,
}

/// Locks a folder for this process.
pub(super) fn lock(folder: &Path) -> Result<FolderLock, OpenError> {
    let path = folder.join(NAME);
    let unwritable = |cause| OpenError::unwritable(&path, cause);
    let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path).map_err(unwritable)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(Errno::WOULDBLOCK) => {
            let mut text = String::new();
            let pid = file.read_to_string(&mut text).ok().and_then(|_| text.trim().parse().ok());
            return Err(OpenError::InUse { path: folder.to_owned(), pid });
        }
        Err(cause) => return Err(unwritable(cause.into())),
    }
    file.set_len(0).and_then(|()| file.rewind()).and_then(|()| writeln!(file, "{}", std::process::id())).map_err(unwritable)?;
    Ok(FolderLock { _file: file })
}
