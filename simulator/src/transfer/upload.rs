//! Putting parts of a packed element into the store: up to four at a time, from the disk in small pieces. What is under way when an answer is due
//! goes on, and the next order finds it.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use archive::digest::Sha256;
use bytes::Bytes;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use protocol::transfer::{Output, PartUpload, PresignedRequest, StoreFailure};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::causes::Work;
use crate::clock::SystemClock;
use crate::transfer::journal::Packed;
use crate::transfer::line::Line;
use crate::transfer::store::{Body, Connection, Dialer, Pulse, Target, broken, failure, refusal};

/// Parts at a time.
const AT_A_TIME: usize = 4;
/// Bytes read from the disk at a time.
const PIECE: usize = 96 * 1024;

/// The upload of one packed element.
#[derive(Debug)]
pub struct Upload {
    packed: Packed,
    archive: PathBuf,
    line: Arc<Line>,
    patience: Duration,
    state: Mutex<State>,
    idle: Mutex<Vec<Connection>>,
    changed: watch::Sender<()>,
    /// Bytes of this upload since it began, for the causes.
    moved: Arc<AtomicU64>,
    /// Calls it off.
    cancel: CancellationToken,
}

#[derive(Debug)]
struct State {
    dialer: Dialer,
    queue: VecDeque<Order>,
    /// Under way or done and not told yet, each with what it is for: a part of another upload is another part.
    running: BTreeMap<u32, Sha256>,
    done: BTreeMap<u32, Sha256>,
    failure: Option<StoreFailure>,
    workers: usize,
}

#[derive(Debug)]
struct Order {
    number: u32,
    target: Target,
    request: PresignedRequest,
}

impl Upload {
    /// An upload that has no order yet.
    pub fn new(packed: Packed, archive: PathBuf, line: Arc<Line>, dialer: Dialer, patience: Duration) -> Arc<Self> {
        let state = State { dialer, queue: VecDeque::new(), running: BTreeMap::new(), done: BTreeMap::new(), failure: None, workers: 0 };
        Arc::new(Self {
            packed,
            archive,
            line,
            patience,
            state: Mutex::new(state),
            idle: Mutex::default(),
            changed: watch::Sender::new(()),
            moved: Arc::default(),
            cancel: CancellationToken::new(),
        })
    }

    /// Whether it is of this packed element.
    pub fn is_of(&self, packed: &Packed) -> bool {
        self.packed == *packed
    }

    /// Whether nothing is under way, and nothing is to be told.
    pub fn is_idle(&self) -> bool {
        let state = self.lock();
        state.running.is_empty() && state.queue.is_empty() && state.done.is_empty()
    }

    /// Calls it off.
    pub fn end(&self) {
        self.cancel.cancel();
    }

    /// Takes an order, and gives what is in the store when all of it is, when something failed, or when `slice` is over.
    pub async fn put(
        self: &Arc<Self>,
        tracker: &TaskTracker,
        parts: Vec<PartUpload>,
        authority: Option<String>,
        clock: &SystemClock,
        slice: Duration,
    ) -> Output {
        let numbers: Vec<u32> = parts.iter().map(|part| part.number).collect();
        let due = tokio::time::Instant::now() + slice;
        let mut changes = self.changed.subscribe();
        self.order(parts, authority, clock);
        self.hire(tracker);
        while !self.is_over(&numbers) && !self.cancel.is_cancelled() {
            if tokio::time::timeout_at(due, changes.changed()).await.is_err() {
                break;
            }
        }
        self.tell(&numbers)
    }

    fn order(&self, parts: Vec<PartUpload>, authority: Option<String>, clock: &SystemClock) {
        let mut state = self.lock();
        state.failure = None;
        if !state.dialer.trusts(authority.as_deref()) {
            state.dialer = Dialer::new(authority, clock);
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
        }
        // What is ordered anew is asked for with the newer requests.
        state.queue.clear();
        for PartUpload { number, request } in parts {
            let target = match Target::of(&request) {
                Ok(target) => target,
                Err(failure) => {
                    state.failure = Some(failure);
                    continue;
                }
            };
            let same = Some(target.identity());
            if state.running.get(&number).copied() == same || state.done.get(&number).copied() == same {
                continue;
            }
            state.done.remove(&number);
            state.queue.push_back(Order { number, target, request });
        }
    }

    fn hire(self: &Arc<Self>, tracker: &TaskTracker) {
        let mut state = self.lock();
        let hired = (AT_A_TIME - state.workers).min(state.queue.len());
        state.workers += hired;
        for _ in 0..hired {
            let upload = self.clone();
            tracker.spawn(async move {
                tokio::select! {
                    () = upload.cancel.cancelled() => {}
                    () = upload.work() => {}
                }
                upload.changed.send_replace(());
            });
        }
    }

    async fn work(&self) {
        loop {
            let (order, dialer) = {
                let mut state = self.lock();
                let Some(order) = state.queue.pop_front() else {
                    state.workers -= 1;
                    return;
                };
                state.running.insert(order.number, order.target.identity());
                (order, state.dialer.clone())
            };
            let put = self.put_part(&order, &dialer).await;
            let mut state = self.lock();
            state.running.remove(&order.number);
            match put {
                Ok(()) => {
                    state.done.insert(order.number, order.target.identity());
                }
                Err(failure) => {
                    state.failure.get_or_insert(failure);
                    state.queue.clear();
                }
            }
            drop(state);
            self.changed.send_replace(());
        }
    }

