//! What an operation has on the disk, in files that survive a restart.
//!
//! | below `transfer/<operation>/` | what |
//! |---|---|
//! | `operation.json` | [`Packing`]: what is packed, written before it is |
//! | `packed/<number>.tar`, `.json` | a packed element and, once it is whole, its digests |
//! | `fetched/<digest>.part` | bytes fetched so far |
//! | `fetched/<digest>.tar` | a fetched element, whole and checked |
//! | `unpacked/`, `aside/` | a restore that is being put in place |
//!
//! No URL ever stands here.

use std::io;
use std::path::{Path, PathBuf};

use archive::digest::{Part, Sha256};
use archive::element::BackupElement;
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::disk::atomic;
use crate::disk::content::{self, folder_name};

/// What an operation packs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Packing {
    /// Id of the operation.
    pub operation: String,
    /// What was ordered.
    pub selections: Vec<String>,
    /// Bytes of a part that were ordered.
    pub part_size: u64,
    /// When packing began, by the system's clock.
    pub started: Timestamp,
    /// The elements, in the order of their numbers.
    pub elements: Vec<BackupElement>,
}

/// A packed element.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Packed {
    /// Which.
    pub element: BackupElement,
    /// Bytes.
    pub size: u64,
    /// Digest of all bytes.
    pub sha256: Sha256,
    /// Bytes of a part; the last may be smaller.
    pub part_size: u64,
    /// The parts.
    pub parts: Vec<Part>,
}

/// The folder of an operation.
#[derive(Debug, Clone)]
pub struct Journal {
    folder: PathBuf,
}

impl Journal {
    /// That of an operation, below `transfer`.
    pub fn of(transfer: &Path, operation: &str) -> Self {
        Self { folder: transfer.join(folder_name::of(operation)) }
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What it packs, if it does.
    ///
    /// # Errors
    /// As the file system says.
    pub fn packing(&self) -> io::Result<Option<Packing>> {
        read(&self.folder.join("operation.json"))
    }

    /// Begins to pack: what another order packed goes.
    ///
    /// # Errors
    /// As the file system says.
    pub fn begin_packing(&self, packing: &Packing) -> io::Result<()> {
        let packed = self.folder.join("packed");
        content::remove(&packed)?;
        std::fs::create_dir_all(&packed)?;
        write(&self.folder.join("operation.json"), packing)
    }

    /// Archive of a packed element.
    pub fn packed_archive(&self, number: usize) -> PathBuf {
        self.folder.join(format!("packed/{number:04}.tar"))
    }

    /// A packed element, if it is whole.
    ///
    /// # Errors
    /// As the file system says.
    pub fn packed(&self, number: usize) -> io::Result<Option<Packed>> {
        read(&self.folder.join(format!("packed/{number:04}.json")))
    }

    /// Writes down that an element is packed; its archive is on the disk.
    ///
    /// # Errors
    /// As the file system says.
    pub fn set_packed(&self, number: usize, packed: &Packed) -> io::Result<()> {
        write(&self.folder.join(format!("packed/{number:04}.json")), packed)
    }

    /// A packed element and its archive, by the element.
    ///
    /// # Errors
    /// As the file system says.
    pub fn find_packed(&self, element: &BackupElement) -> io::Result<Option<(Packed, PathBuf)>> {
        let Some(packing) = self.packing()? else { return Ok(None) };
        let Some(number) = packing.elements.iter().position(|each| each == element) else { return Ok(None) };
        Ok(self.packed(number)?.map(|packed| (packed, self.packed_archive(number))))
    }

    /// Where an element is fetched to: bytes so far, and whole and checked. The names hold what was ordered, so that another order never takes
    /// these bytes for its own.
    pub fn fetched(&self, element: &BackupElement, size: u64, sha256: &Sha256) -> (PathBuf, PathBuf) {
        let stem = format!("{}-{size}-{sha256}", stem(element));
        let folder = self.folder.join("fetched");
        (folder.join(format!("{stem}.part")), folder.join(format!("{stem}.tar")))
    }

    /// The archive of a fetched element, if there is one.
    ///
    /// # Errors
    /// As the file system says.
    pub fn find_fetched(&self, element: &BackupElement) -> io::Result<Option<PathBuf>> {
        let prefix = format!("{}-", stem(element));
        let entries = match std::fs::read_dir(self.folder.join("fetched")) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            entries => entries?,
        };
        for entry in entries {
            let path = entry?.path();
            let named =
                path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(&prefix) && name.ends_with(".tar"));
            if named {
                return Ok(Some(path));
            }
        }
        Ok(None)
    }

    /// Removes what was fetched of an element, other than `keep`.
    ///
    /// # Errors
    /// As the file system says.
    pub fn forget_fetched(&self, element: &BackupElement, keep: &[&Path]) -> io::Result<()> {
        let (folder, prefix) = (self.folder.join("fetched"), format!("{}-", stem(element)));
        std::fs::create_dir_all(&folder)?;
        for entry in std::fs::read_dir(&folder)? {
            let path = entry?.path();
            let named = path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(&prefix));
            if named && !keep.contains(&path.as_path()) {
                std::fs::remove_file(&path)?;
            }
        }
        Ok(())
    }
}

/// Short and plain, whatever the server is called.
fn stem(element: &BackupElement) -> String {
    let digest = Sha256::of(element.to_string().as_bytes()).to_string();
    digest[..16].to_owned()
}

fn read<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    match std::fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        // What cannot be read is made anew: it is only a copy of what is in use.
        bytes => Ok(serde_json::from_slice(&bytes?).ok()),
    }
}

fn write<T: Serialize>(path: &Path, value: &T) -> io::Result<()> {
    atomic::write(path, &serde_json::to_vec(value)?)
}
