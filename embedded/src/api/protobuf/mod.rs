//! Bodies in protobuf: what Kubernetes' own clients send for built-in kinds, whatever the server says it takes.
//!
//! A body is the four bytes `k8s\0` and a `runtime.Unknown`, which names apiVersion and kind and holds the object. `messages.txt`
//! says which field number of which message is which field of the object; a walk along it gives the same tree as JSON would.

pub(super) mod order;
mod table;
mod wire;

use serde_json::{Map, Value, json};

use crate::status::Status;
use table::{Field, Kind, Message};
use wire::{Content, Reader};

pub(super) const MEDIA_TYPE: &str = "application/vnd.kubernetes.protobuf";
const MAGIC: &[u8] = b"k8s\0";
/// Deeper than any real object; a bound, because the walk is recursive.
const MAX_DEPTH: usize = 64;

/// The object in a body.
pub(super) fn decode(body: &[u8]) -> Result<Value, Status> {
    let malformed = |why: &str| Status::bad_request(format!("the body is not protobuf as Kubernetes writes it: {why}"));
    let unknown = body.strip_prefix(MAGIC).ok_or_else(|| malformed("it does not begin with \"k8s\\0\""))?;
    let (mut version, mut kind, mut raw) = (String::new(), String::new(), Vec::new());
    for field in Reader::new(unknown) {
        match field.map_err(|why| malformed(&why))? {
            (1, Content::Bytes(meta)) => {
                for field in Reader::new(meta) {
                    match field.map_err(|why| malformed(&why))? {
                        (1, Content::Bytes(text)) => version = String::from_utf8_lossy(text).into_owned(),
                        (2, Content::Bytes(text)) => kind = String::from_utf8_lossy(text).into_owned(),
                        _ => {}
                    }
                }
            }
            (2, Content::Bytes(content)) => raw = content.to_vec(),
            _ => {}
        }
    }
    let Some(message) = table::of_kind(&version, &kind) else {
        return Err(Status::new(
            415,
            "UnsupportedMediaType",
            format!(
                "this server does not read {kind} of {version} as protobuf: write the object to a file and send it with `kubectl create -f`, which sends JSON"
            ),
        ));
    };
    let mut object = walk(message, &raw, 0).map_err(|why| malformed(&why))?;
    object.insert("apiVersion".into(), json!(version));
    object.insert("kind".into(), json!(kind));
    Ok(Value::Object(object))
}

fn walk(message: &Message, bytes: &[u8], depth: usize) -> Result<Map<String, Value>, String> {
    if depth > MAX_DEPTH {
        return Err(format!("it is nested deeper than {MAX_DEPTH} messages"));
    }
    let mut object = Map::new();
    for entry in Reader::new(bytes) {
        let (number, content) = entry?;
        let Some(field) = message.field(number) else { continue };
        let Some(value) = value_of(field, &content, depth)? else { continue };
        if field.map {
            let members = object.entry(field.name).or_insert_with(|| json!({}));
            if let (Some(members), Value::Object(pair)) = (members.as_object_mut(), value) {
                members.extend(pair);
            }
        } else if field.repeated {
            let items = object.entry(field.name).or_insert_with(|| json!([]));
            items.as_array_mut().into_iter().for_each(|items| items.push(value.clone()));
        } else if field.inline {
            if let Value::Object(members) = value {
                object.extend(members);
            }
        } else {
            object.insert(field.name.to_owned(), value);
        }
    }
    Ok(object)
}

/// The value of a field; `None` where it is the zero value that Go writes for everything that is not set.
fn value_of(field: &Field, content: &Content<'_>, depth: usize) -> Result<Option<Value>, String> {
    if let (true, Content::Bytes(entry)) = (field.map, content) {
        return map_entry(field, entry, depth).map(Some);
    }
    let keep_zero = field.repeated || field.pointer;
    Ok(match (field.kind, content) {
        (Kind::Text, Content::Bytes(text)) => {
            let text = std::str::from_utf8(text).map_err(|cause| format!("{} is not text: {cause}", field.name))?;
            (keep_zero || !text.is_empty()).then(|| json!(text))
        }
        (Kind::Integer, Content::Number(number)) => (keep_zero || *number != 0).then(|| json!(number.cast_signed())),
        (Kind::Boolean, Content::Number(number)) => (keep_zero || *number != 0).then(|| json!(*number != 0)),
        (Kind::Bytes, Content::Bytes(bytes)) => (keep_zero || !bytes.is_empty()).then(|| json!(base64(bytes))),
        (Kind::Double, Content::Fixed(bits)) => Some(json!(f64::from_bits(*bits))),
        (Kind::Json, Content::Bytes(bytes)) => wire::inner(bytes)?.and_then(super::respond::parse),
        (Kind::Time, Content::Bytes(bytes)) => wire::time(bytes, false)?.map(Value::from),
        (Kind::MicroTime, Content::Bytes(bytes)) => wire::time(bytes, true)?.map(Value::from),
        (Kind::IntOrString, Content::Bytes(bytes)) => Some(wire::int_or_string(bytes)?),
        (Kind::Quantity, Content::Bytes(bytes)) => wire::inner(bytes)?.map(|text| json!(String::from_utf8_lossy(text))),
        (Kind::Words, Content::Bytes(bytes)) => {
            let words: Result<Vec<Value>, String> = Reader::new(bytes).map(|field| field.map(|(_, content)| content.text())).collect();
            Some(Value::Array(words?))
        }
        (Kind::Message(name), Content::Bytes(bytes)) => match table::message(name) {
            Some(message) => Some(Value::Object(walk(message, bytes, depth + 1)?)),
            None => None,
        },
        _ => return Err(format!("{} is of another type", field.name)),
    })
}

fn map_entry(field: &Field, entry: &[u8], depth: usize) -> Result<Value, String> {
    let (mut key, mut value) = (String::new(), None);
    let plain = Field { map: false, repeated: true, ..*field };
    for part in Reader::new(entry) {
        match part? {
            (1, content) => key = content.text().as_str().unwrap_or_default().to_owned(),
            (2, content) => value = value_of(&plain, &content, depth)?,
            _ => {}
        }
    }
    let value = value.unwrap_or_else(|| if matches!(field.kind, Kind::Text | Kind::Bytes) { json!("") } else { Value::Null });
    Ok(json!({key: value}))
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

#[cfg(test)]
mod tests;
