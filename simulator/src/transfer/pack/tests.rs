#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
use std::sync::Arc;

use archive::digest::Sha256;

use super::*;
use crate::causes_check::parse;
use crate::inputs::Inputs;
use crate::machine::Machine;
use crate::shared::Shared;
use crate::testing::{Folder, HandClock};
use crate::transfer::stage;

fn line(folder: &Folder) -> Line {
    let inputs = Inputs { causes: parse("{}").unwrap(), passwords: [].into(), subscription: Err("none".into()), problems: vec![] };
    let inputs = Arc::new(inputs);
    let machine = Machine::open(folder.path(), inputs.clone(), HandClock::new(), false, None).unwrap();
    Line::new(Shared::new(machine), tokio::sync::watch::channel(inputs).1)
}

fn size(bytes: u64) -> NonZeroU64 {
    NonZeroU64::new(bytes).unwrap()
}

#[test]
fn an_archive_is_the_same_whenever_it_is_packed_and_holds_plain_members_only() {
    let (folder, source) = (Folder::new(), Folder::new());
    let long = "long".repeat(40);
    std::fs::create_dir_all(source.path().join("b/empty")).unwrap();
    std::fs::write(source.path().join("b/two"), "22").unwrap();
    std::fs::write(source.path().join(&long), "long").unwrap();
    std::fs::write(source.path().join("half.writing"), "half").unwrap();
    std::os::unix::fs::symlink("/etc/passwd", source.path().join("link")).unwrap();
    let line = line(&folder);
    let mut packs = Vec::new();
    for number in 0..2 {
        let load = Load::of(&[("top".into(), source.path().to_owned())]).unwrap();
        let to = folder.path().join(format!("{number}.tar"));
        let packed = pack(BackupElement::CustomPrompts, &load, size(1000), &to, &Progress::default(), &line).unwrap();
        let bytes = std::fs::read(&to).unwrap();
        assert_eq!((packed.size, packed.sha256), (bytes.len() as u64, Sha256::of(&bytes)));
        assert!(bytes.len() as u64 <= load.size());
        let parts: Vec<_> = bytes.chunks(1000).map(Sha256::of).collect();
        assert_eq!(packed.parts.iter().map(|part| part.sha256).collect::<Vec<_>>(), parts);
        packs.push(packed);
    }
    assert_eq!(packs[0], packs[1]);
    let mut archive = tar::Archive::new(File::open(folder.path().join("0.tar")).unwrap());
    let names: Vec<_> = archive
        .entries()
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            assert_eq!((entry.header().uid().unwrap(), entry.header().gid().unwrap(), entry.header().mtime().unwrap()), (0, 0, 0));
            entry.path().unwrap().to_string_lossy().into_owned()
        })
        .collect();
    assert_eq!(names, ["top".to_owned(), "top/b".into(), "top/b/empty".into(), "top/b/two".into(), format!("top/{long}")]);
    let into = folder.path().join("out");
    stage::unpack(&folder.path().join("0.tar"), &into, &|_| true).unwrap();
    assert_eq!(std::fs::read_to_string(into.join("top").join(&long)).unwrap(), "long");
    assert!(into.join("top/b/empty").is_dir());
}

#[test]
fn parts_are_doubled_until_ten_thousand_are_enough() {
    let source = Folder::new();
    std::fs::write(source.path().join("a"), vec![0; 1_000_000]).unwrap();
    let load = Load::of(&[(PathBuf::new(), source.path().to_owned())]).unwrap();
    assert_eq!(load.part_size(size(50)), size(200));
    assert_eq!(load.part_size(size(1 << 20)), size(1 << 20));
}

#[test]
fn what_is_called_off_leaves_no_archive() {
    let (folder, source) = (Folder::new(), Folder::new());
    std::fs::write(source.path().join("a"), vec![0; 100_000]).unwrap();
    let load = Load::of(&[(PathBuf::new(), source.path().to_owned())]).unwrap();
    let progress = Progress::default();
    progress.cancel.cancel();
    let to = folder.path().join("0.tar");
    pack(BackupElement::CustomPrompts, &load, size(1000), &to, &progress, &line(&folder)).unwrap_err();
    assert!(!to.exists());
}
