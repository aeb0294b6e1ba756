//! What backups there are, found from the store alone: listed keys, and the manifests that were read. Objects of Kubernetes may be lost; this
//! still tells what can be restored.
//!
//! 1. [`Listing::add`] every key of the store, or of a system, with its size.
//! 2. Read what [`Listing::to_read`] names.
//! 3. [`Listing::into_catalogue`] with what came back.

use std::collections::BTreeMap;

use jiff::Timestamp;
use model::ids::SystemKey;

use crate::digest::Sha256;
use crate::layout::{BackupId, Folder, Item, KeyError, parse_key};
use crate::manifest::{Manifest, ManifestError};
use crate::retention::Held;
use crate::verification::Soundness;

/// So many keys that are no backup's are named; the others are counted.
pub const MOST_STRANGERS: usize = 100;

/// What came back when an object was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Read {
    /// Its bytes.
    Bytes(Vec<u8>),
    /// It is not there any more.
    Gone,
    /// The store did not give it, for this reason. Nothing is known of it, so nothing is concluded.
    Failed(String),
}

/// What a backup's folder turned out to be.
#[derive(Debug, Clone, PartialEq)]
pub enum State {
    /// A backup that exists: its manifest can be relied on, and the store lists every element with its size.
    Complete {
        /// The manifest.
        manifest: Box<Manifest>,
        /// Whether its bytes are known to be whole.
        soundness: Soundness,
    },
    /// No manifest: an upload that is under way or was broken off. Never a backup.
    Incomplete,
    /// The manifest cannot be relied on, or elements are missing.
    Damaged(Damage),
    /// A newer Switchboard wrote it, and can use it.
    Newer(ManifestError),
    /// The manifest is of another backup: somebody copied it here.
    Foreign(ManifestError),
    /// The manifest is there and could not be read now; look again later.
    Unread(String),
}

/// What is wrong with a backup that has a manifest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// The manifest.
    #[error(transparent)]
    Manifest(ManifestError),
    /// The store lost an element.
    #[error("element {0} is missing in the store; restore another backup, and find out who deletes there")]
    Missing(String),
    /// An element has another size.
    #[error("element {element} has {found} bytes in the store instead of {expected}; restore another backup")]
    Size {
        /// Which.
        element: String,
        /// By the manifest.
        expected: u64,
        /// In the store.
        found: u64,
    },
}

/// One folder of the store.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Where it is.
    pub folder: Folder,
    /// What it is.
    pub state: State,
    /// Whether there is a verification record that could not be read now, or that only a newer Switchboard understands.
    pub verification_unread: bool,
    /// Bytes the store lists in the folder, manifest and strangers included.
    pub stored: u64,
    /// Every key in the folder: all go when the backup goes.
    pub keys: Vec<String>,
}

impl Entry {
    /// The manifest of a complete backup.
    pub fn manifest(&self) -> Option<&Manifest> {
        match &self.state {
            State::Complete { manifest, .. } => Some(manifest),
            State::Incomplete | State::Damaged(_) | State::Newer(_) | State::Foreign(_) | State::Unread(_) => None,
        }
    }
    /// When it began, as far as is known: of a backup without a readable manifest, when it was ordered.
    pub fn time(&self) -> Timestamp {
        self.manifest().map_or_else(|| self.folder.id.created(), |manifest| manifest.started)
    }
    /// The keys in the order to delete them: the manifest first, so that a removal that is cut short leaves no backup that seems to exist.
    pub fn keys_to_remove(&self) -> Vec<&str> {
        let manifest = self.folder.key(&Item::Manifest);
        let (first, rest): (Vec<&str>, Vec<&str>) = self.keys.iter().map(String::as_str).partition(|key| *key == manifest);
        [first, rest].concat()
    }
}

/// Keys that were listed, by folder.
#[derive(Debug, Clone, Default)]
pub struct Listing {
    folders: BTreeMap<Folder, BTreeMap<String, u64>>,
    strangers: Vec<(String, KeyError)>,
    stranger_count: usize,
}

impl Listing {
    /// Nothing listed yet.
    pub fn new() -> Self {
        Self::default()
    }
    /// A key and the size of its object. In any order; a key that a page of the listing repeats counts once.
    pub fn add(&mut self, key: &str, size: u64) {
        match parse_key(key) {
            Ok((folder, _)) => {
                self.folders.entry(folder).or_default().insert(key.to_owned(), size);
            }
            Err(error) => {
                self.stranger_count += 1;
                if self.strangers.len() < MOST_STRANGERS {
                    self.strangers.push((key.chars().take(crate::layout::LONGEST_KEY).collect(), error));
                }
            }
        }
    }
    /// Keys of the manifests and verification records to read now.
    pub fn to_read(&self) -> Vec<String> {
        let both = |folder: &Folder| [folder.key(&Item::Manifest), folder.key(&Item::Verification)];
        let manifests = self.folders.iter().flat_map(|(folder, keys)| both(folder).into_iter().filter(|key| keys.contains_key(key)));
        manifests.collect()
    }
    /// The catalogue, from what was read of [`Listing::to_read`] by key. What was not read at all counts as failed.
    pub fn into_catalogue(self, read: &BTreeMap<String, Read>) -> Catalogue {
        let mut entries: Vec<Entry> = self.folders.into_iter().map(|(folder, keys)| entry(folder, &keys, read)).collect();
        entries.sort_by(|left, right| (right.time(), &right.folder).cmp(&(left.time(), &left.folder)));
        Catalogue { entries, strangers: self.strangers, stranger_count: self.stranger_count }
    }
}

