#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
use super::*;
use crate::testing::Folder;

fn bytes_on_disk(folder: &Path) -> u64 {
    std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum()
}

#[test]
fn the_log_never_takes_more_than_its_limit_and_keeps_the_newest() {
    let folder = Folder::new();
    let log = Log::open(folder.path(), 10_000, false).unwrap();
    for number in 0..2_000 {
        log.line(Kind::Call, format_args!("call {number} ended"));
        assert!(log.size() <= 10_000, "after line {number}");
    }
    assert_eq!(bytes_on_disk(folder.path()), log.size());
    assert!(log.size() > 8_000, "the room is used");
    let again = Log::open(folder.path(), 10_000, false).unwrap();
    assert_eq!(again.size(), log.size());
    again.keep(1_000);
    again.line(Kind::System, "last line");
    assert!(bytes_on_disk(folder.path()) <= 1_000);
    let newest = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).max().unwrap();
    assert!(std::fs::read_to_string(newest).unwrap().contains("last line"));
}

#[test]
fn a_name_with_line_breaks_cannot_forge_a_line() {
    let folder = Folder::new();
    let log = Log::open(folder.path(), 10_000, false).unwrap();
    log.line(Kind::Security, "unknown service user \"x\n        1mS SEC: y\"");
    let path = std::fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path();
    let text = std::fs::read_to_string(path).unwrap();
    assert_eq!(text.lines().filter(|line| !line.starts_with('#')).count(), 1, "{text}");
    assert!(text.contains("mS SEC: unknown service user \"x?"), "{text}");
}
