//! Where a backup is in the store: `backups/<customer id>/<system id>/<backup id>/…`. Keys hold ids, digits and words of ours only: no names of
//! people, customers or servers, no secrets; those who may list the store learn nothing more.
//!
//! | key in the backup's folder | what |
//! |---|---|
//! | `elements/<number>-<kind>.tar` | one element (BACKUP-1) |
//! | `manifest.json` | written last: it makes the backup exist (promise 2) |
//! | `verification.json` | what the last reading of all bytes found |

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use model::ids::{CustomerId, SystemId, SystemKey};
use serde::{Deserialize, Serialize};

use crate::digest::Sha256;
use crate::element::ElementKind;

/// First part of every key of a backup.
pub const ROOT: &str = "backups/";
/// Name of the manifest in its folder.
pub const MANIFEST: &str = "manifest.json";
/// Name of the verification record in its folder.
pub const VERIFICATION: &str = "verification.json";
/// Longest key in bytes. S3 allows 1024; a prefix of the bucket's own still has to fit in front.
pub const LONGEST_KEY: usize = 512;
/// Most elements in a backup, and the highest number in an element's key.
pub const MOST_ELEMENTS: u16 = 2000;

/// Letters and digits that are not taken for one another.
const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
const TIME: &str = "%Y%m%dt%H%M%Sz";
const TIME_LENGTH: usize = "20261122t021305z".len();
const MARK_LENGTH: usize = 12;

/// Why a text is no backup id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no backup id; ids look like 20261122t021305z-zcerr8a69pru: the time of the order in UTC, and 12 letters and digits")]
pub struct ParseBackupIdError(String);

/// Why an object gives no backup id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BackupIdError {
    /// No UID.
    #[error("the Backup object has no UID, so its backup has no id; only an object that the API server has stored can be carried out")]
    NoUid,
    /// A time that has no place in an id.
    #[error(
        "the Backup object was created at {0}, which is before 1970 or after 9999; set the clock of the API server and create it again"
    )]
    Time(Timestamp),
}

/// A backup, everywhere outside the cluster. Made of the time its object was created and of that object's UID, so that every retry, on every
/// replica, writes to the same place, and a re-created object of the same name never does. Sorts by time. Also fit for names and labels of
/// Kubernetes.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BackupId(String);

impl BackupId {
    /// The id of the backup that the object with `uid` orders. Fractions of a second in `created` do not count: the API server has none.
    pub fn new(created: Timestamp, uid: &str) -> Result<Self, BackupIdError> {
        if uid.is_empty() {
            return Err(BackupIdError::NoUid);
        }
        let time = created.to_zoned(TimeZone::UTC).datetime();
        if created < Timestamp::UNIX_EPOCH || time.year() > 9999 {
            return Err(BackupIdError::Time(created));
        }
        let digest = Sha256::of(uid.as_bytes());
        let mark: String = digest.as_bytes().iter().take(MARK_LENGTH).map(|byte| char::from(ALPHABET[usize::from(byte & 31)])).collect();
        Ok(Self(format!("{}-{mark}", time.strftime(TIME))))
    }
    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
    /// When the backup was ordered, to the second.
    pub fn created(&self) -> Timestamp {
        parse_time(&self.0).expect("an id is parsed before it becomes one")
    }
    /// Whether the object with `uid` ordered this backup.
    pub fn is_of(&self, uid: &str) -> bool {
        Self::new(self.created(), uid).is_ok_and(|id| id == *self)
    }
}

fn parse_time(id: &str) -> Option<Timestamp> {
    let time = DateTime::strptime(TIME, id.get(..TIME_LENGTH)?).ok()?;
    time.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
}

impl FromStr for BackupId {
    type Err = ParseBackupIdError;
    fn from_str(text: &str) -> Result<Self, ParseBackupIdError> {
        let bad = || ParseBackupIdError(text.chars().take(60).collect());
        let created = parse_time(text).filter(|time| *time >= Timestamp::UNIX_EPOCH).ok_or_else(bad)?;
        // Only one text stands for a time: what strptime is lenient about would give one backup two ids.
        let canonical = created.to_zoned(TimeZone::UTC).strftime(TIME).to_string();
        let mark = text.strip_prefix(&canonical).and_then(|rest| rest.strip_prefix('-')).ok_or_else(bad)?;
        let good = mark.len() == MARK_LENGTH && mark.bytes().all(|byte| ALPHABET.contains(&byte));
        if good { Ok(Self(text.to_owned())) } else { Err(bad()) }
    }
}
impl TryFrom<String> for BackupId {
    type Error = ParseBackupIdError;
    fn try_from(text: String) -> Result<Self, ParseBackupIdError> {
        text.parse()
    }
}
impl From<BackupId> for String {
    fn from(id: BackupId) -> String {
        id.0
    }
}
impl fmt::Display for BackupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
impl fmt::Debug for BackupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The folder of one backup.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Folder {
    /// Whose backup.
    pub system: SystemKey,
    /// Which one.
    pub id: BackupId,
}

