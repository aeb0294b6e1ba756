//! The system itself: its disk, its clock, and what it does when it is asked. No network here: what a session does with it is in
//! [`crate::session`].

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use model::ids::SystemId;
use model::secret::Secret;
use model::system::Profile;
use protocol::message::Facts;
use protocol::scram::Verifier;

use crate::accounts::{self, Standing};
use crate::causes::{Causes, Reboot};
use crate::clock::{Clock, SystemClock};
use crate::disk::identity::IdentityFile;
use crate::disk::state::{SeenCauses, State};
use crate::disk::{Disk, DiskError};
use crate::fleet::Fleet;
use crate::inputs::Inputs;
use crate::log::{Kind, Log};

mod neighbours;
mod requests;
mod restore;
mod sign_in;
mod transfers;

pub use requests::needed_right;
pub use restore::Step;
pub(crate) use restore::UNPACKED;
pub use sign_in::{Exchange, SignInStep};
pub use transfers::Permit;

/// A system with its disk in use.
#[derive(Debug)]
pub struct Machine {
    disk: Disk,
    state: State,
    identity: IdentityFile,
    inputs: Arc<Inputs>,
    clock: SystemClock,
    log: Log,
    started: Timestamp,
    address: Option<IpAddr>,
    log_limit: Option<u64>,
    fleet: Option<Arc<Fleet>>,
}

/// What new inputs led to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// The system restarts.
    pub reboot: Option<Reboot>,
    /// The way to COM is another: network or subscription.
    pub route: bool,
}

impl Machine {
    /// Opens the disk and switches the system on.
    ///
    /// # Errors
    /// The disk cannot be used.
    pub fn open(folder: &Path, inputs: Arc<Inputs>, truth: Arc<dyn Clock>, echo: bool, log_limit: Option<u64>) -> Result<Self, DiskError> {
        let clock = SystemClock::new(truth, inputs.causes.clock.offset_seconds);
        let (disk, state, identity) = Disk::open(folder, clock.now())?;
        let limit = log_limit.unwrap_or_else(|| log_bytes(&inputs.causes));
        let log =
            Log::open(&disk.log_folder(), limit, echo).map_err(|source| DiskError::Io { verb: "read", path: disk.log_folder(), source })?;
        let started = clock.now();
        let inputs_of_start = inputs.clone();
        let machine = Self { disk, state, identity, inputs, clock, log, started, address: None, log_limit, fleet: None };
        machine.switched_on(&inputs_of_start)
    }

    /// As [`Machine::open`], for a system of a load fleet.
    ///
    /// # Errors
    /// The disk cannot be used.
    pub fn open_light(folder: &Path, inputs: Arc<Inputs>, truth: Arc<dyn Clock>, fleet: Arc<Fleet>) -> Result<Self, DiskError> {
        let clock = SystemClock::new(truth, inputs.causes.clock.offset_seconds);
        let (disk, state, identity) = Disk::open_light(folder, clock.now())?;
        let started = clock.now();
        let (inputs_of_start, fleet) = (inputs.clone(), Some(fleet));
        let machine = Self { disk, state, identity, inputs, clock, log: Log::none(), started, address: None, log_limit: Some(0), fleet };
        machine.switched_on(&inputs_of_start)
    }

    fn switched_on(mut self, inputs: &Arc<Inputs>) -> Result<Self, DiskError> {
        // The power may fail again while it starts; a process that begins has had its outage.
        while self.start()?.is_some() {}
        self.adopt(inputs, true)?;
        self.make_content();
        Ok(self)
    }

    /// Switches the system on, or on again after an outage, and finishes a restore that waits for it. Gives the next restart where the power
    /// fails meanwhile.
    ///
    /// # Errors
    /// The disk cannot be written.
    pub fn start(&mut self) -> Result<Option<Reboot>, DiskError> {
        self.log.restart();
        self.started = self.clock.now();
        if let Some(reboot) = self.finish_restore()? {
            return Ok(Some(reboot));
        }
        self.change(|state| state.starts += 1)?;
        let causes = &self.inputs.causes;
        self.log.line(
            Kind::System,
            format_args!(
                "{} {} started at {}, start number {}, configuration revision {}",
                causes.profile.as_str(),
                causes.software_version,
                self.started,
                self.state.starts,
                self.state.configuration.revision
            ),
        );
        self.make_content();
        self.greet_neighbours();
        Ok(None)
    }

