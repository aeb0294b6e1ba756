//! Whether a manifest agrees with itself. A restore relies on every number here, so nothing is taken on trust: a manifest may have been damaged,
//! or written by somebody who wants another file to be read.

use std::collections::HashSet;

use super::{Element, LARGEST_ELEMENT, MOST_ELEMENTS, MOST_PARTS, Manifest, SCHEMA_VERSION, Totals};
use crate::layout::{Folder, Item, KeyError, parse_key};

/// After so many faults the rest is not looked for.
const MOST_FAULTS: usize = 20;
/// Most servers of a system.
const MOST_SERVERS: usize = 1000;

/// Where a manifest contradicts itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Found when writing only; see [`super::ManifestError::Future`] for reading.
    #[error("schemaVersion is {0}, and manifests are written with {SCHEMA_VERSION}")]
    Version(u32),
    /// Times in the wrong order.
    #[error("finished lies before started")]
    FinishedBeforeStarted,
    /// The id is not the one that the object's UID gives.
    #[error("backupId is not that of a Backup object with the UID in backup.uid")]
    IdOfAnotherObject,
    /// A text that is empty where it must not be, too long, or has control characters.
    #[error("{0} is empty, longer than {1} bytes, or has control characters")]
    Text(&'static str, usize),
    /// Nothing in it, or too much.
    #[error("there are {0} elements; a backup has 1 to {MOST_ELEMENTS}")]
    ElementCount(usize),
    /// Too many servers.
    #[error("there are {0} servers; a system has at most {MOST_SERVERS}")]
    ServerCount(usize),
    /// An element that is there twice.
    #[error("element {0} is there twice")]
    ElementTwice(String),
    /// Two elements in one object.
    #[error("the key of element {0} is that of another element too")]
    KeyTwice(String),
    /// A key that is none.
    #[error("element {0}: {1}")]
    Key(String, KeyError),
    /// A key of another backup.
    #[error("the key of element {0} leads out of the backup's own folder")]
    KeyOutside(String),
    /// A key that an element of this sort cannot have.
    #[error("the key of element {0} is not one of an element of its sort")]
    KeyOfOtherKind(String),
    /// Too many bytes.
    #[error("element {0} has more than {LARGEST_ELEMENT} bytes")]
    TooLarge(String),
    /// No parts, or too many.
    #[error("element {0} has {1} parts; it should have 1 to {MOST_PARTS}")]
    PartCount(String, usize),
    /// A part without bytes.
    #[error("part {1} of element {0} is empty")]
    EmptyPart(String, usize),
    /// The parts are not the whole.
    #[error("the parts of element {0} do not add up to its size")]
    PartSum(String),
    /// One part is the whole, so both digests must be one.
    #[error("element {0} has one part, with another digest than its own")]
    PartDigest(String),
    /// The totals are not those of the elements.
    #[error("totals are not the sums over the elements")]
    Totals,
}

/// Every fault, up to a bound; empty where there is none.
pub(super) fn faults(manifest: &Manifest) -> Vec<Fault> {
    let mut faults = texts(manifest);
    if manifest.schema_version != SCHEMA_VERSION {
        faults.push(Fault::Version(manifest.schema_version));
    }
    if manifest.finished < manifest.started {
        faults.push(Fault::FinishedBeforeStarted);
    }
    if !manifest.backup_id.is_of(&manifest.backup.uid) {
        faults.push(Fault::IdOfAnotherObject);
    }
    if manifest.servers.len() > MOST_SERVERS {
        faults.push(Fault::ServerCount(manifest.servers.len()));
    }
    let count = manifest.elements.len();
    if count == 0 || count > usize::from(MOST_ELEMENTS) {
        faults.push(Fault::ElementCount(count));
        return faults;
    }
    if manifest.totals != Totals::of(&manifest.elements) {
        faults.push(Fault::Totals);
    }
    let folder = manifest.folder();
    let (mut elements, mut keys) = (HashSet::new(), HashSet::new());
    for element in &manifest.elements {
        if !elements.insert(&element.element) {
            faults.push(Fault::ElementTwice(element.element.to_string()));
        }
        if !keys.insert(element.key.as_str()) {
            faults.push(Fault::KeyTwice(element.element.to_string()));
        }
        faults.extend(key_fault(element, &folder));
        faults.extend(size_fault(element));
        if faults.len() >= MOST_FAULTS {
            break;
        }
    }
    faults
}

fn texts(manifest: &Manifest) -> Vec<Fault> {
    let required = [
        ("ipOffice.namespace", &manifest.ip_office.namespace, 253),
        ("ipOffice.name", &manifest.ip_office.name, 253),
        ("ipOffice.uid", &manifest.ip_office.uid, 128),
        ("backup.namespace", &manifest.backup.namespace, 253),
        ("backup.name", &manifest.backup.name, 253),
        ("backup.uid", &manifest.backup.uid, 128),
    ];
    let absent = String::new();
    // What the system reports may be empty: a backup is not lost because a system has no name.
    let named = [
        ("name", manifest.name.as_ref().unwrap_or(&absent), 256),
        ("writtenBy", &manifest.written_by, 128),
        ("systemName", &manifest.system_name, 256),
        ("timeZone", &manifest.time_zone, 64),
    ];
    let servers = manifest.servers.iter().take(MOST_SERVERS).map(|server| ("servers[].name", &server.name, 256));
    let given = named.into_iter().filter(|(_, text, _)| !text.is_empty());
    let all = required.into_iter().chain(given).chain(servers);
    all.filter(|(_, text, longest)| text.is_empty() || text.len() > *longest || text.chars().any(char::is_control))
        .map(|(field, _, longest)| Fault::Text(field, longest))
        .take(MOST_FAULTS)
        .collect()
}

fn key_fault(element: &Element, folder: &Folder) -> Option<Fault> {
    let name = element.element.to_string();
    match parse_key(&element.key) {
        Err(error) => Some(Fault::Key(name, error)),
        Ok((in_folder, _)) if in_folder != *folder => Some(Fault::KeyOutside(name)),
        Ok((_, Item::Element(_, kind))) if kind == element.element.kind() => None,
        Ok(_) => Some(Fault::KeyOfOtherKind(name)),
    }
}

fn size_fault(element: &Element) -> Option<Fault> {
    let name = || element.element.to_string();
    if element.size > LARGEST_ELEMENT {
        return Some(Fault::TooLarge(name()));
    }
    let parts = &element.parts;
    if parts.is_empty() || parts.len() > MOST_PARTS {
        return Some(Fault::PartCount(name(), parts.len()));
    }
    // An element without bytes has one part without bytes, because S3 completes no upload without a part.
    if element.size > 0
        && let Some(at) = parts.iter().position(|part| part.size == 0)
    {
        return Some(Fault::EmptyPart(name(), at + 1));
    }
    let sum = parts.iter().try_fold(0_u64, |sum, part| sum.checked_add(part.size));
    if sum != Some(element.size) || (element.size == 0 && parts.len() > 1) {
        return Some(Fault::PartSum(name()));
    }
    if parts.len() == 1 && parts[0].sha256 != element.sha256 {
        return Some(Fault::PartDigest(name()));
    }
    None
}
