//! Asking the system and the store for what an action needs, with patience: what passes is tried again until nothing has moved for too long.

use std::ops::Deref;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crds::IPOffice;
use futures::StreamExt as _;
use kube::ResourceExt as _;
use model::ids::SystemKey;
use object_client::{ObjectClient, StoreError};
use protocol::link::{Done, LinkError, SessionView, SystemLink};
use protocol::message::Command;
use protocol::transfer::{Output, StoreFailure};

use super::Patience;
use super::report::Because;
use super::turn;
use crate::caches::Caches;
use crate::index::Place;
use crate::object_store::Clients;

/// Why a run ends before it is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    /// It cannot be done.
    Failed(Because),
    /// It is to be begun again from the start.
    Again(Because),
}

impl Stop {
    /// It cannot be done.
    pub fn failed(reason: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Failed(Because::new(reason, message))
    }
    /// It is to be begun again.
    pub fn again(reason: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Again(Because::new(reason, message))
    }
}

/// The way of one action to its system and its store.
pub struct Reach {
    parts: Parts,
    progress: Progress,
    /// Who it was said to wait for.
    waits_for: Mutex<Option<Party>>,
}

impl Deref for Reach {
    type Target = Parts;
    fn deref(&self) -> &Parts {
        &self.parts
    }
}

/// What a [`Reach`] is made from.
pub struct Parts {
    /// The way to systems.
    pub link: Arc<dyn SystemLink>,
    /// What is known of the cluster.
    pub caches: Arc<Caches>,
    /// The way to stores.
    pub clients: Arc<Clients>,
    /// Name of the store.
    pub store: String,
    /// Which system.
    pub key: SystemKey,
    /// Its object.
    pub system: Place,
    /// UID of the system's object when the action began: one made anew under the name is another system's.
    pub system_uid: String,
    /// UID of the action.
    pub uid: String,
    /// When the action ends at the latest, whatever moves.
    pub deadline: jiff::Timestamp,
    /// Operation id that the system knows the action by.
    pub operation: String,
    /// How patient it is.
    pub patience: Patience,
    /// Whether somebody wants the action's object gone: then nothing is waited for.
    pub unwanted: Box<dyn Fn() -> bool + Send + Sync>,
    /// Whether deleting the action's object calls it off at once, also where nothing is waited for.
    pub called_off: bool,
    /// Is told why the action gets on no further for now, and when it does again: people should not have to guess.
    pub held: Box<dyn Fn(Option<Because>) + Send + Sync>,
}

/// What passes sooner is not worth a word.
const SAID_AFTER: Duration = Duration::from_secs(3);

/// What an action waits for. Each has a clock of its own: a store that answers the operator says nothing of a system whose parts it refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Party {
    /// The store, asked from here.
    Store,
    /// The system.
    System,
    /// The store, asked by the system.
    Transfers,
}

/// When something last moved, with each party.
struct Progress {
    began: Instant,
    /// Milliseconds from the beginning to the last progress.
    last: [AtomicU64; 3],
}

impl Progress {
    fn new() -> Self {
        Self { began: Instant::now(), last: Default::default() }
    }
    fn note(&self, party: Party) {
        let now = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last[party as usize].store(now, Ordering::Relaxed);
    }
    fn idle(&self, party: Party) -> Duration {
        self.began.elapsed().saturating_sub(Duration::from_millis(self.last[party as usize].load(Ordering::Relaxed)))
    }
}

impl Reach {
    /// A way that begins now.
    pub fn new(parts: Parts) -> Self {
        Self { parts, progress: Progress::new(), waits_for: Mutex::new(None) }
    }

    /// The action is nearer to its end than before.
    pub fn moved(&self) {
        for party in [Party::Store, Party::System, Party::Transfers] {
            self.note(party);
        }
    }

    fn note(&self, party: Party) {
        self.progress.note(party);
        let waited = self.waits_for.lock().unwrap_or_else(PoisonError::into_inner).take_if(|waited| *waited == party);
        if waited.is_some() {
            (self.held)(None);
        }
    }

    fn say(&self, party: Party, because: &Because) {
        *self.waits_for.lock().unwrap_or_else(PoisonError::into_inner) = Some(party);
        (self.held)(Some(because.clone()));
    }

