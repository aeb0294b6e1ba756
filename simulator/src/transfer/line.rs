//! What the causes do to transfers between the system and the object store: the network is cut or slow, transfers are slow or break off, the power
//! fails in the middle.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, watch};
use tokio::time::Instant;

use crate::backoff::transit;
use crate::causes::{Faults, Reboot, Work};
use crate::inputs::Inputs;
use crate::shared::Shared;

/// A restart that the system owes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restart {
    /// How long it is away, and whether it restarts for a change.
    pub reboot: Reboot,
    /// Whether it says goodbye; not when the power fails.
    pub goodbye: bool,
    /// Since when it is owed.
    pub since: Instant,
}

/// The way to the object store, of one system.
#[derive(Debug)]
pub struct Line {
    shared: Shared,
    inputs: watch::Receiver<Arc<Inputs>>,
    /// When the line is free again, with transfers that are slow.
    free: Mutex<Instant>,
    restart: watch::Sender<Option<Restart>>,
}

impl Line {
    /// The line of a system.
    pub fn new(shared: Shared, inputs: watch::Receiver<Arc<Inputs>>) -> Self {
        Self { shared, inputs, free: Mutex::new(Instant::now()), restart: watch::Sender::new(None) }
    }

    /// The restart that is owed.
    pub fn restart(&self) -> watch::Receiver<Option<Restart>> {
        self.restart.subscribe()
    }

    /// Owes a restart from now on.
    pub fn owe(&self, reboot: Reboot, goodbye: bool) {
        self.restart.send_replace(Some(Restart { reboot, goodbye, since: Instant::now() }));
    }

    /// Owes none any more.
    pub fn owe_nothing(&self) {
        self.restart.send_replace(None);
    }

    /// Faults as they are now.
    pub fn faults(&self) -> Faults {
        self.inputs.borrow().causes.faults.clone()
    }

    /// Seconds the system is away to finish a restore.
    pub fn restore_outage(&self) -> u32 {
        self.inputs.borrow().causes.restore.outage_seconds
    }

    /// Takes the time a request or an answer is under way.
    ///
    /// # Errors
    /// It does not arrive.
    pub async fn travel(&self) -> io::Result<()> {
        self.open().await?;
        let network = self.inputs.borrow().causes.network.clone();
        match transit(&network) {
            Some(time) => {
                tokio::time::sleep(time).await;
                Ok(())
            }
            None => Err(io::Error::new(io::ErrorKind::TimedOut, "the network loses too much")),
        }
    }

    /// Waits while the network swallows all.
    ///
    /// # Errors
    /// There is no network.
    async fn open(&self) -> io::Result<()> {
        let mut inputs = self.inputs.clone();
        loop {
            {
                let network = &inputs.borrow_and_update().causes.network;
                match (network.connected, network.silent) {
                    (true, _) => return Ok(()),
                    (false, false) => return Err(io::Error::new(io::ErrorKind::NetworkDown, "the system has no network")),
                    (false, true) => {}
                }
            }
            if inputs.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Comes back once the network is cut: connections that stand break.
    pub async fn lost(&self) -> io::Error {
        let mut inputs = self.inputs.clone();
        let cut = inputs.wait_for(|inputs| !inputs.causes.network.connected && !inputs.causes.network.silent).await.is_ok();
        if !cut {
            std::future::pending::<()>().await;
        }
        io::Error::new(io::ErrorKind::NetworkDown, "the system has no network")
    }

    /// Lets some bytes through, when it is their turn. `sent` is how many the transfer had with them, `done` how many its work had.
    ///
    /// # Errors
    /// The connection breaks, or the power fails.
    pub async fn pass(&self, work: Work, bytes: u64, sent: u64, done: u64) -> io::Result<()> {
        self.open().await?;
        let faults = self.faults();
        if let Some(rate) = faults.transfers.kilobytes_per_second {
            self.wait_for_turn(bytes, rate).await;
        }
        if let Some(breaks) = &faults.transfers.breaks
            && sent >= thousand(breaks.after_kilobytes)
            && self.shared.with(|machine| machine.breaks_off()).await
        {
            return Err(io::Error::new(io::ErrorKind::ConnectionReset, "the connection broke off"));
        }
        let fails = faults.reboot_during.as_ref().is_some_and(|fault| fault.work == work && done >= thousand(fault.after_kilobytes));
        if fails && let Some(reboot) = self.shared.with(move |machine| machine.power_fails(work)).await {
            self.owe(reboot, false);
            // The restart ends this work.
            std::future::pending::<()>().await;
        }
        Ok(())
    }

    /// Most bytes to pass at a time after `sent` of a part or element: few where something is to go wrong, so that it does at the very byte.
    pub fn piece(&self, sent: u64) -> u64 {
        let faults = self.faults();
        let breaks = faults.transfers.breaks.as_ref().map(|breaks| thousand(breaks.after_kilobytes));
        if breaks.is_none() && faults.transfers.kilobytes_per_second.is_none() && faults.reboot_during.is_none() {
            return u64::MAX;
        }
        breaks.and_then(|after| after.checked_sub(sent)).filter(|left| *left > 0).map_or(SMALL_PIECE, |left| left.min(SMALL_PIECE))
    }

    /// As [`Line::pass`], for work on the disk, on a thread that may wait. Gives whether it goes on.
    pub fn works(&self, work: Work, done: u64) -> bool {
        let fault = self.faults().reboot_during;
        if !fault.is_some_and(|fault| fault.work == work && done >= thousand(fault.after_kilobytes)) {
            return true;
        }
        match self.shared.on_this_thread(|machine| machine.power_fails(work)).flatten() {
            None => true,
            Some(reboot) => {
                self.owe(reboot, false);
                false
            }
        }
    }

    async fn wait_for_turn(&self, bytes: u64, kilobytes_per_second: u32) {
        let turn = {
            let mut free = self.free.lock().await;
            *free = (*free).max(Instant::now()) + time_for(bytes, kilobytes_per_second);
            *free
        };
        tokio::time::sleep_until(turn).await;
    }
}

/// Bytes passed at a time where something is to go wrong.
const SMALL_PIECE: u64 = 16 * 1024;

/// Time that bytes take at a rate of kilobytes a second.
pub fn time_for(bytes: u64, kilobytes_per_second: u32) -> Duration {
    Duration::from_micros(bytes.saturating_mul(1000) / u64::from(kilobytes_per_second.max(1)))
}

fn thousand(number: u32) -> u64 {
    u64::from(number) * 1000
}
