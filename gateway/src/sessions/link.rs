//! The [`SystemLink`] of this gateway.

use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::BoxStream;
use jiff::Timestamp;
use model::ids::SystemKey;
use protocol::link::{Done, LinkError, SessionView, SystemLink};
use protocol::message::Command;

use crate::sessions::table::Table;

/// Reaches the systems whose sessions this gateway holds.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) table: Arc<Table>,
    pub(crate) requests_in_flight: usize,
}

#[async_trait]
impl SystemLink for Link {
    fn view(&self, system: &SystemKey) -> Option<SessionView> {
        self.table.view(system)
    }

    fn unrecognised_since(&self, system: &SystemKey) -> Option<Timestamp> {
        self.table.unrecognised_since(system)
    }

    async fn request(&self, system: &SystemKey, operation: &str, command: Command) -> Result<Done, LinkError> {
        let (control, decided) = self.table.control(system).ok_or(LinkError::NotConnected)?;
        if !decided {
            return Err(LinkError::NotConnected);
        }
        let answer = control.ask(operation, command, self.requests_in_flight)?;
        answer.await.unwrap_or(Err(LinkError::Interrupted))
    }

    fn sign_in_again(&self, system: &SystemKey) {
        self.table.forgive_refusal(system);
        if let Some((control, _)) = self.table.control(system) {
            control.sign_in();
        }
    }

    fn forget(&self, system: &SystemKey) {
        self.table.forget(system);
    }

    fn changes(&self) -> BoxStream<'static, SystemKey> {
        self.table.changes()
    }
}
