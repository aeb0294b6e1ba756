//! Taking a restore over: all of it or nothing, whenever the power goes.
//!
//! 1. [`Machine::begin_restore`]: `state.json` says what is being unpacked. A start that finds this takes it back.
//! 2. The elements are unpacked below `transfer/`, beside what is in use.
//! 3. [`Machine::decide_restore`]: `state.json` says what takes whose place. From here on every start ends with all of it in place.
//! 4. The system restarts, and [`Machine::finish_restore`] renames the folders, takes the settings over and records the restore.

use std::io;
use std::path::Path;

use protocol::transfer::LastRestore;

use crate::causes::{Reboot, Work};
use crate::disk::content::{self, folder_name, settings};
use crate::disk::state::{Replacement, Restoring};
use crate::disk::{DiskError, atomic, failed};
use crate::log::Kind;
use crate::machine::Machine;

/// A step of putting a restore in place, named before it is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// A folder in use goes aside.
    Aside(usize),
    /// A restored folder takes its place.
    Place(usize),
    /// State, settings and record of the restore are written.
    Record,
    /// What is not needed any more is removed.
    Tidy,
}

impl Machine {
    /// Writes down that a restore is being unpacked.
    ///
    /// # Errors
    /// The disk cannot be written.
    pub fn begin_restore(&mut self, operation: &str, backup_id: &str, configuration_revision: u64) -> Result<(), DiskError> {
        let restoring =
            Restoring { operation: operation.to_owned(), backup_id: backup_id.to_owned(), configuration_revision, replacements: None };
        self.change(|state| state.restoring = Some(restoring))
    }

    /// Writes down what takes whose place: there is no way back from here, the next start does it.
    ///
    /// # Errors
    /// The disk cannot be written; then the restore may still be taken back. Nothing is decided where no restore was begun.
    pub fn decide_restore(&mut self, replacements: Vec<Replacement>) -> Result<(), DiskError> {
        self.change(|state| {
            if let Some(restoring) = &mut state.restoring {
                restoring.replacements = Some(replacements);
            }
        })
    }

    /// Takes back a restore that is not decided: what is in use was not touched. With `why` it is recorded as failed.
    ///
    /// # Errors
    /// The disk cannot be written.
    pub fn take_restore_back(&mut self, why: Option<&str>) -> Result<(), DiskError> {
        let Some(restoring) = self.state.restoring.clone().filter(|restoring| restoring.replacements.is_none()) else { return Ok(()) };
        let unpacked = self.unpacked_folder(&restoring.operation);
        content::remove(&unpacked).map_err(|source| failed("removed", &unpacked, source))?;
        if let Some(why) = why {
            self.log.line(Kind::Error, format_args!("restore of backup {} not done: {why}", restoring.backup_id));
        }
        self.change(|state| {
            state.restoring = None;
            if let Some(why) = why {
                state.last_restore = Some(record(restoring, Some(why.to_owned())));
            }
        })
    }

    /// Whether the restore of an operation is done, or decided so that the next start does it.
    pub fn restore_is_certain(&self, operation: &str) -> bool {
        let done = self.state.last_restore.as_ref().is_some_and(|last| last.operation == operation && last.failure.is_none());
        done || self.restore_is_decided(operation)
    }

    /// Whether the restore of an operation waits for the next start.
    pub fn restore_is_decided(&self, operation: &str) -> bool {
        self.state.restoring.as_ref().is_some_and(|restoring| restoring.operation == operation && restoring.replacements.is_some())
    }

    /// Finishes a restore that is decided, takes back one that is not. Gives the restart where the power fails in the middle.
    pub(super) fn finish_restore(&mut self) -> Result<Option<Reboot>, DiskError> {
        let mut reboot = None;
        let mut in_place = 0;
        self.finish_restore_with(&mut |machine, step| {
            in_place += usize::from(matches!(step, Step::Place(_)));
            if in_place > 0 && !matches!(step, Step::Place(_)) {
                reboot = machine.power_fails(Work::Replacing);
            }
            reboot.is_none()
        })?;
        Ok(reboot)
    }

    /// As a start does it, asking before each step whether to go on. Doing it again after a stop at any step ends the same.
    ///
    /// # Errors
    /// The disk cannot be written; doing it again goes on.
    pub fn finish_restore_with(&mut self, goes_on: &mut dyn FnMut(&mut Self, Step) -> bool) -> Result<(), DiskError> {
        let Some(restoring) = self.state.restoring.clone() else { return Ok(()) };
        let Some(replacements) = restoring.replacements.clone() else {
            return self
                .take_restore_back(Some("the system restarted before all was unpacked; what was there before is kept: order it again"));
        };
        let (content, transfer) = (self.disk.content_folder(), self.disk.transfer_folder());
        for (number, replacement) in replacements.iter().enumerate() {
            let (from, aside, to) = (transfer.join(&replacement.from), transfer.join(&replacement.aside), content.join(&replacement.to));
            if !from.exists() {
                continue;
            }
            if to.exists() {
                if !goes_on(self, Step::Aside(number)) {
                    return Ok(());
                }
                set_aside(&to, &aside).map_err(|source| failed("moved", &to, source))?;
            }
            if !goes_on(self, Step::Place(number)) {
                return Ok(());
            }
            atomic::put_in_place(&from, &to).map_err(|source| failed("moved", &from, source))?;
        }
        if !goes_on(self, Step::Record) {
            return Ok(());
        }
        self.record_restore(restoring.clone(), &replacements)?;
        if goes_on(self, Step::Tidy) {
            // Only room is lost when this fails, and the end of the operation tries again.
            let _ = content::remove(&transfer.join(folder_name::of(&restoring.operation)));
        }
        Ok(())
    }

    fn record_restore(&mut self, restoring: Restoring, replacements: &[Replacement]) -> Result<(), DiskError> {
        let now = self.clock.now();
        let mut configuration = self.state.configuration.clone();
        for replacement in replacements.iter().filter(|replacement| replacement.takes_settings) {
            let folder = self.disk.content_folder().join(&replacement.to);
            let read = settings::read(&folder).map_err(|source| failed("read", &folder.join(settings::FILE), source))?;
            read.apply(&mut configuration);
            configuration.revision += 1;
            configuration.changed = now;
            configuration.changed_by = format!("restore of backup {}", restoring.backup_id);
        }
        let text = format!("backup {} restored, configuration revision {}", restoring.backup_id, configuration.revision);
        self.change(|state| {
            state.configuration = configuration;
            state.restoring = None;
            state.last_restore = Some(record(restoring, None));
        })?;
        self.log.line(Kind::Backup, text);
        Ok(())
    }

    /// Folder that a restore is unpacked into.
    pub fn unpacked_folder(&self, operation: &str) -> std::path::PathBuf {
        self.disk.transfer_folder().join(folder_name::of(operation)).join(UNPACKED)
    }
}

/// Folder of unpacked elements in that of the operation.
pub(crate) const UNPACKED: &str = "unpacked";

/// Moves what is in use aside. What lies there is of a start that was broken off before it put the new in place: it cannot be, or is the same.
fn set_aside(from: &Path, aside: &Path) -> io::Result<()> {
    content::remove(aside)?;
    atomic::put_in_place(from, aside)
}

fn record(restoring: Restoring, failure: Option<String>) -> LastRestore {
    LastRestore {
        operation: restoring.operation,
        backup_id: restoring.backup_id,
        configuration_revision: restoring.configuration_revision,
        failure,
    }
}

#[cfg(test)]
mod tests;
