//! What is under way in this process, by UID of the action. Lost with the process: the next one begins again where status and store say.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::report::Because;

/// What came of a run.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome<R> {
    /// A step was done whose result must be in status before the next: the result.
    Step(R),
    /// Done.
    Completed(R),
    /// Not done, and not to be tried again.
    Failed(Because),
    /// Not done, and to be begun again.
    Again(Because),
}

#[derive(Debug)]
enum Entry<R> {
    Running { progress: Option<String>, held: Option<Because> },
    Ended { outcome: Outcome<R>, at: Instant },
}

/// The state of one run.
#[derive(Debug, Clone, PartialEq)]
pub enum State<R> {
    /// Nothing is under way.
    Idle,
    /// It works; what it says of itself.
    Running(Option<String>),
    /// It works and gets on no further for now; what it says of itself, and why.
    Held(Option<String>, Because),
    /// It ended, at this time.
    Ended(Outcome<R>, Instant),
}

/// All runs of one kind.
#[derive(Debug)]
pub struct Runs<R>(Mutex<HashMap<String, Entry<R>>>);

impl<R> Default for Runs<R> {
    fn default() -> Self {
        Self(Mutex::new(HashMap::new()))
    }
}

impl<R: Clone> Runs<R> {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Entry<R>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How the run of this action stands.
    pub fn state(&self, uid: &str) -> State<R> {
        match self.lock().get(uid) {
            None => State::Idle,
            Some(Entry::Running { progress, held: None }) => State::Running(progress.clone()),
            Some(Entry::Running { progress, held: Some(because) }) => State::Held(progress.clone(), because.clone()),
            Some(Entry::Ended { outcome, at }) => State::Ended(outcome.clone(), *at),
        }
    }

    /// A run begins, unless one is under way: false.
    pub fn begin(&self, uid: &str) -> bool {
        let mut runs = self.lock();
        if matches!(runs.get(uid), Some(Entry::Running { .. })) {
            return false;
        }
        runs.insert(uid.to_owned(), Entry::Running { progress: None, held: None });
        true
    }

    /// What the run says of itself.
    pub fn progress(&self, uid: &str, text: String) {
        if let Some(Entry::Running { progress, .. }) = self.lock().get_mut(uid) {
            *progress = Some(text);
        }
    }

    /// Why the run gets on no further for now; none where it does again. Whether that is news.
    pub fn hold(&self, uid: &str, because: Option<Because>) -> bool {
        match self.lock().get_mut(uid) {
            Some(Entry::Running { held, .. }) if *held != because => {
                *held = because;
                true
            }
            _ => false,
        }
    }

    /// The run ended.
    pub fn end(&self, uid: &str, outcome: Outcome<R>) {
        self.lock().insert(uid.to_owned(), Entry::Ended { outcome, at: Instant::now() });
    }

    /// The action is over or gone: nothing of it is kept.
    pub fn forget(&self, uid: &str) {
        let mut runs = self.lock();
        if !matches!(runs.get(uid), Some(Entry::Running { .. })) {
            runs.remove(uid);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_holds_a_run_up_is_news_once_and_goes_with_its_cause() {
        let runs = Runs::<()>::default();
        let full = Because::new("StoreFull", "no room");
        assert!(!runs.hold("a", Some(full.clone())), "nothing is under way");
        assert!(runs.begin("a") && !runs.begin("a"));
        runs.progress("a", "1 of 2".into());
        assert!(runs.hold("a", Some(full.clone())) && !runs.hold("a", Some(full.clone())));
        assert_eq!(runs.state("a"), State::Held(Some("1 of 2".into()), full.clone()));
        assert!(runs.hold("a", None) && !runs.hold("a", None));
        assert_eq!(runs.state("a"), State::Running(Some("1 of 2".into())));
        runs.end("a", Outcome::Failed(full.clone()));
        assert!(!runs.hold("a", Some(full)), "it is over");
        runs.forget("a");
        assert_eq!(runs.state("a"), State::Idle);
    }
}
