//! The system's log: lines in a style of its own on standard output and in files, of which the oldest go when they take too much (LOG-2).
//!
//! A line is `<milliseconds since the start>mS <kind>: <text>`, for example `     10452mS SEC: Service user "COMAdmin" signed in`.

use std::collections::VecDeque;
use std::fmt;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use jiff::Timestamp;

/// What a line is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Start, stop and the like.
    System,
    /// Something is wrong.
    Error,
    /// Accounts and sign-ins.
    Security,
    /// The connection to COM.
    Com,
    /// Changes of the configuration.
    Configuration,
    /// Backups and restores.
    Backup,
    /// Phones that boot.
    Phone,
    /// Everyday calls.
    Call,
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Self::System => "SYS",
            Self::Error => "ERR",
            Self::Security => "SEC",
            Self::Com => "COM",
            Self::Configuration => "CFG",
            Self::Backup => "BKP",
            Self::Phone => "PHN",
            Self::Call => "CALL",
        }
    }
}

/// Writes a line to standard output only: there is no disk yet.
pub fn announce(kind: Kind, text: &str) {
    let _ = io::stdout().lock().write_all(format_line(0, kind, text).as_bytes());
}

/// One line stays one line, whatever a peer put into a name.
fn format_line(milliseconds: u128, kind: Kind, text: &str) -> String {
    let text: String = text.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
    format!("{milliseconds:>10}mS {}: {text}\n", kind.as_str())
}

/// The log of one system. Cheap to clone.
#[derive(Clone)]
pub struct Log(Option<Arc<Mutex<Files>>>);

struct Files {
    folder: PathBuf,
    most_bytes: u64,
    echo: bool,
    started: Instant,
    /// The oldest first, with sizes; the last is written to.
    files: VecDeque<(PathBuf, u64)>,
    total: u64,
    number: u64,
    open: Option<File>,
}

impl Log {
    /// Continues the log of a folder, in a new file. With `echo` each line goes to standard output too.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn open(folder: &Path, most_bytes: u64, echo: bool) -> io::Result<Self> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            if let Some(number) = number_of(&entry.path()) {
                found.push((number, entry.path(), entry.metadata()?.len()));
            }
        }
        found.sort();
        let number = found.last().map_or(0, |(number, _, _)| *number);
        let total = found.iter().map(|(_, _, size)| size).sum();
        let files = found.into_iter().map(|(_, path, size)| (path, size)).collect();
        let files = Files { folder: folder.to_owned(), most_bytes, echo, started: Instant::now(), files, total, number, open: None };
        Ok(Self(Some(Arc::new(Mutex::new(files)))))
    }

    /// A log that keeps nothing.
    pub fn none() -> Self {
        Self(None)
    }

    /// Counts milliseconds from now: the system starts.
    pub fn restart(&self) {
        let Some(mut files) = self.lock() else { return };
        files.started = Instant::now();
        files.open = None;
    }

    /// Changes how much is kept.
    pub fn keep(&self, most_bytes: u64) {
        if let Some(mut files) = self.lock() {
            files.most_bytes = most_bytes;
        }
    }

    /// Writes a line. A full disk costs the line in the file, nothing else.
    pub fn line(&self, kind: Kind, text: impl fmt::Display) {
        let Some(mut files) = self.lock() else { return };
        let text = text.to_string();
        let line = format_line(files.started.elapsed().as_millis(), kind, &text);
        if files.echo {
            let _ = io::stdout().lock().write_all(line.as_bytes());
        }
        let _ = files.append(line.as_bytes());
    }

    /// Bytes of all files.
    pub fn size(&self) -> u64 {
        self.lock().map_or(0, |files| files.total)
    }

    fn lock(&self) -> Option<MutexGuard<'_, Files>> {
        self.0.as_ref().map(|files| files.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Log")
    }
}

impl Files {
    fn append(&mut self, line: &[u8]) -> io::Result<()> {
        let length = line.len() as u64;
        let file_limit = (self.most_bytes / 16).clamp(1, 8_000_000);
        let full = self.files.back().is_none_or(|(_, size)| *size > 0 && size + length > file_limit);
        self.make_room(length + HEAD)?;
        if self.open.is_none() || full {
            self.next_file()?;
        }
        let Some(file) = self.open.as_mut() else { return Ok(()) };
        file.write_all(line)?;
        self.total += length;
        if let Some((_, size)) = self.files.back_mut() {
            *size += length;
        }
        Ok(())
    }

    fn next_file(&mut self) -> io::Result<()> {
        self.number += 1;
        let path = self.folder.join(format!("{PREFIX}{:08}.{EXTENSION}", self.number));
        let mut file = File::create(&path)?;
        // Milliseconds alone say nothing to someone who reads an old file.
        let head = format!("# opened {}\n", Timestamp::now());
        file.write_all(head.as_bytes())?;
        self.total += head.len() as u64;
        self.files.push_back((path, head.len() as u64));
        self.open = Some(file);
        Ok(())
    }

    fn make_room(&mut self, length: u64) -> io::Result<()> {
        while self.total + length > self.most_bytes && self.files.len() > 1 {
            let Some((path, size)) = self.files.front().cloned() else { break };
            match std::fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            self.files.pop_front();
            self.total -= size;
        }
        Ok(())
    }
}

/// Room for the first line of a file.
const HEAD: u64 = 64;
const PREFIX: &str = "monitor-";
const EXTENSION: &str = "log";

fn number_of(path: &Path) -> Option<u64> {
    path.file_name()?.to_str()?.strip_prefix(PREFIX)?.strip_suffix(EXTENSION)?.strip_suffix('.')?.parse().ok()
}

#[cfg(test)]
mod tests;
