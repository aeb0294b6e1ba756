#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};

use super::*;

/// Keys of pieces that could be trouble, the same in every run.
fn keys(count: usize) -> BTreeSet<String> {
    const PIECES: [&str; 24] = [
        "a",
        "A",
        "b",
        ".",
        "..",
        "/",
        "//",
        "+",
        "@",
        "%",
        "^",
        "%2e",
        "^a",
        "@0000000000000001",
        "ü",
        "🦀",
        "\0",
        "\n",
        " ",
        "z9-_",
        "~",
        "\\",
        "con",
        "*",
    ];
    let mut state = 88_172_645_463_325_252_u64;
    let mut next = |bound: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as usize % bound
    };
    let mut keys = BTreeSet::new();
    while keys.len() < count {
        let mut key = String::new();
        for _ in 0..=next(6) {
            let piece = PIECES[next(PIECES.len())];
            let times = if next(8) == 0 { next(400) } else { 1 };
            key.push_str(&piece.repeat(times));
        }
        let end = (0..=key.len().min(1024)).rev().find(|end| key.is_char_boundary(*end)).unwrap();
        key.truncate(end);
        if !key.is_empty() {
            keys.insert(key);
        }
    }
    keys
}

/// Walks down a path as a start of the store does.
fn key_of(path: &std::path::Path) -> (String, u64) {
    let mut key = Vec::new();
    let mut names = path.iter().map(|name| name.to_str().unwrap()).peekable();
    while let Some(name) = names.next() {
        match read(name).unwrap_or_else(|| panic!("{name:?} of {path:?} cannot be read")) {
            Found::Folder(bytes) => key.extend(bytes),
            Found::Object(bytes, version) => {
                assert!(names.peek().is_none(), "an object inside an object: {path:?}");
                key.extend(bytes);
                return (String::from_utf8(key).unwrap(), version);
            }
        }
    }
    panic!("{path:?} is no object");
}

#[test]
fn every_key_has_a_path_of_its_own_that_leads_back_to_it() {
    let keys = keys(5000);
    let mut paths = BTreeMap::new();
    for (version, key) in (0..).zip(&keys) {
        let path = path(key, version);
        assert_eq!(key_of(&path), (key.clone(), version));
        assert!(paths.insert(super::path(key, 7), key).is_none(), "{key:?} has the path of another");
    }
}

#[test]
fn no_name_is_trouble_for_a_file_system() {
    for key in keys(5000) {
        let path = path(&key, u64::MAX);
        assert!(path.as_os_str().len() <= 3600, "{} characters for {key:?}", path.as_os_str().len());
        for name in path.iter().map(|name| name.to_str().unwrap()) {
            assert!((1..=255).contains(&name.len()) && !name.starts_with('.'), "{name:?}");
            assert!(
                name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'^' | b'%' | b'+' | b'@')),
                "{name:?}"
            );
        }
    }
    let longest = path(&"\u{1}".repeat(1024), 1);
    assert!(longest.as_os_str().len() + crate::OpenError::LONGEST_FOLDER + 64 + 32 < 4096, "the longest path fits");
}

#[test]
fn a_person_finds_a_file_by_its_key() {
    let at = |key| path(key, 0x1f).to_str().unwrap().to_owned();
    assert_eq!(at("backups/c1/Config.tar"), "backups/c1/^config.tar@000000000000001f");
    assert_eq!(at("a"), "a@000000000000001f");
    assert_eq!(at("a/b"), "a/b@000000000000001f");
    assert_eq!(at("a/"), "a/%@000000000000001f");
    assert_eq!(at("../x y"), "%2e./x%20y@000000000000001f");
    assert_eq!(at(&"x".repeat(201)), format!("{}+/x@000000000000001f", "x".repeat(200)));
}

#[test]
fn names_that_this_server_does_not_write_are_not_read() {
    for name in ["", "A", "a@1", "a@000000000000001g", "%2", "%zz", "^", "^1", "é", "a b", "@0000000000000001", "+"] {
        assert_eq!(read(name), None, "{name:?}");
    }
}

#[test]
fn bucket_names_are_those_of_s3() {
    assert!(["backups", "a.b-c", "123"].into_iter().all(is_bucket));
    assert!(!["", "ab", "Backups", "a_b", "../x", "-ab", "a/b", ".hidden"].into_iter().any(is_bucket));
}
