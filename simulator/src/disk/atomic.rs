//! Files that are either the old or the new one, whenever the power goes.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// Readable by the owner only: keys, verifiers.
const PRIVATE: u32 = 0o600;

/// Writes a file so that a crash at any point leaves the old or the new content, on the disk when this returns.
///
/// # Errors
/// As the file system says.
pub fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    let folder = path.parent().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "a file needs a folder"))?;
    let (file, temporary) = write_beside(path, content)?;
    file.sync_all()?;
    std::fs::rename(&temporary, path)?;
    File::open(folder)?.sync_all()
}

/// As [`write`], but a power cut may leave less: whatever ends the process leaves the old or the new content.
///
/// # Errors
/// As the file system says.
pub fn write_lightly(path: &Path, content: &[u8]) -> io::Result<()> {
    let (_, temporary) = write_beside(path, content)?;
    std::fs::rename(&temporary, path)
}

fn write_beside(path: &Path, content: &[u8]) -> io::Result<(File, PathBuf)> {
    let temporary = path.with_extension("writing");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(PRIVATE).open(&temporary)?;
    file.write_all(content)?;
    Ok((file, temporary))
}

/// Lets the entries of a folder be on the disk when this returns; not what is in files.
///
/// # Errors
/// As the file system says.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            sync_folder(&entry.path())?;
        }
    }
    File::open(folder)?.sync_all()
}

/// Moves a folder or file to a place that is free, in a folder that may not be there yet. On the disk when this returns.
///
/// # Errors
/// As the file system says.
pub fn put_in_place(from: &Path, to: &Path) -> io::Result<()> {
    let parent = to.parent().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "a place needs a folder"))?;
    std::fs::create_dir_all(parent)?;
    std::fs::rename(from, to)?;
    File::open(parent)?.sync_all()
}
