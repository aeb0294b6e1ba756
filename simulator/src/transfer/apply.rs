//! Taking fetched elements over: unpacked beside what is in use, decided in one write, put in place by the restart that follows.

use std::path::PathBuf;
use std::sync::Arc;

use archive::digest::Hasher;
use archive::element::BackupElement;

use crate::causes::{Reboot, Work};
use crate::disk::content::{self, folder_name};
use crate::disk::space;
use crate::disk::state::Replacement;
use crate::machine::Machine;
use crate::shared::Shared;
use crate::transfer::fetch::{digest_file, on_thread};
use crate::transfer::job::{Outcome, Progress};
use crate::transfer::line::Line;
use crate::transfer::refusal::Refusal;
use crate::transfer::stage::{self, StageError};

/// Folder of what was in use, in that of the operation.
const ASIDE: &str = "aside";
/// Folder of unpacked elements, in that of the operation.
const UNPACKED: &str = crate::machine::UNPACKED;

/// A restore to take over.
#[derive(Debug)]
pub struct Apply {
    /// Id of the operation.
    pub operation: String,
    /// Backup that is restored.
    pub backup_id: String,
    /// Number of the configuration in it.
    pub configuration_revision: u64,
    /// The elements with their archives.
    pub elements: Vec<Staged>,
    /// The disk.
    pub disk: PathBuf,
    /// Folder of all operations.
    pub transfer: PathBuf,
    /// The causes.
    pub line: Arc<Line>,
}

/// A fetched element.
#[derive(Debug, Clone)]
pub struct Staged {
    /// Which.
    pub element: BackupElement,
    /// Its archive.
    pub archive: PathBuf,
    /// Its place below `content/`.
    pub home: PathBuf,
    /// Whether its settings become the configuration.
    pub takes_settings: bool,
}

impl Apply {
    /// Unpacks, decides, and owes the restart that puts it in place.
    ///
    /// # Errors
    /// No room, or an archive that is not what was fetched: what is in use was not touched.
    pub async fn run(self, shared: Shared, progress: Arc<Progress>) -> Outcome {
        let (operation, backup_id, revision) = (self.operation.clone(), self.backup_id.clone(), self.configuration_revision);
        let (line, outage) = (self.line.clone(), self.outage());
        shared.with(move |machine| machine.begin_restore(&operation, &backup_id, revision)).await?;
        match on_thread(move || self.unpack(&progress)).await {
            // The next start, or the end of the operation, takes it back.
            Err(Refusal::CalledOff) => Err(Refusal::CalledOff),
            Err(refusal) => {
                shared.with(|machine| machine.take_restore_back(None)).await?;
                Err(refusal)
            }
            Ok(replacements) => {
                shared.with(move |machine: &mut Machine| machine.decide_restore(replacements)).await?;
                line.owe(outage, true);
                Ok(None)
            }
        }
    }

    fn outage(&self) -> Reboot {
        Reboot { token: self.operation.clone(), outage_seconds: self.line.restore_outage(), for_change: true }
    }

    fn unpack(&self, progress: &Progress) -> Result<Vec<Replacement>, Refusal> {
        let what = "unpacking the restore";
        let of_disk = |error: &std::io::Error| Refusal::of_disk(what, error);
        let own = folder_name::of(&self.operation);
        let unpacked = self.transfer.join(&own).join(UNPACKED);
        content::remove(&unpacked).map_err(|error| of_disk(&error))?;
        content::remove(&self.transfer.join(&own).join(ASIDE)).map_err(|error| of_disk(&error))?;
        let mut total = 0;
        for staged in &self.elements {
            total += std::fs::metadata(&staged.archive).map_err(|error| of_disk(&error))?.len();
        }
        progress.expect(total);
        let missing = space::missing(&self.disk, self.line.faults().disk_megabytes, total).map_err(|error| of_disk(&error))?;
        if missing > 0 {
            return Err(Refusal::DiskFull { what: what.to_owned(), missing });
        }
        let mut replacements = Vec::new();
        for (number, staged) in self.elements.iter().enumerate() {
            confirm(staged)?;
            let into = unpacked.join(number.to_string());
            let goes_on = |bytes| {
                let done = progress.add(bytes);
                !progress.cancel.is_cancelled() && self.line.works(Work::Unpacking, done)
            };
            stage::unpack(&staged.archive, &into, &goes_on).map_err(|error| match error {
                StageError::Io(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Refusal::CalledOff,
                StageError::Io(error) => of_disk(&error),
                StageError::Refused(why) => Refusal::ArchiveRefused { element: staged.element.to_string(), why },
            })?;
            self.replacements_of(number, staged, &own, &mut replacements).map_err(|error| of_disk(&error))?;
        }
        Ok(replacements)
    }

    /// An element takes the place of its folder; selected mailboxes each of their own, so that the others stay.
    fn replacements_of(&self, number: usize, staged: &Staged, own: &str, replacements: &mut Vec<Replacement>) -> std::io::Result<()> {
        let from = format!("{own}/{UNPACKED}/{number}");
        let home = staged.home.to_string_lossy().into_owned();
        if staged.element != BackupElement::SelectiveVoicemails {
            let aside = format!("{own}/{ASIDE}/{number}");
            replacements.push(Replacement { from, aside, to: home, takes_settings: staged.takes_settings });
            return Ok(());
        }
        let mut mailboxes = Vec::new();
        for entry in std::fs::read_dir(self.transfer.join(&from))? {
            mailboxes.extend(entry?.file_name().into_string().ok());
        }
        mailboxes.sort();
        replacements.extend(mailboxes.into_iter().map(|mailbox| Replacement {
            from: format!("{from}/{mailbox}"),
            aside: format!("{own}/{ASIDE}/{number}-{mailbox}"),
            to: format!("{home}/{mailbox}"),
            takes_settings: false,
        }));
        Ok(())
    }
}

/// Whether an archive still has the bytes that were fetched: its name says which.
fn confirm(staged: &Staged) -> Result<(), Refusal> {
    let mut hasher = Hasher::new();
    digest_file(&staged.archive, &mut hasher).map_err(|error| Refusal::of_disk("reading a fetched element", &error))?;
    let found = hasher.finish().0.to_string();
    let name = staged.archive.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    let expected = name.rsplit('-').next().unwrap_or_default().to_owned();
    if found == expected {
        return Ok(());
    }
    let _ = std::fs::remove_file(&staged.archive);
    Err(Refusal::DigestMismatch {
        element: staged.element.to_string(),
        found: format!("SHA-256 {found}"),
        expected: format!("SHA-256 {expected}"),
    })
}
