//! Reading logs, up to now or onwards.

use std::collections::VecDeque;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use futures::StreamExt;
use jiff::Timestamp;
use tokio::io::AsyncReadExt;
use tokio::sync::watch;

use super::writer::{ContainerLog, Cursor, LogFile, files};
use crate::node::api::LogStream;

/// What of a log is wanted.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// The life before the current one.
    pub previous: bool,
    /// Wait for more until the container ends.
    pub follow: bool,
    /// Times before lines.
    pub timestamps: bool,
    /// Only this many lines from the end.
    pub tail_lines: Option<u64>,
    /// Only lines from this time on.
    pub since: Option<Timestamp>,
    /// End after this many bytes.
    pub limit_bytes: Option<u64>,
}

/// Opens the log of a container; `None` when there is no such instance.
///
/// # Errors
/// When the files cannot be read.
pub async fn read(log: &ContainerLog, selection: Selection) -> io::Result<Option<LogStream>> {
    let cursor = log.watch();
    let current = cursor.borrow().instance;
    let instance = if selection.previous { current.and_then(|now| now.checked_sub(1)) } else { current };
    let Some(instance) = instance else { return Ok(None) };
    let folder = log.folder().to_owned();
    let tail = selection.tail_lines;
    let Some((file, offset)) =
        tokio::task::spawn_blocking(move || beginning(&folder, instance, tail)).await.map_err(io::Error::other)??
    else {
        return Ok(None);
    };
    let mut open = tokio::fs::File::open(&file.path).await?;
    tokio::io::AsyncSeekExt::seek(&mut open, SeekFrom::Start(offset)).await?;
    let reader = Reader {
        folder: log.folder().to_owned(),
        instance,
        generation: file.generation,
        file: open,
        cursor,
        limit: selection.limit_bytes,
        selection,
        carry: Vec::new(),
        within: false,
        ready: VecDeque::new(),
        ended: false,
    };
    let stream = futures::stream::unfold(reader, |mut reader| async move { reader.next().await.map(|piece| (piece, reader)) });
    Ok(Some(stream.boxed()))
}

/// Where to begin: at the oldest file, or so that `tail` lines remain.
fn beginning(folder: &Path, instance: u32, tail: Option<u64>) -> io::Result<Option<(LogFile, u64)>> {
    let of_instance: Vec<LogFile> = files(folder).into_iter().filter(|file| file.instance == instance).collect();
    let Some(first) = of_instance.first().cloned() else { return Ok(None) };
    let Some(tail) = tail else { return Ok(Some((first, 0))) };
    let mut wanted = tail;
    for file in of_instance.into_iter().rev() {
        match back_from_end(&file.path, wanted)? {
            Found::At(offset) => return Ok(Some((file, offset))),
            Found::Fewer(lines) => wanted -= lines,
        }
    }
    Ok(Some((first, 0)))
}

enum Found {
    /// The wanted lines begin here.
    At(u64),
    /// The file holds only this many.
    Fewer(u64),
}

/// Counts lines backwards from the end of a file, a block at a time.
fn back_from_end(path: &Path, wanted: u64) -> io::Result<Found> {
    let mut file = std::fs::File::open(path)?;
    let mut position = file.metadata()?.len();
    if wanted == 0 {
        return Ok(Found::At(position));
    }
    let mut block = vec![0; 32 * 1024];
    let mut newlines = 0;
    while position > 0 {
        let length = usize::try_from(position.min(block.len() as u64)).unwrap_or(block.len());
        position -= length as u64;
        file.seek(SeekFrom::Start(position))?;
        file.read_exact(&mut block[..length])?;
        for index in (0..length).rev().filter(|index| block[*index] == b'\n') {
            // The newline that ends the line before the wanted ones.
            if newlines == wanted {
                return Ok(Found::At(position + index as u64 + 1));
            }
            newlines += 1;
        }
    }
    Ok(if newlines == wanted { Found::At(0) } else { Found::Fewer(newlines) })
}

