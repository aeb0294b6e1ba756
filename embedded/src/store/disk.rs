//! The file: opened and checked once, then only written.
//!
//! Commits are two-phase: the disk has all of a transaction before the file says that it counts. So a transaction cut off by a crash is
//! told apart from damage, and damage is never "repaired" by silently going back to the transaction before.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use redb::{Database, DatabaseError, ReadableDatabase, ReadableTable, StorageError, TableDefinition, TableError};

use super::error::OpenError;
use super::lock::{FolderLock, lock};
use super::object::{Change, Event, Object, WriteError};
use super::record;

/// The data file in the data folder.
pub(super) const FILE: &str = "objects.redb";
/// Copy of the data file, made at every start that found it whole.
pub(super) const BACKUP: &str = "objects.backup";
/// Format of the tables and records. Raised when an older release could no longer read them.
pub(super) const FORMAT: u64 = 1;

const OBJECTS: TableDefinition<&[u8], &[u8]> = TableDefinition::new("objects");
/// `format` and `revision`.
const FACTS: TableDefinition<&str, u64> = TableDefinition::new("facts");
/// All objects are in memory anyway: the library's own cache need not hold them again.
const CACHE_BYTES: usize = 8 << 20;
/// The first revision: 0 means "any" to Kubernetes clients.
const FIRST_REVISION: u64 = 1;

/// What opening found.
pub(super) struct Opened {
    pub disk: Disk,
    pub revision: u64,
    pub objects: Vec<Object>,
}

/// The open file.
pub(super) struct Disk {
    database: Database,
    path: PathBuf,
    /// Released after the file is closed: fields drop in order.
    _lock: FolderLock,
}

/// Opens the file in a folder, or makes both.
pub(super) fn open(folder: &Path) -> Result<Opened, OpenError> {
    make_folder(folder).map_err(|cause| OpenError::unwritable(folder, cause))?;
    let lock = lock(folder)?;
    let path = folder.join(FILE);
    if !path.try_exists().map_err(|cause| OpenError::unwritable(&path, cause))? {
        create(folder, &path)?;
    }
    let backup = folder.join(BACKUP);
    let (database, contents) = read(&path).map_err(|failure| failure.explain(&path, &backup))?;
    keep_copy(&path, &backup).map_err(|cause| OpenError::unwritable(&backup, cause))?;
    let disk = Disk { database, path, _lock: lock };
    Ok(Opened { disk, revision: contents.revision, objects: contents.objects })
}

fn make_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// Makes a file that is whole from the moment it has its name.
fn create(folder: &Path, path: &Path) -> Result<(), OpenError> {
    let unfinished = path.with_extension("new");
    let unwritable = |cause: io::Error| OpenError::unwritable(folder, cause);
    match fs::remove_file(&unfinished) {
        Err(cause) if cause.kind() != io::ErrorKind::NotFound => return Err(unwritable(cause)),
        _ => {}
    }
    initialise(&unfinished).map_err(|error| unwritable(into_io(error)))?;
    fs::set_permissions(&unfinished, fs::Permissions::from_mode(0o600)).map_err(unwritable)?;
    fs::rename(&unfinished, path).and_then(|()| sync_folder(folder)).map_err(unwritable)
}

fn initialise(path: &Path) -> Result<(), redb::Error> {
    let database = Database::builder().set_cache_size(CACHE_BYTES).create(path)?;
    let mut transaction = database.begin_write()?;
    transaction.set_two_phase_commit(true);
    {
        let mut facts = transaction.open_table(FACTS)?;
        facts.insert("format", FORMAT)?;
        facts.insert("revision", FIRST_REVISION)?;
        transaction.open_table(OBJECTS)?;
    }
    transaction.commit()?;
    Ok(database.close()?)
}

fn into_io(error: redb::Error) -> io::Error {
    match error {
        redb::Error::Io(cause) => cause,
        other => io::Error::other(other),
    }
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Keeps a copy of a file that has just been found whole, and that nothing writes yet.
fn keep_copy(path: &Path, backup: &Path) -> io::Result<()> {
    let unfinished = backup.with_extension("backup.new");
    fs::copy(path, &unfinished)?;
    File::open(&unfinished)?.sync_all()?;
    fs::rename(&unfinished, backup)
}

struct Contents {
    revision: u64,
    objects: Vec<Object>,
}

/// What can be wrong with a file that is there.
enum Failure {
    Io(io::Error),
    InUse,
    Damaged(String),
    TooNew(u64),
}

impl Failure {
    fn explain(self, path: &Path, backup: &Path) -> OpenError {
        let path = path.to_owned();
        match self {
            Self::Io(cause) => OpenError::Unwritable { path, cause },
            Self::InUse => OpenError::InUse { path, pid: None },
            Self::TooNew(found) => OpenError::TooNew { path, found, known: FORMAT },
            Self::Damaged(what) => OpenError::Damaged { path, what, backup: backup.exists().then(|| backup.to_owned()) },
        }
    }
}

impl From<redb::Error> for Failure {
    fn from(error: redb::Error) -> Self {
        match error {
            // Reading past the end of a file that was cut short.
            redb::Error::Io(cause) if cause.kind() == io::ErrorKind::UnexpectedEof => Self::Damaged("it ends too early".to_owned()),
            // What the library says of a file that does not begin like one of its own, and of an empty one.
            redb::Error::Io(cause) if cause.kind() == io::ErrorKind::InvalidData => {
                Self::Damaged("it is not a data file of this program".to_owned())
            }
            redb::Error::Io(cause) => Self::Io(cause),
            redb::Error::DatabaseAlreadyOpen => Self::InUse,
            other => Self::Damaged(other.to_string()),
        }
    }
}

/// Opens the file and reads all of it, every page and record against its checksum.
fn read(path: &Path) -> Result<(Database, Contents), Failure> {
    // The library asserts in debug builds where it returns errors in release builds.
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        let database = open_checked(path).map_err(redb::Error::from)?;
        let contents = contents(&database)?;
        Ok((database, contents))
    }));
    outcome.unwrap_or_else(|panic| Err(Failure::Damaged(panic_text(panic.as_ref()))))
}

