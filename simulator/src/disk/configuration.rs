//! The configuration as files, one a revision. `state.json` decides which one counts; these are what a backup takes.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use crate::disk::atomic;
use crate::disk::state::Configuration;

/// Revisions kept as files.
pub const REVISIONS_KEPT: u64 = 10;

/// Path of a revision.
pub fn path(folder: &Path, revision: u64) -> PathBuf {
    folder.join(format!("{revision:08}.cfg"))
}

/// The configuration as text.
pub fn text(configuration: &Configuration) -> String {
    let word = |on: bool| if on { "on" } else { "off" };
    let mut out = String::new();
    let mut section = |name: &str, settings: &[(&str, &str)]| {
        let _ = writeln!(out, "[{name}]");
        for (key, value) in settings {
            let _ = writeln!(out, "{key} = {value}");
        }
        out.push('\n');
    };
    section(
        "Revision",
        &[
            ("Number", configuration.revision.to_string().as_str()),
            ("Changed", configuration.changed.to_string().as_str()),
            ("By", configuration.changed_by.as_str()),
        ],
    );
    section("System", &[("TimeZone", configuration.time_zone.as_str())]);
    let switches = configuration.remote_operations;
    section(
        "RemoteOperations",
        &[
            ("CentralizedManagement", word(switches.centralized_management)),
            ("CentralizedDiagnosticsLog", word(switches.centralized_diagnostics_log)),
            ("RemoteUpgradeBackup", word(switches.remote_upgrade_backup)),
            ("RemoteAccess", word(switches.remote_access)),
            ("CoLocatedServers", word(switches.co_located_servers)),
        ],
    );
    let voicemail = &configuration.voicemail_backup;
    section(
        "VoicemailBackup",
        &[
            ("Configuration", word(voicemail.configuration)),
            ("CustomPrompts", word(voicemail.custom_prompts)),
            ("SelectiveMailboxes", word(voicemail.selective_mailboxes)),
            ("Mailboxes", voicemail.mailboxes.join(",").as_str()),
        ],
    );
    section(
        "Certificates",
        &[
            ("AutomaticCertificateManagement", word(configuration.certificates.automatic_certificate_management)),
            ("AutomaticPhoneProvisioning", word(configuration.certificates.automatic_phone_provisioning)),
        ],
    );
    out
}

/// Writes a revision. Called before `state.json` names it, so that a revision that counts always has its file.
///
/// # Errors
/// As the file system says.
pub fn write(folder: &Path, configuration: &Configuration) -> io::Result<()> {
    atomic::write(&path(folder, configuration.revision), text(configuration).as_bytes())
}

/// Makes the files fit the revision that counts: writes its file where it is missing or differs, removes newer ones (of a change that was
/// interrupted) and the oldest.
///
/// # Errors
/// As the file system says.
pub fn tidy(folder: &Path, configuration: &Configuration) -> io::Result<()> {
    let current = path(folder, configuration.revision);
    let expected = text(configuration);
    if std::fs::read(&current).ok().as_deref() != Some(expected.as_bytes()) {
        atomic::write(&current, expected.as_bytes())?;
    }
    let oldest = configuration.revision.saturating_sub(REVISIONS_KEPT - 1);
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let revision = path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse::<u64>().ok());
        let keep = path.extension().is_some_and(|extension| extension == "cfg")
            && revision.is_some_and(|revision| (oldest..=configuration.revision).contains(&revision));
        if !keep {
            std::fs::remove_file(&path)?;
        }
    }
    Ok(())
}
