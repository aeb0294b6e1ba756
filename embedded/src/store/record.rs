//! How an object stands in the file: revision, labels, JSON, and a checksum over all of it and the key.
//!
//! | bytes | what |
//! |---|---|
//! | 16 | first half of the SHA-256 of the key and of all that follows |
//! | 8 | revision |
//! | 4 | where in the JSON the digits of the revision begin |
//! | 4 | number of labels |
//! | 4 + n, twice each | key and value of a label |
//! | rest | JSON |
//!
//! Numbers are little-endian. The labels are there so that a start need not parse every object.

use bytes::Bytes;
use ring::digest::{Context, SHA256};

use super::object::{Key, Object};

const CHECKSUM: usize = 16;

/// The key in the file: its parts, separated by a byte that none of them can hold.
pub(super) fn encode_key(key: &Key) -> Vec<u8> {
    [key.storage.as_bytes(), key.namespace.as_bytes(), key.name.as_bytes()].join(&0)
}

/// The reverse of [`encode_key`].
pub(super) fn decode_key(bytes: &[u8]) -> Option<Key> {
    let text = std::str::from_utf8(bytes).ok()?;
    let mut parts = text.split('\0');
    let key = Key::new(parts.next()?, parts.next()?, parts.next()?);
    parts.next().is_none().then_some(key)
}

/// The record of an object.
pub(super) fn encode(key: &[u8], object: &Object) -> Vec<u8> {
    let mut out = vec![0; CHECKSUM];
    out.reserve(64 + object.json.len());
    out.extend(object.revision.to_le_bytes());
    out.extend(object.stamp.to_le_bytes());
    push_length(&mut out, object.labels.len());
    for text in object.labels.iter().flat_map(|(key, value)| [key, value]) {
        push_length(&mut out, text.len());
        out.extend(text.as_bytes());
    }
    out.extend_from_slice(&object.json);
    let sum = checksum(key, &out[CHECKSUM..]);
    out[..CHECKSUM].copy_from_slice(&sum);
    out
}

/// The object of a record; `Err` says what is wrong with it.
pub(super) fn decode(key_bytes: &[u8], record: &[u8]) -> Result<Object, &'static str> {
    let key = decode_key(key_bytes).ok_or("its key cannot be read")?;
    let (sum, rest) = record.split_at_checked(CHECKSUM).ok_or("its record is cut short")?;
    if sum != checksum(key_bytes, rest) {
        return Err("its checksum does not match its content");
    }
    fields(key, rest).ok_or("its record is malformed")
}

fn fields(key: Key, mut rest: &[u8]) -> Option<Object> {
    let revision = u64::from_le_bytes(take(&mut rest, 8)?.try_into().ok()?);
    let stamp = take_number(&mut rest)?;
    let count = take_number(&mut rest)?;
    let mut labels = Vec::new();
    for _ in 0..count {
        labels.push((take_text(&mut rest)?, take_text(&mut rest)?));
    }
    std::str::from_utf8(rest).ok()?;
    rest.get(stamp as usize)?.is_ascii_digit().then_some(())?;
    Some(Object { key, revision, json: Bytes::copy_from_slice(rest), labels: labels.into(), stamp })
}

fn checksum(key: &[u8], rest: &[u8]) -> [u8; CHECKSUM] {
    let mut context = Context::new(&SHA256);
    context.update(key);
    context.update(&[0]);
    context.update(rest);
    let mut sum = [0; CHECKSUM];
    sum.copy_from_slice(&context.finish().as_ref()[..CHECKSUM]);
    sum
}

/// Lengths are below 4 GiB: the body limit of the server is far smaller.
fn push_length(out: &mut Vec<u8>, length: usize) {
    out.extend(u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(count)?;
    *rest = left;
    Some(taken)
}

fn take_number(rest: &mut &[u8]) -> Option<u32> {
    Some(u32::from_le_bytes(take(rest, 4)?.try_into().ok()?))
}

fn take_text(rest: &mut &[u8]) -> Option<Box<str>> {
    let length = take_number(rest)? as usize;
    std::str::from_utf8(take(rest, length)?).ok().map(Into::into)
}
