//! `settings.json`: the settings that COM may change, without number and times, so that it compares equal after a restore.

use std::io;
use std::path::Path;

use model::switches::{CertificateSwitches, RemoteOperations, VoicemailBackup};
use serde::{Deserialize, Serialize};

use crate::disk::atomic;
use crate::disk::state::Configuration;

/// Name of the file.
pub const FILE: &str = "settings.json";
/// Largest file that is read, in bytes.
const LARGEST: u64 = 1024 * 1024;

/// Content of the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Settings {
    /// IANA time zone.
    pub time_zone: String,
    /// Remote operations switches.
    pub remote_operations: RemoteOperations,
    /// Voicemail backup options.
    pub voicemail_backup: VoicemailBackup,
    /// Certificate switches.
    pub certificates: CertificateSwitches,
}

impl Settings {
    /// Those of a configuration.
    pub fn of(configuration: &Configuration) -> Self {
        Self {
            time_zone: configuration.time_zone.clone(),
            remote_operations: configuration.remote_operations,
            voicemail_backup: configuration.voicemail_backup.clone(),
            certificates: configuration.certificates,
        }
    }

    /// Puts them into a configuration.
    pub fn apply(self, configuration: &mut Configuration) {
        configuration.time_zone = self.time_zone;
        configuration.remote_operations = self.remote_operations;
        configuration.voicemail_backup = self.voicemail_backup;
        configuration.certificates = self.certificates;
    }

    /// From the bytes of a file.
    ///
    /// # Errors
    /// Says what is wrong.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let settings: Self = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if crate::causes_check::is_time_zone(&settings.time_zone) {
            Ok(settings)
        } else {
            Err(format!("{:?} is no time zone", settings.time_zone))
        }
    }
}

/// The file as text.
pub fn text(configuration: &Configuration) -> String {
    // Nothing in it can fail to be written as JSON.
    let text = serde_json::to_string_pretty(&Settings::of(configuration)).unwrap_or_default();
    text + "\n"
}

/// Reads the file of a folder.
///
/// # Errors
/// It is not there, or is not such a file.
pub fn read(folder: &Path) -> io::Result<Settings> {
    let path = folder.join(FILE);
    if std::fs::metadata(&path)?.len() > LARGEST {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("{FILE} is larger than {LARGEST} bytes")));
    }
    Settings::parse(&std::fs::read(path)?).map_err(|why| io::Error::new(io::ErrorKind::InvalidData, why))
}

/// Makes the file of a folder say what counts; a file that says it already stays untouched.
///
/// # Errors
/// As the file system says.
pub fn write(folder: &Path, configuration: &Configuration) -> io::Result<()> {
    let (path, expected) = (folder.join(FILE), text(configuration));
    if std::fs::read(&path).ok().as_deref() == Some(expected.as_bytes()) {
        return Ok(());
    }
    atomic::write(&path, expected.as_bytes())
}
