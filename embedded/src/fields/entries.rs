//! `metadata.managedFields`: who manages which fields.

use serde_json::{Map, Value, json};

use super::Writer;
use super::set::FieldSet;

/// How fields came to a manager.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Operation {
    /// By server-side apply.
    Apply,
    /// By any other write.
    Update,
}

impl Operation {
    fn name(self) -> &'static str {
        match self {
            Self::Apply => "Apply",
            Self::Update => "Update",
        }
    }
}

/// Who a manager is. The version counts for updates only: one who applies stays the same in every version.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Identity {
    pub(super) manager: String,
    pub(super) operation: Operation,
    pub(super) version: String,
    pub(super) subresource: String,
}

impl Identity {
    pub(super) fn of(writer: &Writer<'_>, operation: Operation) -> Self {
        let manager = if writer.manager.is_empty() { "unknown" } else { writer.manager };
        let version = if operation == Operation::Apply { "" } else { writer.api_version };
        Self { manager: manager.to_owned(), operation, version: version.to_owned(), subresource: writer.subresource.to_owned() }
    }

    /// The manager in an error text: `"m1" with subresource "status" using v1`.
    pub(super) fn text(&self) -> String {
        let mut text = Value::String(self.manager.clone()).to_string();
        if !self.subresource.is_empty() {
            text.push_str(&format!(" with subresource \"{}\"", self.subresource));
        }
        if self.operation == Operation::Update {
            text.push_str(&format!(" using {}", self.version));
        }
        text
    }
}

/// One entry of `managedFields`.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) identity: Identity,
    pub(super) api_version: String,
    /// RFC 3339; entries may have none.
    pub(super) time: Option<String>,
    pub(super) set: FieldSet,
}

/// All entries of an object, one an identity.
#[derive(Debug, Clone, Default)]
pub(super) struct Entries(Vec<Entry>);

impl Entries {
    /// Reads `managedFields`; absent is empty.
    ///
    /// # Errors
    /// What is wrong with an entry.
    pub(super) fn decode(value: Option<&Value>) -> Result<Self, String> {
        let mut entries = Self::default();
        let list = match value {
            None | Some(Value::Null) => return Ok(entries),
            Some(Value::Array(list)) => list,
            Some(other) => return Err(format!("expected a list of managed fields, got {other}")),
        };
        for (position, value) in list.iter().enumerate() {
            entries.put(decode_entry(position, value)?);
        }
        Ok(entries)
    }

    /// The list in the order a real server gives it; `None` if there is no entry.
    pub(super) fn encode(mut self) -> Option<Value> {
        if self.0.is_empty() {
            return None;
        }
        self.0.sort_by(|a, b| {
            let order = |entry: &Entry| (entry.identity.operation, entry.seconds());
            order(a)
                .cmp(&order(b))
                .then_with(|| a.identity.manager.cmp(&b.identity.manager))
                .then_with(|| a.api_version.cmp(&b.api_version))
                .then_with(|| a.identity.subresource.cmp(&b.identity.subresource))
        });
        Some(Value::Array(self.0.iter().map(encode_entry).collect()))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn get(&self, identity: &Identity) -> Option<&Entry> {
        self.0.iter().find(|entry| entry.identity == *identity)
    }

    pub(super) fn take(&mut self, identity: &Identity) -> Option<Entry> {
        let at = self.0.iter().position(|entry| entry.identity == *identity)?;
        Some(self.0.remove(at))
    }

    /// Adds an entry, in place of one with the same identity.
    pub(super) fn put(&mut self, entry: Entry) {
        match self.0.iter_mut().find(|other| other.identity == entry.identity) {
            Some(other) => *other = entry,
            None => self.0.push(entry),
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.0.iter()
    }

    /// Changes every set; entries without any field go.
    pub(super) fn change(&mut self, change: impl Fn(FieldSet) -> FieldSet) {
        self.0.retain_mut(|entry| {
            entry.set = change(std::mem::take(&mut entry.set));
            !entry.set.is_empty()
        });
    }

    /// Keeps at most `limit` entries of updates: the oldest of a version are merged into one of `ancient-changes`.
    pub(super) fn cap(&mut self, limit: usize) {
        let mut updates: Vec<Identity> =
            self.0.iter().filter(|entry| entry.identity.operation == Operation::Update).map(|entry| entry.identity.clone()).collect();
        if updates.len() <= limit {
            return;
        }
        updates.sort_by_key(|identity| (self.get(identity).map_or(0, Entry::seconds), identity.clone()));
        let mut count = updates.len();
        let mut first_of_version: Vec<Identity> = Vec::new();
        for identity in updates {
            if count <= limit {
                return;
            }
            let Some(first) = first_of_version.iter().find(|first| first.version == identity.version).cloned() else {
                first_of_version.push(identity);
                continue;
            };
            let bucket = Identity { manager: "ancient-changes".to_owned(), subresource: String::new(), ..identity.clone() };
            if identity == bucket {
                continue;
            }
            let Some(entry) = self.take(&identity) else { continue };
            let older = self.take(&bucket).or_else(|| self.take(&first));
            let set = older.map_or_else(FieldSet::default, |older| older.set).union(entry.set);
            self.put(Entry { identity: bucket, set, ..entry });
            count -= 1;
        }
    }
}

impl Entry {
    fn seconds(&self) -> i64 {
        let time = self.time.as_deref().and_then(|time| time.parse::<jiff::Timestamp>().ok());
        time.map_or(0, jiff::Timestamp::as_second)
    }
}

fn decode_entry(position: usize, value: &Value) -> Result<Entry, String> {
    let text = |name: &str| match value.get(name) {
        None | Some(Value::Null) => Ok(String::new()),
        Some(Value::String(text)) => Ok(text.clone()),
        Some(other) => Err(format!("{name} of managed fields entry {position} must be a string, not {other}")),
    };
    let operation = match text("operation")?.as_str() {
        "Apply" => Operation::Apply,
        "Update" => Operation::Update,
        _ => return Err("operation must be `Apply` or `Update`".to_owned()),
    };
    let api_version = text("apiVersion")?;
    if api_version.is_empty() {
        return Err("apiVersion must not be empty".to_owned());
    }
    match text("fieldsType")?.as_str() {
        "FieldsV1" => {}
        "" => return Err(format!("missing fieldsType in managed fields entry {position}")),
        other => return Err(format!("invalid fieldsType \"{other}\" in managed fields entry {position}")),
    }
    let set = match value.get("fieldsV1") {
        None | Some(Value::Null) => FieldSet::default(),
        Some(fields) => FieldSet::from_value(fields)?,
    };
    let version = if operation == Operation::Apply { String::new() } else { api_version.clone() };
    let identity = Identity { manager: text("manager")?, operation, version, subresource: text("subresource")? };
    Ok(Entry { identity, api_version, time: Some(text("time")?).filter(|time| !time.is_empty()), set })
}

fn encode_entry(entry: &Entry) -> Value {
    let mut out = Map::new();
    let mut put = |name: &str, value: Value| out.insert(name.to_owned(), value);
    if !entry.identity.manager.is_empty() {
        put("manager", json!(entry.identity.manager));
    }
    put("operation", json!(entry.identity.operation.name()));
    put("apiVersion", json!(entry.api_version));
    if let Some(time) = &entry.time {
        put("time", json!(time));
    }
    put("fieldsType", json!("FieldsV1"));
    put("fieldsV1", entry.set.to_value());
    if !entry.identity.subresource.is_empty() {
        put("subresource", json!(entry.identity.subresource));
    }
    Value::Object(out)
}
