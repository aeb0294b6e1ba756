//! Objects on their way out: a range over the files of the parts, one piece read ahead of the network.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;

use bytes::Bytes;
use futures::Stream;
use futures::stream::try_unfold;
use tokio::task::{JoinHandle, spawn_blocking};

use super::bucket::Opened;

/// Bytes that are read at a time.
pub(super) const PIECE: u64 = 128 << 10;

struct Source {
    object: Opened,
    /// What is still to be read.
    left: Range<u64>,
    /// Index of the part that holds the next byte, and where it begins.
    part: usize,
    part_start: u64,
    file: Option<File>,
}

impl Source {
    fn read(mut self) -> io::Result<(Self, Bytes)> {
        while let Some(part) = self.object.record.parts.get(self.part).filter(|_| !self.left.is_empty()) {
            let part_end = self.part_start + part.size;
            if self.left.start >= part_end {
                (self.part, self.part_start, self.file) = (self.part + 1, part_end, None);
                continue;
            }
            let file = match self.file.take() {
                Some(file) => file,
                None => self.object.part(part.number)?,
            };
            let length = PIECE.min(part_end.min(self.left.end) - self.left.start);
            let mut bytes = vec![0; usize::try_from(length).map_err(io::Error::other)?];
            file.read_exact_at(&mut bytes, self.left.start - self.part_start)?;
            self.left.start += length;
            self.file = Some(file);
            return Ok((self, bytes.into()));
        }
        if self.left.is_empty() { Ok((self, Bytes::new())) } else { Err(io::Error::other("the object ends before its size")) }
    }
}

type Reading = JoinHandle<io::Result<(Source, Bytes)>>;

/// The bytes of a range that is inside the object.
pub(crate) fn stream(object: Opened, range: Range<u64>) -> impl Stream<Item = io::Result<Bytes>> + Send + Sync + 'static {
    let key = object.record.key.clone();
    let source = Source { object, left: range, part: 0, part_start: 0, file: None };
    try_unfold(begin(source), move |reading| step(reading, key.clone()))
}

fn begin(source: Source) -> Reading {
    spawn_blocking(move || source.read())
}

async fn step(reading: Reading, key: String) -> io::Result<Option<(Bytes, Reading)>> {
    let (source, bytes) = reading.await.map_err(io::Error::other).and_then(|read| read).inspect_err(|error| {
        tracing::error!(key, %error, "an object of the store cannot be read to its end");
    })?;
    // The next piece is read while this one goes out.
    Ok((!bytes.is_empty()).then(|| (bytes, begin(source))))
}
