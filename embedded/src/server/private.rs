//! Files for the owner only, replaced as a whole: a reader sees the old content or the new, never a part.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Why a file with a secret could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("cannot {verb} {}: {cause}; {remedy}", path.display())]
pub struct FileError {
    /// `read` or `write`.
    pub verb: &'static str,
    /// The file.
    pub path: PathBuf,
    /// What the system said.
    #[source]
    pub cause: io::Error,
    /// What to do.
    pub remedy: &'static str,
}

/// Writes a file with mode 0600, durably and atomically; makes its folder with mode 0700 where there is none.
pub(super) fn write(path: &Path, content: &[u8]) -> Result<(), FileError> {
    replace(path, content).map_err(|cause| FileError {
        verb: "write",
        path: path.to_owned(),
        cause,
        remedy: "make its folder writable for this user and see that the disk has space",
    })
}

fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let name = path.file_name().ok_or(io::ErrorKind::InvalidFilename)?.to_string_lossy();
    let unfinished = folder.join(format!(".{name}.{}", uuid::Uuid::new_v4()));
    let written = fill(&unfinished, content).and_then(|()| fs::rename(&unfinished, path)).and_then(|()| File::open(folder)?.sync_all());
    if written.is_err() {
        let _ = fs::remove_file(&unfinished);
    }
    written
}

fn fill(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

/// Reads a file; `None` where there is none.
pub(super) fn read(path: &Path) -> Result<Option<String>, FileError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(cause) => {
            let remedy = "make it readable for this user, or move it away to have it made anew";
            Err(FileError { verb: "read", path: path.to_owned(), cause, remedy })
        }
    }
}
