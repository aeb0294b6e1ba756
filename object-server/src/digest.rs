//! MD5 for ETags, and the checksums of S3.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use s3s::crypto::{Checksum as _, Crc32, Crc32c, Crc64Nvme, Md5, Sha1, Sha256};
use serde::{Deserialize, Serialize};

/// The checksums that S3 knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum Algorithm {
    Crc32,
    Crc32c,
    Crc64nvme,
    Sha1,
    Sha256,
}

impl Algorithm {
    pub(crate) const ALL: [Self; 5] = [Self::Crc32, Self::Crc32c, Self::Crc64nvme, Self::Sha1, Self::Sha256];

    /// As S3 writes it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Crc32 => "CRC32",
            Self::Crc32c => "CRC32C",
            Self::Crc64nvme => "CRC64NVME",
            Self::Sha1 => "SHA1",
            Self::Sha256 => "SHA256",
        }
    }

    pub(crate) fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name().eq_ignore_ascii_case(name))
    }

    /// The header that carries it, also as a trailer.
    pub(crate) fn header(self) -> &'static str {
        match self {
            Self::Crc32 => "x-amz-checksum-crc32",
            Self::Crc32c => "x-amz-checksum-crc32c",
            Self::Crc64nvme => "x-amz-checksum-crc64nvme",
            Self::Sha1 => "x-amz-checksum-sha1",
            Self::Sha256 => "x-amz-checksum-sha256",
        }
    }

    /// Bytes of it.
    fn length(self) -> usize {
        match self {
            Self::Crc32 | Self::Crc32c => 4,
            Self::Crc64nvme => 8,
            Self::Sha1 => 20,
            Self::Sha256 => 32,
        }
    }
}

/// A checksum of bytes at hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Checksum {
    pub(crate) algorithm: Algorithm,
    pub(crate) bytes: Vec<u8>,
}

impl Checksum {
    /// From the Base64 of a header. [`None`]: it is none of this algorithm.
    pub(crate) fn from_base64(algorithm: Algorithm, text: &str) -> Option<Self> {
        let bytes = STANDARD.decode(text).ok().filter(|bytes| bytes.len() == algorithm.length())?;
        Some(Self { algorithm, bytes })
    }

    pub(crate) fn to_base64(&self) -> String {
        STANDARD.encode(&self.bytes)
    }

    /// As it stands in the file name of a part.
    pub(crate) fn to_file_name(&self) -> String {
        format!("{}-{}", self.algorithm.name().to_ascii_lowercase(), hex(&self.bytes))
    }

    pub(crate) fn from_file_name(text: &str) -> Option<Self> {
        let (name, digits) = text.split_once('-')?;
        let algorithm = Algorithm::parse(name)?;
        let bytes = unhex(digits).filter(|bytes| bytes.len() == algorithm.length())?;
        Some(Self { algorithm, bytes })
    }

    /// What S3 prints for an object of several parts: the checksum of the parts' checksums, and how many there are.
    pub(crate) fn composite<'a>(algorithm: Algorithm, parts: impl Iterator<Item = &'a Checksum>) -> String {
        let (mut hasher, mut count) = (Hasher::new(algorithm), 0);
        for part in parts {
            hasher.update(&part.bytes);
            count += 1;
        }
        format!("{}-{count}", hasher.finish().to_base64())
    }
}

/// An MD5 digest (RFC 1321), which is what ETags are made of.
pub(crate) type Md5Digest = [u8; 16];

/// The ETag of an object of several parts, without quotes.
pub(crate) fn etag_of_parts<'a>(parts: impl Iterator<Item = &'a Md5Digest>) -> String {
    let (mut hasher, mut count) = (Md5::new(), 0);
    for part in parts {
        hasher.update(part);
        count += 1;
    }
    format!("{}-{count}", hex(&hasher.finalize()))
}

enum Hasher {
    Crc32(Crc32),
    Crc32c(Crc32c),
    Crc64nvme(Crc64Nvme),
    Sha1(Box<Sha1>),
    Sha256(Box<Sha256>),
}

impl Hasher {
    fn new(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Crc32 => Self::Crc32(Crc32::new()),
            Algorithm::Crc32c => Self::Crc32c(Crc32c::new()),
            Algorithm::Crc64nvme => Self::Crc64nvme(Crc64Nvme::new()),
            Algorithm::Sha1 => Self::Sha1(Box::new(Sha1::new())),
            Algorithm::Sha256 => Self::Sha256(Box::new(Sha256::new())),
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Crc32(hasher) => hasher.update(bytes),
            Self::Crc32c(hasher) => hasher.update(bytes),
            Self::Crc64nvme(hasher) => hasher.update(bytes),
            Self::Sha1(hasher) => hasher.update(bytes),
            Self::Sha256(hasher) => hasher.update(bytes),
        }
    }

    fn finish(self) -> Checksum {
        let (algorithm, bytes) = match self {
            Self::Crc32(hasher) => (Algorithm::Crc32, hasher.finalize().to_vec()),
            Self::Crc32c(hasher) => (Algorithm::Crc32c, hasher.finalize().to_vec()),
            Self::Crc64nvme(hasher) => (Algorithm::Crc64nvme, hasher.finalize().to_vec()),
            Self::Sha1(hasher) => (Algorithm::Sha1, hasher.finalize().to_vec()),
            Self::Sha256(hasher) => (Algorithm::Sha256, hasher.finalize().to_vec()),
        };
        Checksum { algorithm, bytes }
    }
}

/// MD5 and some checksums of one stream, in one pass.
pub(crate) struct Hashers {
    md5: Md5,
    checksums: Vec<Hasher>,
}

impl Hashers {
    pub(crate) fn new(algorithms: impl IntoIterator<Item = Algorithm>) -> Self {
        Self { md5: Md5::new(), checksums: algorithms.into_iter().map(Hasher::new).collect() }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.md5.update(bytes);
        self.checksums.iter_mut().for_each(|hasher| hasher.update(bytes));
    }

    pub(crate) fn finish(self) -> (Md5Digest, Vec<Checksum>) {
        (self.md5.finalize(), self.checksums.into_iter().map(Hasher::finish).collect())
    }
}

/// Lower case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The reverse of [`hex`].
pub(crate) fn unhex(digits: &str) -> Option<Vec<u8>> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16).map(|digit| digit as u8);
    let pairs = digits.as_bytes().chunks(2);
    pairs.map(|pair| Some(digit(pair.first()?)? << 4 | digit(pair.get(1)?)?)).collect()
}

/// 16 bytes from the Base64 of `Content-MD5`.
pub(crate) fn md5_from_base64(text: &str) -> Option<Md5Digest> {
    STANDARD.decode(text).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests;
