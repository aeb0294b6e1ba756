//! What is known of every system's session. Only systems that proved themselves by their certificate get an entry.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use futures::stream::BoxStream;
use jiff::Timestamp;
use model::account::SignInOutcome;
use model::connectivity::Absence;
use model::ids::SystemKey;
use protocol::link::{SessionState, SessionView};
use protocol::message::{CloseReason, Facts};
use protocol::replica::{Held, Refused};
use tokio::time::Instant;

use crate::identity::Identity;
use crate::sessions::changes::Changes;
use crate::sessions::control::Control;
use crate::sessions::end::End;

#[derive(Debug, Default)]
struct Entry {
    /// The enrolment that `counter` belongs to: a system that enrolled anew may count anew.
    enrolment_id: String,
    counter: Option<u64>,
    facts: Option<Facts>,
    state: Option<(SessionState, Timestamp)>,
    live: Option<Live>,
    /// Another replica has its newest session: what stands here is from before.
    moved: bool,
    /// When a sign-in was last refused for a reason that does not pass by itself.
    refused: Option<(SignInOutcome, Instant)>,
}

#[derive(Debug)]
struct Live {
    number: u64,
    control: Arc<Control>,
}

impl Entry {
    fn view(&self) -> Option<SessionView> {
        let (state, since) = self.state.clone()?;
        Some(SessionView { state, since, session: self.counter?, facts: self.facts.clone()? })
    }

    /// What other replicas are told.
    fn held(&self, key: &SystemKey) -> Held {
        let (state, since) = self.state.clone().unzip();
        let refused = self.refused.as_ref().map(|(outcome, at)| Refused { outcome: outcome.clone(), seconds_ago: at.elapsed().as_secs() });
        Held {
            key: key.clone(),
            enrolment_id: self.enrolment_id.clone(),
            counter: self.counter,
            facts: self.facts.clone(),
            state,
            since,
            live: self.live.is_some(),
            moved: self.moved,
            refused,
        }
    }

    /// Whether that changes anything.
    fn set_state(&mut self, state: SessionState) -> bool {
        let changed = self.state.as_ref().is_none_or(|(old, _)| *old != state);
        if changed {
            self.state = Some((state, Timestamp::now()));
        }
        changed
    }
}

/// Whether only a change of the account or of the credentials can help.
fn waits_for_a_change(outcome: &SignInOutcome) -> bool {
    match outcome {
        SignInOutcome::WrongPassword
        | SignInOutcome::UnknownUser
        | SignInOutcome::DisabledByAdministrator
        | SignInOutcome::Disabled
        | SignInOutcome::PasswordExpired
        | SignInOutcome::NewPasswordRequired => true,
        SignInOutcome::Accepted { .. } | SignInOutcome::LockedTemporarily | SignInOutcome::TooManySessions => false,
    }
}

/// A session that was let in.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) identity: Identity,
    number: u64,
    pub(crate) control: Arc<Control>,
}

/// A session was not let in: the system had one with this counter.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fenced {
    pub(crate) last: u64,
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Table {
    entries: RwLock<HashMap<SystemKey, Entry>>,
    /// Views that changed.
    changes: Changes,
    /// Everything that changed, for other replicas.
    details: Changes,
    next: AtomicU64,
}

