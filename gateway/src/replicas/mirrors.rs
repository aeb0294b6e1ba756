//! What other replicas told of their sessions, and how long it counts.
//!
//! A replica that is not heard any more may be dead, may have left in order, or stands still. In each case its systems have as long to come back, to any
//! replica, as a system has that is silent: until then what was told stands, and nothing is written. After that they are offline.

#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use futures::stream::BoxStream;
use jiff::{SignedDuration, Timestamp};
use model::connectivity::Absence;
use model::ids::SystemKey;
use protocol::link::SessionState;
use protocol::replica::{Greeting, Held};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::follow::Ask;
use crate::sessions::changes::Changes;

/// What was told, and when.
#[derive(Debug, Clone)]
pub(super) struct Told {
    pub(super) held: Held,
    pub(super) at: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// Its connection stands.
    Followed,
    /// It is not heard; what it told stands for a while.
    Lost,
    /// It was not heard for too long: its systems are taken for offline.
    Silent,
}

/// What one process told.
#[derive(Debug)]
struct Mirror {
    replica: String,
    instance: String,
    /// Another one for every connection.
    connection: u64,
    standing: Standing,
    heard: Instant,
    sessions: HashMap<SystemKey, Told>,
    /// Told on an earlier connection, and not yet on this one.
    unconfirmed: HashSet<SystemKey>,
    asks: mpsc::Sender<Ask>,
}

/// All of them.
#[derive(Debug)]
pub(super) struct Mirrors {
    all: RwLock<Vec<Mirror>>,
    changes: Changes,
    connections: AtomicU64,
    offline_after: Duration,
}

/// One connection on which something is told. When it is dropped, the replica is not heard any more.
pub(super) struct Following<'a> {
    mirrors: &'a Mirrors,
    connection: u64,
}

impl Mirrors {
    pub(super) fn new(offline_after: Duration) -> Self {
        Self { all: RwLock::default(), changes: Changes::default(), connections: AtomicU64::new(0), offline_after }
    }

    fn read(&self) -> RwLockReadGuard<'_, Vec<Mirror>> {
        self.all.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Vec<Mirror>> {
        self.all.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection to a replica stands. One that is the same process as before goes on; another process knows nothing of the one before it.
    pub(super) fn begin(&self, greeting: &Greeting, asks: mpsc::Sender<Ask>) -> Following<'_> {
        let connection = self.connections.fetch_add(1, Ordering::Relaxed);
        let mut all = self.write();
        let same = all.iter_mut().find(|mirror| mirror.replica == greeting.replica && mirror.instance == greeting.instance);
        match same {
            Some(mirror) => {
                (mirror.connection, mirror.standing, mirror.heard, mirror.asks) = (connection, Standing::Lost, Instant::now(), asks);
                mirror.unconfirmed = mirror.sessions.keys().cloned().collect();
            }
            None => all.push(Mirror {
                replica: greeting.replica.clone(),
                instance: greeting.instance.clone(),
                connection,
                standing: Standing::Lost,
                heard: Instant::now(),
                sessions: HashMap::new(),
                unconfirmed: HashSet::new(),
                asks,
            }),
        }
        Following { mirrors: self, connection }
    }

    /// What each replica told of a system.
    pub(super) fn of(&self, key: &SystemKey) -> Vec<Told> {
        self.read().iter().filter_map(|mirror| mirror.sessions.get(key).cloned()).collect()
    }

    /// The way to the replica that holds this session now.
    pub(super) fn holder(&self, held: &Held) -> Option<mpsc::Sender<Ask>> {
        let all = self.read();
        let holds = |mirror: &&Mirror| {
            mirror.standing == Standing::Followed
                && mirror.sessions.get(&held.key).is_some_and(|told| told.held.live && told.held.counter == held.counter)
        };
        all.iter().find(holds).map(|mirror| mirror.asks.clone())
    }

    /// The ways to all replicas that are followed.
    pub(super) fn everyone(&self) -> Vec<mpsc::Sender<Ask>> {
        self.read().iter().filter(|mirror| mirror.standing == Standing::Followed).map(|mirror| mirror.asks.clone()).collect()
    }

