//! Archives that were fetched: whether their members may be unpacked and are of the element they are said to be, what they would change, and
//! unpacking them beside what is in use.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use archive::element::BackupElement;
use archive::unpack::{Check, Limits, Member, Refused};
use protocol::transfer::ElementChanges;

use crate::disk::content::{self, settings};

/// Most examples of changes.
const EXAMPLES: usize = 20;
/// Bytes read at a time.
const PIECE: usize = 64 * 1024;

/// Why an archive is not used.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    /// The archive itself.
    #[error("{0}")]
    Refused(String),
    /// The system's disk, or the work was called off.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl From<Refused> for StageError {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused.to_string())
    }
}

/// Checks every member of an archive without unpacking it, and that it is one of the element. With `takes_settings` its settings must be readable.
///
/// # Errors
/// What is wrong with it.
pub fn check(archive: &Path, element: &BackupElement, takes_settings: bool, goes_on: &dyn Fn(u64) -> bool) -> Result<(), StageError> {
    let mut names = BTreeSet::new();
    walk(archive, goes_on, &mut |name, member, data| {
        if let Some(why) = misfit(element, name, member) {
            return Err(StageError::Refused(why));
        }
        if takes_settings && name == settings::FILE {
            let mut bytes = Vec::new();
            data.take(1024 * 1024).read_to_end(&mut bytes)?;
            settings::Settings::parse(&bytes)
                .map_err(|why| StageError::Refused(format!("its {} cannot be used: {why}", settings::FILE)))?;
        }
        names.insert(name.to_owned());
        Ok(())
    })?;
    let needed = content::needed_file(element).into_iter().chain(takes_settings.then_some(settings::FILE));
    match needed.into_iter().find(|name| !names.contains(*name)) {
        None => Ok(()),
        Some(name) => Err(StageError::Refused(format!("it has no {name}, so it is of something else; restore an archive of this element"))),
    }
}

/// Why a member cannot be in an archive of that element.
fn misfit(element: &BackupElement, name: &str, member: Member) -> Option<String> {
    let depth = if name.is_empty() { 0 } else { name.split('/').count() };
    let sound = |name: &str| Path::new(name).extension().is_some_and(|extension| extension == "wav");
    let fits = match element {
        BackupElement::Configuration(..) | BackupElement::VoicemailConfiguration => true,
        BackupElement::CustomPrompts => member == Member::Folder || sound(name),
        // A folder a mailbox, and messages in it.
        BackupElement::SelectiveVoicemails | BackupElement::AllVoicemails => match member {
            Member::Folder => depth <= 1,
            _ => depth == 2 && sound(name),
        },
    };
    (!fits).then(|| format!("{name:?} has no place in it; restore an archive of this element"))
}

/// Unpacks an archive into a folder that is made for it. All of it is on the disk when this returns.
///
/// # Errors
/// As the file system says.
pub fn unpack(archive: &Path, into: &Path, goes_on: &dyn Fn(u64) -> bool) -> Result<(), StageError> {
    std::fs::create_dir_all(into)?;
    walk(archive, goes_on, &mut |name, member, data| {
        let path = into.join(name);
        if member == Member::Folder {
            return Ok(std::fs::create_dir_all(&path)?);
        }
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        let mut file = File::create_new(&path)?;
        io::copy(data, &mut file)?;
        Ok(file.sync_all()?)
    })?;
    Ok(crate::disk::atomic::sync_folder(into)?)
}

