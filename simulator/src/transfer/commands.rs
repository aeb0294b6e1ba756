//! One function a command.

use std::num::NonZeroU64;
use std::sync::Arc;

use archive::digest::Sha256;
use archive::element::{BackupElement, Service};
use protocol::message::{Command, Request};
use protocol::transfer::{
    ElementChanges, MOST_PARTS_DESCRIBED, MOST_PARTS_ORDERED, Output, PackedElement, PartDigest, PartUpload, PresignedRequest,
};

use super::Inner;
use super::apply::{Apply, Staged};
use super::elements::{all_named, named, primary, selected, sources};
use super::fetch::{Fetch, on_thread};
use super::job::Progress;
use super::journal::{Journal, Packed, Packing};
use super::line::Line;
use super::pack::{Load, pack};
use super::refusal::Refusal;
use super::stage::{self, StageError};
use super::store::Dialer;
use super::upload::Upload;
use crate::disk::content;
use crate::disk::space;
use crate::log::Kind;
use crate::machine::Permit;

type Carried = Result<Option<Output>, Refusal>;

impl Inner {
    pub(super) async fn carry_out(&self, request: Request, permit: &Permit) -> Carried {
        let Request { operation, command, .. } = request;
        match command {
            // The machine does this by itself.
            Command::Configure(_) => Err(Refusal::InvalidOrder("settings are no part of a backup or restore".to_owned())),
            Command::PrepareBackup { selections, part_size } => self.prepare(&operation, selections, part_size, permit).await,
            Command::DescribeParts { element, first } => self.describe(&operation, &element, first).await,
            Command::UploadParts { element, parts, authority } => self.upload(&operation, &element, parts, authority, permit).await,
            Command::FetchElement { element, size, sha256, request, authority } => {
                let dialer = Dialer::new(authority, &permit.clock);
                self.fetch(&operation, &element, (size, &sha256), request, dialer, permit).await
            }
            Command::PreviewRestore { elements } => self.preview(&operation, &elements, permit).await,
            Command::ApplyRestore { elements, backup_id, configuration_revision } => {
                self.apply(&operation, &elements, (backup_id, configuration_revision), permit).await
            }
            Command::EndOperation => self.end_operation(&operation).await,
        }
    }

    async fn prepare(&self, operation: &str, selections: Vec<String>, part_size: u64, permit: &Permit) -> Carried {
        let elements = selected(&permit.facts, &selections)?;
        let part_size =
            NonZeroU64::new(part_size).ok_or_else(|| Refusal::InvalidOrder("parts of 0 bytes are none; order larger ones".to_owned()))?;
        self.take_turn(operation).await?;
        let kind = format!("pack {part_size} {selections:?}");
        self.end(|of, other| of == operation && other.starts_with("pack ") && other != kind).await;
        let packing = Packing { operation: operation.to_owned(), selections, part_size: part_size.get(), started: permit.now, elements };
        let (shared, facts) = (self.shared.clone(), permit.facts.clone());
        let place = Place { journal: self.journal(operation), disk: self.disk.clone(), line: self.line.clone() };
        let content = self.content();
        self.ask(operation, &kind, |progress| async move {
            shared.with(|machine| machine.need_content()).await?;
            let loads = packing.elements.iter().map(|element| (element.clone(), sources(&facts, &content, element))).collect();
            let log = shared.clone();
            let packed = on_thread(move || place.pack_or_make_room(packing, loads, &progress)).await?;
            if let Output::Packed { elements, .. } = &packed {
                let bytes: u64 = elements.iter().map(|element| element.size).sum();
                log.line(Kind::Backup, format_args!("{} elements packed, {bytes} bytes", elements.len()));
            }
            Ok(Some(packed))
        })
        .await
    }