    /// Takes new inputs in.
    ///
    /// # Errors
    /// The disk cannot be written; then the old ones stay.
    pub fn take_inputs(&mut self, inputs: &Arc<Inputs>) -> Result<Changes, DiskError> {
        if *inputs == self.inputs {
            self.inputs = inputs.clone();
            return Ok(Changes::default());
        }
        self.adopt(inputs, false)
    }

    /// Whether these very inputs were taken in.
    pub fn has_taken(&self, inputs: &Arc<Inputs>) -> bool {
        Arc::ptr_eq(&self.inputs, inputs)
    }

    fn adopt(&mut self, inputs: &Arc<Inputs>, first: bool) -> Result<Changes, DiskError> {
        let (old, new) = (self.inputs.clone(), inputs.clone());
        self.clock.set(new.causes.clock.offset_seconds);
        self.log.keep(self.log_limit.unwrap_or_else(|| log_bytes(&new.causes)));
        let mut state = self.state.clone();
        let set_by_hand = set_by_hand(&mut state, &new.causes, self.clock.now());
        self.set_passwords(&mut state, &old, &new, first);
        let token = new.causes.reboot.as_ref().map(|reboot| reboot.token.clone());
        let new_token = token.is_some() && token != state.seen.reboot_token;
        // When the system is switched on, `open` drops this: the start itself uses up a token that is new.
        let reboot = new.causes.reboot.clone().filter(|_| new_token);
        state.seen = SeenCauses {
            time_zone: new.causes.time_zone.clone(),
            remote_operations: new.causes.remote_operations,
            voicemail_backup: new.causes.voicemail_backup.clone(),
            certificates: new.causes.certificates,
            reboot_token: token.or(state.seen.reboot_token),
            break_token: state.seen.break_token,
            reboot_during_token: state.seen.reboot_during_token,
        };
        if state != self.state {
            self.store(state)?;
        }
        if set_by_hand {
            let revision = self.state.configuration.revision;
            self.log.line(Kind::Configuration, format_args!("settings changed by hand, configuration revision {revision}"));
        }
        for problem in new.problems.iter().filter(|problem| first || !old.problems.contains(problem)) {
            self.log.line(Kind::Error, problem);
        }
        let route = old.causes.network != new.causes.network
            || old.causes.faults.garbled_messages != new.causes.faults.garbled_messages
            || old.subscription != new.subscription;
        if !first && old.causes.network.connected != new.causes.network.connected {
            let word = if new.causes.network.connected { "up" } else { "down" };
            self.log.line(Kind::System, format_args!("network link is {word}"));
        }
        let network = old.causes.small_community_network != new.causes.small_community_network;
        let grown = old.causes.servers != new.causes.servers || old.causes.profile != new.causes.profile;
        self.inputs = new;
        if !first && network {
            self.greet_network();
        }
        if !first && grown {
            self.make_content();
        }
        Ok(Changes { reboot, route })
    }

    /// Gives service users the passwords set for them, forgets those that are gone.
    fn set_passwords(&self, state: &mut State, old: &Inputs, new: &Inputs, first: bool) {
        state.accounts.retain(|name, _| new.causes.service_users.iter().any(|user| user.name == *name));
        for user in &new.causes.service_users {
            let account = state.accounts.entry(user.name.clone()).or_default();
            let Some(key) = &user.password_secret_key else {
                account.verifier = None;
                continue;
            };
            // A password that cannot be read sets none: the one on the disk still counts.
            let Some(password) = new.passwords.get(key) else { continue };
            let old_key =
                old.causes.service_users.iter().find(|known| known.name == user.name).and_then(|known| known.password_secret_key.as_ref());
            let untouched = !first && account.verifier.is_some() && old_key.and_then(|key| old.passwords.get(key)) == Some(password);
            if untouched || account.verifier.as_ref().is_some_and(|verifier| self.recognises(verifier, password)) {
                continue;
            }
            account.verifier = Some(self.fleet.as_ref().map_or_else(|| Verifier::new(password), |fleet| fleet.verifier(password)));
            accounts::forget_wrong_passwords(account);
            self.log.line(Kind::Security, format_args!("password of service user {:?} set", user.name));
        }
    }

    /// Whether a verifier was made from a password. Systems of a fleet share verifiers, so that comparing is enough while the process lives.
    fn recognises(&self, verifier: &Verifier, password: &Secret) -> bool {
        self.fleet.as_ref().is_some_and(|fleet| fleet.knows(verifier, password)) || recognises(verifier, password)
    }

