//! Uploads in parts. A part is a file whose name says all of it; completing links the files into an object and copies nothing.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::UNIX_EPOCH;

use super::Store;
use super::bucket::{Bucket, Key};
use super::commit::Condition;
use super::disk;
use super::incoming::Received;
use crate::digest::{Checksum, Md5Digest, etag_of_parts, hex, unhex};
use crate::failure::Failure;
use crate::record::{self, Printed};

/// The highest number of a part, which is S3's.
pub(crate) const MOST_PARTS: u32 = 10_000;
/// Bytes that every part but the last must have, which is S3's.
pub(crate) const SMALLEST_PART: u64 = 5 << 20;

/// A part that was uploaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) size: u64,
    pub(crate) md5: Md5Digest,
    pub(crate) checksum: Option<Checksum>,
    /// Milliseconds since 1970.
    pub(crate) modified: u64,
    /// Of two with one number, the higher counts.
    attempt: u64,
}

impl Part {
    fn file_name(&self, number: u32) -> String {
        let checksum = self.checksum.as_ref().map(|checksum| format!(".{}", checksum.to_file_name())).unwrap_or_default();
        format!("{number:05}.{:08x}.{}{checksum}", self.attempt, hex(&self.md5))
    }

    /// Number, attempt, MD5 and checksum from a file name.
    fn parse(name: &str) -> Option<(u32, u64, Md5Digest, Option<Checksum>)> {
        let mut fields = name.split('.');
        let number = fields.next()?.parse().ok().filter(|number| (1..=MOST_PARTS).contains(number))?;
        let attempt = u64::from_str_radix(fields.next()?, 16).ok()?;
        let md5 = unhex(fields.next()?)?.try_into().ok()?;
        let checksum = fields.next().map(Checksum::from_file_name);
        let whole = fields.next().is_none() && checksum != Some(None);
        whole.then(|| (number, attempt, md5, checksum.flatten()))
    }

    /// The ETag, without quotes.
    pub(crate) fn etag(&self) -> String {
        hex(&self.md5)
    }
}

/// The parts of an upload, until it ends.
#[derive(Debug, Default)]
pub(super) struct Parts {
    pub(super) parts: BTreeMap<u32, Part>,
    pub(super) attempts: u64,
    ended: bool,
}

/// An upload that was begun.
#[derive(Debug)]
pub(crate) struct Upload {
    id: Box<str>,
    folder: PathBuf,
    pub(crate) record: record::Upload,
    parts: Mutex<Parts>,
}

impl Upload {
    pub(super) fn new(id: Box<str>, folder: PathBuf, record: record::Upload, parts: Parts) -> Self {
        Self { id, folder, record, parts: Mutex::new(parts) }
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    fn lock(&self) -> MutexGuard<'_, Parts> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// At most `limit` parts with a higher number than `after`, and whether there are more.
    pub(crate) fn parts(&self, after: u32, limit: usize) -> (Vec<(u32, Part)>, bool) {
        let parts = self.lock();
        let mut rest = parts.parts.range(after.saturating_add(1)..);
        let page = rest.by_ref().take(limit).map(|(number, part)| (*number, part.clone())).collect();
        (page, limit > 0 && rest.next().is_some())
    }

    /// Keeps a part, in place of one with the same number.
    pub(crate) fn add(&self, number: u32, received: Received) -> Result<Part, Failure> {
        let mut parts = self.lock();
        if parts.ended {
            return Err(Failure::NoSuchUpload);
        }
        parts.attempts += 1;
        let part = Part {
            size: received.size,
            md5: received.md5,
            checksum: received.checksums.into_iter().next(),
            modified: record::now(),
            attempt: parts.attempts,
        };
        received.file.move_to(&self.folder.join(part.file_name(number)))?;
        disk::sync_folder(&self.folder)?;
        if let Some(old) = parts.parts.insert(number, part.clone()) {
            // A restart would prefer the higher attempt; what cannot be removed only takes room.
            let _ = fs::remove_file(self.folder.join(old.file_name(number)));
        }
        Ok(part)
    }

    /// Reads what parts are in a folder, and removes attempts that were overtaken.
    pub(super) fn read_parts(folder: &Path) -> Result<Parts, Failure> {
        let failed = |source| Failure::disk(folder, source);
        let mut found = Parts::default();
        for file in fs::read_dir(folder).map_err(failed)? {
            let file = file.map_err(failed)?;
            let Some((number, attempt, md5, checksum)) = file.file_name().to_str().and_then(Part::parse) else { continue };
            let metadata = file.metadata().map_err(failed)?;
            let modified = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
            let part = Part { size: metadata.len(), md5, checksum, modified: modified.as_millis() as u64, attempt };
            found.attempts = found.attempts.max(attempt);
            let overtaken = match found.parts.get(&number) {
                Some(other) if other.attempt > attempt => Some(part),
                _ => found.parts.insert(number, part),
            };
            if let Some(overtaken) = overtaken {
                fs::remove_file(folder.join(overtaken.file_name(number))).map_err(failed)?;
            }
        }
        Ok(found)
    }
}

/// A part as the client lists it to complete an upload.
#[derive(Debug, Clone)]
pub(crate) struct Listed {
    pub(crate) number: u32,
    /// Without quotes.
    pub(crate) etag: Option<String>,
    pub(crate) checksum: Option<Checksum>,
}

/// How an upload is to be completed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Completion {
    pub(crate) parts: Vec<Listed>,
    pub(crate) condition: Condition,
    /// Of the whole, if it was given.
    pub(crate) size: Option<u64>,
    /// Of the whole, if it was given; composite.
    pub(crate) checksum: Option<Printed>,
}

