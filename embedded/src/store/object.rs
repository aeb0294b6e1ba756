//! Objects, the writes that change them and the events that tell of it.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Map, Value};

/// Where an object stands: unique in the store.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// `Resource::storage` of its kind, for example `apps/deployments`.
    pub storage: String,
    /// Namespace, empty for cluster-scoped objects.
    pub namespace: String,
    /// Name.
    pub name: String,
}

impl Key {
    /// A key from its parts.
    pub fn new(storage: impl Into<String>, namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { storage: storage.into(), namespace: namespace.into(), name: name.into() }
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.namespace.is_empty() {
            write!(f, "{} {}", self.storage, self.name)
        } else {
            write!(f, "{} {}/{}", self.storage, self.namespace, self.name)
        }
    }
}

/// Labels of an object, sorted by key: what selectors look at without parsing the object.
pub type Labels = Box<[(Box<str>, Box<str>)]>;

/// One state of one object. Immutable, shared by reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Where it stands.
    pub key: Key,
    /// Its `metadata.resourceVersion`.
    pub revision: u64,
    /// The whole object as JSON, `metadata.resourceVersion` included.
    pub json: Bytes,
    /// `metadata.labels`.
    pub labels: Labels,
    /// Where in `json` the digits of the revision begin.
    pub(super) stamp: u32,
}

impl Object {
    /// The object as a tree; parsed at every call.
    ///
    /// The store refuses what could not be parsed again, so parsing succeeds. An object of a file that was written before it did comes as
    /// its [`outline`](Self::outline), with an error in the log: it can be found and deleted.
    pub fn value(&self) -> Value {
        // `parse` rather than `from_slice`: the former is compiled inside serde_json, which builds optimised.
        let parsed = std::str::from_utf8(&self.json).map_err(|cause| cause.to_string());
        match parsed.and_then(|text| text.parse().map_err(|cause: serde_json::Error| cause.to_string())) {
            Ok(value) => value,
            Err(cause) => {
                tracing::error!(object = %self.key, cause, "cannot read a stored object, so only its name and labels are shown; delete it and make it anew");
                self.outline()
            }
        }
    }

    /// What is known of the object without reading its JSON.
    fn outline(&self) -> Value {
        let labels: Map<String, Value> = self.labels.iter().map(|(key, value)| (key.to_string(), Value::from(&**value))).collect();
        let mut metadata = Map::new();
        metadata.insert("name".into(), self.key.name.as_str().into());
        if !self.key.namespace.is_empty() {
            metadata.insert("namespace".into(), self.key.namespace.as_str().into());
        }
        if !labels.is_empty() {
            metadata.insert("labels".into(), labels.into());
        }
        metadata.insert("resourceVersion".into(), self.revision.to_string().into());
        Value::Object(Map::from_iter([("metadata".to_owned(), Value::Object(metadata))]))
    }

    /// The value of a label.
    pub fn label(&self, key: &str) -> Option<&str> {
        self.labels.binary_search_by(|(k, _)| (**k).cmp(key)).ok().map(|at| &*self.labels[at].1)
    }

    /// The same state under another revision, as a deletion event shows it.
    pub(super) fn restamped(&self, revision: u64) -> Self {
        let start = self.stamp as usize;
        let end = start + self.json[start..].iter().take_while(|b| b.is_ascii_digit()).count();
        let digits = revision.to_string();
        let json = [&self.json[..start], digits.as_bytes(), &self.json[end..]].concat();
        Self { revision, json: json.into(), key: self.key.clone(), labels: self.labels.clone(), stamp: self.stamp }
    }
}

/// A new state, written as JSON but for the revision, which only the store knows. Made by the caller's task, so that the one writer has little to do.
#[derive(Debug)]
pub(super) struct Draft {
    head: String,
    tail: String,
    labels: Labels,
}

impl Draft {
    /// Writes `value` as JSON with a gap for the revision; any `metadata.resourceVersion` in it is dropped.
    pub(super) fn new(value: &Value) -> Self {
        let empty = Map::new();
        let object = value.as_object().unwrap_or(&empty);
        let metadata = object.get("metadata").and_then(Value::as_object).unwrap_or(&empty);
        let mut head = String::with_capacity(512);
        head.push('{');
        for (key, member) in object.iter().filter(|(key, _)| *key != "metadata") {
            push_member(&mut head, key, member);
        }
        head.push_str("\"metadata\":{");
        for (key, member) in metadata.iter().filter(|(key, _)| *key != "resourceVersion") {
            push_member(&mut head, key, member);
        }
        head.push_str("\"resourceVersion\":\"");
        Self { head, tail: "\"}}".to_owned(), labels: labels_of(metadata) }
    }

