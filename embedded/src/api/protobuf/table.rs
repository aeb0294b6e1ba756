//! `messages.txt`, read: which field number of which message is which field of an object.

use std::collections::HashMap;
use std::sync::OnceLock;

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Integer,
    Boolean,
    Double,
    Bytes,
    /// JSON in a message of its own.
    Json,
    Time,
    MicroTime,
    IntOrString,
    Quantity,
    /// A message that is nothing but a list of texts.
    Words,
    Message(&'static str),
}

/// One field of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Field {
    pub number: u64,
    pub name: &'static str,
    pub kind: Kind,
    pub repeated: bool,
    pub map: bool,
    /// Its zero value means something: Go holds it by pointer.
    pub pointer: bool,
    /// Its fields stand among those of the message around it.
    pub inline: bool,
}

/// The fields of a message.
#[derive(Debug, Default)]
pub(super) struct Message(Vec<Field>);

impl Message {
    /// All of them, in the order of Kubernetes' Go structs.
    pub fn fields(&self) -> &[Field] {
        &self.0
    }

    pub fn field(&self, number: u64) -> Option<&Field> {
        self.0.iter().find(|field| field.number == number)
    }
}

/// A message by name (`core.v1.PodSpec`).
pub(super) fn message(name: &str) -> Option<&'static Message> {
    static TABLE: OnceLock<HashMap<&'static str, Message>> = OnceLock::new();
    TABLE.get_or_init(|| include_str!("messages.txt").lines().filter_map(line).collect()).get(name)
}

/// The message of a kind.
pub(super) fn of_kind(version: &str, kind: &str) -> Option<&'static Message> {
    if kind == "DeleteOptions" {
        return message("meta.v1.DeleteOptions");
    }
    let (group, version) = version.rsplit_once('/').unwrap_or(("core", version));
    let group = match group {
        "rbac.authorization.k8s.io" => "rbac",
        group => match group.split_once('.') {
            None => group,
            Some((first, _)) if group.ends_with(".k8s.io") => first,
            // Somebody's own group, whatever its first word.
            Some(_) => return None,
        },
    };
    message(&format!("{group}.{version}.{kind}"))
}

/// `core.v1.ConfigMap 1:metadata:meta.v1.ObjectMeta 2:data:map,string …`.
fn line(line: &'static str) -> Option<(&'static str, Message)> {
    let mut words = line.split(' ');
    let name = words.next().filter(|name| !name.is_empty() && !name.starts_with('#'))?;
    Some((name, Message(words.filter_map(field).collect())))
}

fn field(word: &'static str) -> Option<Field> {
    let mut parts = word.splitn(3, ':');
    let (number, name, kind) = (parts.next()?.parse().ok()?, parts.next()?, parts.next()?);
    let mut out = Field { number, name, kind: Kind::Text, repeated: false, map: false, pointer: false, inline: false };
    for flag in kind.split(',') {
        match flag {
            "list" => out.repeated = true,
            "map" => out.map = true,
            "pointer" => out.pointer = true,
            "inline" => out.inline = true,
            "string" => out.kind = Kind::Text,
            "int" => out.kind = Kind::Integer,
            "bool" => out.kind = Kind::Boolean,
            "double" => out.kind = Kind::Double,
            "bytes" => out.kind = Kind::Bytes,
            "json" => out.kind = Kind::Json,
            "time" => out.kind = Kind::Time,
            "microtime" => out.kind = Kind::MicroTime,
            "intorstring" => out.kind = Kind::IntOrString,
            "quantity" => out.kind = Kind::Quantity,
            "words" => out.kind = Kind::Words,
            message => out.kind = Kind::Message(message),
        }
    }
    Some(out)
}