    /// Systems of which something was told, then those of which something new was.
    pub(super) fn changes(&self) -> BoxStream<'static, SystemKey> {
        let all = self.read();
        self.changes.subscribe(all.iter().flat_map(|mirror| mirror.sessions.keys().cloned()).collect::<BTreeSet<_>>())
    }

    /// How many processes are followed, and how many were and are not.
    pub(super) fn count(&self) -> (i64, i64) {
        let all = self.read();
        let followed = all.iter().filter(|mirror| mirror.standing == Standing::Followed).count();
        let count = |length: usize| i64::try_from(length).unwrap_or(i64::MAX);
        (count(followed), count(all.len() - followed))
    }

    /// A refusal is not held against a system any more.
    pub(super) fn forgive(&self, key: &SystemKey) {
        for told in self.write().iter_mut().filter_map(|mirror| mirror.sessions.get_mut(key)) {
            told.held.refused = None;
        }
    }

    /// What replicas that are gone told of a system is forgotten; of the others each forgets by itself and says so.
    pub(super) fn forget(&self, key: &SystemKey) {
        for mirror in self.write().iter_mut().filter(|mirror| mirror.standing != Standing::Followed) {
            mirror.sessions.remove(key);
        }
        self.changes.tell(key);
    }

    /// Takes the systems of replicas that were not heard for too long for offline, and drops of them what others know better. `here`: what this
    /// replica itself knows of a system.
    pub(super) fn age(&self, now: Instant, here: impl Fn(&SystemKey) -> Option<Held>) {
        let mut changed = Vec::new();
        {
            let mut all = self.write();
            for mirror in all.iter_mut() {
                let silence = now.saturating_duration_since(mirror.heard);
                if mirror.standing == Standing::Lost && silence >= self.offline_after {
                    tracing::info!(
                        replica = mirror.replica,
                        systems = mirror.sessions.len(),
                        "a replica is gone; those of its systems that did not come back are offline"
                    );
                    mirror.standing = Standing::Silent;
                    changed.extend(mirror.sessions.keys().cloned());
                    mirror.sessions.values_mut().for_each(|told| take_for_offline(&mut told.held, silence));
                }
            }
            prune(&mut all, here);
        }
        changed.iter().for_each(|key| self.changes.tell(key));
    }
}

fn take_for_offline(held: &mut Held, silence: Duration) {
    held.live = false;
    if matches!(held.state, Some(SessionState::Connected { .. })) {
        held.state = Some(SessionState::Away(Absence::Offline));
        held.since = SignedDuration::try_from(silence).ok().and_then(|silence| Timestamp::now().checked_sub(silence).ok());
    }
}

/// Of replicas that are silent only what nobody else knows as new is kept.
fn prune(all: &mut Vec<Mirror>, here: impl Fn(&SystemKey) -> Option<Held>) {
    if all.iter().all(|mirror| mirror.standing != Standing::Silent) {
        return;
    }
    let mut newest: HashMap<SystemKey, Option<u64>> = HashMap::new();
    for mirror in all.iter().filter(|mirror| mirror.standing != Standing::Silent) {
        for (key, told) in mirror.sessions.iter().filter(|(_, told)| told.held.state.is_some() && !told.held.moved) {
            let newest = newest.entry(key.clone()).or_default();
            *newest = (*newest).max(told.held.counter);
        }
    }
    for mirror in all.iter_mut().filter(|mirror| mirror.standing == Standing::Silent) {
        mirror.sessions.retain(|key, told| {
            let own = here(key).filter(|held| held.state.is_some() && !held.moved).and_then(|held| held.counter);
            own.max(newest.get(key).copied().flatten()) < told.held.counter
        });
    }
    all.retain(|mirror| mirror.standing != Standing::Silent || !mirror.sessions.is_empty());
}

impl Following<'_> {
    fn with<T>(&self, work: impl FnOnce(&mut Mirror) -> T) -> Option<T> {
        self.mirrors.write().iter_mut().find(|mirror| mirror.connection == self.connection).map(work)
    }

    /// The replica lives.
    pub(super) fn heard(&self) {
        self.with(|mirror| mirror.heard = Instant::now());
    }

    pub(super) fn told(&self, held: Held) {
        let key = held.key.clone();
        self.with(|mirror| {
            mirror.unconfirmed.remove(&held.key);
            mirror.sessions.insert(held.key.clone(), Told { held, at: Instant::now() });
        });
        self.mirrors.changes.tell(&key);
    }

    pub(super) fn gone(&self, key: &SystemKey) {
        self.with(|mirror| mirror.sessions.remove(key));
        self.mirrors.changes.tell(key);
    }

    /// All was told: what was not is not there any more.
    pub(super) fn complete(&self) {
        let gone = self.with(|mirror| {
            mirror.standing = Standing::Followed;
            let gone = std::mem::take(&mut mirror.unconfirmed);
            gone.iter().for_each(|key| drop(mirror.sessions.remove(key)));
            tracing::info!(replica = mirror.replica, systems = mirror.sessions.len(), "the sessions of another replica are followed");
            gone
        });
        gone.into_iter().flatten().for_each(|key| self.mirrors.changes.tell(&key));
    }
}

impl Drop for Following<'_> {
    fn drop(&mut self) {
        self.with(|mirror| {
            if mirror.standing == Standing::Followed {
                mirror.standing = Standing::Lost;
            }
        });
    }
}
