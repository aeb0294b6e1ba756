//! Fetching an element from the store: it goes on where it stopped, also after a restart, and counts only when all its bytes are the ones that
//! were backed up and its members may be unpacked.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use archive::digest::{Hasher, Sha256};
use archive::element::BackupElement;
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use protocol::transfer::{Output, PresignedRequest, StoreFailure};
use tokio::io::AsyncWriteExt as _;

use crate::causes::Work;
use crate::disk::space;
use crate::transfer::job::{Outcome, Progress};
use crate::transfer::journal::Journal;
use crate::transfer::line::Line;
use crate::transfer::refusal::Refusal;
use crate::transfer::stage::{self, StageError};
use crate::transfer::store::{Body, Dialer, Pulse, Target, broken, failure, refusal};

/// What is to be fetched.
#[derive(Debug)]
pub struct Fetch {
    /// The element.
    pub element: BackupElement,
    /// Bytes it must have.
    pub size: u64,
    /// Digest it must have.
    pub sha256: Sha256,
    /// The request.
    pub request: PresignedRequest,
    /// Opens the connection.
    pub dialer: Dialer,
    /// The way to the store.
    pub line: Arc<Line>,
    /// Where it goes.
    pub journal: Journal,
    /// The disk.
    pub disk: PathBuf,
    /// Whether the settings in it become the configuration.
    pub takes_settings: bool,
    /// Time without progress that is failure.
    pub patience: Duration,
}

/// How an exchange with the store ended before all was there.
enum Stop {
    Store(StoreFailure),
    Refused(Refusal),
}

