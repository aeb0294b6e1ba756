#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
use super::*;
use crate::testing::Folder;

fn now() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

fn opened(folder: &Folder) -> Result<State, DiskError> {
    Disk::open(folder.path(), now()).map(|(_, state, _)| state)
}

#[test]
fn a_disk_is_used_by_one_process_at_a_time() {
    let folder = Folder::new();
    let held = Disk::open(folder.path(), now()).unwrap();
    assert!(matches!(opened(&folder), Err(DiskError::InUse(_))));
    drop(held);
    assert_eq!(opened(&folder).unwrap(), State::new(now()));
}

#[test]
fn a_damaged_or_newer_state_is_named_and_left_as_it_is() {
    for (text, word) in
        [("{\"format\":1,", "damaged"), ("[]", "damaged"), ("{\"format\":1}", "damaged"), ("{\"format\":2,\"x\":1}", "format 2")]
    {
        let folder = Folder::new();
        let path = folder.path().join(STATE);
        std::fs::write(&path, text).unwrap();
        let error = opened(&folder).unwrap_err().to_string();
        assert!(error.contains(word) && error.contains(STATE), "{error}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        assert!(!folder.path().join(CONFIGURATION).exists(), "nothing was begun");
    }
}

#[test]
fn a_damaged_identity_is_named_and_left_as_it_is() {
    let folder = Folder::new();
    opened(&folder).unwrap();
    std::fs::write(folder.path().join(IDENTITY), "{\"current\":{}}").unwrap();
    assert!(opened(&folder).unwrap_err().to_string().contains("identity.json is damaged"));
    assert_eq!(std::fs::read_to_string(folder.path().join(IDENTITY)).unwrap(), "{\"current\":{}}");
}

#[test]
fn a_state_that_is_gone_is_damage_not_a_new_system() {
    let folder = Folder::new();
    opened(&folder).unwrap();
    std::fs::remove_file(folder.path().join(STATE)).unwrap();
    assert!(matches!(opened(&folder), Err(DiskError::Damaged { .. })));
}

#[test]
fn an_interrupted_change_of_the_configuration_leaves_the_old_one() {
    let folder = Folder::new();
    let state = opened(&folder).unwrap();
    let files = folder.path().join(CONFIGURATION);
    let mut interrupted = state.configuration.clone();
    interrupted.revision = 2;
    configuration::write(&files, &interrupted).unwrap();
    std::fs::write(files.join("00000003.writing"), "half").unwrap();
    assert_eq!(opened(&folder).unwrap(), state);
    let left: Vec<_> = std::fs::read_dir(&files).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(left, [configuration::path(&files, 1)]);
}

#[test]
fn each_revision_has_a_file_and_the_oldest_go() {
    let folder = Folder::new();
    let (disk, mut state, _) = Disk::open(folder.path(), now()).unwrap();
    for revision in 2..=15 {
        let mut next = state.clone();
        next.configuration.revision = revision;
        disk.save_state(&state, &next).unwrap();
        state = next;
    }
    let files = folder.path().join(CONFIGURATION);
    assert_eq!(std::fs::read_dir(&files).unwrap().count(), 10);
    assert!(std::fs::read_to_string(configuration::path(&files, 15)).unwrap().contains("Number = 15"));
    drop(disk);
    assert_eq!(opened(&folder).unwrap(), state);
}

#[test]
fn keys_are_readable_by_their_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = Folder::new();
    let (disk, _, mut identity) = Disk::open(folder.path(), now()).unwrap();
    identity.pending_key = Some(model::secret::Secret::new("key"));
    disk.save_identity(&identity).unwrap();
    let mode = std::fs::metadata(folder.path().join(IDENTITY)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}
