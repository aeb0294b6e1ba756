#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
use super::*;

// Computed by sha256sum and Python's hashlib, not by this crate.
const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn hash_in_pieces(bytes: &[u8], part_size: u64, piece: usize) -> Digested {
    let mut hasher = PartHasher::new(part_size.try_into().unwrap());
    bytes.chunks(piece).for_each(|piece| hasher.update(piece));
    hasher.finish()
}

#[test]
fn digests_are_those_of_other_tools() {
    assert_eq!(Sha256::of(b"abc").to_string(), ABC);
    assert_eq!(Sha256::of(b"").to_string(), EMPTY);
    assert_eq!(Sha256::of(b"abc").to_base64(), "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=");
}

#[test]
fn text_and_json_come_back_as_the_same_digest() {
    let digest = Sha256::of(b"abc");
    assert_eq!(ABC.parse::<Sha256>().unwrap(), digest);
    assert_eq!(Sha256::from_base64(&digest.to_base64()).unwrap(), digest);
    assert_eq!(serde_json::to_string(&digest).unwrap(), format!("\"{ABC}\""));
    assert_eq!(serde_json::from_str::<Sha256>(&format!("\"{ABC}\"")).unwrap(), digest);
}

#[test]
fn what_is_no_digest_is_refused_with_the_form_it_should_have() {
    for bad in ["", "abc", &ABC[1..], &ABC.to_uppercase(), &ABC.replace('b', "g"), &"é".repeat(32), &format!("{ABC}0")] {
        assert!(bad.parse::<Sha256>().unwrap_err().to_string().contains("64 digits"), "{bad}");
    }
    for bad in ["", "====", ABC, "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0", "ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0="] {
        assert!(Sha256::from_base64(bad).unwrap_err().to_string().contains("44 characters"), "{bad}");
    }
    let long = "x".repeat(5000).parse::<Sha256>().unwrap_err().to_string();
    assert!(long.len() < 300, "an error text carries an excerpt only");
}

#[test]
fn parts_are_cut_at_the_same_places_however_the_bytes_arrive() {
    let bytes = b"aaaaabbbbbcc";
    let expected = [
        (5, "ed968e840d10d2d313a870bc131a4e2c311d7ad09bdf32b3418147221f51a6e2"),
        (5, "5e846c64f2db12266e6b658a8e5b5b42cc225419b3ee1fca88acbb181ddfdb52"),
        (2, "355b1bbfc96725cdce8f4a2708fda310a80e6d13315aec4e5eed2a75fe8032ce"),
    ];
    for piece in 1..=bytes.len() {
        let digested = hash_in_pieces(bytes, 5, piece);
        let parts: Vec<_> = digested.parts.iter().map(|part| (part.size, part.sha256.to_string())).collect();
        assert_eq!(parts, expected.map(|(size, text)| (size, text.to_owned())), "pieces of {piece}");
        assert_eq!(digested.size, 12);
        assert_eq!(digested.sha256.to_string(), "920e4aec526ca94c0d4ded94567d1d68a382fbb7affa0e7d2a4f551fa427d65b");
        assert_eq!(
            Composite::of(digested.parts.iter().map(|part| &part.sha256)).to_string(),
            "anbQBjvVp5Sr5UnUY3wk9oi+3YBkdJQqUodNC5mlcBA=-3"
        );
    }
}

#[test]
fn the_composite_of_real_part_sizes_is_what_s3_prints() {
    let digested = hash_in_pieces(&vec![0; 16 << 20], 5 << 20, 1 << 20);
    assert_eq!(digested.parts.len(), 4);
    assert_eq!(digested.sha256.to_string(), "080acf35a507ac9849cfcba47dc2ad83e01b75663a516279c8b9d243b719643e");
    let composite = Composite::of(digested.parts.iter().map(|part| &part.sha256));
    assert_eq!(composite.to_string(), "JFOpbeC9Ze2Mtc3LcHOQcpVWLZwXzfxNvZdu7rBm250=-4");
    assert_eq!(composite.parts(), 4);
}

#[test]
fn an_empty_stream_is_one_empty_part_and_a_full_last_part_is_not_followed_by_an_empty_one() {
    let empty = hash_in_pieces(b"", 5, 1);
    assert_eq!(empty.parts, [Part { size: 0, sha256: EMPTY.parse().unwrap() }]);
    assert_eq!(Composite::of([&empty.parts[0].sha256]).to_string(), "Xfbg4nYTWdMKgnUFjimfzAOBU0VF9Vz0PkGYP11MlFY=-1");
    assert_eq!(hash_in_pieces(b"aaaaabbbbb", 5, 3).parts.len(), 2);
}

#[test]
fn the_store_confirms_a_composite_with_or_without_its_number_of_parts_but_never_with_a_wrong_one() {
    let composite: Composite = "anbQBjvVp5Sr5UnUY3wk9oi+3YBkdJQqUodNC5mlcBA=-3".parse().unwrap();
    assert!(composite.confirmed_by("anbQBjvVp5Sr5UnUY3wk9oi+3YBkdJQqUodNC5mlcBA=-3"));
    assert!(composite.confirmed_by("anbQBjvVp5Sr5UnUY3wk9oi+3YBkdJQqUodNC5mlcBA="));
    for other in ["anbQBjvVp5Sr5UnUY3wk9oi+3YBkdJQqUodNC5mlcBA=-4", "Xfbg4nYTWdMKgnUFjimfzAOBU0VF9Vz0PkGYP11MlFY=-3", "", "-3"] {
        assert!(!composite.confirmed_by(other), "{other}");
    }
    for bad in ["anbQ-3", "anbQBjvVp5Sr5UnUY3wk9oi+3YBkdJQqUodNC5mlcBA=-", "anbQBjvVp5Sr5UnUY3wk9oi+3YBkdJQqUodNC5mlcBA=-03"] {
        assert!(bad.parse::<Composite>().is_err(), "{bad}");
    }
}

#[test]
fn parts_are_as_large_as_they_must_be_for_s3_and_no_larger() {
    const MIB: u64 = 1 << 20;
    for (size, expected) in [(0, 16), (1 << 30, 16), (160_000 * MIB, 16), (160_000 * MIB + 1, 32), (5 << 40, 1024)] {
        let part = part_size(size).get();
        assert_eq!(part, expected * MIB, "{size}");
        assert!(size.div_ceil(part) <= MOST_PARTS as u64 && (5 * MIB..=5 * 1024 * MIB).contains(&part));
    }
    assert!(u64::MAX.div_ceil(part_size(u64::MAX).get()) <= MOST_PARTS as u64, "it ends for any number");
}