    async fn find_packed(&self, operation: &str, element: &str) -> Result<(Packed, std::path::PathBuf), Refusal> {
        let (journal, name) = (self.journal(operation), element.to_owned());
        on_thread(move || {
            let missing = || Refusal::NotPrepared(name.chars().take(120).collect());
            let element: BackupElement = name.parse().map_err(|_| missing())?;
            let found = journal.find_packed(&element).map_err(|error| Refusal::of_disk("looking for a packed element", &error))?;
            found.ok_or_else(missing)
        })
        .await
    }

    async fn describe(&self, operation: &str, element: &str, first: u32) -> Carried {
        let (packed, _) = self.find_packed(operation, element).await?;
        if first == 0 || first as usize > packed.parts.len() {
            return Err(Refusal::InvalidOrder(format!("{element} has the parts 1 to {}, not {first}", packed.parts.len())));
        }
        let parts = packed.parts.iter().skip(first as usize - 1).take(MOST_PARTS_DESCRIBED as usize);
        let parts = parts.map(|part| PartDigest { size: part.size, sha256: part.sha256.to_string() }).collect();
        Ok(Some(Output::Parts { parts }))
    }

    async fn upload(&self, operation: &str, element: &str, parts: Vec<PartUpload>, authority: Option<String>, permit: &Permit) -> Carried {
        let (packed, archive) = self.find_packed(operation, element).await?;
        check_order(element, &packed, &parts)?;
        let key = (operation.to_owned(), element.to_owned());
        let upload = {
            let mut work = self.lock();
            if let Some(other) = work.uploads.get(&key).filter(|upload| !upload.is_of(&packed)) {
                other.end();
                work.uploads.remove(&key);
            }
            // What is done needs no connections any more.
            work.uploads.retain(|other, upload| *other == key || !upload.is_idle());
            let begin = || Upload::new(packed, archive, self.line.clone(), Dialer::new(authority.clone(), &permit.clock), self.patience);
            work.uploads.entry(key).or_insert_with(begin).clone()
        };
        let output = upload.put(&self.tracker, parts, authority, &permit.clock, self.slice).await;
        if let Output::Uploaded { parts, failure } = &output {
            let end = failure.as_ref().map_or_else(String::new, |failure| format!("; then it stopped: {}", failure.message));
            self.shared.line(Kind::Backup, format_args!("{} parts of {element} put into the store{end}", parts.len()));
        }
        Ok(Some(output))
    }

    async fn fetch(
        &self,
        operation: &str,
        element: &str,
        (size, sha256): (u64, &str),
        request: PresignedRequest,
        dialer: Dialer,
        permit: &Permit,
    ) -> Carried {
        let element = named(&permit.facts, element)?;
        if request.method != "GET" {
            return Err(Refusal::InvalidOrder("an element is fetched with GET, with no other method".to_owned()));
        }
        let sha256: Sha256 = sha256.parse().map_err(|error: archive::digest::ParseDigestError| Refusal::InvalidOrder(error.to_string()))?;
        self.take_turn(operation).await?;
        let kind = format!("fetch {element} {size} {sha256}");
        let log = self.shared.clone();
        let fetch = Fetch {
            takes_settings: takes_settings(permit, &element),
            element,
            size,
            sha256,
            request,
            dialer,
            line: self.line.clone(),
            journal: self.journal(operation),
            disk: self.disk.clone(),
            patience: self.patience,
        };
        let text = format!("{} fetched, {size} bytes", fetch.element);
        let output = self.ask(operation, &kind, |progress| fetch.run(progress)).await?;
        match &output {
            Some(Output::Fetched) => log.line(Kind::Backup, text),
            Some(Output::FetchStopped { failure }) => log.line(Kind::Backup, format_args!("fetching stopped: {}", failure.message)),
            _ => {}
        }
        Ok(output)
    }