fn open_checked(path: &Path) -> Result<Database, DatabaseError> {
    Database::builder().set_cache_size(CACHE_BYTES).set_check_integrity_on_open(true).open(path)
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("its structure is inconsistent").to_owned()
}

fn contents(database: &Database) -> Result<Contents, Failure> {
    let transaction = database.begin_read().map_err(redb::Error::from)?;
    let facts = transaction.open_table(FACTS).map_err(missing)?;
    let fact = |name: &str| -> Result<u64, Failure> {
        let found = facts.get(name).map_err(redb::Error::from)?;
        found.map(|guard| guard.value()).ok_or_else(|| Failure::Damaged(format!("its record of the {name} is missing")))
    };
    let format = fact("format")?;
    if format > FORMAT {
        return Err(Failure::TooNew(format));
    }
    let revision = fact("revision")?;
    let table = transaction.open_table(OBJECTS).map_err(missing)?;
    let mut objects = Vec::new();
    for entry in table.iter().map_err(redb::Error::from)? {
        let (key, value) = entry.map_err(redb::Error::from)?;
        objects.push(object(key.value(), value.value(), revision).map_err(Failure::Damaged)?);
    }
    Ok(Contents { revision, objects })
}

/// Reads a record; the text names the object and what is wrong.
fn object(key: &[u8], value: &[u8], revision: u64) -> Result<Object, String> {
    let name = || record::decode_key(key).map_or_else(|| String::from_utf8_lossy(key).replace('\0', " "), |key| key.to_string());
    let object = record::decode(key, value).map_err(|what| format!("object {}: {what}", name()))?;
    if object.revision > revision {
        return Err(format!("object {}: its revision {} is above the latest of the file, {revision}", name(), object.revision));
    }
    Ok(object)
}

fn missing(error: TableError) -> Failure {
    match error {
        TableError::Storage(error) => redb::Error::from(error).into(),
        other => Failure::Damaged(other.to_string()),
    }
}

impl Disk {
    /// Makes a batch durable: when it returns, the disk has it.
    pub(super) fn save(&mut self, events: &[Event]) -> Result<(), WriteError> {
        let outcome = catch_unwind(AssertUnwindSafe(|| self.commit(events)));
        let what = match outcome {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => error.to_string(),
            Err(panic) => panic_text(panic.as_ref()),
        };
        let path = self.path.display();
        tracing::error!(file = %path, error = what, "cannot save to the data file");
        Err(WriteError::Damaged(format!(
            "cannot save to the data file {path}: {what}; everything answered before is safe; check the disk and its free space, then restart"
        )))
    }

    fn commit(&self, events: &[Event]) -> Result<(), redb::Error> {
        let Some(last) = events.last() else { return Ok(()) };
        let mut transaction = self.database.begin_write()?;
        transaction.set_two_phase_commit(true);
        {
            let mut objects = transaction.open_table(OBJECTS)?;
            for event in events {
                let key = record::encode_key(&event.object.key);
                match event.change {
                    Change::Deleted => drop(objects.remove(key.as_slice())?),
                    Change::Added | Change::Modified => {
                        drop(objects.insert(key.as_slice(), record::encode(&key, &event.object).as_slice())?)
                    }
                }
            }
            transaction.open_table(FACTS)?.insert("revision", last.revision)?;
        }
        Ok(transaction.commit()?)
    }

    /// Closes the file, so that the next start need not go through it for a cut-off transaction.
    pub(super) fn close(self) {
        let path = self.path;
        match catch_unwind(AssertUnwindSafe(|| self.database.close())) {
            Ok(Ok(())) | Ok(Err(DatabaseError::Storage(StorageError::PreviousIo))) => {}
            Ok(Err(error)) => tracing::warn!(file = %path.display(), %error, "closing the data file failed; nothing answered is lost"),
            Err(_) => tracing::warn!(file = %path.display(), "closing the data file failed; nothing answered is lost"),
        }
    }
}