/// What lies at a key of a backup's folder.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Item {
    /// The manifest.
    Manifest,
    /// The verification record.
    Verification,
    /// An element: its number, from 1 to [`MOST_ELEMENTS`], and its sort.
    Element(u16, ElementKind),
    /// Something a newer version or somebody else put there: the rest of the key. Belongs to the backup and goes with it.
    Other(String),
}

/// Beginning of all keys of a customer; ends in `/`.
pub fn customer_prefix(customer: &CustomerId) -> String {
    format!("{ROOT}{customer}/")
}

/// Beginning of all keys of a system; ends in `/`, so that no other system's keys begin with it.
pub fn system_prefix(system: &SystemKey) -> String {
    format!("{}{}/", customer_prefix(&system.customer), system.system)
}

impl Folder {
    /// Beginning of all keys of this backup; ends in `/`.
    pub fn prefix(&self) -> String {
        format!("{}{}/", system_prefix(&self.system), self.id)
    }
    /// Key of what lies in this backup.
    pub fn key(&self, item: &Item) -> String {
        let prefix = self.prefix();
        match item {
            Item::Manifest => prefix + MANIFEST,
            Item::Verification => prefix + VERIFICATION,
            Item::Element(number, kind) => format!("{prefix}elements/{number:04}-{}.tar", kind.in_keys()),
            Item::Other(rest) => prefix + rest,
        }
    }
}

/// Why a key is not one of a backup.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Too long.
    #[error("the key has {0} bytes; keys of backups have at most {LONGEST_KEY}; Switchboard did not write it, look what did")]
    TooLong(usize),
    /// A character that no key of ours has.
    #[error(
        "the key has the character {0:?}; keys of backups hold a-z, A-Z, 0-9, '.', '-', '_' and '/'; Switchboard did not write it, look what did"
    )]
    Character(char),
    /// `.`, `..`, or nothing between two `/`; also an absolute key.
    #[error("the key {0:?} has an empty, '.' or '..' part, and could lead out of its folder; Switchboard did not write it, look what did")]
    Part(String),
    /// Not below the root.
    #[error("the key {0:?} does not begin with {ROOT:?}, so it is no backup's; keep other objects out of the backups, or ignore this")]
    Root(String),
    /// Too short.
    #[error("the key {0:?} ends before a backup's content; it should read backups/<customer id>/<system id>/<backup id>/<name>")]
    Short(String),
    /// Ids that are none.
    #[error("the key {key:?} does not read backups/<customer id>/<system id>/<backup id>/<name>: {reason}")]
    Id {
        /// The key.
        key: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// What a listed key is. Everything that comes from a store or a manifest passes here before it is used.
pub fn parse_key(key: &str) -> Result<(Folder, Item), KeyError> {
    if key.len() > LONGEST_KEY {
        return Err(KeyError::TooLong(key.len()));
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '/');
    if let Some(bad) = key.chars().find(|c| !allowed(*c)) {
        return Err(KeyError::Character(bad));
    }
    if key.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Err(KeyError::Part(key.to_owned()));
    }
    let rest = key.strip_prefix(ROOT).ok_or_else(|| KeyError::Root(key.to_owned()))?;
    let mut parts = rest.splitn(4, '/');
    let (Some(customer), Some(system), Some(id), Some(name)) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return Err(KeyError::Short(key.to_owned()));
    };
    let wrong = |reason: String| KeyError::Id { key: key.to_owned(), reason };
    let customer: CustomerId = customer.parse().map_err(|error: model::ids::ParseIdError| wrong(error.to_string()))?;
    let system: SystemId = system.parse().map_err(|error: model::ids::ParseIdError| wrong(error.to_string()))?;
    let id: BackupId = id.parse().map_err(|error: ParseBackupIdError| wrong(error.to_string()))?;
    Ok((Folder { system: SystemKey { customer, system }, id }, parse_item(name)))
}

fn parse_item(name: &str) -> Item {
    let element = || {
        let (number, kind) = name.strip_prefix("elements/")?.strip_suffix(".tar")?.split_once('-')?;
        let digits = number.len() == 4 && number.bytes().all(|byte| byte.is_ascii_digit());
        let number = number.parse().ok().filter(|number| digits && (1..=MOST_ELEMENTS).contains(number))?;
        Some(Item::Element(number, ElementKind::from_keys(kind)?))
    };
    match name {
        MANIFEST => Item::Manifest,
        VERIFICATION => Item::Verification,
        _ => element().unwrap_or_else(|| Item::Other(name.to_owned())),
    }
}

#[cfg(test)]
mod tests;
