#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use super::*;

fn digests(bytes: &[u8]) -> (Md5Digest, Vec<Checksum>) {
    let mut hashers = Hashers::new(Algorithm::ALL);
    bytes.chunks(3).for_each(|piece| hashers.update(piece));
    hashers.finish()
}

#[test]
fn checksums_are_those_that_s3_documents() {
    let (md5, checksums) = digests(b"123456789");
    assert_eq!(hex(&md5), "25f9e794323b453885f5181f1b624d0b");
    // The check values of the catalogue of parametrised CRC algorithms.
    let expected = ["cbf43926", "e3069283", "ae8b14860a799888"];
    assert_eq!(checksums.iter().take(3).map(|checksum| hex(&checksum.bytes)).collect::<Vec<_>>(), expected);
    let (_, checksums) = digests(b"abc");
    assert_eq!(hex(&checksums[3].bytes), "a9993e364706816aba3e25717850c26c9cd0d89d");
    assert_eq!(hex(&checksums[4].bytes), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

#[test]
fn a_composite_is_the_one_that_the_archive_expects() {
    let parts = [b"one".as_slice(), b"two", b""];
    let checksums: Vec<_> = parts.iter().map(|part| digests(part).1.pop().unwrap()).collect();
    let expected = archive::digest::Composite::of(&parts.map(archive::digest::Sha256::of));
    assert_eq!(Checksum::composite(Algorithm::Sha256, checksums.iter()), expected.to_string());
}

#[test]
fn file_names_and_headers_carry_a_checksum_unchanged() {
    for checksum in digests(b"something").1 {
        assert_eq!(Checksum::from_file_name(&checksum.to_file_name()), Some(checksum.clone()));
        assert_eq!(Checksum::from_base64(checksum.algorithm, &checksum.to_base64()), Some(checksum));
    }
    assert_eq!(Checksum::from_base64(Algorithm::Sha256, "AAAA"), None, "too short");
    assert_eq!(Checksum::from_file_name("sha256-00"), None);
    assert_eq!(unhex("0"), None);
    assert_eq!(unhex("zz"), None);
}