    /// Puts one part. A connection that was kept may have been closed by the store: then a new one is tried, once.
    async fn put_part(&self, order: &Order, dialer: &Dialer) -> Result<(), StoreFailure> {
        let kept = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        if let Some(connection) = kept.filter(|connection| connection.fits(&order.target) && connection.is_used()) {
            let before = self.moved.load(Ordering::Relaxed);
            match self.put_through(order, connection).await {
                // Closed by the store before anything was sent.
                Err(failure) if failure.status.is_none() && self.moved.load(Ordering::Relaxed) == before => {}
                put => return put,
            }
        }
        self.line.travel().await.map_err(|error| broken(&error))?;
        let connection = dialer.connect(&order.target).await?;
        self.put_through(order, connection).await
    }

    async fn put_through(&self, order: &Order, mut connection: Connection) -> Result<(), StoreFailure> {
        let pulse = Pulse::default();
        let (offset, length) = self.extent(order.number);
        let body = self.body(offset, length, pulse.clone());
        let extra = [(http::header::CONTENT_LENGTH, length.to_string())];
        let exchange = async {
            self.line.travel().await.map_err(|error| broken(&error))?;
            pulse.beat();
            let response = connection.send(&order.target, &order.request, &extra, body).await?;
            self.line.travel().await.map_err(|error| broken(&error))?;
            if !response.status().is_success() {
                return Err(refusal(response).await);
            }
            // The answer has hardly a body; with it read the connection is free again.
            let read = http_body_util::Limited::new(response.into_body(), PIECE).collect().await;
            Ok(read.is_ok())
        };
        let done = tokio::select! {
            done = exchange => done?,
            error = self.line.lost() => return Err(broken(&error)),
            () = pulse.stops(self.patience) => {
                return Err(failure(format!("nothing moved between system and object store for {} s", self.patience.as_secs())));
            }
        };
        if done {
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        }
        Ok(())
    }

    /// Where a part lies in the archive. Its number was checked.
    fn extent(&self, number: u32) -> (u64, u64) {
        let index = u64::from(number.saturating_sub(1));
        let size = self.packed.parts.get(usize::try_from(index).unwrap_or(usize::MAX)).map_or(0, |part| part.size);
        (index * self.packed.part_size, size)
    }

    fn body(&self, offset: u64, length: u64, pulse: Pulse) -> Body {
        let reading = Reading {
            archive: self.archive.clone(),
            file: None,
            offset,
            left: length,
            sent: 0,
            line: self.line.clone(),
            moved: self.moved.clone(),
            pulse,
        };
        StreamBody::new(futures::stream::try_unfold(reading, Reading::next)).boxed_unsync()
    }

    fn is_over(&self, numbers: &[u32]) -> bool {
        let state = self.lock();
        let under_way = |number: &u32| state.running.contains_key(number) || state.queue.iter().any(|order| order.number == *number);
        !numbers.iter().any(under_way)
    }

    /// What is told once is forgotten: when COM orders a part again it is not there, whatever the store said. While nothing is to be told, parts
    /// are under way.
    fn tell(&self, numbers: &[u32]) -> Output {
        let over = self.is_over(numbers);
        let mut state = self.lock();
        if !over && state.failure.is_none() && !numbers.iter().any(|number| state.done.contains_key(number)) {
            return Output::InProgress { done: self.moved.load(Ordering::Relaxed), total: self.packed.size };
        }
        let mut parts: Vec<u32> = numbers.iter().copied().filter(|number| state.done.remove(number).is_some()).collect();
        parts.sort_unstable();
        let failure = state.failure.take().filter(|_| parts.len() < numbers.len());
        Output::Uploaded { parts, failure }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A part being read from the disk.
struct Reading {
    archive: PathBuf,
    file: Option<File>,
    offset: u64,
    left: u64,
    sent: u64,
    line: Arc<Line>,
    moved: Arc<AtomicU64>,
    pulse: Pulse,
}

impl Reading {
    async fn next(mut self) -> io::Result<Option<(Frame<Bytes>, Self)>> {
        if self.left == 0 {
            return Ok(None);
        }
        let want = usize::try_from(self.left.min(self.line.piece(self.sent))).unwrap_or(PIECE).min(PIECE);
        let (archive, offset, file) = (self.archive.clone(), self.offset, self.file.take());
        let read = tokio::task::spawn_blocking(move || {
            let file = file.map_or_else(|| open_at(&archive, offset), Ok)?;
            read_piece(&file, want).map(|piece| (file, piece))
        });
        let (file, mut piece) = read.await.map_err(io::Error::other)??;
        if self.sent == 0 && self.line.faults().transfers.corrupt {
            piece[0] ^= 0xff;
        }
        let moved = self.moved.fetch_add(want as u64, Ordering::Relaxed) + want as u64;
        self.line.pass(Work::Upload, want as u64, self.sent, moved).await?;
        self.pulse.beat();
        self.sent += want as u64;
        self.left -= want as u64;
        self.file = Some(file);
        Ok(Some((Frame::data(Bytes::from(piece)), self)))
    }
}

fn open_at(path: &Path, offset: u64) -> io::Result<File> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(offset))?;
    Ok(file)
}

/// Reads straight into memory that nobody cleared before: the bytes are touched once.
fn read_piece(file: &File, want: usize) -> io::Result<Vec<u8>> {
    let mut piece = Vec::with_capacity(want);
    file.take(want as u64).read_to_end(&mut piece)?;
    if piece.len() == want { Ok(piece) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}
