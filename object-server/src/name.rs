//! Keys as file names: readable, safe on every file system, and of use backwards. The crate's documentation says how.

use std::path::PathBuf;

/// Between a key and its version.
const VERSION_MARK: char = '@';
/// Ends a name that is continued below.
const CONTINUED: char = '+';
/// An empty name.
const EMPTY: &str = "%";
/// Characters of a name before it is continued; with a version it stays below the 255 that file systems take.
const LONGEST: usize = 200;

/// The folder, relative to a bucket's objects, in which a version of a key is.
pub(crate) fn path(key: &str, version: u64) -> PathBuf {
    let mut pieces = pieces(key);
    if let Some(last) = pieces.last_mut() {
        last.push_str(&format!("{VERSION_MARK}{version:016x}"));
    }
    pieces.iter().collect()
}

/// The names of a key: folders, then its own without the version.
fn pieces(key: &str) -> Vec<String> {
    let mut pieces = Vec::new();
    for name in key.split('/') {
        let mut piece = String::new();
        for &byte in name.as_bytes() {
            let next = piece.len();
            match byte {
                b'.' if next == 0 => piece.push_str("%2e"),
                b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' => piece.push(char::from(byte)),
                b'A'..=b'Z' => piece.extend(['^', char::from(byte.to_ascii_lowercase())]),
                _ => piece.push_str(&format!("%{byte:02x}")),
            }
            if piece.len() > LONGEST {
                let rest = piece.split_off(next);
                // What begins a name is written as such.
                let rest = if rest == "." { String::from("%2e") } else { rest };
                piece.push(CONTINUED);
                pieces.push(std::mem::replace(&mut piece, rest));
            }
        }
        pieces.push(if name.is_empty() { String::from(EMPTY) } else { piece });
    }
    pieces
}

/// What a file name below a bucket's objects is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// A folder: the key's beginning goes on with this, its slash included.
    Folder(Vec<u8>),
    /// A version of an object whose key ends with this.
    Object(Vec<u8>, u64),
}

/// Reads a file name. [`None`]: none that this server writes.
pub(crate) fn read(file_name: &str) -> Option<Found> {
    match file_name.split_once(VERSION_MARK) {
        Some((name, version)) => {
            let version = u64::from_str_radix(version, 16).ok().filter(|_| version.len() == 16)?;
            Some(Found::Object(decode(name)?, version))
        }
        None => match file_name.strip_suffix(CONTINUED) {
            Some(name) => Some(Found::Folder(decode(name)?)),
            None => {
                let mut bytes = decode(file_name)?;
                bytes.push(b'/');
                Some(Found::Folder(bytes))
            }
        },
    }
}

fn decode(name: &str) -> Option<Vec<u8>> {
    if name == EMPTY {
        return Some(Vec::new());
    }
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' => byte,
            b'^' => rest.next().filter(u8::is_ascii_lowercase)?.to_ascii_uppercase(),
            b'%' => char::from(rest.next()?).to_digit(16)? as u8 * 16 + char::from(rest.next()?).to_digit(16)? as u8,
            _ => return None,
        });
    }
    (!bytes.is_empty()).then_some(bytes)
}

/// Whether a bucket may be called so: the rules of S3, which make it a safe file name too.
pub(crate) fn is_bucket(name: &str) -> bool {
    use s3s::validation::{AwsNameValidation, NameValidation as _};
    let plain = name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.'));
    plain && AwsNameValidation::new().validate_bucket_name(name)
}

#[cfg(test)]
mod tests;
