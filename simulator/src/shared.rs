//! The machine, shared between what talks and what watches. Its disk is waited for on threads that may wait.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use crate::log::{Kind, Log};
use crate::machine::Machine;

/// A machine that several tasks use, one at a time.
#[derive(Debug, Clone)]
pub struct Shared {
    machine: Arc<Mutex<Machine>>,
    log: Log,
}

impl Shared {
    /// Shares a machine.
    pub fn new(machine: Machine) -> Self {
        let log = machine.log().clone();
        Self { machine: Arc::new(Mutex::new(machine)), log }
    }

    /// Does something with the machine, on a thread that may wait for the disk.
    pub async fn with<T: Send + 'static>(&self, work: impl FnOnce(&mut Machine) -> T + Send + 'static) -> T {
        let machine = self.machine.clone();
        let done = tokio::task::spawn_blocking(move || work(&mut machine.lock().unwrap_or_else(PoisonError::into_inner))).await;
        match done {
            Ok(value) => value,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The runtime goes down and drops this task with it.
                Err(_) => std::future::pending().await,
            },
        }
    }

    /// Writes a line into the log.
    pub fn line(&self, kind: Kind, text: impl fmt::Display) {
        self.log.line(kind, text);
    }
}