impl Store {
    /// Begins an upload.
    pub(crate) fn begin_upload(&self, bucket: &Bucket, record: record::Upload) -> Result<Arc<Upload>, Failure> {
        self.require_room(0)?;
        // Ids sort by when their uploads began.
        let id: Box<str> = format!("{:012x}-{}", record.initiated, uuid::Uuid::new_v4().simple()).into();
        let staged = self.temporary();
        fs::create_dir(staged.path()).map_err(|source| Failure::disk(staged.path(), source))?;
        disk::write_json(&staged.path().join("upload.json"), &record)?;
        disk::sync_folder(staged.path())?;
        let folder = bucket.uploads_folder().join(&*id);
        staged.move_to(&folder)?;
        disk::sync_folder(&bucket.uploads_folder())?;
        let upload = Arc::new(Upload::new(id, folder, record, Parts::default()));
        bucket.uploads.write().unwrap_or_else(PoisonError::into_inner).insert(upload.place(), Arc::clone(&upload));
        Ok(upload)
    }

    /// Ends an upload without an object.
    pub(crate) fn abort_upload(&self, bucket: &Bucket, key: &str, id: &str) -> Result<(), Failure> {
        let upload = bucket.upload(key, id)?;
        let mut parts = upload.lock();
        if parts.ended {
            return Err(Failure::NoSuchUpload);
        }
        self.end_upload(bucket, &upload, &mut parts)
    }

    /// Makes an object of an upload's parts.
    pub(crate) fn complete_upload(&self, bucket: &Bucket, key: &str, id: &str, wanted: &Completion) -> Result<record::Object, Failure> {
        let upload = match bucket.upload(key, id) {
            Ok(upload) => upload,
            Err(failure) => return self.completed_before(bucket, key, id, wanted).ok_or(failure),
        };
        let mut parts = upload.lock();
        if parts.ended {
            return self.completed_before(bucket, key, id, wanted).ok_or(Failure::NoSuchUpload);
        }
        let record = assemble(&upload, &parts.parts, wanted)?;
        let staged = self.temporary();
        fs::create_dir(staged.path()).map_err(|source| Failure::disk(staged.path(), source))?;
        for part in &record.parts {
            let Some(file) = parts.parts.get(&part.number) else { return Err(Failure::InvalidPart(part.number)) };
            let (from, to) = (upload.folder.join(file.file_name(part.number)), staged.path().join(record::Part::file(part.number)));
            fs::hard_link(&from, &to).map_err(|source| Failure::disk(&from, source))?;
        }
        self.commit(bucket, staged, &record, &wanted.condition)?;
        if let Err(error) = self.end_upload(bucket, &upload, &mut parts) {
            tracing::warn!(%error, "a completed upload cannot be removed and stays listed; abort it");
        }
        Ok(record)
    }

    /// The object of an upload that was completed, when its answer was lost and the client asks again.
    fn completed_before(&self, bucket: &Bucket, key: &str, id: &str, wanted: &Completion) -> Option<record::Object> {
        let record = bucket.open(key).ok()?.record;
        let numbers = record.parts.iter().map(|part| part.number);
        (record.upload.as_deref() == Some(id) && numbers.eq(wanted.parts.iter().map(|part| part.number))).then_some(record)
    }

    /// Moves it to the trash, durably.
    fn end_upload(&self, bucket: &Bucket, upload: &Upload, parts: &mut Parts) -> Result<(), Failure> {
        let place = self.sweeper.place_of_upload(&upload.id);
        fs::rename(&upload.folder, &place).map_err(|source| Failure::disk(&upload.folder, source))?;
        parts.ended = true;
        bucket.uploads.write().unwrap_or_else(PoisonError::into_inner).remove(&upload.place());
        let synced = disk::sync_folder(&bucket.uploads_folder());
        self.sweeper.sweep(place);
        synced
    }
}

