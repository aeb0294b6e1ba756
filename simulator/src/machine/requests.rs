//! What COM asks of the system.

use model::rights::Right;
use protocol::message::{Answer, AnswerResult, Command, Request, Settings};

use crate::accounts::Standing;
use crate::causes_check::is_time_zone;
use crate::disk::DiskError;
use crate::disk::state::Configuration;
use crate::log::Kind;
use crate::machine::Machine;

/// Longest operation id that is remembered.
const LONGEST_OPERATION: usize = 256;

/// The right a command needs. Settings go with the service that shows them.
pub fn needed_right(command: &Command) -> Right {
    match command {
        Command::Configure(_) => Right::ServiceMonitorRead,
        Command::PrepareBackup { .. }
        | Command::DescribeParts { .. }
        | Command::UploadParts { .. }
        | Command::FetchElement { .. }
        | Command::PreviewRestore { .. }
        | Command::ApplyRestore { .. }
        | Command::EndOperation => Right::Backup,
    }
}

impl Machine {
    /// Does what is asked, once, and answers. `user` is the service user COM is signed in as.
    pub fn execute(&mut self, request: &Request, user: Option<&str>) -> Answer {
        let result = match self.permit(request, user) {
            Err(refusal) => refusal,
            Ok(user) => match self.state.recall(&request.operation) {
                Some(answer) => answer.clone(),
                None => self.carry_out(request, &user),
            },
        };
        if let AnswerResult::Failed { reason, message } = &result {
            self.log.line(Kind::Error, format_args!("operation {:?} refused, {reason}: {message}", request.operation));
        }
        Answer { id: request.id, result }
    }

    pub(super) fn permit(&self, request: &Request, user: Option<&str>) -> Result<String, AnswerResult> {
        let user = user.ok_or_else(|| refuse("NotSignedIn", "no service user is signed in; sign in first"))?;
        if request.operation.is_empty() || request.operation.len() > LONGEST_OPERATION {
            return Err(refuse("InvalidOperation", format!("an operation id has 1 to {LONGEST_OPERATION} bytes; use a shorter one")));
        }
        let rights = match self.standing(user) {
            Standing::Open { right: model::account::SignInOutcome::Accepted { rights }, .. } => rights,
            Standing::Open { .. } | Standing::Refused(_) => {
                return Err(refuse("NotSignedIn", format!("the account {user:?} may no longer be used; sign in again to learn why")));
            }
        };
        let needed = needed_right(&request.command);
        if rights.contains(&needed) {
            Ok(user.to_owned())
        } else {
            Err(refuse(
                "InsufficientRights",
                format!("the account {user:?} lacks the right {needed:?}; add it in the system's security settings"),
            ))
        }
    }

    fn carry_out(&mut self, request: &Request, user: &str) -> AnswerResult {
        match &request.command {
            Command::Configure(settings) => self.configure(&request.operation, settings, user),
            Command::PrepareBackup { .. }
            | Command::DescribeParts { .. }
            | Command::UploadParts { .. }
            | Command::FetchElement { .. }
            | Command::PreviewRestore { .. }
            | Command::ApplyRestore { .. }
            | Command::EndOperation => refuse("UnknownCommand", "the machine alone does not know backups and restores"),
        }
    }

    fn configure(&mut self, operation: &str, settings: &Settings, user: &str) -> AnswerResult {
        if let Some(problem) = problem_of(settings) {
            return refuse("InvalidSetting", problem);
        }
        let mut next = applied(&self.state.configuration, settings);
        let changed = next != self.state.configuration;
        if changed {
            next.revision += 1;
            next.changed = self.clock.now();
            user.clone_into(&mut next.changed_by);
        }
        let revision = next.revision;
        let answer = AnswerResult::Done { configuration_revision: revision, output: None };
        let remembered = answer.clone();
        match self.change(|state| {
            state.configuration = next;
            state.remember(operation, remembered);
        }) {
            Ok(()) => {
                if changed {
                    self.log.line(
                        Kind::Configuration,
                        format_args!("settings changed by service user {user:?}, configuration revision {revision}"),
                    );
                }
                answer
            }
            Err(error) => disk_failure(&error),
        }
    }
}

fn disk_failure(error: &DiskError) -> AnswerResult {
    refuse(if error.is_full() { "DiskFull" } else { "DiskFailed" }, error.to_string())
}

pub(super) fn refuse(reason: &str, message: impl Into<String>) -> AnswerResult {
    AnswerResult::Failed { reason: reason.to_owned(), message: message.into() }
}

fn applied(configuration: &Configuration, settings: &Settings) -> Configuration {
    let mut next = configuration.clone();
    if let Some(value) = settings.remote_operations {
        next.remote_operations = value;
    }
    if let Some(value) = &settings.voicemail_backup {
        next.voicemail_backup = value.clone();
    }
    if let Some(value) = settings.certificates {
        next.certificates = value;
    }
    if let Some(value) = &settings.time_zone {
        next.time_zone.clone_from(value);
    }
    next
}

fn problem_of(settings: &Settings) -> Option<String> {
    if let Some(zone) = settings.time_zone.as_ref().filter(|zone| !is_time_zone(zone)) {
        return Some(format!("{zone:?} is no time zone of the IANA database; use for example Europe/London"));
    }
    if settings.certificates.is_some_and(|switches| switches.automatic_phone_provisioning && !switches.automatic_certificate_management) {
        return Some("automatic phone provisioning needs automatic certificate management; switch both on".to_owned());
    }
    let mailboxes = settings.voicemail_backup.as_ref().map_or(&[][..], |options| &options.mailboxes);
    if mailboxes.len() > 1000 {
        return Some(format!("{} mailboxes were named; at most 1000 are possible", mailboxes.len()));
    }
    if let Some(bad) = mailboxes
        .iter()
        .find(|name| name.is_empty() || name.chars().count() > 64 || name.contains(',') || name.chars().any(char::is_control))
    {
        return Some(format!("{bad:?} is no name of a mailbox; use 1 to 64 characters, no comma and no line break"));
    }
    None
}
