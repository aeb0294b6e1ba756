//! Objects with versions: durable before a write is answered, watchable after.
//!
//! All objects are in memory, as JSON bytes; the file exists so that a restart, also after `SIGKILL`, continues with every object and every
//! answered write. One revision counter numbers all changes; it never goes back and no number a client has seen is used again, because
//! nothing is shown before it is on disk.
//!
//! | file | what |
//! |---|---|
//! | `object` | keys, objects, writes, events |
//! | `memory` | objects and the latest events, under one lock |
//! | `commit` | a batch of writes: check, make durable, publish, answer |
//! | `writer` | the thread that forms batches (group commit) |
//! | `watch` | a place in the ring of events |
//! | `disk`, `record` | the file: opening, checking, saving; how an object stands in it |
//! | `lock` | one process a folder |

mod commit;
mod counters;
mod disk;
mod error;
mod lock;
mod memory;
mod object;
mod record;
mod watch;
mod writer;

#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;

pub use counters::Counters;
pub use error::OpenError;
pub(crate) use object::is_deeper_than;
pub use object::{Change, Event, Key, Labels, Listing, Object, Write, WriteError};
pub use watch::{Lagged, TooOld, Watch};

use commit::{Committer, Request};
use counters::Tally;
use memory::{Limits, Memory};
use object::Draft;
use writer::Writer;

/// All objects. Cheap to clone; the file is closed with the last clone or by [`Store::close`].
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    memory: Arc<Memory>,
    tally: Arc<Tally>,
    writer: Writer,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.writer.close();
    }
}

impl Store {
    /// Opens the store in a folder, or makes a new one where there is none.
    ///
    /// # Errors
    /// [`OpenError`] names the path, the cause and what to do. Nothing is ever dropped or made anew because it could not be read.
    pub fn open(folder: &Path) -> Result<Self, OpenError> {
        let opened = disk::open(folder)?;
        let memory = Arc::new(Memory::new(opened.revision, opened.objects, Limits::default()));
        let tally = Arc::new(Tally::default());
        let committer = Committer::new(Arc::clone(&memory), Arc::clone(&tally), Some(opened.disk));
        let writer = Writer::thread(committer).map_err(|cause| OpenError::Thread { path: folder.to_owned(), cause })?;
        Ok(Self(Arc::new(Inner { memory, tally, writer })))
    }

    /// A store without a file, for tests.
    pub fn in_memory() -> Self {
        Self::in_memory_with(Limits::default())
    }

    fn in_memory_with(limits: Limits) -> Self {
        let memory = Arc::new(Memory::new(1, [], limits));
        let tally = Arc::new(Tally::default());
        let writer = Writer::direct(Committer::new(Arc::clone(&memory), Arc::clone(&tally), None));
        Self(Arc::new(Inner { memory, tally, writer }))
    }

    /// Carries out a write: stamps `metadata.resourceVersion` with the new revision and returns the new state (of a deletion the last
    /// one, under the revision of the deletion). When it returns, the change is on disk and visible.
    ///
    /// # Errors
    /// [`WriteError`]; then nothing has changed. A caller that stops waiting does not stop the write.
    pub async fn write(&self, write: Write) -> Result<Arc<Object>, WriteError> {
        write.check()?;
        let request = match write {
            Write::Create { key, value } => Request::Create { key, draft: Draft::new(&value) },
            Write::Update { key, expected, value } => Request::Update { key, expected, draft: Draft::new(&value) },
            Write::Delete { key, expected } => Request::Delete { key, expected },
        };
        self.0.writer.write(request).await
    }

    /// The present state of an object.
    pub fn get(&self, key: &Key) -> Option<Arc<Object>> {
        self.0.memory.read().get(key).cloned()
    }

    /// Objects of a storage, ordered by namespace, then name; of one namespace or all; after a place `(namespace, name)`, for the next page.
    pub fn list(&self, storage: &str, namespace: Option<&str>, after: Option<(&str, &str)>, limit: Option<usize>) -> Listing {
        self.0.memory.read().list(storage, namespace, after, limit)
    }

    /// The revision of the latest change.
    pub fn revision(&self) -> u64 {
        self.0.memory.read().revision
    }

    /// The revision of the latest change of any of these storages (or of the start, if that was later): while it stays, whatever was
    /// computed from them holds.
    pub fn changed(&self, storages: &[&str]) -> u64 {
        self.0.memory.read().changed(storages)
    }

    /// Events after a revision, in order and without gaps.
    ///
    /// # Errors
    /// [`TooOld`] where events after that revision are no longer kept.
    pub fn watch(&self, storage: &str, namespace: Option<&str>, from: u64) -> Result<Watch, TooOld> {
        Watch::start(&self.0.memory, storage, namespace, from)
    }

    /// Figures for metrics.
    pub fn counters(&self) -> Counters {
        let state = self.0.memory.read();
        self.0.tally.read(state.revision, state.census())
    }

    /// Whether the store has been closed.
    pub fn is_closed(&self) -> bool {
        self.0.memory.read().closed
    }

    /// Ends all watches, finishes the writes that wait and closes the file. Blocks for as long as that takes; later writes fail.
    pub fn close(&self) {
        self.0.writer.close();
    }
}
