//! The [`SystemLink`] over all replicas.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use jiff::Timestamp;
use model::ids::SystemKey;
use protocol::link::{Done, LinkError, SessionView, SystemLink};
use protocol::message::Command;
use protocol::replica::{Held, ToHolder};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::follow::Ask;
use super::{Replicas, merge};
use crate::directory::Directory;

/// The way of an answer through another replica may take this much longer.
const DETOUR: Duration = Duration::from_secs(5);

/// Says in which term this replica leads; `None` while it does not.
pub(crate) type Term = Arc<dyn Fn() -> Option<u64> + Send + Sync>;

/// Reaches the systems whose sessions this replica or another one holds.
pub(crate) struct Federation {
    pub(crate) replicas: Arc<Replicas>,
    pub(crate) directory: Arc<dyn Directory>,
    pub(crate) term: Term,
}

impl fmt::Debug for Federation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Federation").field("replicas", &self.replicas).finish_non_exhaustive()
    }
}

impl Federation {
    /// What every replica knows of the system, and the enrolment that is valid.
    fn known(&self, key: &SystemKey) -> (Vec<Held>, Option<String>) {
        let mut all: Vec<Held> = self.replicas.mirrors.of(key).into_iter().map(|told| told.held).collect();
        all.extend(self.replicas.table.held(key));
        (all, self.directory.system(key).and_then(|entry| entry.enrolment_id))
    }

    async fn ask_elsewhere(&self, held: &Held, term: u64, operation: &str, command: Command) -> Result<Done, LinkError> {
        let asks = self.replicas.mirrors.holder(held).ok_or(LinkError::NotConnected)?;
        let (reply, answer) = oneshot::channel();
        let ask = Ask::Request { term, key: held.key.clone(), operation: operation.to_owned(), command, reply };
        asks.try_send(ask).map_err(|_| LinkError::Busy)?;
        match timeout(self.replicas.times.request_timeout + DETOUR, answer).await {
            Ok(answered) => answered.unwrap_or(Err(LinkError::Interrupted)),
            Err(_) => Err(LinkError::TimedOut),
        }
    }

    fn tell_everyone(&self, order: &ToHolder) {
        for asks in self.replicas.mirrors.everyone() {
            if asks.try_send(Ask::Order(order.clone())).is_err() {
                tracing::info!("a replica is not told that a system is to be forgotten; it finds out by itself");
            }
        }
    }
}

#[async_trait]
impl SystemLink for Federation {
    fn view(&self, system: &SystemKey) -> Option<SessionView> {
        let (all, enrolment_id) = self.known(system);
        merge::view(all, enrolment_id.as_deref())
    }

    fn unrecognised_since(&self, system: &SystemKey) -> Option<Timestamp> {
        merge::unrecognised_since(&self.known(system).0)
    }

    async fn request(&self, system: &SystemKey, operation: &str, command: Command) -> Result<Done, LinkError> {
        let Some(term) = (self.term)() else { return Err(LinkError::NotConnected) };
        let (all, enrolment_id) = self.known(system);
        let newest = merge::order(all, enrolment_id.as_deref()).into_iter().next().ok_or(LinkError::NotConnected)?;
        let here = self.replicas.table.held(system).is_some_and(|held| held.live && held.counter == newest.counter);
        let result = if here {
            self.replicas.ask_here(system, operation, command).await
        } else {
            let result = self.ask_elsewhere(&newest, term, operation, command).await;
            self.replicas.metrics.request(&result);
            result
        };
        // Whoever asked leads no more: what the answer says is for somebody else to act on.
        if (self.term)().is_none() { Err(LinkError::Interrupted) } else { result }
    }

    fn sign_in_again(&self, system: &SystemKey) {
        // Each replica sees for itself that credentials changed.
        self.replicas.sign_in_again_here(system);
    }

    fn forget(&self, system: &SystemKey) {
        let Some(term) = (self.term)() else { return };
        self.replicas.forget_here(system);
        self.tell_everyone(&ToHolder::Forget { term, key: system.clone() });
    }

    fn changes(&self) -> BoxStream<'static, SystemKey> {
        stream::select(self.replicas.table.changes(), self.replicas.mirrors.changes()).boxed()
    }
}
