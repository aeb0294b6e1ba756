//! Writing logs.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use tokio::sync::watch;

/// A line longer than this is written in parts.
const LONGEST_LINE: usize = 16 * 1024;
/// Files kept of one instance.
const GENERATIONS: u32 = 2;

/// Which output of a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// How far a container's log has come; readers wait for it to change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cursor {
    /// The container's current life, counted from 0; `None` before the first.
    pub instance: Option<u32>,
    /// Its current file.
    pub generation: u32,
    /// Bytes written to that file.
    pub length: u64,
    /// Nothing more comes from this instance.
    pub finished: bool,
}

/// All logs of one container.
#[derive(Debug)]
pub struct ContainerLog {
    folder: PathBuf,
    file_bytes: u64,
    cursor: watch::Sender<Cursor>,
}

/// The log of one life of a container.
#[derive(Debug)]
pub struct InstanceLog {
    log: Arc<ContainerLog>,
    instance: u32,
    writer: Mutex<Writer>,
}

#[derive(Debug)]
struct Writer {
    file: File,
    generation: u32,
    length: u64,
    /// What came of a line whose end is still to come, one for each output.
    pending: [Vec<u8>; 2],
    failed: bool,
}

impl ContainerLog {
    /// The logs in `folder`, which need not exist yet. Earlier instances found there are kept.
    pub fn new(folder: PathBuf, file_bytes: u64) -> Arc<Self> {
        let mut cursor = Cursor { finished: true, ..Cursor::default() };
        if let Some(newest) = files(&folder).into_iter().max_by_key(|file| (file.instance, file.generation)) {
            cursor.instance = Some(newest.instance);
            cursor.generation = newest.generation;
            cursor.length = fs::metadata(&newest.path).map_or(0, |data| data.len());
        }
        Arc::new(Self { folder, file_bytes, cursor: watch::Sender::new(cursor) })
    }

    /// Begins the log of the next life; of earlier ones only the last is kept.
    ///
    /// # Errors
    /// When the folder or file cannot be made.
    pub fn begin(self: &Arc<Self>) -> io::Result<Arc<InstanceLog>> {
        fs::create_dir_all(&self.folder)?;
        let instance = self.cursor.borrow().instance.map_or(0, |last| last.saturating_add(1));
        for old in files(&self.folder).iter().filter(|file| file.instance + 1 < instance) {
            fs::remove_file(&old.path)?;
        }
        let file = create(&path(&self.folder, instance, 0))?;
        self.cursor.send_replace(Cursor { instance: Some(instance), generation: 0, length: 0, finished: false });
        let writer = Writer { file, generation: 0, length: 0, pending: [Vec::new(), Vec::new()], failed: false };
        Ok(Arc::new(InstanceLog { log: Arc::clone(self), instance, writer: Mutex::new(writer) }))
    }

    /// Watches how far the log has come.
    pub fn watch(&self) -> watch::Receiver<Cursor> {
        self.cursor.subscribe()
    }

    /// The end of the newest instance's output, for a termination message: at most 80 lines and 2 KiB, as the kubelet takes.
    pub fn last_words(&self) -> String {
        let cursor = *self.cursor.borrow();
        let Some(instance) = cursor.instance else { return String::new() };
        let text = fs::read(path(&self.folder, instance, cursor.generation)).unwrap_or_default();
        let lines = text.split(|byte| *byte == b'\n').rev().skip(1).take(80);
        let mut chosen: Vec<String> = Vec::new();
        let mut bytes = 0;
        for line in lines {
            let line = line.splitn(4, |byte| *byte == b' ').nth(3).unwrap_or_default();
            bytes += line.len() + 1;
            if bytes > 2048 {
                break;
            }
            chosen.push(String::from_utf8_lossy(line).into_owned());
        }
        chosen.reverse();
        chosen.join("\n")
    }

    /// The folder with the files.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

impl InstanceLog {
    /// Adds output. The write goes to the page cache, so it is done here and now; a full disk loses the output and says so once.
    pub fn append(&self, output: Output, bytes: &[u8]) {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let mut pending = std::mem::take(&mut writer.pending[output as usize]);
        pending.extend_from_slice(bytes);
        let mut lines = Vec::with_capacity(pending.len() + 64);
        let mut rest = pending.as_slice();
        let now = Timestamp::now();
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            in_parts(&mut lines, now, output, &rest[..end]);
            rest = &rest[end + 1..];
        }
        while rest.len() > LONGEST_LINE {
            line(&mut lines, now, output, b'P', &rest[..LONGEST_LINE]);
            rest = &rest[LONGEST_LINE..];
        }
        writer.pending[output as usize] = rest.to_vec();
        self.write(&mut writer, &lines);
    }

