#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
use super::*;
use crate::testing::{Folder, files};

/// An archive of members: name, type, bytes.
fn archive(folder: &Folder, members: &[(&str, tar::EntryType, &[u8])]) -> std::path::PathBuf {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, kind, bytes) in members {
        let mut header = tar::Header::new_gnu();
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(*kind);
        header.set_size(bytes.len() as u64);
        header.set_mode(0o4777);
        header.set_cksum();
        builder.append(&header, *bytes).unwrap();
    }
    let path = folder.path().join("archive.tar");
    std::fs::write(&path, builder.into_inner().unwrap()).unwrap();
    path
}

fn refused(members: &[(&str, tar::EntryType, &[u8])], element: &str) -> String {
    let folder = Folder::new();
    let path = archive(&folder, members);
    match check(&path, &element.parse().unwrap(), false, &|_| true) {
        Err(StageError::Refused(why)) => why,
        other => panic!("{members:?} in {element}: {other:?}"),
    }
}

#[test]
fn an_archive_of_something_else_or_with_more_than_plain_files_is_refused() {
    use tar::EntryType as T;
    const FILE: T = T::Regular;
    for (members, element, why) in [
        (&[("users.csv", FILE, &b"x"[..])][..], "Configuration/WebLM/HQ", "weblm.conf"),
        (&[("prompt.txt", FILE, b"x")], "CustomPrompts", "no place"),
        (&[("message.wav", FILE, b"x")], "AllVoicemails", "no place"),
        (&[("200", T::Directory, b""), ("200/a/b.wav", FILE, b"x")], "AllVoicemails", "no place"),
        (&[("voicemail.conf", FILE, b"x"), ("link", T::Symlink, b"")], "VoicemailConfiguration", "symbolic link"),
        (&[("voicemail.conf", FILE, b"x"), ("hard", T::Link, b"")], "VoicemailConfiguration", "hard link"),
        (&[("voicemail.conf", FILE, b"x"), ("device", T::Block, b"")], "VoicemailConfiguration", "special"),
        (&[("voicemail.conf", FILE, b"x"), ("a/../../x", FILE, b"x")], "VoicemailConfiguration", "outside"),
        (&[("voicemail.conf", FILE, b"x"), ("voicemail.conf", FILE, b"y")], "VoicemailConfiguration", "overwrite"),
        (&[], "VoicemailConfiguration", "voicemail.conf"),
    ] {
        let said = refused(members, element);
        assert!(said.contains(why), "{members:?}: {said}");
    }
}

#[test]
fn an_archive_cut_short_is_refused() {
    let folder = Folder::new();
    let path = archive(&folder, &[("voicemail.conf", tar::EntryType::Regular, &[7; 5000])]);
    let whole = std::fs::read(&path).unwrap();
    for length in [100, 600, 3000, 5400] {
        std::fs::write(&path, &whole[..length]).unwrap();
        let checked = check(&path, &BackupElement::VoicemailConfiguration, false, &|_| true);
        assert!(matches!(checked, Err(StageError::Refused(_))), "{length} bytes: {checked:?}");
    }
}

#[test]
fn a_comparison_counts_files_and_gives_examples() {
    let (folder, home) = (Folder::new(), Folder::new());
    let file = tar::EntryType::Regular;
    let path = archive(&folder, &[("new.wav", file, b"x"), ("same.wav", file, b"same"), ("changed.wav", file, b"now")]);
    for (name, text) in [("same.wav", "same"), ("changed.wav", "then"), ("gone.wav", "x")] {
        std::fs::write(home.path().join(name), text).unwrap();
    }
    let changes = compare(&path, &BackupElement::CustomPrompts, home.path(), &|_| true).unwrap();
    assert_eq!((changes.added, changes.changed, changes.removed, changes.unchanged), (1, 1, 1, 1));
    assert_eq!(changes.examples, ["+ new.wav", "~ changed.wav", "- gone.wav"]);
    let none = compare(&path, &BackupElement::CustomPrompts, &home.path().join("none"), &|_| true).unwrap();
    assert_eq!((none.added, none.removed), (3, 0));
}

#[test]
fn nothing_is_unpacked_over_what_is_there() {
    let folder = Folder::new();
    let path = archive(&folder, &[("a.wav", tar::EntryType::Regular, b"new")]);
    let into = folder.path().join("into");
    unpack(&path, &into, &|_| true).unwrap();
    assert_eq!(files(&into)["a.wav"], b"new");
    assert!(unpack(&path, &into, &|_| true).is_err());
    assert!(unpack(&path, &folder.path().join("other"), &|_| false).is_err(), "and not on when it is called off");
}
