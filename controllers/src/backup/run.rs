//! Carries a backup out: the system packs, its parts go into the store by presigned requests, the manifest is written last (promise 2).
//!
//! Everything here may be begun again at any point, also by another process: what the system has packed it does not pack again, what the store
//! has is not uploaded again, and the folder derives from the object's identity.

use std::time::Duration;

use archive::digest::{Composite, PART_SIZE, Part, Sha256};
use archive::element::{BackupElement, Selection, manual_default};
use archive::layout::{Folder, Item};
use archive::manifest::{Element, Manifest};
use crds::Backup;
use crds::backup::StoredElement;
use object_client::{StoreError, Upload, UploadedPart, Written};
use protocol::link::Done;
use protocol::message::Command;
use protocol::transfer::{MOST_PARTS_ORDERED, Output, PackedElement, PartUpload, StoreFailure};

use super::manifest;
use super::plan::Report;
use crate::action::reach::{Reach, Stop};

/// How long a presigned request is good for: a batch of parts on a slow line.
const PRESIGNED_FOR: Duration = Duration::from_secs(3600);

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

fn unexpected(command: &str, done: &Done) -> Stop {
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
            upload(reach, &described, &packed.element).await?;
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

/// What came of ordering the parts that were missing.
struct Round {
    /// Parts that the store had before.
    had: usize,
    /// Why the system stopped, where it did.
    failure: Option<StoreFailure>,
}

/// Has the system put what is missing until the store lists all of it: that it took the parts is only said by the system.
async fn upload(reach: &Reach, element: &Element, name: &str) -> Result<(), Stop> {
    let (mut upload, mut own) = open(reach, element).await?;
    let (mut tries, mut last) = (0, None);
    loop {
        let there = reach.store(|client| uploaded(client, upload.clone())).await?;
        let there =
            there.ok_or_else(|| Stop::again("UploadMissing", format!("somebody ended the upload of {}; it is begun again", upload.key)))?;
        if !own && there.iter().any(|part| part.sha256.is_none()) {
            // The store lists no digests: what an earlier run put may be of another packing.
            own = true;
            upload = replace(reach, &upload, element).await?;
            continue;
        }
        let good: Vec<UploadedPart> = there.into_iter().filter_map(|part| as_described(part, element)).collect();
        let missing: Vec<u32> = (1..=u32::try_from(element.parts.len()).unwrap_or(u32::MAX))
            .filter(|number| !good.iter().any(|part| part.number == *number))
            .collect();
        if missing.is_empty() {
            reach.moved();
            return finish(reach, &upload, good).await;
        }
        if let Some(Round { had, failure }) = last {
            let got_on = good.len() > had;
            if got_on {
                reach.moved();
            }
            tries = if got_on { 0 } else { tries + 1 };
            if let Some(failure) = failure.or_else(|| (!got_on).then(not_there)) {
                reach.store_failed(tries, &failure).await?;
            }
        }
        last = Some(Round { had: good.len(), failure: put_all(reach, &upload, element, name, &missing).await? });
    }
}

fn not_there() -> StoreFailure {
    let message = "it put parts that the store does not list; they are put again".to_owned();
    StoreFailure { status: Some(200), code: String::new(), message }
}

/// Has the system put these parts, as many at a time as fit an order, until one of them does not get there.
async fn put_all(reach: &Reach, upload: &Upload, element: &Element, name: &str, missing: &[u32]) -> Result<Option<StoreFailure>, Stop> {
    for batch in missing.chunks(MOST_PARTS_ORDERED) {
        let (done, failure) = put(reach, upload, element, name, batch).await?;
        if failure.is_some() || done < batch.len() {
            return Ok(failure);
        }
    }
    Ok(None)
}

/// The parts that are in the store; none where the store does not know the upload any more.
async fn uploaded(client: object_client::ObjectClient, upload: Upload) -> Result<Option<Vec<UploadedPart>>, StoreError> {
    match client.uploaded_parts(&upload).await {
        Err(StoreError::NoUpload(_)) => Ok(None),
        other => other.map(Some),
    }
}

/// The part, if it is the one that was described; with its digest, which some stores list nowhere and yet want to be told at the end.
fn as_described(part: UploadedPart, element: &Element) -> Option<UploadedPart> {
    let described = part.number.checked_sub(1).and_then(|at| element.parts.get(at as usize))?;
    let same = described.size == part.size && part.sha256.is_none_or(|sha256| sha256 == described.sha256);
    same.then_some(UploadedPart { sha256: Some(described.sha256), ..part })
}

/// The unfinished upload of this element, or a new one; and whether it is new. Of several the newest goes on.
async fn open(reach: &Reach, element: &Element) -> Result<(Upload, bool), Stop> {
    reach
        .store(|client| async move {
            let mut found = client.find_uploads(&element.key).await?;
            found.retain(|upload| upload.key == element.key);
            let newest = found.pop();
            for older in found {
                client.abort_upload(&older).await?;
            }
            match newest {
                Some(upload) => Ok((upload, false)),
                None => Ok((client.begin_upload(&element.key, Some(&element.sha256)).await?, true)),
            }
        })
        .await
}

/// Puts a new upload in the place of one.
async fn replace(reach: &Reach, upload: &Upload, element: &Element) -> Result<Upload, Stop> {
    reach
        .store(|client| async move {
            client.abort_upload(upload).await?;
            client.begin_upload(&element.key, Some(&element.sha256)).await
        })
        .await
}

/// Has the system put these parts. Says how many it put, and why it stopped before all were.
async fn put(
    reach: &Reach,
    upload: &Upload,
    element: &Element,
    name: &str,
    numbers: &[u32],
) -> Result<(usize, Option<StoreFailure>), Stop> {
    let orders = reach
        .store(|client| {
            let upload = upload.clone();
            async move {
                let mut orders = Vec::with_capacity(numbers.len());
                for number in numbers {
                    let part = element.parts[*number as usize - 1];
                    let request = client.presign_part(&upload, *number, &part, PRESIGNED_FOR).await?;
                    orders.push(PartUpload { number: *number, request });
                }
                Ok((orders, client.options().authority.clone()))
            }
        })
        .await?;
    let (parts, authority) = orders;
    let done = reach.ask(Command::UploadParts { element: name.to_owned(), parts, authority }).await?;
    let Some(Output::Uploaded { parts, failure }) = &done.output else { return Err(unexpected("uploadParts", &done)) };
    Ok((parts.len(), failure.clone()))
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

async fn finish(reach: &Reach, upload: &Upload, mut parts: Vec<UploadedPart>) -> Result<(), Stop> {
    parts.sort_by_key(|part| part.number);
    reach
        .store(|client| {
            let (upload, parts) = (upload.clone(), parts.clone());
            async move {
                match client.finish_upload(&upload, &parts).await {
                    // Finished by a try whose answer was lost; what is there is confirmed by the caller.
                    Err(StoreError::NoUpload(_)) => Ok(()),
                    other => other,
                }
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

/// What the system and, where the backup failed, the store still hold of it is removed. One try: what stays costs room and nothing else.
pub async fn tidy(order: &Order, reach: &Reach, failed: bool) {
    let ended = reach.link.request(&reach.key, &reach.operation, Command::EndOperation).await;
    if let Err(error) = ended {
        tracing::info!(system = reach.system.1, %error, "the system was not told that the backup has ended; it drops what it packed at the next one");
    }
    if failed
        && let Ok(client) = reach.clients.get(&reach.store)
        && let Err(error) = remove(&client, &order.folder, true).await
    {
        tracing::info!(folder = order.folder.prefix(), %error, "parts of a backup that failed stay in the store for now");
    }
}

/// Removes a folder, the manifest first, and its unfinished uploads. With `unless_complete` a backup that has a manifest stays.
///
/// # Errors
/// The store's.
pub async fn remove(client: &object_client::ObjectClient, folder: &Folder, unless_complete: bool) -> Result<(), StoreError> {
    let (prefix, manifest) = (folder.prefix(), folder.key(&Item::Manifest));
    let mut keys = Vec::new();
    client.list(&prefix, |key, _| keys.push(key.to_owned())).await?;
    if unless_complete && keys.contains(&manifest) {
        return Ok(());
    }
    keys.sort_by_key(|key| *key != manifest);
    client.delete(&keys).await?;
    for upload in client.find_uploads(&prefix).await? {
        client.abort_upload(&upload).await?;
    }
    Ok(())
}

/// Keeps what retention says of the system's backups, and removes the rest (BACKUP-1, promise 3). Returns what was removed.
///
/// # Errors
/// The store's; nothing is removed that was not listed and read in the same look.
pub async fn retain(client: &object_client::ObjectClient, folder: &Folder, namespace: &str, zone: &str) -> Result<Vec<String>, StoreError> {
    let catalogue = object_client::catalogue(client, &archive::layout::system_prefix(&folder.system)).await?;
    // A namespace is one tenancy: who takes the ids of a system that is gone does not rule its backups.
    let catalogue = catalogue.only(|manifest| manifest.ip_office.namespace == namespace);
    let Some(held) = catalogue.held(&folder.system) else { return Ok(Vec::new()) };
    let zone = jiff::tz::TimeZone::get(zone).unwrap_or(jiff::tz::TimeZone::UTC);
    let plan = archive::retention::plan(&held, jiff::Timestamp::now(), &zone);
    let mut removed = Vec::new();
    for (id, why) in plan.removed() {
        let Some(entry) = catalogue.find(&folder.system, id) else { continue };
        let keys: Vec<String> = entry.keys_to_remove().into_iter().map(str::to_owned).collect();
        client.delete(&keys).await?;
        removed.push(format!("{id}: {why}"));
    }
    Ok(removed)
}
