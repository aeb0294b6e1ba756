#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
use super::*;

fn check() -> Check {
    Check::new(Limits::default())
}

fn refuse(name: &[u8], member: Member) -> Refused {
    check().member(name, member, 0).unwrap_err()
}

#[test]
fn an_ordinary_archive_passes_and_is_counted() {
    let mut check = check();
    for (name, member, size, path) in [
        ("./", Member::Folder, 0, ""),
        ("./prompts/", Member::Folder, 0, "prompts"),
        ("./prompts/welcome.wav", Member::File, 10, "prompts/welcome.wav"),
        ("prompts/with blank and ü.wav", Member::File, 0, "prompts/with blank and ü.wav"),
        ("deep/er/file..txt", Member::File, 5, "deep/er/file..txt"),
        ("deep", Member::Folder, 0, "deep"),
    ] {
        assert_eq!(check.member(name.as_bytes(), member, size).unwrap().as_str(), path);
        check.data(size / 2).unwrap();
        check.data(size - size / 2).unwrap();
    }
    assert_eq!(check.finish().unwrap(), Contents { files: 3, folders: 3, size: 15 });
}

#[test]
fn paths_that_lead_out_are_refused() {
    for name in ["..", "../a", "a/../b", "a/..", "./../a", "a/b/../../../c", "/etc/passwd", "//a", "/", "../"] {
        assert!(matches!(refuse(name.as_bytes(), Member::File), Refused::Outside(_)), "{name}");
        assert!(matches!(refuse(name.as_bytes(), Member::Folder), Refused::Outside(_)), "{name}");
    }
}

#[test]
fn names_that_mean_something_else_elsewhere_are_refused() {
    for name in [&b""[..], b"a\\..\\b", b"a\0b", b"a\nb", b"a\x1b[2J", b"\xff\xfe", b"a//b", b"a//"] {
        assert!(matches!(refuse(name, Member::File), Refused::Name(_)), "{name:?}");
    }
    for name in [&b"."[..], b"./", b"a/"] {
        assert!(matches!(refuse(name, Member::File), Refused::Name(_)), "a folder's name is none of a file: {name:?}");
    }
}

#[test]
fn links_and_special_files_are_refused_whatever_their_name() {
    for member in [Member::SymbolicLink, Member::HardLink, Member::Special] {
        assert!(matches!(refuse(b"harmless", member), Refused::Type(..)), "{member:?}");
    }
}

#[test]
fn a_path_is_written_once_and_a_file_is_no_folder() {
    for (first, second) in [("a", "a"), ("a", "./a"), ("a", "a/b"), ("a/b", "a"), ("a/b/c", "a/b"), ("a", "a/b/c")] {
        let mut check = check();
        check.member(first.as_bytes(), Member::File, 0).unwrap();
        assert!(matches!(check.member(second.as_bytes(), Member::File, 0), Err(Refused::Twice(_))), "{first} then {second}");
    }
    let mut check = check();
    check.member(b"a", Member::File, 0).unwrap();
    assert!(matches!(check.member(b"a/", Member::Folder, 0), Err(Refused::Twice(_))), "a file becomes no folder");
}

#[test]
fn limits_hold_at_the_last_allowed_value() {
    let limits = Limits { members: 3, file_size: 10, total_size: 15, path_length: 8, depth: 2 };
    let check = || Check::new(limits.clone());
    let file = |check: &mut Check, name: &str, size: u64| check.member(name.as_bytes(), Member::File, size).and_then(|_| check.data(size));

    let mut sizes = check();
    file(&mut sizes, "a", 10).unwrap();
    file(&mut sizes, "b", 5).unwrap();
    assert_eq!(file(&mut sizes, "c", 1), Err(Refused::TotalSize(15)));
    assert!(matches!(file(&mut check(), "a", 11), Err(Refused::FileSize(_, 11, 10))));
    let wide = Limits { file_size: u64::MAX, total_size: u64::MAX, ..limits.clone() };
    let mut overflow = Check::new(wide);
    file(&mut overflow, "a", u64::MAX).unwrap();
    assert!(matches!(file(&mut overflow, "b", 1), Err(Refused::TotalSize(_))));

    let mut members = check();
    ["a", "b", "c"].into_iter().for_each(|name| file(&mut members, name, 0).unwrap());
    assert_eq!(file(&mut members, "d", 0), Err(Refused::Members(3)));

    file(&mut check(), "a/b/cdef", 0).unwrap();
    assert!(matches!(file(&mut check(), "a/b/cdefg", 0), Err(Refused::Long(..))));
    assert!(matches!(file(&mut check(), "a/b/c/d", 0), Err(Refused::Long(..))));
}

#[test]
fn a_member_with_more_or_fewer_bytes_than_it_announces_is_refused() {
    let mut more = check();
    more.member(b"a", Member::File, 3).unwrap();
    assert_eq!(more.data(4), Err(Refused::Length("a".into())));
    let mut fewer = check();
    fewer.member(b"a", Member::File, 3).unwrap();
    fewer.data(2).unwrap();
    assert_eq!(fewer.member(b"b", Member::File, 0), Err(Refused::Length("a".into())));
    let mut cut = check();
    cut.member(b"a", Member::File, 3).unwrap();
    assert_eq!(cut.finish(), Err(Refused::Length("a".into())));
    assert!(check().data(1).is_err(), "bytes before any member");
    assert!(check().member(b"folder/", Member::Folder, 1).is_err(), "a folder has no bytes");
}

#[test]
fn after_a_refusal_nothing_more_is_accepted() {
    let mut check = check();
    check.member(b"../a", Member::File, 0).unwrap_err();
    assert_eq!(check.member(b"b", Member::File, 0), Err(Refused::Earlier));
    assert_eq!(check.data(0), Err(Refused::Earlier));
    assert_eq!(check.finish(), Err(Refused::Earlier));
}