impl Upload {
    /// Where it stands among the uploads of its bucket.
    pub(super) fn place(&self) -> (Key, Box<str>) {
        (self.record.key.as_bytes().into(), self.id.clone())
    }
}

impl Bucket {
    /// An upload of a key that was neither completed nor aborted.
    pub(crate) fn upload(&self, key: &str, id: &str) -> Result<Arc<Upload>, Failure> {
        let uploads = self.uploads.read().unwrap_or_else(PoisonError::into_inner);
        uploads.get(&(Key::from(key.as_bytes()), Box::from(id))).cloned().ok_or(Failure::NoSuchUpload)
    }

    /// At most `limit` uploads of keys with a prefix, after a key and an id, and whether there are more.
    pub(crate) fn list_uploads(&self, prefix: &str, after: (&str, &str), limit: usize) -> (Vec<Arc<Upload>>, bool) {
        let uploads = self.uploads.read().unwrap_or_else(PoisonError::into_inner);
        let key = match after {
            (key, _) if key < prefix => prefix.as_bytes().to_vec(),
            // Without an id all uploads of the key were listed.
            (key, "") if !key.is_empty() => [key.as_bytes(), &[0]].concat(),
            (key, _) => key.as_bytes().to_vec(),
        };
        let from = (Key::from(key), Box::from(if after.0 < prefix { "" } else { after.1 }));
        let listed = uploads.range(from.clone()..).filter(|(place, _)| **place != from);
        let mut listed = listed.take_while(|((key, _), _)| key.starts_with(prefix.as_bytes())).map(|(_, upload)| Arc::clone(upload));
        let page = listed.by_ref().take(limit).collect();
        (page, limit > 0 && listed.next().is_some())
    }
}

/// Checks what the client listed against what was uploaded.
fn assemble(upload: &Upload, parts: &BTreeMap<u32, Part>, wanted: &Completion) -> Result<record::Object, Failure> {
    let chosen = choose(parts, &wanted.parts)?;
    let size = chosen.iter().map(|(_, part)| part.size).sum();
    if wanted.size.is_some_and(|wanted| wanted != size) {
        return Err(Failure::InvalidRequest(format!("the parts have {size} bytes together, not what x-amz-mp-object-size says")));
    }
    let checksum = upload.record.algorithm.map(|algorithm| {
        let value = Checksum::composite(algorithm, chosen.iter().filter_map(|(_, part)| part.checksum.as_ref()));
        Printed { algorithm, value }
    });
    if let Some(wanted) = &wanted.checksum {
        // S3 takes it with and without the number of parts.
        let same = |own: &Printed| {
            own.algorithm == wanted.algorithm && (own.value == wanted.value || own.value.split('-').next() == Some(&wanted.value))
        };
        if !checksum.as_ref().is_some_and(same) {
            return Err(Failure::BadDigest(String::from(wanted.algorithm.header())));
        }
    }
    Ok(record::Object {
        form: record::FORM,
        key: upload.record.key.clone(),
        size,
        modified: record::now(),
        etag: etag_of_parts(chosen.iter().map(|(_, part)| &part.md5)),
        headers: upload.record.headers.clone(),
        checksum,
        upload: Some(upload.id.to_string()),
        parts: chosen
            .iter()
            .map(|(number, part)| record::Part { number: *number, size: part.size, checksum: part.checksum.as_ref().map(Printed::from) })
            .collect(),
    })
}

fn choose<'a>(parts: &'a BTreeMap<u32, Part>, listed: &[Listed]) -> Result<Vec<(u32, &'a Part)>, Failure> {
    if listed.is_empty() {
        return Err(Failure::MalformedXml(String::from("list at least one part")));
    }
    let mut chosen: Vec<(u32, &Part)> = Vec::with_capacity(listed.len());
    for wanted in listed {
        if chosen.last().is_some_and(|(number, _)| *number >= wanted.number) {
            return Err(Failure::PartOrder);
        }
        let part = parts.get(&wanted.number).ok_or(Failure::InvalidPart(wanted.number))?;
        let same_etag = wanted.etag.as_ref().is_some_and(|etag| *etag == part.etag());
        let same_checksum = wanted.checksum.is_none() || wanted.checksum == part.checksum;
        if !same_etag || !same_checksum {
            return Err(Failure::InvalidPart(wanted.number));
        }
        chosen.push((wanted.number, part));
    }
    let all_but_last = chosen.iter().take(chosen.len() - 1);
    if let Some((number, part)) = all_but_last.into_iter().find(|(_, part)| part.size < SMALLEST_PART) {
        return Err(Failure::PartTooSmall { number: *number, size: part.size, least: SMALLEST_PART });
    }
    Ok(chosen)
}