impl Table {
    fn read(&self) -> RwLockReadGuard<'_, HashMap<SystemKey, Entry>> {
        self.entries.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, HashMap<SystemKey, Entry>> {
        self.entries.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets a session in, unless the system had it or a newer one, and ends the one that stands. `elsewhere`: its newest session at other replicas.
    pub(crate) fn begin(&self, identity: &Identity, session: u64, facts: Facts, elsewhere: Option<u64>) -> Result<Place, Fenced> {
        let control = Arc::new(Control::default());
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let changed = {
            let mut entries = self.write();
            let entry = entries.entry(identity.key.clone()).or_default();
            let here = entry.counter.filter(|_| entry.enrolment_id == identity.enrolment_id);
            if let Some(last) = here.max(elsewhere)
                && session <= last
            {
                return Err(Fenced { last });
            }
            if let Some(old) = entry.live.replace(Live { number, control: control.clone() }) {
                let message = format!("session {session} of the same system took the place of this one");
                old.control.end(End::Close(CloseReason::Superseded, message));
            }
            entry.enrolment_id.clone_from(&identity.enrolment_id);
            entry.counter = Some(session);
            entry.facts = Some(facts);
            entry.moved = false;
            entry.state.is_some()
        };
        self.tell(&identity.key, changed);
        Ok(Place { identity: identity.clone(), number, control })
    }

    /// Changes the entry if the session still is the system's, and tells subscribers if `change` says so.
    fn update(&self, place: &Place, change: impl FnOnce(&mut Entry) -> bool) {
        let changed = match self.write().get_mut(&place.identity.key) {
            Some(entry) if entry.live.as_ref().is_some_and(|live| live.number == place.number) => change(entry),
            _ => return,
        };
        self.tell(&place.identity.key, changed);
    }

    /// Something about the system changed; `view`: also what [`Table::view`] shows.
    fn tell(&self, key: &SystemKey, view: bool) {
        self.details.tell(key);
        if view {
            self.changes.tell(key);
        }
    }

    /// Another replica has a newer session of the system: the one that stands here ends.
    pub(crate) fn yield_to(&self, newer: &Held) {
        let Some(counter) = newer.counter else { return };
        {
            let mut entries = self.write();
            let Some(entry) = entries.get_mut(&newer.key) else { return };
            if entry.enrolment_id != newer.enrolment_id || entry.counter.is_none_or(|own| own >= counter) {
                return;
            }
            // What was refused here may have been accepted there since.
            (entry.counter, entry.moved, entry.refused) = (Some(counter), true, None);
            if let Some(live) = entry.live.take() {
                let message = format!("session {counter} of the same system, at another replica, took the place of this one");
                live.control.end(End::Close(CloseReason::Superseded, message));
            }
        }
        self.tell(&newer.key, true);
    }

    /// What other replicas are told of a system.
    pub(crate) fn held(&self, key: &SystemKey) -> Option<Held> {
        self.read().get(key).map(|entry| entry.held(key))
    }

    /// All systems that are known, and those of which [`Table::held`] changes from now on.
    pub(crate) fn details(&self) -> (Vec<SystemKey>, BoxStream<'static, SystemKey>) {
        // Both under the same lock, so that no change falls between.
        let entries = self.read();
        (entries.keys().cloned().collect(), self.details.subscribe(BTreeSet::new()))
    }

    /// The sign-in is decided, or COM holds no credentials.
    pub(crate) fn decide(&self, place: &Place, sign_in: Option<SignInOutcome>) {
        self.update(place, |entry| {
            entry.refused = sign_in.clone().filter(waits_for_a_change).map(|outcome| (outcome, Instant::now()));
            entry.set_state(SessionState::Connected { sign_in })
        });
    }

    /// The last sign-in, if it was refused for a reason that does not pass by itself: a new session does not repeat it at once, so that a
    /// system whose connection breaks often does not lock the account. What was refused is what is known until then.
    /// `elsewhere`: the last one as another replica knows it.
    pub(crate) fn resume_refused(&self, place: &Place, elsewhere: Option<(SignInOutcome, Instant)>) -> Option<Instant> {
        let mut refused_at = None;
        self.update(place, |entry| {
            entry.refused = [entry.refused.take(), elsewhere].into_iter().flatten().max_by_key(|(_, at)| *at);
            let Some((outcome, at)) = entry.refused.clone() else { return false };
            refused_at = Some(at);
            entry.set_state(SessionState::Connected { sign_in: Some(outcome) })
        });
        refused_at
    }

    /// Name, password or account changed: what was refused may be accepted now.
    pub(crate) fn forgive_refusal(&self, key: &SystemKey) {
        let forgiven = self.write().get_mut(key).is_some_and(|entry| entry.refused.take().is_some());
        if forgiven {
            self.tell(key, false);
        }
    }

    pub(crate) fn report(&self, place: &Place, facts: Facts) {
        self.update(place, |entry| {
            let changed = entry.facts.as_ref() != Some(&facts);
            entry.facts = Some(facts);
            changed && entry.state.is_some()
        });
    }

    /// The session is over. `None`: what is known of the system stays.
    pub(crate) fn end(&self, place: &Place, absence: Option<Absence>) {
        place.control.close();
        self.update(place, |entry| {
            entry.live = None;
            absence.is_some_and(|absence| entry.set_state(SessionState::Away(absence)))
        });
    }

    /// Something with the system's certificate came that is not the system. A session that stands is not touched.
    pub(crate) fn stranger(&self, identity: &Identity, absence: Absence) {
        let changed = {
            let mut entries = self.write();
            let entry = entries.entry(identity.key.clone()).or_default();
            entry.live.is_none() && entry.set_state(SessionState::Away(absence))
        };
        if changed {
            self.tell(&identity.key, true);
        }
    }

    pub(crate) fn view(&self, key: &SystemKey) -> Option<SessionView> {
        self.read().get(key)?.view()
    }

    /// Since when something comes that is not the system, where the system itself was never seen.
    pub(crate) fn unrecognised_since(&self, key: &SystemKey) -> Option<Timestamp> {
        match self.read().get(key)? {
            Entry { facts: None, state: Some((SessionState::Away(_), since)), .. } => Some(*since),
            _ => None,
        }
    }

    /// The handle of the system's session, and whether its sign-in was decided.
    pub(crate) fn control(&self, key: &SystemKey) -> Option<(Arc<Control>, bool)> {
        let entries = self.read();
        let entry = entries.get(key)?;
        let decided = matches!(entry.state, Some((SessionState::Connected { .. }, _)));
        entry.live.as_ref().map(|live| (live.control.clone(), decided))
    }

    pub(crate) fn forget(&self, key: &SystemKey) {
        let Some(entry) = self.write().remove(key) else { return };
        if let Some(live) = entry.live {
            let message = "the system was deleted or its enrolment withdrawn; enrol again with a new code".to_owned();
            live.control.end(End::Close(CloseReason::NotRecognised, message));
        }
        self.tell(key, true);
    }

    pub(crate) fn changes(&self) -> BoxStream<'static, SystemKey> {
        // Both under the same lock, so that no change falls between.
        let entries = self.read();
        self.changes.subscribe(entries.keys().cloned().collect::<BTreeSet<_>>())
    }

    /// How many sessions stand: not signed in, and signed in.
    pub(crate) fn count(&self) -> (i64, i64) {
        self.read().values().filter(|entry| entry.live.is_some()).fold((0, 0), |(connected, signed_in), entry| match entry.state {
            Some((SessionState::Connected { sign_in: Some(SignInOutcome::Accepted { .. }) }, _)) => (connected, signed_in + 1),
            _ => (connected + 1, signed_in),
        })
    }
}
