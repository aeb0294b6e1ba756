//! The machine, shared between what talks and what watches. Its disk is waited for on threads that may wait.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, TryLockError};

use crate::log::{Kind, Log};
use crate::machine::Machine;

/// A machine that several tasks use, one at a time.
#[derive(Debug, Clone)]
pub struct Shared {
    machine: Arc<Mutex<Option<Machine>>>,
    log: Log,
}

impl Shared {
    /// Shares a machine.
    pub fn new(machine: Machine) -> Self {
        let log = machine.log().clone();
        Self { machine: Arc::new(Mutex::new(Some(machine))), log }
    }

    /// Does something with the machine, on a thread that may wait for the disk. Never comes back once the machine is closed.
    pub async fn with<T: Send + 'static>(&self, work: impl FnOnce(&mut Machine) -> T + Send + 'static) -> T {
        match self.on_thread(move |machine| machine.as_mut().map(work)).await {
            Some(value) => value,
            None => std::future::pending().await,
        }
    }

    /// As [`Shared::with`], on this thread, which may wait; `None` once the machine is closed.
    pub fn on_this_thread<T>(&self, work: impl FnOnce(&mut Machine) -> T) -> Option<T> {
        self.machine.lock().unwrap_or_else(PoisonError::into_inner).as_mut().map(work)
    }

    /// Looks at the machine at once; `None` while something is being done with it. Cheap enough for every tick of thousands of systems.
    pub fn peek<T>(&self, look: impl FnOnce(&Machine) -> T) -> Option<T> {
        let machine = match self.machine.try_lock() {
            Ok(machine) => machine,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        machine.as_ref().map(look)
    }

    /// Lets go of the disk, after what is being written to it. Another process may use it then.
    pub async fn close(&self) {
        self.on_thread(|machine| drop(machine.take())).await;
    }

    async fn on_thread<T: Send + 'static>(&self, work: impl FnOnce(&mut Option<Machine>) -> T + Send + 'static) -> T {
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
