//! Carries a backup out: the system packs, its parts go into the store by presigned requests, the manifest is written last (promise 2).
//!
//! Everything here may be begun again at any point, also by another process: what the system has packed it does not pack again, what the store
//! has is not uploaded again, and the folder derives from the object's identity.

use archive::digest::{Composite, PART_SIZE, Part, Sha256};
use archive::element::{BackupElement, Selection, manual_default};
use archive::layout::{Folder, Item};
use archive::manifest::{Element, Manifest};
use crds::Backup;
use crds::backup::StoredElement;
use object_client::{StoreError, Written};
use protocol::link::Done;
use protocol::message::Command;
use protocol::transfer::{Output, PackedElement};

use super::manifest;
use super::plan::Report;
use crate::action::reach::{Reach, Stop};

/// What the order is.
pub struct Order {
    /// The object when its turn came.
    pub backup: Backup,
    /// Where the backup goes.
    pub folder: Folder,
    /// UID of the IPOffice.
    pub system_uid: String,
}

/// Does all of it. `progress` is told what people want to read.
///
/// # Errors
/// Why it ended before it was done.
pub async fn carry_out(order: &Order, reach: &Reach, progress: impl Fn(String)) -> Result<Report, Stop> {
    if let Some(manifest) = present(order, reach).await? {
        let confirmed = confirmed(confirm_all(&manifest, reach).await?);
        return Ok(report(&manifest, confirmed));
    }
    let packed = pack(order, reach).await?;
    let (mut elements, mut all_confirmed) = (Vec::new(), true);
    for (at, element) in packed.elements.iter().enumerate() {
        progress(format!("{at} of {} elements", packed.elements.len()));
        let (stored, confirmed) = store(order, reach, at, element).await?;
        all_confirmed &= confirmed;
        elements.push(stored);
    }
    progress(format!("{0} of {0} elements", elements.len()));
    end_uploads(order, reach).await?;
    let facts = reach.session("SystemNotConnected", "the system is away", |view| Some(view.facts.clone())).await?;
    let manifest = manifest::manifest(order, &facts, packed.configuration_revision, elements);
    write(&manifest, reach).await?;
    Ok(report(&manifest, confirmed(all_confirmed)))
}

/// What the store confirmed, for people.
fn confirmed(digests_too: bool) -> &'static str {
    if digests_too {
        "the store confirmed the sizes of its elements and the SHA-256 of their parts"
    } else {
        "the store confirmed the sizes of its elements; it keeps no SHA-256 of its own, so read it again with switchboard verify"
    }
}

fn report(manifest: &Manifest, confirmed: &str) -> Report {
    let element = |element: &Element| StoredElement {
        element: element.element.to_string(),
        size: i64::try_from(element.size).unwrap_or(i64::MAX),
        sha256: element.sha256.to_string(),
    };
    Report {
        elements: manifest.elements.iter().map(element).collect(),
        size: manifest.totals.size,
        configuration_revision: manifest.configuration_revision,
        confirmed: confirmed.to_owned(),
    }
}

/// The manifest, where the backup is complete already: the process ended between its last two steps.
async fn present(order: &Order, reach: &Reach) -> Result<Option<Manifest>, Stop> {
    let key = order.folder.key(&Item::Manifest);
    let bytes = reach.store(|client| read(client, key.clone())).await?;
    let Some(bytes) = bytes else { return Ok(None) };
    match Manifest::read(&bytes, &order.folder) {
        Ok(manifest) => Ok(Some(manifest)),
        Err(error) => {
            Err(Stop::failed("ForeignManifest", format!("where the manifest of this backup belongs something else lies: {error}")))
        }
    }
}

/// Every element once more: the manifest was written by a process that is gone, and what it saw was never reported. Also says whether the store
/// confirmed their digests.
async fn confirm_all(manifest: &Manifest, reach: &Reach) -> Result<bool, Stop> {
    let mut digests_too = true;
    for element in &manifest.elements {
        let confirmed = confirm(reach, element).await?;
        digests_too &= confirmed.ok_or_else(|| {
            let message = format!("the manifest was written, but {} is not in the store as it says; order another backup", element.key);
            Stop::failed("BackupDamaged", message)
        })?;
    }
    Ok(digests_too)
}

async fn read(client: object_client::ObjectClient, key: String) -> Result<Option<Vec<u8>>, StoreError> {
    client.read(&key, archive::manifest::LARGEST).await
}

struct Packed {
    elements: Vec<PackedElement>,
    configuration_revision: u64,
}

async fn pack(order: &Order, reach: &Reach) -> Result<Packed, Stop> {
    let mut selections: Vec<String> = order.backup.spec.elements.clone();
    if selections.is_empty() {
        let profile = reach.session("SystemNotConnected", "the system is away", |view| Some(view.facts.profile)).await?;
        selections = manual_default(profile).iter().map(Selection::to_string).collect();
    }
    let command = Command::PrepareBackup { selections, part_size: PART_SIZE.get() };
    match reach.ask(command).await? {
        Done { output: Some(Output::Packed { elements, .. }), configuration_revision } if !elements.is_empty() => {
            Ok(Packed { elements, configuration_revision })
        }
        Done { output: Some(Output::Packed { .. }), .. } => {
            Err(Stop::failed("NothingToBackUp", "the system has nothing of what was ordered; correct spec.elements in another Backup"))
        }
        other => Err(unexpected("prepareBackup", &other)),
    }
}

