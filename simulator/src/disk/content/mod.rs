//! What a backup takes, as plain files below `content/` that a person can read and compare with `diff -r`.
//!
//! | folder | element |
//! |---|---|
//! | `servers/<server>/<service>/` | `Configuration/<service>/<server>`; the primary's folder is `primary`, whatever its name |
//! | `voicemail/configuration/` | `VoicemailConfiguration` |
//! | `voicemail/prompts/` | `CustomPrompts` |
//! | `voicemail/mailboxes/<extension>/` | `SelectiveVoicemails`, `AllVoicemails` |
//!
//! Each folder is made as a whole, once, always the same for the same causes. Later only a restore replaces it, and a change of settings rewrites
//! `settings.json`.

pub mod folder_name;
mod make;
pub mod settings;

use std::io;
use std::path::{Path, PathBuf};

use archive::element::{BackupElement, Service};
use model::system::{Profile, ServerRole};

use crate::causes::{Causes, Content};
use crate::disk::atomic;
use crate::disk::state::Configuration;

/// Folder of the primary: it keeps its content when it is renamed.
const PRIMARY: &str = "primary";
/// Folder of the mailboxes, below `content/`.
pub const MAILBOXES: &str = "voicemail/mailboxes";
const PROMPTS: &str = "voicemail/prompts";
const VOICEMAIL: &str = "voicemail/configuration";
/// What is being made, beside what is there. Removed when a start finds it.
const MAKING: &str = "making";

/// Services on a server whose configuration is backed up (BACKUP-1, BACKUP-6). An IP500 V2 has its own configuration only.
pub fn services(profile: Profile, role: ServerRole) -> &'static [Service] {
    use Service::{IpOffice, MediaManager, OneXPortal, ServerSettings, WebCollaboration, WebLicenseManager, WebRtcGateway};
    match (profile, role) {
        (Profile::Ip500V2, ServerRole::ApplicationServer | ServerRole::Ucm) => &[],
        (Profile::Ip500V2, _) => &[IpOffice],
        (Profile::Accs, ServerRole::ApplicationServer | ServerRole::Ucm) => &[ServerSettings],
        (Profile::Accs, _) => &[IpOffice, ServerSettings, WebLicenseManager],
        (Profile::ServerEdition, ServerRole::Primary) => {
            &[IpOffice, ServerSettings, OneXPortal, MediaManager, WebRtcGateway, WebLicenseManager]
        }
        (Profile::ServerEdition, ServerRole::Secondary) => &[IpOffice, ServerSettings, OneXPortal, WebRtcGateway, WebLicenseManager],
        (Profile::ServerEdition, ServerRole::Expansion) => &[IpOffice, ServerSettings],
        (Profile::ServerEdition, ServerRole::ApplicationServer | ServerRole::Ucm) => {
            &[ServerSettings, OneXPortal, MediaManager, WebRtcGateway, WebCollaboration]
        }
    }
}

/// Folder of an element below `content/`. `primary` is the name of the primary.
pub fn home(element: &BackupElement, primary: &str) -> PathBuf {
    match element {
        BackupElement::Configuration(service, server) => server_folder(server.as_str(), server.as_str() == primary).join(service.as_str()),
        BackupElement::VoicemailConfiguration => PathBuf::from(VOICEMAIL),
        BackupElement::CustomPrompts => PathBuf::from(PROMPTS),
        BackupElement::SelectiveVoicemails | BackupElement::AllVoicemails => PathBuf::from(MAILBOXES),
    }
}

fn server_folder(name: &str, is_primary: bool) -> PathBuf {
    let folder = match folder_name::of(name) {
        _ if is_primary => PRIMARY.to_owned(),
        // Another server may have that very name.
        taken if taken == PRIMARY => format!("%70{}", &PRIMARY[1..]),
        free => free,
    };
    Path::new("servers").join(folder)
}

/// Makes what is missing below `content`, and lets `settings.json` say what counts.
///
/// # Errors
/// As the file system says; then what is missing is made the next time.
pub fn ensure(content: &Path, causes: &Causes, configuration: &Configuration) -> io::Result<()> {
    std::fs::create_dir_all(content)?;
    let making = content.join(MAKING);
    remove(&making)?;
    for (place, piece) in pieces(causes) {
        let home = content.join(place);
        if home.exists() {
            continue;
        }
        std::fs::create_dir_all(&making)?;
        make::make(&making, &piece, &causes.content, configuration)?;
        atomic::sync_folder(&making)?;
        atomic::put_in_place(&making, &home)?;
    }
    settings::write(&content.join(settings_home()), configuration)
}

/// A file without which an archive is not one of that element.
pub fn needed_file(element: &BackupElement) -> Option<&'static str> {
    match element {
        BackupElement::Configuration(service, _) => Some(make::service_file_name(*service)),
        BackupElement::VoicemailConfiguration => Some(make::VOICEMAIL_FILE),
        BackupElement::CustomPrompts | BackupElement::SelectiveVoicemails | BackupElement::AllVoicemails => None,
    }
}

/// Folder whose `settings.json` holds the settings that COM may change.
pub fn settings_home() -> PathBuf {
    Path::new("servers").join(PRIMARY).join(Service::IpOffice.as_str())
}

/// Removes a folder, also one that is not there.
///
/// # Errors
/// As the file system says.
pub fn remove(folder: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// A folder to make.
enum Piece {
    /// Configuration of a service. Extensions of the servers follow one another.
    Service {
        service: Service,
        server: u32,
        is_primary: bool,
    },
    Voicemail,
    Prompts,
    Mailboxes,
}

fn pieces(causes: &Causes) -> Vec<(PathBuf, Piece)> {
    let mut pieces = Vec::new();
    let mut add = |name: &str, role: ServerRole, server: u32| {
        let is_primary = role == ServerRole::Primary;
        for service in services(causes.profile, role) {
            let place = server_folder(name, is_primary).join(service.as_str());
            pieces.push((place, Piece::Service { service: *service, server, is_primary }));
        }
    };
    // The primary may go without a name.
    add(PRIMARY, ServerRole::Primary, 0);
    let others = causes.servers.iter().filter(|server| server.role != ServerRole::Primary);
    for (number, server) in (1..).zip(others) {
        add(&server.name, server.role, number);
    }
    if causes.profile == Profile::ServerEdition {
        pieces.extend([(VOICEMAIL.into(), Piece::Voicemail), (PROMPTS.into(), Piece::Prompts), (MAILBOXES.into(), Piece::Mailboxes)]);
    }
    pieces
}

/// Number of the first extension of a server.
fn first_extension(content: &Content, server: u32) -> u32 {
    200 + server * content.extensions
}

#[cfg(test)]
mod tests;