impl From<StoreFailure> for Stop {
    fn from(failure: StoreFailure) -> Self {
        Self::Store(failure)
    }
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl Fetch {
    /// Fetches, checks and keeps the element.
    ///
    /// # Errors
    /// No room, other bytes than ordered, an archive that is refused: then nothing of it stays.
    pub async fn run(self, progress: Arc<Progress>) -> Outcome {
        let cancel = progress.cancel.clone();
        let fetched = tokio::select! {
            () = cancel.cancelled() => return Err(Refusal::CalledOff),
            fetched = self.fetch(&progress) => fetched,
        };
        match fetched {
            Ok(part) => self.keep(part, progress).await.map(|()| Some(Output::Fetched)),
            Err(Stop::Store(failure)) => Ok(Some(Output::FetchStopped { failure })),
            Err(Stop::Refused(refusal)) => Err(refusal),
        }
    }

    /// The file with the right bytes; `None` where it was kept before.
    async fn fetch(&self, progress: &Progress) -> Result<Option<PathBuf>, Stop> {
        progress.expect(self.size);
        let (part, whole) = self.journal.fetched(&self.element, self.size, &self.sha256);
        if whole.exists() {
            return Ok(None);
        }
        let (mut hasher, mut have) = self.begin(&part, &whole).await?;
        let resumed = have > 0;
        loop {
            progress.begin_at(have);
            self.exchange(&part, &mut hasher, have, progress).await?;
            let (sha256, size) = hasher.finish();
            if (sha256, size) == (self.sha256, self.size) {
                return Ok(Some(part));
            }
            let _ = tokio::fs::remove_file(&part).await;
            if !resumed || have == 0 {
                return Err(self.mismatch(&format!("SHA-256 {sha256}")).into());
            }
            // The power may have gone while the first bytes were written: they are fetched again, once.
            (hasher, have) = (Hasher::new(), 0);
        }
    }

    /// Makes room, and reads again what is there already.
    async fn begin(&self, part: &Path, whole: &Path) -> Result<(Hasher, u64), Refusal> {
        let (journal, element, size) = (self.journal.clone(), self.element.clone(), self.size);
        let (disk, megabytes) = (self.disk.clone(), self.line.faults().disk_megabytes);
        let (part, whole) = (part.to_owned(), whole.to_owned());
        on_thread(move || {
            let begun = (|| {
                journal.forget_fetched(&element, &[&part, &whole])?;
                let mut hasher = Hasher::new();
                let mut have = match std::fs::metadata(&part) {
                    Ok(metadata) if metadata.len() <= size => metadata.len(),
                    Ok(_) => {
                        std::fs::remove_file(&part)?;
                        0
                    }
                    Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
                    Err(error) => return Err(error),
                };
                if have > 0 {
                    have = digest_file(&part, &mut hasher)?;
                }
                Ok((hasher, have, space::missing(&disk, megabytes, size - have.min(size))?))
            })();
            let what = format!("fetching {element}");
            match begun.map_err(|error: io::Error| Refusal::of_disk(&what, &error))? {
                (hasher, have, 0) => Ok((hasher, have)),
                (_, _, missing) => Err(Refusal::DiskFull { what, missing }),
            }
        })
        .await
    }

    async fn exchange(&self, part: &Path, hasher: &mut Hasher, have: u64, progress: &Progress) -> Result<(), Stop> {
        if have == self.size {
            // All was there, or there is nothing to ask for.
            tokio::fs::File::options().append(true).create(true).open(part).await.map_err(|error| self.disk_failure(&error))?;
            return Ok(());
        }
        let pulse = Pulse::default();
        tokio::select! {
            done = self.receive(part, hasher, have, progress, &pulse) => done,
            error = self.line.lost() => Err(broken(&error).into()),
            () = pulse.stops(self.patience) => {
                Err(failure(format!("nothing moved between object store and system for {} s", self.patience.as_secs())).into())
            }
        }
    }

    async fn receive(&self, part: &Path, hasher: &mut Hasher, have: u64, progress: &Progress, pulse: &Pulse) -> Result<(), Stop> {
        let target = Target::of(&self.request)?;
        self.line.travel().await.map_err(|error| broken(&error))?;
        let mut connection = self.dialer.connect(&target).await?;
        pulse.beat();
        let range = (have > 0).then(|| (http::header::RANGE, format!("bytes={have}-")));
        let body: Body = Empty::new().map_err(|never| match never {}).boxed_unsync();
        let response = connection.send(&target, &self.request, range.as_slice(), body).await?;
        self.line.travel().await.map_err(|error| broken(&error))?;
        let offset = match response.status() {
            http::StatusCode::PARTIAL_CONTENT if begin_of(&response) == Some(have) => have,
            http::StatusCode::PARTIAL_CONTENT => {
                return Err(failure("the object store answered with another range than the one asked for; look at the store").into());
            }
            http::StatusCode::OK => 0,
            _ => return Err(refusal(response).await.into()),
        };
        if let Some(total) = total_of(&response).filter(|total| *total != self.size) {
            let _ = tokio::fs::remove_file(part).await;
            return Err(self.mismatch(&format!("{total} bytes")).into());
        }
        if offset == 0 {
            // The store knows no ranges.
            *hasher = Hasher::new();
            progress.begin_at(0);
        }
        self.write(part, hasher, offset, response.into_body(), progress, pulse).await
    }

    async fn write(
        &self,
        part: &Path,
        hasher: &mut Hasher,
        offset: u64,
        mut body: Incoming,
        progress: &Progress,
        pulse: &Pulse,
    ) -> Result<(), Stop> {
        let mut options = tokio::fs::File::options();
        let mut file = options.write(true).create(true).truncate(false).open(part).await.map_err(|error| self.disk_failure(&error))?;
        file.set_max_buf_size(128 * 1024);
        let prepared = async {
            file.set_len(offset).await?;
            tokio::io::AsyncSeekExt::seek(&mut file, io::SeekFrom::Start(offset)).await
        };
        prepared.await.map_err(|error| self.disk_failure(&error))?;
        let (mut have, mut received) = (offset, 0);
        let stopped = loop {
            let data = match body.frame().await {
                None if have == self.size => break None,
                None => {
                    break Some(failure("the object store ended its answer before all was sent; it goes on with the next order").into());
                }
                Some(Err(error)) => break Some(broken(&error).into()),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => data,
                    Err(_) => continue,
                },
            };
            let length = data.len() as u64;
            if have + length > self.size {
                drop(file);
                let _ = tokio::fs::remove_file(part).await;
                return Err(self.mismatch(&format!("more than {} bytes", self.size)).into());
            }
            if let Err(error) = self.line.pass(Work::Fetch, length, received, have - offset + length).await {
                break Some(broken(&error).into());
            }
            pulse.beat();
            if let Err(error) = file.write_all(&data).await {
                break Some(self.disk_failure(&error).into());
            }
            hasher.update(&data);
            (have, received) = (have + length, received + length);
            progress.add(length);
        };
        // What came so far is there for the next order.
        file.flush().await.map_err(|error| self.disk_failure(&error))?;
        stopped.map_or(Ok(()), Err)
    }