pub(super) fn unexpected(command: &str, done: &Done) -> Stop {
    Stop::failed(
        "UnexpectedAnswer",
        format!("the system answered {command} with {:?}; its software does not fit this Switchboard", done.output),
    )
}

/// Puts one element into the store. Also says whether the store confirmed the digests of its parts.
async fn store(order: &Order, reach: &Reach, at: usize, packed: &PackedElement) -> Result<(Element, bool), Stop> {
    let wrong = |why: &str| Stop::failed("UnexpectedAnswer", format!("the system described the element {} wrongly: {why}", packed.element));
    let element: BackupElement = packed.element.parse().map_err(|error: archive::element::ParseElementError| wrong(&error.to_string()))?;
    let sha256: Sha256 = packed.sha256.parse().map_err(|_| wrong("its digest is none"))?;
    let number = u16::try_from(at + 1).map_err(|_| wrong("there are too many elements"))?;
    let key = order.folder.key(&Item::Element(number, element.kind()));
    let parts = describe(reach, packed).await?;
    let size = parts.iter().try_fold(0_u64, |sum, part| sum.checked_add(part.size));
    if size != Some(packed.size) || (parts.len() == 1 && parts[0].sha256 != sha256) {
        return Err(wrong("its parts are not the whole"));
    }
    let described = Element { element, key: key.clone(), size: packed.size, sha256, parts };
    let confirmed = match confirm(reach, &described).await? {
        Some(confirmed) => confirmed,
        None => {
            super::upload::upload(reach, &described, &packed.element).await?;
            let confirmed = confirm(reach, &described).await?;
            confirmed.ok_or_else(|| {
                Stop::again("ObjectNotStored", format!("the store took {key} and then did not have it; it is uploaded again"))
            })?
        }
    };
    Ok((described, confirmed))
}

/// The digests of all parts, in as many answers as it takes.
async fn describe(reach: &Reach, packed: &PackedElement) -> Result<Vec<Part>, Stop> {
    let count = packed.parts as usize;
    let mut parts: Vec<Part> = Vec::with_capacity(count.min(archive::digest::MOST_PARTS));
    while parts.len() < count && count <= archive::digest::MOST_PARTS {
        let first = u32::try_from(parts.len() + 1).unwrap_or(u32::MAX);
        let done = reach.ask(Command::DescribeParts { element: packed.element.clone(), first }).await?;
        let Some(Output::Parts { parts: more }) = &done.output else { return Err(unexpected("describeParts", &done)) };
        if more.is_empty() {
            break;
        }
        for part in more {
            let sha256 = part.sha256.parse().map_err(|_| unexpected("describeParts", &done))?;
            parts.push(Part { size: part.size, sha256 });
        }
    }
    if parts.len() == count {
        Ok(parts)
    } else {
        Err(Stop::failed("UnexpectedAnswer", format!("{} of {count} parts were described", parts.len())))
    }
}

/// Whether the element is in the store as it should be; `Some(false)` where the store confirms no digests.
async fn confirm(reach: &Reach, element: &Element) -> Result<Option<bool>, Stop> {
    let key = &element.key;
    let stored = reach.store(|client| {
        let key = key.clone();
        async move { client.stored(&key).await }
    });
    let Some(stored) = stored.await?.filter(|stored| stored.size == element.size) else { return Ok(None) };
    let whole = Composite::of(element.parts.iter().map(|part| &part.sha256));
    Ok(match (stored.checksum, stored.digest) {
        (Some(printed), _) => whole.confirmed_by(&printed).then_some(true),
        // What the upload was begun for is not what the store computed; but of another packing it is not.
        (None, Some(digest)) => (digest == element.sha256).then_some(false),
        (None, None) => None,
    })
}

/// Ends uploads that nobody finishes: where the answer to a beginning was lost there are two of one element. They cost room for ever, and nobody
/// sees them.
async fn end_uploads(order: &Order, reach: &Reach) -> Result<(), Stop> {
    let prefix = order.folder.prefix();
    reach
        .store(|client| {
            let prefix = prefix.clone();
            async move {
                for upload in client.find_uploads(&prefix).await? {
                    client.abort_upload(&upload).await?;
                }
                Ok(())
            }
        })
        .await
}

async fn write(manifest: &Manifest, reach: &Reach) -> Result<(), Stop> {
    let bytes = manifest.write().map_err(|error| Stop::failed("InvalidManifest", error.to_string()))?;
    let key = manifest.folder().key(&Item::Manifest);
    let written = reach
        .store(|client| {
            let (key, bytes) = (key.clone(), bytes.clone());
            async move { client.write_new(&key, bytes).await }
        })
        .await?;
    match written {
        Written::New | Written::SameThere => Ok(()),
        // A manifest of another try of this very backup: the next look reads it.
        Written::OtherThere => Err(Stop::again("ManifestThere", "the manifest of this backup was written meanwhile")),
    }
}
