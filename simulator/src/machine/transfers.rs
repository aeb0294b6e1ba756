//! What backups and restores need of the machine: leave to work, and its content.

use std::sync::Arc;

use jiff::Timestamp;
use model::ids::SystemId;
use protocol::message::{AnswerResult, Command, Facts, Request};

use crate::causes::{Reboot, Work};
use crate::clock::SystemClock;
use crate::disk::{DiskError, content};
use crate::inputs::Inputs;
use crate::log::Kind;
use crate::machine::Machine;
use crate::machine::requests::refuse;

/// Leave to carry out a command, with what it needs to know.
#[derive(Debug, Clone)]
pub struct Permit {
    /// What the system reports of itself.
    pub facts: Facts,
    /// What it is made of.
    pub inputs: Arc<Inputs>,
    /// Its clock.
    pub clock: SystemClock,
    /// Now, by its clock.
    pub now: Timestamp,
}

impl Machine {
    /// Whether a command of a backup or restore may be carried out now.
    ///
    /// # Errors
    /// The answer, where it may not: not signed in, no right, `Legacy`, `RemoteUpgradeBackupOff`.
    pub fn permit_transfer(&self, request: &Request, user: Option<&str>, system_id: &SystemId) -> Result<Permit, AnswerResult> {
        self.permit(request, user)?;
        let facts = self.facts(system_id);
        let permit = Permit { facts: facts.clone(), inputs: self.inputs.clone(), clock: self.clock.clone(), now: self.clock.now() };
        if matches!(request.command, Command::ApplyRestore { .. }) && self.restore_is_certain(&request.operation) {
            // Asked again: the restored settings may say something else by now.
            return Ok(permit);
        }
        if facts.version.is_legacy() {
            let text =
                format!("version {} is older than 11.1.1.0.0 and knows no backups through COM; upgrade the system on site", facts.version);
            return Err(refuse("Legacy", text));
        }
        // What is left on the disk may always be removed.
        if !facts.remote_operations.remote_upgrade_backup && request.command != Command::EndOperation {
            let text = "Remote Upgrade/Backup is off on the system, so it makes no backups and takes no restores; switch it on in the \
                        system's security settings or through COM";
            return Err(refuse("RemoteUpgradeBackupOff", text));
        }
        Ok(permit)
    }

    /// The disk's folder, and that of backups and restores under way.
    pub fn folders(&self) -> (std::path::PathBuf, std::path::PathBuf) {
        (self.disk.folder().to_owned(), self.disk.transfer_folder())
    }

    /// The configuration's number; with `afterwards` the one it has once a restore that is decided is in place.
    pub fn revision(&self, afterwards: bool) -> u64 {
        let decided = self.state.restoring.as_ref().and_then(|restoring| restoring.replacements.as_ref());
        let taken = decided.is_some_and(|replacements| replacements.iter().any(|replacement| replacement.takes_settings));
        self.state.configuration.revision + u64::from(afterwards && taken)
    }

    /// Makes what is missing of the content, also where it is light: it is needed now.
    ///
    /// # Errors
    /// The disk cannot be written.
    pub fn need_content(&self) -> Result<(), DiskError> {
        let folder = self.disk.content_folder();
        content::ensure(&folder, &self.inputs.causes, &self.state.configuration).map_err(|source| DiskError::Io {
            verb: "filled",
            path: folder,
            source,
        })
    }

    /// Makes what is missing of the content, unless it is light and nobody needed it yet.
    pub(super) fn make_content(&self) {
        let light = self.disk.is_light() || self.inputs.causes.content.is_light();
        if light && !self.disk.content_folder().exists() {
            return;
        }
        if let Err(error) = self.need_content() {
            self.log.line(Kind::Error, error);
        }
    }

    /// Lets the content say which settings count. What fails is done again before the next backup.
    pub(super) fn write_settings(&self) {
        let folder = self.disk.content_folder().join(content::settings_home());
        if !folder.exists() {
            return;
        }
        if let Err(source) = content::settings::write(&folder, &self.state.configuration) {
            self.log.line(Kind::Error, DiskError::Io { verb: "written", path: folder, source });
        }
    }

    /// Whether a transfer breaks off now: always without a token, once with a new one.
    pub fn breaks_off(&mut self) -> bool {
        let Some(breaks) = self.inputs.causes.faults.transfers.breaks.clone() else { return false };
        match breaks.token {
            None => true,
            token if token == self.state.seen.break_token => false,
            token => self.change(|state| state.seen.break_token = token).is_ok(),
        }
    }

    /// Whether the power fails now, in the middle of some work: once for each token.
    pub fn power_fails(&mut self, work: Work) -> Option<Reboot> {
        let fault = self.inputs.causes.faults.reboot_during.clone().filter(|fault| fault.work == work)?;
        if self.state.seen.reboot_during_token.as_ref() == Some(&fault.token) {
            return None;
        }
        let token = fault.token.clone();
        self.change(|state| state.seen.reboot_during_token = Some(token)).ok()?;
        self.log.line(Kind::System, format_args!("the power fails during {work:?}"));
        Some(Reboot { token: fault.token, outage_seconds: fault.outage_seconds, for_change: false })
    }
}