/// What an archive would change in what is in use at `home`.
///
/// # Errors
/// As the file system says.
pub fn compare(archive: &Path, element: &BackupElement, home: &Path, goes_on: &dyn Fn(u64) -> bool) -> Result<ElementChanges, StageError> {
    let mut changes = ElementChanges { element: element.to_string(), added: 0, changed: 0, removed: 0, unchanged: 0, examples: Vec::new() };
    let (mut seen, mut tops) = (BTreeSet::new(), BTreeSet::new());
    walk(archive, goes_on, &mut |name, member, data| {
        tops.insert(name.split('/').next().unwrap_or_default().to_owned());
        if member == Member::Folder {
            return Ok(());
        }
        seen.insert(name.to_owned());
        let in_use = match File::open(home.join(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            file => Some(same(data, &mut BufReader::with_capacity(PIECE, file?))?),
        };
        let sign = match in_use {
            None => Some(('+', &mut changes.added)),
            Some(true) => None,
            Some(false) => Some(('~', &mut changes.changed)),
        };
        match sign {
            None => changes.unchanged += 1,
            Some((sign, count)) => {
                *count += 1;
                example(&mut changes.examples, sign, name);
            }
        }
        Ok(())
    })?;
    for name in files_below(home)? {
        // Of mailboxes that are not in the archive nothing goes.
        let concerned = *element != BackupElement::SelectiveVoicemails || tops.contains(name.split('/').next().unwrap_or_default());
        if concerned && !seen.contains(&name) {
            changes.removed += 1;
            example(&mut changes.examples, '-', &name);
        }
    }
    Ok(changes)
}

fn example(examples: &mut Vec<String>, sign: char, name: &str) {
    if examples.len() < EXAMPLES {
        examples.push(format!("{sign} {name}"));
    }
}

/// Whether two streams are the same.
fn same(one: &mut dyn Read, other: &mut dyn Read) -> io::Result<bool> {
    let (mut left, mut right) = (vec![0; PIECE], vec![0; PIECE]);
    loop {
        let (a, b) = (fill(one, &mut left)?, fill(other, &mut right)?);
        if left[..a] != right[..b] {
            return Ok(false);
        }
        if a == 0 {
            return Ok(true);
        }
    }
}

/// Reads until the buffer is full or the stream ends.
fn fill(from: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match from.read(&mut buffer[filled..])? {
            0 => break,
            read => filled += read,
        }
    }
    Ok(filled)
}

/// Files below a folder by their paths in it, in order; none where it is not there.
fn files_below(folder: &Path) -> io::Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        let entries = match std::fs::read_dir(&next) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            entries => entries?,
        };
        for entry in entries {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if let Some(name) = path.strip_prefix(folder).ok().and_then(Path::to_str) {
                found.insert(name.to_owned());
            }
        }
    }
    Ok(found)
}

type Visit<'a> = &'a mut dyn FnMut(&str, Member, &mut dyn Read) -> Result<(), StageError>;

/// Reads an archive once, member by member, each checked before it is visited. `goes_on` is told of every piece of bytes.
fn walk(archive: &Path, goes_on: &dyn Fn(u64) -> bool, visit: Visit<'_>) -> Result<(), StageError> {
    let damaged = |error: &io::Error| StageError::Refused(format!("it is no tar archive, or is damaged ({error}); fetch it again"));
    let mut check = Check::new(Limits::default());
    let mut tar = tar::Archive::new(BufReader::with_capacity(PIECE, File::open(archive)?));
    for entry in tar.entries().map_err(|error| damaged(&error))? {
        let mut entry = entry.map_err(|error| damaged(&error))?;
        let member = match entry.header().entry_type() {
            tar::EntryType::Regular => Member::File,
            tar::EntryType::Directory => Member::Folder,
            tar::EntryType::Symlink => Member::SymbolicLink,
            tar::EntryType::Link => Member::HardLink,
            _ => Member::Special,
        };
        let size = if member == Member::Folder { 0 } else { entry.size() };
        let path = check.member(&entry.path_bytes(), member, size)?;
        let mut counted = Counted { inner: &mut entry, read: 0, goes_on };
        visit(path.as_str(), member, &mut counted)?;
        io::copy(&mut counted, &mut io::sink())?;
        check.data(if member == Member::Folder { 0 } else { counted.read })?;
    }
    check.finish()?;
    Ok(())
}

struct Counted<'a, R> {
    inner: &'a mut R,
    read: u64,
    goes_on: &'a dyn Fn(u64) -> bool,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.read += read as u64;
        if read > 0 && !(self.goes_on)(read as u64) {
            // As packing does: not a kind that readers try again.
            return Err(io::Error::new(io::ErrorKind::BrokenPipe, "called off"));
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests;