    /// An output was closed. A last line without an end is written as a part, so that readers see it without an end too.
    pub fn end_of(&self, output: Output) {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let pending = std::mem::take(&mut writer.pending[output as usize]);
        if !pending.is_empty() {
            let mut lines = Vec::with_capacity(pending.len() + 64);
            line(&mut lines, Timestamp::now(), output, b'P', &pending);
            self.write(&mut writer, &lines);
        }
    }

    /// Nothing more comes: followers end.
    pub fn finish(&self) {
        self.end_of(Output::Stdout);
        self.end_of(Output::Stderr);
        self.log.cursor.send_if_modified(|cursor| {
            let ours = cursor.instance == Some(self.instance);
            cursor.finished |= ours;
            ours
        });
    }

    fn write(&self, writer: &mut Writer, lines: &[u8]) {
        if lines.is_empty() {
            return;
        }
        let written = self.rotate_if_full(writer).and_then(|()| writer.file.write_all(lines));
        match written {
            Ok(()) => {
                writer.length += lines.len() as u64;
                writer.failed = false;
            }
            Err(error) => {
                if !std::mem::replace(&mut writer.failed, true) {
                    tracing::warn!(%error, folder = %self.log.folder.display(), "the output of a container is lost: its log cannot be written");
                }
                // Part of it may have been written.
                writer.length = writer.file.metadata().map_or(writer.length, |data| data.len());
            }
        }
        let (generation, length) = (writer.generation, writer.length);
        self.log.cursor.send_if_modified(|cursor| {
            let ours = cursor.instance == Some(self.instance);
            if ours {
                cursor.generation = generation;
                cursor.length = length;
            }
            ours
        });
    }

    fn rotate_if_full(&self, writer: &mut Writer) -> io::Result<()> {
        if writer.length < self.log.file_bytes {
            return Ok(());
        }
        let next = writer.generation + 1;
        writer.file = create(&path(&self.log.folder, self.instance, next))?;
        writer.generation = next;
        writer.length = 0;
        match next.checked_sub(GENERATIONS) {
            Some(old) => fs::remove_file(path(&self.log.folder, self.instance, old)),
            None => Ok(()),
        }
    }
}

/// A log file by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LogFile {
    pub instance: u32,
    pub generation: u32,
    pub path: PathBuf,
}

/// The log files of a folder, oldest first.
pub(super) fn files(folder: &Path) -> Vec<LogFile> {
    let parse = |path: PathBuf| {
        let name = path.file_name()?.to_str()?.strip_suffix(".log")?.to_owned();
        let (instance, generation) = name.split_once('.')?;
        Some(LogFile { instance: instance.parse().ok()?, generation: generation.parse().ok()?, path })
    };
    let mut found: Vec<LogFile> = fs::read_dir(folder).into_iter().flatten().flatten().filter_map(|entry| parse(entry.path())).collect();
    found.sort_by_key(|file| (file.instance, file.generation));
    found
}

fn path(folder: &Path, instance: u32, generation: u32) -> PathBuf {
    folder.join(format!("{instance}.{generation}.log"))
}

fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).write(true).truncate(true).open(path)
}

fn in_parts(into: &mut Vec<u8>, now: Timestamp, output: Output, mut text: &[u8]) {
    while text.len() > LONGEST_LINE {
        line(into, now, output, b'P', &text[..LONGEST_LINE]);
        text = &text[LONGEST_LINE..];
    }
    line(into, now, output, b'F', text);
}

fn line(into: &mut Vec<u8>, now: Timestamp, output: Output, tag: u8, text: &[u8]) {
    let name = match output {
        Output::Stdout => "stdout",
        Output::Stderr => "stderr",
    };
    into.extend_from_slice(format!("{now:.9} {name} {} ", char::from(tag)).as_bytes());
    into.extend_from_slice(text);
    into.push(b'\n');
}