    /// The fetched elements of an order.
    async fn staged(&self, operation: &str, elements: &[String], permit: &Permit) -> Result<Vec<Staged>, Refusal> {
        let elements = all_named(&permit.facts, elements)?;
        let journal = self.journal(operation);
        let primary = primary(&permit.facts).to_owned();
        let settings: Vec<bool> = elements.iter().map(|element| takes_settings(permit, element)).collect();
        on_thread(move || {
            let staged = elements.into_iter().zip(settings).map(|(element, takes_settings)| {
                let found = journal.find_fetched(&element).map_err(|error| Refusal::of_disk("looking for a fetched element", &error))?;
                let archive = found.ok_or_else(|| Refusal::NotFetched(element.to_string()))?;
                Ok(Staged { home: content::home(&element, &primary), archive, element, takes_settings })
            });
            staged.collect()
        })
        .await
    }

    async fn preview(&self, operation: &str, elements: &[String], permit: &Permit) -> Carried {
        let staged = self.staged(operation, elements, permit).await?;
        let (shared, content) = (self.shared.clone(), self.content());
        self.ask(operation, &format!("preview {elements:?}"), |progress| async move {
            shared.with(|machine| machine.need_content()).await?;
            on_thread(move || {
                let goes_on = |bytes| {
                    progress.add(bytes);
                    !progress.cancel.is_cancelled()
                };
                let compare = |staged: &Staged| {
                    stage::compare(&staged.archive, &staged.element, &content.join(&staged.home), &goes_on).map_err(|error| match error {
                        StageError::Io(_) if progress.cancel.is_cancelled() => Refusal::CalledOff,
                        StageError::Io(error) => Refusal::of_disk("comparing", &error),
                        StageError::Refused(why) => Refusal::ArchiveRefused { element: staged.element.to_string(), why },
                    })
                };
                let elements: Result<Vec<ElementChanges>, Refusal> = staged.iter().map(compare).collect();
                Ok(Some(Output::Preview { elements: elements? }))
            })
            .await
        })
        .await
    }

    async fn apply(&self, operation: &str, elements: &[String], (backup_id, revision): (String, u64), permit: &Permit) -> Carried {
        let own = operation.to_owned();
        if self.shared.with(move |machine| machine.restore_is_certain(&own)).await {
            return Ok(None);
        }
        self.take_turn(operation).await?;
        // Packing would read what is about to be replaced.
        self.end(|of, kind| of == operation && !kind.starts_with("apply")).await;
        let elements = self.staged(operation, elements, permit).await?;
        let apply = Apply {
            operation: operation.to_owned(),
            backup_id,
            configuration_revision: revision,
            elements,
            disk: self.disk.clone(),
            transfer: self.transfer.clone(),
            line: self.line.clone(),
        };
        let shared = self.shared.clone();
        self.ask(operation, "apply", |progress| async move {
            shared.with(|machine| machine.need_content()).await?;
            apply.run(shared, progress).await
        })
        .await
    }

    async fn end_operation(&self, operation: &str) -> Carried {
        let own = operation.to_owned();
        if self.shared.with(move |machine| machine.restore_is_decided(&own)).await {
            return Err(Refusal::RestoreRunning(operation.to_owned()));
        }
        self.end(|of, _| of == operation).await;
        let own = operation.to_owned();
        self.shared
            .with(move |machine| {
                let concerned = machine.state().restoring.as_ref().is_some_and(|restoring| restoring.operation == own);
                if concerned { machine.take_restore_back(Some("the operation was ended; what was there before is kept")) } else { Ok(()) }
            })
            .await?;
        let journal = self.journal(operation);
        on_thread(move || content::remove(journal.folder()).map_err(|error| Refusal::of_disk("removing what is left", &error))).await?;
        Ok(None)
    }

    fn content(&self) -> std::path::PathBuf {
        self.disk.join(crate::disk::CONTENT)
    }
}

/// Whether the settings in an element become the configuration.
fn takes_settings(permit: &Permit, element: &BackupElement) -> bool {
    matches!(element, BackupElement::Configuration(Service::IpOffice, server) if server.as_str() == primary(&permit.facts))
}