    /// What the system reports of itself.
    pub fn facts(&self, system_id: &SystemId) -> Facts {
        let causes = &self.inputs.causes;
        let configuration = &self.state.configuration;
        let system_name = causes.system_name.clone().unwrap_or_else(|| system_id.to_string());
        let address = match (&causes.address, self.address) {
            (Some(address), _) => address.clone(),
            (None, Some(address)) => address.to_string(),
            (None, None) => "0.0.0.0".to_owned(),
        };
        Facts {
            servers: self.servers(&system_name, &address),
            system_name,
            address,
            port: causes.port,
            profile: causes.profile,
            version: causes.software_version.clone(),
            time_zone: configuration.time_zone.clone(),
            remote_operations: configuration.remote_operations,
            voicemail_backup: configuration.voicemail_backup.clone(),
            certificates: configuration.certificates,
            configuration_revision: configuration.revision,
            started: self.started,
            last_restore: self.state.last_restore.clone(),
        }
    }

    /// The counter for a new session: on the disk before it is used.
    ///
    /// # Errors
    /// The disk cannot be written; then no session may be opened.
    pub fn next_session(&mut self) -> Result<u64, DiskError> {
        self.change(|state| state.session += 1)?;
        Ok(self.state.session)
    }

    /// Key and certificate.
    pub fn identity(&self) -> &IdentityFile {
        &self.identity
    }

    /// Replaces key and certificate.
    ///
    /// # Errors
    /// The disk cannot be written.
    pub fn set_identity(&mut self, identity: IdentityFile) -> Result<(), DiskError> {
        self.disk.save_identity(&identity)?;
        self.identity = identity;
        Ok(())
    }

    /// The address the system connects from.
    pub fn set_address(&mut self, address: IpAddr) {
        self.address = Some(address);
    }

    /// What a sign-in under a name meets now.
    pub fn standing(&self, name: &str) -> Standing {
        accounts::standing(&self.inputs.causes, &self.state, name, self.clock.now())
    }

    /// The system's clock.
    pub fn clock(&self) -> &SystemClock {
        &self.clock
    }

    /// The system's log.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// What it remembers.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Changes what it remembers: on the disk first.
    fn change(&mut self, change: impl FnOnce(&mut State)) -> Result<(), DiskError> {
        let mut next = self.state.clone();
        change(&mut next);
        self.store(next)
    }

    /// Makes `next` what it remembers: on the disk first. The settings among what a backup takes follow.
    fn store(&mut self, next: State) -> Result<(), DiskError> {
        self.disk.save_state(&self.state, &next)?;
        let settings = next.configuration != self.state.configuration;
        self.state = next;
        if settings {
            self.write_settings();
        }
        Ok(())
    }
}

/// Carries settings changed by hand into the configuration: those whose cause changed since it was last seen. Returns whether any was another.
fn set_by_hand(state: &mut State, causes: &Causes, now: Timestamp) -> bool {
    let mut configuration = state.configuration.clone();
    let seen = &state.seen;
    if let Some(value) = causes.time_zone.clone().filter(|value| seen.time_zone.as_ref() != Some(value)) {
        configuration.time_zone = value;
    }
    if let Some(value) = causes.remote_operations.filter(|value| seen.remote_operations != Some(*value)) {
        configuration.remote_operations = value;
    }
    if let Some(value) = causes.voicemail_backup.clone().filter(|value| seen.voicemail_backup.as_ref() != Some(value)) {
        configuration.voicemail_backup = value;
    }
    if let Some(value) = causes.certificates.filter(|value| seen.certificates != Some(*value)) {
        configuration.certificates = value;
    }
    if configuration == state.configuration {
        return false;
    }
    configuration.revision += 1;
    configuration.changed = now;
    configuration.changed_by = "the administrator".to_owned();
    state.configuration = configuration;
    true
}

/// Whether a verifier was made from a password.
pub(crate) fn recognises(verifier: &Verifier, password: &Secret) -> bool {
    STANDARD.decode(&verifier.salt).is_ok_and(|salt| Verifier::with_salt(password, &salt, verifier.iterations) == *verifier)
}

/// How much log a system keeps (LOG-2).
fn log_bytes(causes: &Causes) -> u64 {
    let megabytes = causes.logging.keep_megabytes.unwrap_or(match causes.profile {
        Profile::Ip500V2 => 128,
        Profile::ServerEdition | Profile::Accs => 4000,
    });
    u64::from(megabytes) * 1_000_000
}

#[cfg(test)]
mod tests;
