//! SHA-256 of what is in the store: of whole objects, of their parts, and the composite that S3 prints for an object of several parts.

use std::fmt;
use std::num::NonZeroU64;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

/// Length of a digest in bytes.
pub const LENGTH: usize = 32;

/// Most parts of an object, which is S3's limit.
pub const MOST_PARTS: usize = 10_000;
/// Bytes of a part where the object is not too large for it: small enough to be sent again after a broken session, large enough that requests
/// do not count.
pub const PART_SIZE: NonZeroU64 = NonZeroU64::new(16 << 20).expect("it is not 0");

/// Bytes of a part for an object of `size` bytes: [`PART_SIZE`], doubled until [`MOST_PARTS`] are enough. Always within what S3 takes (5 MiB to
/// 5 GiB), for every object S3 takes (5 TiB).
pub fn part_size(size: u64) -> NonZeroU64 {
    let mut part = PART_SIZE;
    while size.div_ceil(part.get()) > MOST_PARTS as u64 {
        part = part.saturating_mul(NonZeroU64::MIN.saturating_add(1));
    }
    part
}

/// A SHA-256 digest (FIPS 180-4). As text, and in JSON, 64 lower case hexadecimal digits as `sha256sum` prints them; S3 headers carry Base64
/// ([`Sha256::to_base64`]).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Sha256([u8; LENGTH]);

/// Why a text is no digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseDigestError {
    /// Not 64 hexadecimal digits.
    #[error("{0:?} is no SHA-256 digest in hexadecimal; give 64 digits 0-9 and a-f, as sha256sum prints them")]
    Hexadecimal(String),
    /// Not 32 bytes in Base64.
    #[error("{0:?} is no SHA-256 digest in Base64; give the 44 characters that S3 uses in x-amz-checksum-sha256")]
    Base64(String),
    /// Not `<Base64>-<number of parts>`.
    #[error("{0:?} is no composite checksum; give the Base64 digest, a '-' and the number of parts, as S3 prints it")]
    Composite(String),
}

fn excerpt(text: &str) -> String {
    text.chars().take(80).collect()
}

impl Sha256 {
    /// Digest of bytes at hand.
    pub fn of(bytes: &[u8]) -> Self {
        let mut hasher = Hasher::new();
        hasher.update(bytes);
        hasher.finish().0
    }
    /// The raw digest.
    pub fn as_bytes(&self) -> &[u8; LENGTH] {
        &self.0
    }
    /// From 44 characters of Base64, as in `x-amz-checksum-sha256`.
    pub fn from_base64(text: &str) -> Result<Self, ParseDigestError> {
        let bad = || ParseDigestError::Base64(excerpt(text));
        if text.len() != 44 {
            return Err(bad());
        }
        let bytes = STANDARD.decode(text).map_err(|_| bad())?;
        bytes.try_into().map(Self).map_err(|_| bad())
    }
    /// As 44 characters of Base64, as in `x-amz-checksum-sha256`.
    pub fn to_base64(&self) -> String {
        STANDARD.encode(self.0)
    }
    fn wrap(digest: &ring::digest::Digest) -> Self {
        let mut bytes = [0; LENGTH];
        bytes.copy_from_slice(digest.as_ref());
        Self(bytes)
    }
}

impl FromStr for Sha256 {
    type Err = ParseDigestError;
    fn from_str(text: &str) -> Result<Self, ParseDigestError> {
        let bad = || ParseDigestError::Hexadecimal(excerpt(text));
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Ok(byte - b'0'),
            b'a'..=b'f' => Ok(byte - b'a' + 10),
            _ => Err(bad()),
        };
        let digits = text.as_bytes();
        if digits.len() != 2 * LENGTH {
            return Err(bad());
        }
        let mut bytes = [0; LENGTH];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Ok(Self(bytes))
    }
}
impl TryFrom<String> for Sha256 {
    type Error = ParseDigestError;
    fn try_from(text: String) -> Result<Self, ParseDigestError> {
        text.parse()
    }
}
impl From<Sha256> for String {
    fn from(digest: Sha256) -> String {
        digest.to_string()
    }
}
impl fmt::Display for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
impl fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Digest and length of a stream.
#[derive(Clone)]
pub struct Hasher {
    context: ring::digest::Context,
    size: u64,
}