    /// The object under its revision.
    pub(super) fn stamped(self, key: Key, revision: u64) -> Object {
        let stamp = u32::try_from(self.head.len()).unwrap_or(u32::MAX);
        let json = self.head + &revision.to_string() + &self.tail;
        Object { key, revision, json: json.into(), labels: self.labels, stamp }
    }

    /// Size in bytes, roughly.
    pub(super) fn len(&self) -> usize {
        self.head.len() + self.tail.len()
    }
}

/// `"key":value,` — `to_string` of both is compiled inside serde_json, which builds optimised.
fn push_member(out: &mut String, key: &str, member: &Value) {
    out.push_str(&Value::from(key).to_string());
    out.push(':');
    out.push_str(&member.to_string());
    out.push(',');
}

fn labels_of(metadata: &Map<String, Value>) -> Labels {
    let Some(labels) = metadata.get("labels").and_then(Value::as_object) else { return Labels::default() };
    let mut labels: Vec<(Box<str>, Box<str>)> =
        labels.iter().filter_map(|(key, value)| Some((key.as_str().into(), value.as_str()?.into()))).collect();
    labels.sort();
    labels.into()
}

/// What happened to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It was created.
    Added,
    /// It has a new state.
    Modified,
    /// It is gone.
    Deleted,
}

/// One change, in the order of revisions. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Event {
    /// What happened.
    pub change: Change,
    /// The new state; of a deletion the last state, under the revision of the deletion.
    pub object: Arc<Object>,
    /// The state before: none for a creation.
    pub previous: Option<Arc<Object>>,
    /// The revision of the change, also of `object`.
    pub revision: u64,
}

/// A change asked for.
#[derive(Debug, Clone)]
pub enum Write {
    /// Succeeds where nothing stands under the key.
    Create {
        /// Where.
        key: Key,
        /// The object; its `metadata.resourceVersion` is replaced.
        value: Value,
    },
    /// Succeeds where the state under the key is still the one the caller read.
    Update {
        /// Where.
        key: Key,
        /// The revision the caller read.
        expected: u64,
        /// The new state; its `metadata.resourceVersion` is replaced.
        value: Value,
    },
    /// Succeeds where the state under the key is still the one the caller read.
    Delete {
        /// Where.
        key: Key,
        /// The revision the caller read.
        expected: u64,
    },
}

impl Write {
    /// Refuses what could be written but not be read again.
    pub(super) fn check(&self) -> Result<(), WriteError> {
        let (key, value) = match self {
            Self::Create { key, value } | Self::Update { key, value, .. } => (key, Some(value)),
            Self::Delete { key, .. } => (key, None),
        };
        for (what, part) in [("kind", &key.storage), ("namespace", &key.namespace), ("name", &key.name)] {
            if part.contains('\0') {
                let text = format!("the {what} {part:?} contains the character NUL, which cannot be stored; use another {what}");
                return Err(WriteError::Refused(text));
            }
        }
        if value.is_some_and(|value| is_deeper_than(value, DEEPEST)) {
            let text = format!("{key} is nested deeper than {DEEPEST} levels and could not be read again; make it flatter");
            return Err(WriteError::Refused(text));
        }
        Ok(())
    }
}

/// Levels of lists and objects that can be stored: fewer than the 128 that parsers of JSON take, so that lists and watches, which wrap
/// objects, can be read as well.
const DEEPEST: usize = 120;

/// Whether lists and objects stand in each other in more than so many levels. Itself goes no deeper than that.
pub(crate) fn is_deeper_than(value: &Value, levels: usize) -> bool {
    match value {
        Value::Array(items) => levels == 0 || items.iter().any(|item| is_deeper_than(item, levels - 1)),
        Value::Object(members) => levels == 0 || members.values().any(|member| is_deeper_than(member, levels - 1)),
        _ => false,
    }
}

/// Why a write did not happen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// A creation found the key taken.
    #[error("the object already exists")]
    Exists,
    /// The store cannot hold this key or object: the text says why.
    #[error("{0}")]
    Refused(String),
    /// An update or deletion found nothing under the key.
    #[error("the object does not exist")]
    Missing,
    /// An update or deletion found another revision than the caller read.
    #[error("the object has been modified since it was read")]
    Conflict,
    /// The disk refused or the file is damaged: the text says what, why and what to do. Every later write fails the same way.
    #[error("{0}")]
    Damaged(String),
    /// The store has been closed.
    #[error("the store is closed because the server is stopping; retry once it runs again")]
    Closed,
}

/// Objects of one storage at one revision.
#[derive(Debug, Clone, Default)]
pub struct Listing {
    /// The revision of the whole store this shows.
    pub revision: u64,
    /// The objects, ordered by namespace, then name.
    pub objects: Vec<Arc<Object>>,
    /// Whether objects follow that the limit left out.
    pub more: bool,
    /// How many the limit left out.
    pub remaining: usize,
}