    /// The party did what it was asked for: that alone is progress with nobody else, unless it had been waited for.
    fn answered(&self, party: Party, tries: u32) {
        if tries > 0 { self.moved() } else { self.note(party) }
    }

    /// The system works on a command. Bytes on their way into the store are no progress yet: of a part that breaks off nothing stays.
    fn works(&self, command: &Command) {
        match command {
            Command::UploadParts { .. } => {
                self.note(Party::System);
                self.note(Party::Store);
            }
            _ => self.moved(),
        }
    }

    /// The lock is still the action's, and the system is still there.
    ///
    /// # Errors
    /// It is not.
    pub fn check_turn(&self) -> Result<(), Stop> {
        if self.called_off && (self.unwanted)() {
            return Err(Stop::failed("CalledOff", "this object was deleted before anything in use was touched"));
        }
        let system = self.caches.systems.get(&self.system.0, &self.system.1);
        if system.as_ref().is_none_or(|system| system.metadata.deletion_timestamp.is_some()) {
            return Err(Stop::failed("SystemDeleted", format!("the IPOffice {} was deleted while this was in progress", self.system.1)));
        }
        let same = |system: &IPOffice| system.uid().as_ref() == Some(&self.system_uid) && self.caches.key(system) == self.key;
        if !system.as_deref().is_some_and(same) {
            let message = format!("the IPOffice {} was deleted and made anew while this was in progress", self.system.1);
            return Err(Stop::failed("SystemDeleted", message));
        }
        if jiff::Timestamp::now() >= self.deadline {
            let hours = self.patience.in_all.as_secs() / 3600;
            return Err(Stop::failed(
                "TookTooLong",
                format!("not done after {hours} hours; order it again once the way to system and store is better"),
            ));
        }
        if turn::holds_lock(system.as_deref(), &self.uid) {
            return Ok(());
        }
        Err(Stop::again("WaitingForTurn", turn::holder(system.as_deref())))
    }

    /// Waits before something is tried again, or gives up.
    async fn wait(&self, party: Party, tries: u32, because: Because) -> Result<(), Stop> {
        if (self.unwanted)() {
            let message = format!("{}; it is not tried again, because this object is being deleted", because.message);
            return Err(Stop::failed(because.reason, message));
        }
        if self.progress.idle(party) >= self.patience.without_progress {
            let minutes = self.patience.without_progress.as_secs() / 60;
            let message =
                format!("{}; given up after {minutes} minutes without progress: order it again once that is mended", because.message);
            return Err(Stop::failed(because.reason, message));
        }
        self.check_turn()?;
        if self.progress.idle(party) >= SAID_AFTER {
            self.say(party, &because);
        }
        let wait = self.patience.first_wait.saturating_mul(2_u32.saturating_pow(tries.min(16))).min(self.patience.longest_wait);
        tokio::time::sleep(wait).await;
        Ok(())
    }

    /// Asks the system until it has answered and finished.
    ///
    /// # Errors
    /// It refused, or nothing moved for too long.
    pub async fn ask(&self, command: Command) -> Result<Done, Stop> {
        let (mut tries, mut highest) = (0, None);
        loop {
            self.check_turn()?;
            match self.link.request(&self.key, &self.operation, command.clone()).await {
                Ok(Done { output: Some(Output::InProgress { done, .. }), .. }) => {
                    tries = 0;
                    // More than ever before: what is begun anew again and again is no progress.
                    if highest.is_none_or(|highest| done > highest) {
                        highest = Some(done);
                        self.works(&command);
                    } else {
                        let text = format!("{} works on this and does not get on", self.system.1);
                        self.wait(Party::System, 0, Because::new("SystemStalls", text)).await?;
                    }
                }
                Ok(done) => {
                    self.answered(Party::System, tries);
                    return Ok(done);
                }
                Err(LinkError::Refused { reason, message }) if matches!(reason.as_str(), "NotPrepared" | "NotFetched" | "CalledOff") => {
                    self.wait(Party::System, tries, Because::new(reason.clone(), message.clone())).await?;
                    return Err(Stop::again(reason, message));
                }
                Err(LinkError::Refused { reason, message }) if !matches!(reason.as_str(), "NotSignedIn" | "RestoreRunning") => {
                    return Err(Stop::failed(word(&reason), format!("{} refused: {message}", self.system.1)));
                }
                Err(error) => {
                    let text = format!("{} cannot be asked: {error}", self.system.1);
                    self.wait(Party::System, tries, Because::new("SystemNotConnected", text)).await?;
                    tries += 1;
                }
            }
        }
    }

