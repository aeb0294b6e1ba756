//! What a session does by itself: what changed outside goes to COM, clocks run out, certificates are renewed.

use std::time::Instant;

use futures::FutureExt as _;
use protocol::message::{Departure, FromSystem};

use super::{Running, SessionEnd, Stop};
use crate::connect::ConnectError;
use crate::disk::identity::Identity;
use crate::enrolment;
use crate::log::Kind;

impl Running<'_> {
    pub(super) async fn inputs_changed(&mut self) -> Result<(), Stop> {
        let inputs = self.session.inputs.borrow_and_update().clone();
        let taken = inputs.clone();
        let changes = self.session.shared.with(move |machine| machine.take_inputs(&taken)).await;
        let changes = match changes {
            Ok(changes) => changes,
            Err(error) => {
                self.line(Kind::Error, error);
                return Ok(());
            }
        };
        if let Some(reboot) = changes.reboot {
            self.leave(if reboot.for_change { Departure::RebootForChange } else { Departure::Reboot }).await;
            return Err(Stop::End(SessionEnd::Reboot(reboot)));
        }
        if inputs.causes.faults.garbled_messages {
            // Whatever it says next: COM finds out now, and not when there is something to say.
            self.send(&FromSystem::AccountChanged).await?;
        }
        if changes.route {
            if !inputs.causes.network.connected && !inputs.causes.network.silent {
                return Err(Stop::Broken("the network is down".to_owned()));
            }
            if inputs.subscription.as_ref().is_ok_and(|subscription| *subscription != self.session.subscription) {
                return Err(Stop::Broken("the subscription changed".to_owned()));
            }
        }
        self.account_changed().await?;
        self.report().await
    }

    pub(super) async fn tick(&mut self) -> Result<(), Stop> {
        let silence = self.heard.elapsed();
        if silence >= self.session.options.offline_after {
            return Err(Stop::Broken(format!("nothing was heard of COM for {} s", silence.as_secs())));
        }
        if self.welcomed.is_none() && silence >= self.session.options.handshake_timeout {
            return Err(Stop::Broken("COM did not answer the hello in time".to_owned()));
        }
        let inputs = self.session.inputs.borrow().clone();
        if self.session.shared.peek(|machine| machine.has_taken(&inputs)) == Some(false) {
            // The disk could not be written when they came.
            self.inputs_changed().await?;
        }
        if self.talking() {
            self.account_changed().await?;
            self.renew_in_time();
        }
        Ok(())
    }

    /// Tells COM when a sign-in would meet something else than last time: changed by hand, or a lock that ran out.
    pub(super) async fn account_changed(&mut self) -> Result<(), Stop> {
        if !self.talking() {
            return Ok(());
        }
        let Some((name, before)) = &mut self.watched else { return Ok(()) };
        match self.session.shared.peek(|machine| machine.standing(name)) {
            Some(now) if now != *before => *before = now,
            // As before, or busy: then the next tick looks again.
            Some(_) | None => return Ok(()),
        }
        let text = format!("service user {name:?} changed: COM is asked to sign in again");
        self.line(Kind::Security, text);
        self.signed_in = None;
        self.send(&FromSystem::AccountChanged).await
    }

    /// Tells COM what is new, if anything is.
    pub(super) async fn report(&mut self) -> Result<(), Stop> {
        if !self.talking() {
            return Ok(());
        }
        let system_id = self.session.subscription.system_id.clone();
        let facts = self.session.shared.with(move |machine| machine.facts(&system_id)).await;
        if facts == self.reported {
            return Ok(());
        }
        self.reported = facts.clone();
        self.send(&FromSystem::Report(Box::new(facts))).await
    }

    pub(super) fn renew_in_time(&mut self) {
        if self.renewal.is_some() || Instant::now() < self.renew_not_before || self.welcomed.is_none() {
            return;
        }
        let now = self.session.shared.peek(|machine| machine.clock().now());
        if now.is_some_and(|now| now >= self.session.identity.renew_after) {
            let (shared, subscription) = (self.session.shared.clone(), self.session.subscription.clone());
            let (identity, timeout) = (self.session.identity.clone(), self.session.options.handshake_timeout);
            self.renewal = Some(enrolment::renew(shared, subscription, identity, timeout).boxed());
        }
    }

    pub(super) fn renewed(&mut self, renewed: Result<Identity, ConnectError>) {
        self.renewal = None;
        match renewed {
            Ok(identity) => self.session.identity = identity,
            Err(error) => {
                let wait = error.retry_after().unwrap_or(self.session.options.slow_retry);
                self.renew_not_before = Instant::now() + wait;
                self.line(Kind::Error, format_args!("the certificate could not be renewed: {error}; next try in {} s", wait.as_secs()));
            }
        }
    }
}