fn entry(folder: Folder, keys: &BTreeMap<String, u64>, read: &BTreeMap<String, Read>) -> Entry {
    let (state, verification) = match state(&folder, keys, read) {
        State::Complete { manifest, .. } => {
            let known = soundness(&folder, keys, read);
            (State::Complete { manifest, soundness: known.clone().unwrap_or(Soundness::Unverified) }, known)
        }
        other => (other, Some(Soundness::Unverified)),
    };
    let stored = keys.values().fold(0, |sum: u64, size| sum.saturating_add(*size));
    Entry { folder, state, verification_unread: verification.is_none(), stored, keys: keys.keys().cloned().collect() }
}

fn state(folder: &Folder, keys: &BTreeMap<String, u64>, read: &BTreeMap<String, Read>) -> State {
    let key = folder.key(&Item::Manifest);
    if !keys.contains_key(&key) {
        return State::Incomplete;
    }
    let bytes = match read.get(&key) {
        Some(Read::Bytes(bytes)) => bytes,
        Some(Read::Gone) => return State::Incomplete,
        Some(Read::Failed(reason)) => return State::Unread(reason.clone()),
        None => return State::Unread("its manifest was not read".to_owned()),
    };
    let manifest = match Manifest::read(bytes, folder) {
        Ok(manifest) => manifest,
        Err(error) if error.is_newer() => return State::Newer(error),
        Err(error @ ManifestError::Foreign { .. }) => return State::Foreign(error),
        Err(error) => return State::Damaged(Damage::Manifest(error)),
    };
    if let Some(damage) = missing(&manifest, keys) {
        return State::Damaged(damage);
    }
    State::Complete { manifest: Box::new(manifest), soundness: Soundness::Unverified }
}

/// What the verification record says; none where there is one that could not be read now.
fn soundness(folder: &Folder, keys: &BTreeMap<String, u64>, read: &BTreeMap<String, Read>) -> Option<Soundness> {
    let key = folder.key(&Item::Verification);
    if !keys.contains_key(&key) {
        return Some(Soundness::Unverified);
    }
    match (read.get(&key), read.get(&folder.key(&Item::Manifest))) {
        (Some(Read::Bytes(record)), Some(Read::Bytes(manifest))) => Soundness::from_record(record, &folder.id, Sha256::of(manifest)),
        (Some(Read::Gone), _) => Some(Soundness::Unverified),
        _ => None,
    }
}

fn missing(manifest: &Manifest, keys: &BTreeMap<String, u64>) -> Option<Damage> {
    manifest.elements.iter().find_map(|element| match keys.get(&element.key) {
        None => Some(Damage::Missing(element.element.to_string())),
        Some(found) if *found != element.size => {
            Some(Damage::Size { element: element.element.to_string(), expected: element.size, found: *found })
        }
        Some(_) => None,
    })
}

/// What backups there are, newest first.
#[derive(Debug, Clone, PartialEq)]
pub struct Catalogue {
    /// Every folder, newest first.
    pub entries: Vec<Entry>,
    /// Keys that are no backup's, with the reason; at most [`MOST_STRANGERS`].
    pub strangers: Vec<(String, KeyError)>,
    /// How many such keys there are.
    pub stranger_count: usize,
}

impl Catalogue {
    /// Folders of one system, newest first.
    pub fn of<'a>(&'a self, system: &SystemKey) -> impl Iterator<Item = &'a Entry> {
        self.entries.iter().filter(move |entry| entry.folder.system == *system)
    }
    /// Without the complete backups that `keep` does not want: a namespace, for example, sees its own only.
    #[must_use]
    pub fn only(mut self, keep: impl Fn(&Manifest) -> bool) -> Self {
        self.entries.retain(|entry| entry.manifest().is_none_or(&keep));
        self
    }
    /// One backup of a system.
    pub fn find(&self, system: &SystemKey, id: &BackupId) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.folder.id == *id && entry.folder.system == *system)
    }
    /// The newest backup of a system that was finished at `instant` or earlier and is not known to be damaged: what "restore the latest before"
    /// means. Backups that could not be read now are passed over; see [`Catalogue::unread`].
    pub fn latest_before(&self, system: &SystemKey, instant: Timestamp) -> Option<&Manifest> {
        let sound = self.of(system).filter(|entry| matches!(&entry.state, State::Complete { soundness, .. } if soundness.is_sound()));
        sound
            .filter_map(Entry::manifest)
            .filter(|manifest| manifest.finished <= instant)
            .max_by_key(|manifest| (manifest.finished, manifest.backup_id.clone()))
    }
    /// Whether something of a system could not be read now, so that an answer about it may change.
    pub fn unread(&self, system: &SystemKey) -> bool {
        self.of(system).any(|entry| entry.verification_unread || matches!(entry.state, State::Unread(_)))
    }
    /// The complete backups of a system, for [`crate::retention::plan`]. None while something could not be read, and then nothing may be removed:
    /// what is not known might be the last good one, or the last verified.
    pub fn held(&self, system: &SystemKey) -> Option<Vec<Held>> {
        if self.unread(system) {
            return None;
        }
        let complete = self.of(system).filter_map(|entry| match &entry.state {
            State::Complete { manifest, soundness } => Some(Held::of(manifest, soundness.clone())),
            State::Incomplete | State::Damaged(_) | State::Newer(_) | State::Foreign(_) | State::Unread(_) => None,
        });
        Some(complete.collect())
    }
}

#[cfg(test)]
mod tests;
