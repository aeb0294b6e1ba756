//! Packing: each element an uncompressed tar (POSIX ustar with GNU long names) of plain files and folders, the same bytes for the same content.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use archive::digest::{MOST_PARTS, PartHasher};
use archive::element::BackupElement;

use crate::causes::Work;
use crate::disk::atomic;
use crate::transfer::job::Progress;
use crate::transfer::journal::Packed;
use crate::transfer::line::{Line, time_for};

/// Bytes of a header, and what a member's bytes are filled up to.
const BLOCK: u64 = 512;

/// A file or folder to pack.
#[derive(Debug)]
struct Entry {
    /// In the archive.
    name: PathBuf,
    /// On the disk.
    path: PathBuf,
    /// Bytes; `None` for a folder.
    size: Option<u64>,
}

/// What is packed into one archive.
#[derive(Debug)]
pub struct Load {
    entries: Vec<Entry>,
}

impl Load {
    /// Looks what there is in folders, each under its name in the archive.
    ///
    /// # Errors
    /// As the file system says.
    pub fn of(sources: &[(PathBuf, PathBuf)]) -> io::Result<Self> {
        let mut entries = Vec::new();
        for (name, folder) in sources {
            if !name.as_os_str().is_empty() {
                entries.push(Entry { name: name.clone(), path: folder.clone(), size: None });
            }
            gather(name, folder, &mut entries)?;
        }
        entries.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(Self { entries })
    }

    /// Most bytes the archive will have.
    pub fn size(&self) -> u64 {
        let entry = |entry: &Entry| {
            // A long name takes a header and a member of its own.
            let name = entry.name.as_os_str().len() as u64;
            let long = if name >= 100 { BLOCK + (name + 1).next_multiple_of(BLOCK) } else { 0 };
            BLOCK + entry.size.unwrap_or(0).next_multiple_of(BLOCK) + long
        };
        self.entries.iter().map(entry).sum::<u64>() + 2 * BLOCK
    }

    /// Bytes of a part: as ordered, doubled as often as there would be more than 10 000.
    pub fn part_size(&self, ordered: NonZeroU64) -> NonZeroU64 {
        let mut part = ordered;
        while self.size().div_ceil(part.get()) > MOST_PARTS as u64 {
            part = part.saturating_mul(NonZeroU64::MIN.saturating_add(1));
        }
        part
    }
}

fn gather(name: &Path, folder: &Path, entries: &mut Vec<Entry>) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let (kind, name, path) = (entry.file_type()?, name.join(entry.file_name()), entry.path());
        if kind.is_dir() {
            entries.push(Entry { name: name.clone(), path: path.clone(), size: None });
            gather(&name, &path, entries)?;
        } else if kind.is_file() && !is_half_written(&path) {
            let size = Some(entry.metadata()?.len());
            entries.push(Entry { name, path, size });
        }
    }
    Ok(())
}

/// What is being written at this moment, or was when the power went.
fn is_half_written(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "writing")
}

/// Packs an element into a file and gives its digests. Nothing is at `to` unless all of it is there, on the disk.
///
/// # Errors
/// As the file system says; `Interrupted` where it was called off or the power failed.
pub fn pack(element: BackupElement, load: &Load, part_size: NonZeroU64, to: &Path, progress: &Progress, line: &Line) -> io::Result<Packed> {
    let temporary = to.with_extension("writing");
    let part_size = load.part_size(part_size);
    // Whoever was called off a moment ago may still have the old one open.
    match std::fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let file = File::create_new(&temporary)?;
    let sink = Sink { file: &file, hasher: PartHasher::new(part_size), progress, line, began: Instant::now(), written: 0 };
    let mut builder = tar::Builder::new(BufWriter::with_capacity(64 * 1024, sink));
    for entry in &load.entries {
        append(&mut builder, entry)?;
    }
    let buffer = builder.into_inner()?;
    let sink = buffer.into_inner().map_err(|error| io::Error::other(error.to_string()))?;
    let digested = sink.hasher.finish();
    file.sync_all()?;
    atomic::put_in_place(&temporary, to)?;
    Ok(Packed { element, size: digested.size, sha256: digested.sha256, part_size: part_size.get(), parts: digested.parts })
}

fn append<W: Write>(builder: &mut tar::Builder<W>, entry: &Entry) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_uid(0);
    header.set_gid(0);
    // A time would make equal content unequal.
    header.set_mtime(0);
    match entry.size {
        None => {
            header.set_entry_type(tar::EntryType::Directory);
            header.set_mode(0o755);
            header.set_size(0);
            builder.append_data(&mut header, &entry.name, io::empty())
        }
        Some(_) => {
            // Files are replaced, never written in place: what is open keeps its bytes.
            let file = File::open(&entry.path)?;
            header.set_entry_type(tar::EntryType::Regular);
            header.set_mode(0o644);
            header.set_size(file.metadata()?.len());
            builder.append_data(&mut header, &entry.name, file)
        }
    }
}

/// Writes, digests and counts, at the pace the causes ask for.
struct Sink<'a> {
    file: &'a File,
    hasher: PartHasher,
    progress: &'a Progress,
    line: &'a Line,
    began: Instant,
    written: u64,
}

impl Write for Sink<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.progress.cancel.is_cancelled() {
            return Err(called_off());
        }
        let written = self.file.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        self.written += written as u64;
        let done = self.progress.add(written as u64);
        if !self.line.works(Work::Packing, done) {
            return Err(called_off());
        }
        if let Some(rate) = self.line.faults().packing_kilobytes_per_second {
            wait_until(self.began + time_for(self.written, rate), self.progress)?;
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn wait_until(due: Instant, progress: &Progress) -> io::Result<()> {
    loop {
        let left = due.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        if progress.cancel.is_cancelled() {
            return Err(called_off());
        }
        std::thread::sleep(left.min(Duration::from_millis(100)));
    }
}

/// Not [`io::ErrorKind::Interrupted`], which writers take for a reason to try again.
fn called_off() -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, "called off")
}

#[cfg(test)]
mod tests;
