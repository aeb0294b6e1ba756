//! What becomes of a batch of writes: checked in order against memory and the writes before them, made durable together, then published.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use tokio::sync::oneshot;

use super::counters::Tally;
use super::disk::Disk;
use super::memory::{Memory, State};
use super::object::{Change, Draft, Event, Key, Object, WriteError};

/// What a write answers.
pub(super) type Answer = Result<Arc<Object>, WriteError>;

/// A write with its JSON already made.
#[derive(Debug)]
pub(super) enum Request {
    Create { key: Key, draft: Draft },
    Update { key: Key, expected: u64, draft: Draft },
    Delete { key: Key, expected: u64 },
}

impl Request {
    /// Bytes the request adds to a batch.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Create { draft, .. } | Self::Update { draft, .. } => draft.len(),
            Self::Delete { .. } => 0,
        }
    }
}

/// A write and who waits for it.
#[derive(Debug)]
pub(super) struct Job {
    pub request: Request,
    pub answer: oneshot::Sender<Answer>,
}

/// The one place where the state changes.
pub(super) struct Committer {
    memory: Arc<Memory>,
    tally: Arc<Tally>,
    disk: Option<Disk>,
    /// Why the disk takes no more writes; memory and disk may differ from then on, so nothing more is accepted.
    failed: Option<WriteError>,
}

/// A batch under way: what it changes on top of memory.
struct Plan<'a> {
    state: &'a State,
    revision: u64,
    /// The state of keys after the writes of the batch so far; `None` is deleted.
    changed: HashMap<Key, Option<Arc<Object>>>,
    events: Vec<Event>,
}

impl Committer {
    pub(super) fn new(memory: Arc<Memory>, tally: Arc<Tally>, disk: Option<Disk>) -> Self {
        Self { memory, tally, disk, failed: None }
    }

    /// Carries out a batch and answers every job of it.
    pub(super) fn commit(&mut self, jobs: Vec<Job>) {
        if let Some(failed) = &self.failed {
            for job in jobs {
                let _ = job.answer.send(Err(failed.clone()));
            }
            return;
        }
        let (events, answers) = self.plan(jobs);
        if let Err(error) = self.make_durable(&events) {
            for (answer, _) in answers {
                let _ = answer.send(Err(error.clone()));
            }
            self.failed = Some(error);
            return;
        }
        self.publish(events);
        for (sender, answer) in answers {
            let _ = sender.send(answer);
        }
    }

    /// Ends all watches and, with it, the store.
    pub(super) fn close(mut self) {
        self.memory.write().close();
        if let Some(disk) = self.disk.take() {
            disk.close();
        }
    }

    fn plan(&self, jobs: Vec<Job>) -> (Vec<Event>, Vec<(oneshot::Sender<Answer>, Answer)>) {
        let state = self.memory.read();
        let mut plan = Plan { revision: state.revision, state: &state, changed: HashMap::new(), events: Vec::with_capacity(jobs.len()) };
        let answers = jobs.into_iter().map(|job| (job.answer, plan.add(job.request))).collect();
        (plan.events, answers)
    }

    fn make_durable(&mut self, events: &[Event]) -> Result<(), WriteError> {
        let (Some(disk), Some(_)) = (&mut self.disk, events.last()) else { return Ok(()) };
        let began = Instant::now();
        let outcome = disk.save(events);
        self.tally.commits.fetch_add(1, Ordering::Relaxed);
        self.tally.commit_nanoseconds.fetch_add(u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
        outcome
    }

    fn publish(&self, events: Vec<Event>) {
        let storages: BTreeSet<String> = events.iter().map(|event| event.object.key.storage.clone()).collect();
        let mut state = self.memory.write();
        for event in events {
            self.tally.count(event.change);
            state.publish(event);
        }
        state.ring(storages.iter().map(String::as_str));
    }
}

impl Plan<'_> {
    fn current(&self, key: &Key) -> Option<&Arc<Object>> {
        match self.changed.get(key) {
            Some(changed) => changed.as_ref(),
            None => self.state.get(key),
        }
    }

    /// The state a write builds on, if it is the one its caller read.
    fn expect(&self, key: &Key, expected: u64) -> Result<Arc<Object>, WriteError> {
        match self.current(key) {
            None => Err(WriteError::Missing),
            Some(object) if object.revision != expected => Err(WriteError::Conflict),
            Some(object) => Ok(Arc::clone(object)),
        }
    }

    fn add(&mut self, request: Request) -> Answer {
        let revision = self.revision + 1;
        let (change, key, object, previous) = match request {
            Request::Create { key, .. } if self.current(&key).is_some() => return Err(WriteError::Exists),
            Request::Create { key, draft } => (Change::Added, key.clone(), draft.stamped(key, revision), None),
            Request::Update { key, expected, draft } => {
                let previous = self.expect(&key, expected)?;
                (Change::Modified, key.clone(), draft.stamped(key, revision), Some(previous))
            }
            Request::Delete { key, expected } => {
                let previous = self.expect(&key, expected)?;
                (Change::Deleted, key, previous.restamped(revision), Some(previous))
            }
        };
        let object = Arc::new(object);
        self.revision = revision;
        self.changed.insert(key, (change != Change::Deleted).then(|| Arc::clone(&object)));
        self.events.push(Event { change, object: Arc::clone(&object), previous, revision });
        Ok(object)
    }
}
