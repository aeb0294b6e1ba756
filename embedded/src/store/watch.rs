//! A stream of events: a place in the shared ring of events, not a queue of its own. A thousand watches cost a thousand numbers.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::watch;

use super::memory::Memory;
use super::object::Event;

/// Events taken from the ring in one go.
const BATCH: usize = 64;

/// A watch asked for events that are no longer kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too old resource version: {requested} ({oldest})")]
pub struct TooOld {
    /// The revision asked for.
    pub requested: u64,
    /// The lowest revision that can be asked for.
    pub oldest: u64,
}

/// A watch did not take its events in time, and the next one is no longer kept. List again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too old resource version: {reached} ({oldest})")]
pub struct Lagged {
    /// The revision the watch had reached.
    pub reached: u64,
    /// The lowest revision a new watch can start from.
    pub oldest: u64,
}

/// Events of one kind, of one namespace or all, in order and without gaps.
pub struct Watch {
    memory: Arc<Memory>,
    storage: String,
    namespace: Option<String>,
    bell: watch::Receiver<u64>,
    /// Every event up to here has been returned or stands in `taken`.
    reached: u64,
    taken: VecDeque<Event>,
    /// Revision of the event returned last, or where the watch began.
    returned: u64,
    ended: bool,
}

/// What the ring has for a watch.
enum Look {
    Found,
    Nothing,
    Closed,
    Lagged(Lagged),
}

impl Watch {
    pub(super) fn start(memory: &Arc<Memory>, storage: &str, namespace: Option<&str>, from: u64) -> Result<Self, TooOld> {
        let mut state = memory.write();
        let oldest = state.oldest(storage);
        if from < oldest {
            return Err(TooOld { requested: from, oldest });
        }
        let bell = state.bell(storage);
        drop(state);
        let (storage, namespace) = (storage.to_owned(), namespace.map(str::to_owned));
        Ok(Self {
            memory: Arc::clone(memory),
            storage,
            namespace,
            bell,
            reached: from,
            taken: VecDeque::new(),
            returned: from,
            ended: false,
        })
    }

    /// The next event; waits for it. `None` once the store is closed; `Lagged` once, then `None`, where events were lost.
    ///
    /// Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Result<Event, Lagged>> {
        loop {
            if self.ended {
                return None;
            }
            if let Some(event) = self.taken.pop_front() {
                self.returned = event.revision;
                return Some(Ok(event));
            }
            // The bell is marked as heard before looking, so a ring in between is not missed.
            self.bell.borrow_and_update();
            match self.look() {
                Look::Found => {}
                Look::Nothing => {
                    if self.bell.changed().await.is_err() {
                        self.ended = true;
                    }
                }
                Look::Closed => self.ended = true,
                Look::Lagged(lagged) => {
                    self.ended = true;
                    return Some(Err(lagged));
                }
            }
        }
    }

    /// The next event if it is there already. `None` says nothing of whether the watch has ended.
    ///
    /// # Errors
    /// [`Lagged`] where events were lost, as with [`Watch::next`].
    pub fn try_next(&mut self) -> Result<Option<Event>, Lagged> {
        if self.taken.is_empty()
            && !self.ended
            && let Look::Lagged(lagged) = self.look()
        {
            self.ended = true;
            return Err(lagged);
        }
        let Some(event) = self.taken.pop_front() else { return Ok(None) };
        self.returned = event.revision;
        Ok(Some(event))
    }

    fn look(&mut self) -> Look {
        let state = self.memory.read();
        let oldest = state.oldest(&self.storage);
        if self.reached < oldest {
            return Look::Lagged(Lagged { reached: self.reached, oldest });
        }
        self.taken.extend(state.events(&self.storage, self.namespace.as_deref(), self.reached).take(BATCH).cloned());
        match self.taken.back() {
            Some(last) if self.taken.len() == BATCH => self.reached = last.revision,
            _ => self.reached = self.reached.max(state.revision),
        }
        match (self.taken.is_empty(), state.closed) {
            (false, _) => Look::Found,
            (true, true) => Look::Closed,
            (true, false) => Look::Nothing,
        }
    }

    /// How far the watch is: every event up to this revision has been returned. What a bookmark says.
    pub fn revision(&self) -> u64 {
        if !self.taken.is_empty() {
            return self.returned;
        }
        let state = self.memory.read();
        let waiting = self.reached < state.oldest(&self.storage)
            || state.events(&self.storage, self.namespace.as_deref(), self.reached).next().is_some();
        if waiting { self.returned.max(self.reached) } else { self.reached.max(state.revision) }
    }
}
