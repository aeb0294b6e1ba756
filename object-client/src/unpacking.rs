//! Whether the bytes of an element are an archive that a system may unpack: read as they come, on a thread of its own, and nothing is written.

use std::cell::Cell;
use std::io::{self, Read};
use std::rc::Rc;

use archive::unpack::{Check, Contents, Limits, Member, Refused};
use bytes::Bytes;
use tar::{Archive, Entry, EntryType};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::JoinHandle;

/// Pieces that wait for the thread.
const QUEUE: usize = 8;
/// Most bytes between the contents of two members: headers, long names, padding. The library keeps them in memory.
const LARGEST_HEADERS: u64 = 1 << 20;
/// Most bytes of an entry that is about the archive and no member.
const LARGEST_COMMENT: u64 = 64 << 10;

/// Why an element is not fit for unpacking.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unfit {
    /// A member.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// Not a tar archive.
    #[error("it is no tar archive that can be read: {0}")]
    Archive(#[from] io::Error),
}

/// A check that is under way.
pub(crate) struct Unpacking {
    pieces: Sender<Bytes>,
    thread: JoinHandle<Result<Contents, Unfit>>,
}

impl Unpacking {
    /// Begins.
    pub fn new(limits: Limits) -> Self {
        let (pieces, incoming) = channel(QUEUE);
        Self { pieces, thread: tokio::task::spawn_blocking(move || check(incoming, limits)) }
    }
    /// The next bytes. What comes after the end of the archive, or after it was found unfit, does not matter.
    pub async fn data(&self, bytes: Bytes) {
        let _ = self.pieces.send(bytes).await;
    }
    /// All bytes were given.
    pub async fn finish(self) -> Result<Contents, Unfit> {
        drop(self.pieces);
        self.thread.await.map_err(|error| Unfit::Archive(io::Error::other(error)))?
    }
}

/// The bytes as they come, with a bound on how many may be taken.
struct Pieces {
    incoming: Receiver<Bytes>,
    current: Bytes,
    /// Bytes that may be taken before the bound is set anew.
    budget: Rc<Cell<u64>>,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() {
            match self.incoming.blocking_recv() {
                Some(bytes) => self.current = bytes,
                None => return Ok(0),
            }
        }
        let allowed = usize::try_from(self.budget.get()).unwrap_or(usize::MAX);
        let length = buffer.len().min(self.current.len()).min(allowed);
        if length == 0 && !buffer.is_empty() {
            return Err(io::Error::other(format!("the headers of a member take more than {LARGEST_HEADERS} bytes")));
        }
        buffer[..length].copy_from_slice(&self.current.split_to(length));
        self.budget.set(self.budget.get() - length as u64);
        Ok(length)
    }
}

fn check(incoming: Receiver<Bytes>, limits: Limits) -> Result<Contents, Unfit> {
    let budget = Rc::new(Cell::new(LARGEST_HEADERS));
    let mut archive = Archive::new(Pieces { incoming, current: Bytes::new(), budget: Rc::clone(&budget) });
    let mut check = Check::new(limits);
    for entry in archive.entries()? {
        member(&mut check, &mut entry?, &budget)?;
        budget.set(LARGEST_HEADERS);
    }
    Ok(check.finish()?)
}

fn member(check: &mut Check, entry: &mut Entry<'_, Pieces>, budget: &Cell<u64>) -> Result<(), Unfit> {
    let size = entry.size();
    let kind = entry.header().entry_type();
    let member = match kind {
        EntryType::Regular | EntryType::Continuous => Member::File,
        EntryType::Directory => Member::Folder,
        EntryType::Symlink => Member::SymbolicLink,
        EntryType::Link => Member::HardLink,
        // A comment for the whole archive.
        EntryType::XGlobalHeader if size <= LARGEST_COMMENT => return Ok(()),
        _ => Member::Special,
    };
    check.member(&entry.path_bytes(), member, size)?;
    budget.set(size);
    let mut buffer = [0; 16 << 10];
    loop {
        let length = entry.read(&mut buffer)?;
        if length == 0 {
            return Ok(());
        }
        check.data(length as u64)?;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use tar::{Builder, Header};

    use super::*;

    fn header(kind: EntryType, size: u64) -> Header {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(size);
        header.set_mode(0o600);
        header
    }

    fn archive(members: &[(&str, &[u8])]) -> Vec<u8> {
        let mut builder = Builder::new(Vec::new());
        for (name, content) in members {
            let kind = if name.ends_with('/') { EntryType::Directory } else { EntryType::Regular };
            builder.append_data(&mut header(kind, content.len() as u64), name, *content).unwrap();
        }
        builder.into_inner().unwrap()
    }

    async fn checked(bytes: &[u8]) -> Result<Contents, Unfit> {
        let unpacking = Unpacking::new(Limits::default());
        for piece in bytes.chunks(1000) {
            unpacking.data(Bytes::copy_from_slice(piece)).await;
        }
        unpacking.finish().await
    }

    #[tokio::test]
    async fn the_members_of_an_archive_are_counted() {
        let large = vec![7; 3 << 20];
        let long = format!("prompts/{}.wav", "a".repeat(150));
        let bytes = archive(&[("prompts/", b""), ("prompts/welcome.wav", &large), (&long, b"long name"), ("empty", b"")]);
        let contents = checked(&bytes).await.unwrap();
        assert_eq!(contents, Contents { files: 3, folders: 1, size: (3 << 20) + 9 });
        assert_eq!(checked(b"").await.unwrap(), Contents::default());
    }

    #[tokio::test]
    async fn what_a_system_must_not_unpack_is_refused() {
        let mut builder = Builder::new(Vec::new());
        builder.append_link(&mut header(EntryType::Symlink, 0), "passwords", "/etc/passwd").unwrap();
        assert!(matches!(checked(&builder.into_inner().unwrap()).await, Err(Unfit::Refused(Refused::Type(..)))));
        // The library writes no such name, so it is patched in.
        let mut bytes = archive(&[("aa/bb", b"x")]);
        bytes[..5].copy_from_slice(b"../bb");
        let mut header = Header::from_byte_slice(bytes[..512].try_into().unwrap()).clone();
        header.set_cksum();
        bytes[..512].copy_from_slice(header.as_bytes());
        assert!(matches!(checked(&bytes).await, Err(Unfit::Refused(Refused::Outside(_)))));
        let whole = archive(&[("a", b"content")]);
        assert!(checked(&whole[..516]).await.is_err(), "cut short");
        assert!(matches!(checked(&[b'x'; 2000]).await, Err(Unfit::Archive(_))));
    }

    #[tokio::test]
    async fn a_header_that_would_fill_the_memory_is_refused() {
        let mut builder = Builder::new(Vec::new());
        let name = vec![b'a'; 3 << 20];
        builder.append_data(&mut header(EntryType::GNULongName, name.len() as u64), "././@LongLink", &name[..]).unwrap();
        let error = checked(&builder.into_inner().unwrap()).await.unwrap_err();
        assert!(error.to_string().contains("headers of a member"), "{error}");
    }
}