    /// Asks the store until it has answered. The client is taken anew for every try: its Secret may have been mended meanwhile.
    ///
    /// # Errors
    /// What does not pass by itself, or nothing moved for too long.
    pub async fn store<T, F>(&self, mut request: impl FnMut(ObjectClient) -> F) -> Result<T, Stop>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        let mut tries = 0;
        loop {
            let because = match self.clients.get(&self.store) {
                Err(because) => because,
                Ok(client) => match request(client).await {
                    Ok(value) => {
                        self.answered(Party::Store, tries);
                        return Ok(value);
                    }
                    // Rights and buckets are mended by people, who may be at it: as patient as with a store that is down.
                    Err(error) if error.is_transient() || matches!(error, StoreError::Forbidden(_) | StoreError::NoBucket(_)) => {
                        Because::new(error.reason(), error.to_string())
                    }
                    Err(error) => return Err(Stop::failed(error.reason(), error.to_string())),
                },
            };
            self.wait(Party::Store, tries, because).await?;
            tries += 1;
        }
    }

    /// The system's own request to the store did not succeed: waits, or gives up.
    ///
    /// # Errors
    /// Nothing moved for too long.
    pub async fn store_failed(&self, tries: u32, failure: &StoreFailure) -> Result<(), Stop> {
        let reason = match (failure.status, failure.code.as_str()) {
            (None, _) => "StoreUnreachable",
            (Some(507), _) | (_, "InsufficientStorage" | "QuotaExceeded" | "XMinioStorageFull") => "StoreFull",
            (Some(401 | 403), _) => "StoreForbidden",
            (Some(404), _) => "ObjectMissing",
            (Some(429 | 503), _) => "StoreBusy",
            (Some(200..300), _) => "ObjectNotStored",
            (Some(_), _) => "StoreRefused",
        };
        let text = format!("{} could not use the store: {}", self.system.1, without_queries(&failure.message));
        self.wait(Party::Transfers, tries, Because::new(reason, text)).await
    }

    /// Waits before the store is asked for the same again.
    ///
    /// # Errors
    /// Nothing moved for too long.
    pub async fn ask_store_again(&self, tries: u32, because: Because) -> Result<(), Stop> {
        self.wait(Party::Store, tries, because).await
    }

    /// Waits until the system's session is as `wanted` says, by a look at every change.
    ///
    /// # Errors
    /// Nothing came for too long, or the turn is lost.
    pub async fn session<T>(&self, reason: &str, what: &str, wanted: impl Fn(&SessionView) -> Option<T>) -> Result<T, Stop> {
        let mut changes = self.link.changes();
        loop {
            if let Some(found) = self.link.view(&self.key).as_ref().and_then(&wanted) {
                self.note(Party::System);
                return Ok(found);
            }
            // The stream tells of changes; the pause bounds how late a deletion of the action is seen.
            let change = async {
                while let Some(key) = changes.next().await {
                    if key == self.key {
                        return;
                    }
                }
                std::future::pending::<()>().await;
            };
            if tokio::time::timeout(self.patience.longest_wait, change).await.is_err() {
                self.wait(Party::System, 0, Because::new(reason, what)).await?;
            }
        }
    }
}

/// What a system says of a request may hold the request's URL, and its query is a secret.
fn without_queries(text: &str) -> String {
    let word = |word: &str| {
        word.split_once('?').filter(|(_, query)| query.contains('=')).map_or_else(|| word.to_owned(), |(start, _)| format!("{start}?…"))
    };
    text.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

/// The system's own word where it can stand as the reason of a condition.
pub fn word(text: &str) -> String {
    let fits = (1..=64).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_uppercase())
        && text.chars().all(|c| c.is_ascii_alphanumeric());
    if fits { text.to_owned() } else { "Refused".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_system_says_of_a_request_goes_on_without_its_query() {
        let said = "https://store:9000/b/key?X-Amz-Signature=abc&partNumber=1 answered 403; is it full?";
        assert_eq!(without_queries(said), "https://store:9000/b/key?… answered 403; is it full?");
    }
}