    /// Checks the members, and keeps the file as fetched.
    async fn keep(self, part: Option<PathBuf>, progress: Arc<Progress>) -> Result<(), Refusal> {
        let Some(part) = part else { return Ok(()) };
        let (_, whole) = self.journal.fetched(&self.element, self.size, &self.sha256);
        on_thread(move || {
            let goes_on = |_| !progress.cancel.is_cancelled();
            match stage::check(&part, &self.element, self.takes_settings, &goes_on) {
                Ok(()) => {}
                Err(StageError::Io(_)) if progress.cancel.is_cancelled() => return Err(Refusal::CalledOff),
                Err(StageError::Io(error)) => return Err(self.disk_failure(&error)),
                Err(StageError::Refused(why)) => {
                    let _ = std::fs::remove_file(&part);
                    return Err(Refusal::ArchiveRefused { element: self.element.to_string(), why });
                }
            }
            let kept =
                std::fs::File::open(&part).and_then(|file| file.sync_all()).and_then(|()| crate::disk::atomic::put_in_place(&part, &whole));
            kept.map_err(|error| self.disk_failure(&error))
        })
        .await
    }

    fn disk_failure(&self, error: &io::Error) -> Refusal {
        Refusal::of_disk(&format!("fetching {}", self.element), error)
    }

    fn mismatch(&self, found: &str) -> Refusal {
        let expected = format!("{} bytes with SHA-256 {}", self.size, self.sha256);
        Refusal::DigestMismatch { element: self.element.to_string(), found: found.to_owned(), expected }
    }
}

/// Where the bytes of an answer begin in the object.
fn begin_of(response: &http::Response<Incoming>) -> Option<u64> {
    let range = response.headers().get(http::header::CONTENT_RANGE)?.to_str().ok()?;
    range.strip_prefix("bytes ")?.split_once('-')?.0.parse().ok()
}

/// Bytes of the whole object, as the answer says.
fn total_of(response: &http::Response<Incoming>) -> Option<u64> {
    let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
    if response.status() == http::StatusCode::PARTIAL_CONTENT {
        header(http::header::CONTENT_RANGE)?.rsplit_once('/')?.1.parse().ok()
    } else {
        header(http::header::CONTENT_LENGTH)?.parse().ok()
    }
}

/// Digests a file; gives its bytes.
pub(crate) fn digest_file(path: &Path, hasher: &mut Hasher) -> io::Result<u64> {
    use std::io::Read as _;
    let mut file = std::fs::File::open(path)?;
    let mut piece = vec![0; 64 * 1024];
    let mut size = 0;
    loop {
        let read = file.read(&mut piece)?;
        if read == 0 {
            return Ok(size);
        }
        hasher.update(&piece[..read]);
        size += read as u64;
    }
}

/// Work on the disk, on a thread that may wait.
pub(crate) async fn on_thread<T: Send + 'static>(work: impl FnOnce() -> Result<T, Refusal> + Send + 'static) -> Result<T, Refusal> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(Refusal::CalledOff),
        },
    }
}