fn check_order(element: &str, packed: &Packed, parts: &[PartUpload]) -> Result<(), Refusal> {
    let last = packed.parts.len();
    if parts.is_empty() || parts.len() > MOST_PARTS_ORDERED {
        return Err(Refusal::InvalidOrder(format!("{} parts were ordered; order 1 to {MOST_PARTS_ORDERED}", parts.len())));
    }
    for (index, part) in parts.iter().enumerate() {
        if part.number == 0 || part.number as usize > last {
            return Err(Refusal::InvalidOrder(format!("{element} has the parts 1 to {last}, not {}", part.number)));
        }
        if parts[..index].iter().any(|other| other.number == part.number) {
            return Err(Refusal::InvalidOrder(format!("part {} was ordered twice", part.number)));
        }
        if part.request.method != "PUT" {
            return Err(Refusal::InvalidOrder("a part is put, with no other method".to_owned()));
        }
    }
    Ok(())
}

/// Folders an element is packed from: names in the archive, and on the disk.
type Sources = Vec<(std::path::PathBuf, std::path::PathBuf)>;

/// Where an operation packs.
struct Place {
    journal: Journal,
    disk: std::path::PathBuf,
    line: Arc<Line>,
}

impl Place {
    /// As [`Place::pack_all`]; what did not fit leaves nothing.
    fn pack_or_make_room(&self, order: Packing, sources: Vec<(BackupElement, Sources)>, progress: &Progress) -> Result<Output, Refusal> {
        let packed = self.pack_all(order, sources, progress);
        if matches!(packed, Err(Refusal::DiskFull { .. })) {
            let _ = content::remove(self.journal.folder());
        }
        packed
    }

    /// Packs what is not packed yet.
    fn pack_all(&self, order: Packing, sources: Vec<(BackupElement, Sources)>, progress: &Progress) -> Result<Output, Refusal> {
        let of_disk = |error: std::io::Error| {
            if error.kind() == std::io::ErrorKind::BrokenPipe { Refusal::CalledOff } else { Refusal::of_disk("packing", &error) }
        };
        let same = |known: &Packing| {
            (&known.selections, known.part_size, &known.elements) == (&order.selections, order.part_size, &order.elements)
        };
        let packing = match self.journal.packing().map_err(of_disk)?.filter(same) {
            Some(known) => known,
            None => {
                self.journal.begin_packing(&order).map_err(of_disk)?;
                order
            }
        };
        let part_size = NonZeroU64::new(packing.part_size).ok_or_else(|| Refusal::InvalidOrder("parts of 0 bytes are none".to_owned()))?;
        let mut loads = Vec::new();
        let (mut total, mut need) = (0, 0);
        for (number, (element, sources)) in sources.into_iter().enumerate() {
            let load = Load::of(&sources).map_err(of_disk)?;
            let packed = self.journal.packed(number).map_err(of_disk)?;
            total += load.size();
            need += if packed.is_some() { 0 } else { load.size() };
            loads.push((element, load, packed));
        }
        progress.expect(total);
        let missing = space::missing(&self.disk, self.line.faults().disk_megabytes, need).map_err(of_disk)?;
        if missing > 0 {
            return Err(Refusal::DiskFull { what: "packing the backup".to_owned(), missing });
        }
        let mut elements = Vec::new();
        for (number, (element, load, packed)) in loads.into_iter().enumerate() {
            let packed = match packed {
                Some(packed) => {
                    progress.add(packed.size);
                    packed
                }
                None => {
                    let archive = self.journal.packed_archive(number);
                    let packed = pack(element, &load, part_size, &archive, progress, &self.line).map_err(of_disk)?;
                    self.journal.set_packed(number, &packed).map_err(of_disk)?;
                    packed
                }
            };
            elements.push(PackedElement {
                element: packed.element.to_string(),
                size: packed.size,
                sha256: packed.sha256.to_string(),
                parts: u32::try_from(packed.parts.len()).unwrap_or(u32::MAX),
            });
        }
        Ok(Output::Packed { elements, started: packing.started })
    }
}