impl Default for Hasher {
    fn default() -> Self {
        Self::new()
    }
}

impl Hasher {
    /// Nothing seen yet.
    pub fn new() -> Self {
        Self { context: ring::digest::Context::new(&ring::digest::SHA256), size: 0 }
    }
    /// The next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.context.update(bytes);
        self.size += bytes.len() as u64;
    }
    /// Digest and length in bytes of all that was seen.
    pub fn finish(self) -> (Sha256, u64) {
        (Sha256::wrap(&self.context.finish()), self.size)
    }
}

/// One part of an object that is uploaded in parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Part {
    /// Bytes in this part.
    pub size: u64,
    /// Digest of this part's bytes; signed into its presigned request.
    pub sha256: Sha256,
}

/// What a stream was: its length, its digest, and the same of every part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Digested {
    /// Bytes in all.
    pub size: u64,
    /// Digest of all bytes.
    pub sha256: Sha256,
    /// The parts in order. At least one, also of an empty stream, because S3 completes no upload without a part.
    pub parts: Vec<Part>,
}

/// Reads a stream once and gives the digests of the whole and of its parts.
pub struct PartHasher {
    part_size: u64,
    whole: Hasher,
    part: Hasher,
    parts: Vec<Part>,
}

impl PartHasher {
    /// For parts of `part_size` bytes; the last may be smaller.
    pub fn new(part_size: NonZeroU64) -> Self {
        Self { part_size: part_size.get(), whole: Hasher::new(), part: Hasher::new(), parts: Vec::new() }
    }
    /// The next bytes, in pieces of any length.
    pub fn update(&mut self, mut bytes: &[u8]) {
        self.whole.update(bytes);
        while !bytes.is_empty() {
            let room = usize::try_from(self.part_size - self.part.size).unwrap_or(usize::MAX);
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.part.update(now);
            bytes = later;
            if self.part.size == self.part_size {
                self.end_part();
            }
        }
    }
    fn end_part(&mut self) {
        let (sha256, size) = std::mem::take(&mut self.part).finish();
        self.parts.push(Part { size, sha256 });
    }
    /// The stream has ended.
    pub fn finish(mut self) -> Digested {
        if self.part.size > 0 || self.parts.is_empty() {
            self.end_part();
        }
        let (sha256, size) = self.whole.finish();
        Digested { size, sha256, parts: self.parts }
    }
}

/// What S3 keeps as the SHA-256 checksum of an object that was uploaded in parts: the digest of the parts' digests, and how many there were.
/// As text `<Base64>-<parts>`. It confirms the parts without their bytes being read again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Composite {
    digest: Sha256,
    parts: usize,
}

impl Composite {
    /// Of an object's parts in order.
    pub fn of<'a>(parts: impl IntoIterator<Item = &'a Sha256>) -> Self {
        let (mut hasher, mut count) = (Hasher::new(), 0);
        for part in parts {
            hasher.update(part.as_bytes());
            count += 1;
        }
        Self { digest: hasher.finish().0, parts: count }
    }
    /// How many parts.
    pub fn parts(&self) -> usize {
        self.parts
    }
    /// Whether what the store printed is this checksum. `HeadObject` and `CompleteMultipartUpload` print the number of parts with it,
    /// `GetObjectAttributes` prints it elsewhere: both forms count, but a wrong number never does.
    pub fn confirmed_by(&self, printed: &str) -> bool {
        match printed.parse::<Composite>() {
            Ok(composite) => composite == *self,
            Err(_) => Sha256::from_base64(printed).is_ok_and(|digest| digest == self.digest),
        }
    }
}

impl fmt::Display for Composite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.digest.to_base64(), self.parts)
    }
}
impl FromStr for Composite {
    type Err = ParseDigestError;
    fn from_str(text: &str) -> Result<Self, ParseDigestError> {
        let bad = || ParseDigestError::Composite(excerpt(text));
        let (digest, parts) = text.rsplit_once('-').ok_or_else(bad)?;
        let plain = parts.len() <= 5 && !parts.starts_with('0') && parts.bytes().all(|byte| byte.is_ascii_digit());
        let parts = parts.parse().ok().filter(|_| plain).ok_or_else(bad)?;
        Ok(Self { digest: Sha256::from_base64(digest).map_err(|_| bad())?, parts })
    }
}

#[cfg(test)]
mod tests;