struct Reader {
    folder: PathBuf,
    instance: u32,
    generation: u32,
    file: tokio::fs::File,
    cursor: watch::Receiver<Cursor>,
    selection: Selection,
    limit: Option<u64>,
    /// A line whose end was not read yet.
    carry: Vec<u8>,
    /// The last line was a part: what follows continues it.
    within: bool,
    ready: VecDeque<Bytes>,
    ended: bool,
}

impl Reader {
    async fn next(&mut self) -> Option<io::Result<Bytes>> {
        loop {
            if let Some(piece) = self.ready.pop_front() {
                return self.limited(piece).map(Ok);
            }
            if self.ended || self.limit == Some(0) {
                return None;
            }
            if let Err(error) = self.fill().await {
                self.ended = true;
                return Some(Err(error));
            }
        }
    }

    fn limited(&mut self, mut piece: Bytes) -> Option<Bytes> {
        if let Some(left) = &mut self.limit {
            piece.truncate(usize::try_from(*left).unwrap_or(usize::MAX));
            *left -= piece.len() as u64;
        }
        (!piece.is_empty()).then_some(piece)
    }

    /// Reads a block; at the end of a file goes on to the next, waits, or ends.
    async fn fill(&mut self) -> io::Result<()> {
        // Looked at before the read: what comes after it wakes the wait below.
        let seen = *self.cursor.borrow_and_update();
        let mut block = vec![0; 16 * 1024];
        let length = self.file.read(&mut block).await?;
        if length > 0 {
            self.carry.extend_from_slice(&block[..length]);
            self.format();
            return Ok(());
        }
        let current = seen.instance == Some(self.instance);
        if current && seen.generation > self.generation || !current && self.later_file().is_some() {
            return self.advance().await;
        }
        if !self.selection.follow || !current || seen.finished {
            self.ended = true;
        } else if self.cursor.changed().await.is_err() {
            // The pod is gone.
            self.ended = true;
        }
        Ok(())
    }

    fn later_file(&self) -> Option<LogFile> {
        files(&self.folder).into_iter().find(|file| file.instance == self.instance && file.generation > self.generation)
    }

    /// A reader slower than the rotation goes on with the oldest file there still is.
    async fn advance(&mut self) -> io::Result<()> {
        match self.later_file() {
            Some(next) => {
                self.file = tokio::fs::File::open(&next.path).await?;
                self.generation = next.generation;
            }
            None => self.ended = true,
        }
        Ok(())
    }

    fn format(&mut self) {
        let Some(end) = self.carry.iter().rposition(|byte| *byte == b'\n') else { return };
        let rest = self.carry.split_off(end + 1);
        let lines = std::mem::replace(&mut self.carry, rest);
        let mut out = Vec::with_capacity(lines.len());
        for line in lines.split_inclusive(|byte| *byte == b'\n') {
            self.format_line(line, &mut out);
        }
        if !out.is_empty() {
            self.ready.push_back(Bytes::from(out));
        }
    }

    fn format_line(&mut self, line: &[u8], out: &mut Vec<u8>) {
        let mut fields = line.splitn(4, |byte| *byte == b' ');
        let (Some(time), Some(_), Some(tag), Some(text)) = (fields.next(), fields.next(), fields.next(), fields.next()) else { return };
        if let Some(since) = self.selection.since {
            let written = std::str::from_utf8(time).ok().and_then(|time| time.parse::<Timestamp>().ok());
            if written.is_none_or(|written| written < since) {
                return;
            }
            // Times only grow: nothing later needs to be compared.
            self.selection.since = None;
        }
        if self.selection.timestamps && !self.within {
            out.extend_from_slice(time);
            out.push(b' ');
        }
        self.within = tag == b"P";
        out.extend_from_slice(if self.within { text.strip_suffix(b"\n").unwrap_or(text) } else { text });
    }
}
