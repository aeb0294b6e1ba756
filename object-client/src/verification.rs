//! Reading a backup again: every byte of every element, against sizes and digests of the manifest, and as the archive it should be. Memory does not
//! depend on how large the backup is.
//!
//! A store that cannot be read is an error and says nothing about the backup. What was read and differs is read a second time before it counts: only
//! a store that gives the same wrong bytes twice has a damaged backup.

use archive::digest::{Hasher, Sha256};
use archive::layout::{Folder, Item};
use archive::manifest::{self, Element, Manifest, ManifestError};
use archive::unpack::Limits;
use archive::verification::{Method, Outcome, Record, SCHEMA_VERSION};
use bytes::Bytes;
use jiff::Timestamp;

use crate::client::ObjectClient;
use crate::error::StoreError;
use crate::reader::ObjectReader;
use crate::unpacking::Unpacking;

/// So many damaged parts of an element are named; the others are counted.
const MOST_NAMED: usize = 5;

/// Why nothing was found out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It was removed meanwhile, or never was one.
    #[error("there is no backup {0} with a manifest; it was removed, or its upload never ended")]
    NoBackup(String),
    /// Its manifest does not tell what should be there.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The store does not have an element, which it does not list either: the catalogue says so without a record.
    #[error("element {0} is missing in the store; restore another backup, and find out who deletes there")]
    Missing(String),
}

/// What reading a backup has shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verification {
    /// Which backup.
    pub folder: Folder,
    /// Digest of the manifest's bytes.
    pub manifest_sha256: Sha256,
    /// What was found.
    pub outcome: Outcome,
    /// Bytes that were read.
    pub bytes: u64,
}

impl Verification {
    /// The record to keep beside the manifest.
    pub fn record(&self, time: Timestamp) -> Record {
        Record {
            schema_version: SCHEMA_VERSION,
            backup_id: self.folder.id.clone(),
            manifest_sha256: self.manifest_sha256,
            time,
            method: Method::Reading,
            outcome: self.outcome.clone(),
        }
    }
}

/// Reads a backup again. Writes nothing; [`keep`] does.
pub async fn verify(client: &ObjectClient, folder: &Folder) -> Result<Verification, VerifyError> {
    let bytes = client.read(&folder.key(&Item::Manifest), manifest::LARGEST).await?;
    let bytes = bytes.ok_or_else(|| VerifyError::NoBackup(folder.id.to_string()))?;
    let manifest = Manifest::read(&bytes, folder)?;
    let (mut damages, mut read) = (Vec::new(), 0);
    for element in &manifest.elements {
        let found = twice(client, folder, element).await?;
        read += found.read;
        damages.extend(found.damage.map(|damage| format!("{}: {damage}", element.element)));
    }
    let outcome = if damages.is_empty() { Outcome::Verified } else { Outcome::Damaged { reason: damages.join("; ") } };
    Ok(Verification { folder: folder.clone(), manifest_sha256: Sha256::of(&bytes), outcome, bytes: read })
}

/// Writes the record of a verification beside the manifest, unless the backup was removed meanwhile.
pub async fn keep(client: &ObjectClient, verification: &Verification, time: Timestamp) -> Result<(), VerifyError> {
    let folder = &verification.folder;
    if client.stored(&folder.key(&Item::Manifest)).await?.is_none() {
        return Err(VerifyError::NoBackup(folder.id.to_string()));
    }
    Ok(client.write(&folder.key(&Item::Verification), verification.record(time).write()).await?)
}

/// What one reading of an element has shown.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    /// What differs; none where nothing does.
    damage: Option<String>,
    read: u64,
}

async fn twice(client: &ObjectClient, folder: &Folder, element: &Element) -> Result<Found, VerifyError> {
    let first = once(client, folder, element).await?;
    if first.damage.is_none() {
        return Ok(first);
    }
    let second = once(client, folder, element).await?;
    if first.damage != second.damage {
        let text = format!("{} was read twice with different bytes; nothing is concluded from that", element.key);
        return Err(StoreError::Unusable(text).into());
    }
    Ok(Found { damage: second.damage, read: first.read + second.read })
}

async fn once(client: &ObjectClient, folder: &Folder, element: &Element) -> Result<Found, VerifyError> {
    let Some(reader) = client.open(&element.key).await? else {
        // On removal the manifest goes first.
        return match client.stored(&folder.key(&Item::Manifest)).await? {
            Some(_) => Err(VerifyError::Missing(element.element.to_string())),
            None => Err(VerifyError::NoBackup(folder.id.to_string())),
        };
    };
    if reader.size() != element.size {
        let damage = format!("the store has {} bytes instead of {}", reader.size(), element.size);
        return Ok(Found { damage: Some(damage), read: 0 });
    }
    read(reader, element).await
}

async fn read(mut reader: ObjectReader, element: &Element) -> Result<Found, VerifyError> {
    let unpacking = Unpacking::new(Limits::default());
    let mut whole = Hasher::new();
    let mut parts = Parts::new(element);
    while let Some(bytes) = reader.next().await? {
        whole.update(&bytes);
        parts.update(&bytes);
        unpacking.data(bytes).await;
    }
    let damaged = parts.finish();
    let (digest, read) = whole.finish();
    let unfit = unpacking.finish().await.err();
    let damage = if !damaged.is_empty() {
        Some(name_parts(element, &damaged))
    } else if digest != element.sha256 {
        Some("all parts are as they should be and the whole is not, so the manifest contradicts itself".to_owned())
    } else {
        // What is digested rightly and cannot be unpacked was packed so.
        unfit.map(|unfit| format!("its bytes are those that were backed up, and cannot be restored: {unfit}"))
    };
    Ok(Found { damage, read })
}

fn name_parts(element: &Element, damaged: &[usize]) -> String {
    let named: Vec<String> = damaged.iter().take(MOST_NAMED).map(|index| (index + 1).to_string()).collect();
    let more = damaged.len().saturating_sub(MOST_NAMED);
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    let (parts, differ) = if damaged.len() == 1 { ("part", "differs") } else { ("parts", "differ") };
    format!("{parts} {}{more} of {} {differ} from what was backed up", named.join(", "), element.parts.len())
}

/// The digests of an element's parts as its bytes come.
struct Parts<'a> {
    element: &'a Element,
    index: usize,
    hasher: Hasher,
    /// Bytes of the current part that are still to come.
    left: u64,
    damaged: Vec<usize>,
}

impl<'a> Parts<'a> {
    fn new(element: &'a Element) -> Self {
        let left = element.parts.first().map_or(0, |part| part.size);
        Self { element, index: 0, hasher: Hasher::new(), left, damaged: Vec::new() }
    }
    fn update(&mut self, bytes: &Bytes) {
        let mut bytes = &bytes[..];
        while !bytes.is_empty() && self.index < self.element.parts.len() {
            let length = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len());
            let (now, later) = bytes.split_at(length);
            self.hasher.update(now);
            self.left -= now.len() as u64;
            bytes = later;
            if self.left == 0 {
                self.end();
            }
        }
    }
    fn end(&mut self) {
        let (digest, size) = std::mem::take(&mut self.hasher).finish();
        let expected = self.element.parts.get(self.index);
        if expected.is_some_and(|part| part.sha256 != digest || part.size != size) {
            self.damaged.push(self.index);
        }
        self.index += 1;
        self.left = self.element.parts.get(self.index).map_or(0, |part| part.size);
    }
    /// Indices of the parts that differ, those without bytes included.
    fn finish(mut self) -> Vec<usize> {
        while self.index < self.element.parts.len() {
            self.end();
        }
        self.damaged
    }
}
