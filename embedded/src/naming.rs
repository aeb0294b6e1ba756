//! What generated names are made of.

/// No vowels and nothing that reads like another, so that no words come out.
const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

/// The character of a generated name that stands for a number; there are 27.
pub(crate) fn letter(number: u64) -> char {
    char::from(ALPHABET[usize::try_from(number % 27).unwrap_or(0)])
}

/// FNV-1a of 32 bits: the same in every process and every release, so that what was named once is found again.
pub(crate) fn hash32(bytes: impl IntoIterator<Item = u8>) -> u32 {
    bytes.into_iter().fold(2_166_136_261, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(16_777_619))
}

/// The same of 64 bits.
pub(crate) fn hash64(bytes: impl IntoIterator<Item = u8>) -> u64 {
    bytes.into_iter().fold(14_695_981_039_346_656_037, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(1_099_511_628_211))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_everybody_else_and_never_change() {
        assert_eq!([hash32([]), hash32(*b"a"), hash32(*b"foobar")], [0x811c_9dc5, 0xe40c_292c, 0xbf9c_f968]);
        assert_eq!([hash64([]), hash64(*b"a"), hash64(*b"foobar")], [0xcbf2_9ce4_8422_2325, 0xaf63_dc4c_8601_ec8c, 0x8594_4171_f739_67e8]);
    }

    #[test]
    fn every_number_has_a_character() {
        assert_eq!((0..27).map(letter).collect::<String>().as_bytes(), ALPHABET);
        assert_eq!(letter(u64::MAX), letter(u64::MAX % 27));
    }
}
