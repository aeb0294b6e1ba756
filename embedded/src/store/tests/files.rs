use std::fs;
use std::os::unix::fs::PermissionsExt;

use redb::{Database, ReadableTable, TableDefinition};

use super::*;
use crate::store::disk::{BACKUP, FILE, FORMAT};
use crate::store::{OpenError, record};

const OBJECTS: TableDefinition<&[u8], &[u8]> = TableDefinition::new("objects");
const FACTS: TableDefinition<&str, u64> = TableDefinition::new("facts");

/// A closed store with some objects.
async fn filled(folder: &Folder) -> u64 {
    let store = Store::open(folder.path()).unwrap();
    for i in 0..200 {
        create(&store, &key("default", &format!("c{i}")), &"text ".repeat(40)).await.unwrap();
    }
    store.close();
    store.revision()
}

/// The text of the refusal; panics where the store opens.
fn refusal(folder: &Folder) -> String {
    match Store::open(folder.path()) {
        Ok(store) => panic!("opened at revision {} with {:?}", store.revision(), store.counters().objects),
        Err(error) => error.to_string(),
    }
}

fn assert_names(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in: {text}");
    }
}

#[tokio::test]
async fn a_restart_continues_with_all_objects_and_revisions() {
    let folder = Folder::new();
    let store = Store::open(folder.path()).unwrap();
    let kept = create(&store, &key("default", "kept"), "1").await.unwrap();
    let kept = update(&store, &key("default", "kept"), kept.revision, "2").await.unwrap();
    let gone = create(&store, &key("default", "gone"), "").await.unwrap();
    let gone = delete(&store, &key("default", "gone"), gone.revision).await.unwrap();
    drop(store);

    let store = Store::open(folder.path()).unwrap();
    assert_eq!(store.get(&kept.key), Some(Arc::clone(&kept)), "labels and stamp included");
    assert_eq!(store.get(&gone.key), None);
    assert_eq!(store.revision(), gone.revision, "a deletion counts too, though it left nothing");
    let next = update(&store, &kept.key, kept.revision, "3").await.unwrap();
    assert_eq!(next.revision, gone.revision + 1);
    assert_eq!(next.label("app"), Some("kept"));
}

#[tokio::test]
async fn a_watch_from_before_a_restart_is_too_old_and_one_from_now_is_not() {
    let folder = Folder::new();
    let revision = filled(&folder).await;
    let store = Store::open(folder.path()).unwrap();
    assert!(store.watch("configmaps", None, revision - 1).is_err());
    assert!(store.watch("configmaps", None, revision).is_ok());
    assert!(store.watch("never-seen", None, revision - 1).is_err());
}

#[tokio::test]
async fn files_are_for_the_owner_only() {
    let folder = Folder::new();
    filled(&folder).await;
    for name in [FILE, "lock"] {
        assert_eq!(fs::metadata(folder.file(name)).unwrap().permissions().mode() & 0o777, 0o600, "{name}");
    }
    Store::open(folder.path()).unwrap();
    assert_eq!(fs::metadata(folder.file(BACKUP)).unwrap().permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn a_folder_in_use_is_refused_and_names_the_process() {
    let folder = Folder::new();
    let store = Store::open(folder.path()).unwrap();
    let text = refusal(&folder);
    assert_names(&text, &[&folder.path().display().to_string(), &format!("in use by process {}", std::process::id()), "stop that process"]);
    create(&store, &key("default", "a"), "").await.unwrap();
    drop(store);
    Store::open(folder.path()).unwrap();
}

#[test]
fn a_folder_that_cannot_be_made_is_refused_with_the_cause() {
    let folder = Folder::new();
    fs::write(folder.file("file"), "").unwrap();
    let inside = folder.file("file").join("data");
    let text = Store::open(&inside).err().unwrap().to_string();
    assert_names(&text, &[&inside.display().to_string(), "Not a directory", "another data folder"]);
}

#[test]
fn a_folder_without_write_permission_is_refused_with_the_cause() {
    let folder = Folder::new();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o500)).unwrap();
    // The superuser may write everywhere, so there is nothing to refuse.
    if fs::write(folder.file("probe"), "").is_ok() {
        return;
    }
    let text = refusal(&folder);
    assert_names(&text, &["Permission denied", "make it readable and writable for this user"]);
}

#[test]
fn a_place_that_takes_no_files_is_refused_also_for_the_superuser() {
    let text = Store::open(Path::new("/proc/self/store")).err().unwrap().to_string();
    assert_names(&text, &["/proc/self/store", "another data folder"]);
}

#[tokio::test]
async fn a_file_cut_short_is_refused_wherever_it_is_cut() {
    let folder = Folder::new();
    filled(&folder).await;
    let whole = fs::read(folder.file(FILE)).unwrap();
    for length in [0, 1, 100, 320, 4096, 5000, whole.len() / 2, whole.len() - 4096, whole.len() - 1] {
        fs::write(folder.file(FILE), &whole[..length]).unwrap();
        let text = refusal(&folder);
        assert_names(&text, &[FILE, "is damaged", "nothing was changed or dropped"]);
    }
    fs::write(folder.file(FILE), &whole).unwrap();
    assert_eq!(Store::open(folder.path()).unwrap().counters().objects["configmaps"], 200);
}

#[tokio::test]
async fn a_file_of_something_else_is_refused() {
    let folder = Folder::new();
    filled(&folder).await;
    fs::write(folder.file(FILE), "not a database ".repeat(1000)).unwrap();
    assert_names(&refusal(&folder), &[FILE, "is damaged"]);
}

#[tokio::test]
async fn a_changed_byte_never_changes_or_loses_an_object_unseen() {
    let folder = Folder::new();
    filled(&folder).await;
    let whole = fs::read(folder.file(FILE)).unwrap();
    let mut refused = 0;
    // Everywhere in the file, also where it is free: there the change harms nothing.
    let step = whole.len() / 150;
    for at in (0..150).map(|i| i * step + i * 7 % step) {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x41;
        fs::write(folder.file(FILE), &damaged).unwrap();
        match Store::open(folder.path()) {
            Ok(store) => {
                let listing = store.list("configmaps", None, None, None);
                assert_eq!(listing.objects.len(), 200, "byte {at}");
                assert!(listing.objects.iter().all(|object| object.value()["data"]["text"] == "text ".repeat(40)), "byte {at}");
            }
            Err(error) => {
                assert!(matches!(error, OpenError::Damaged { .. }), "byte {at}: {error}");
                assert!(fs::read(folder.file(FILE)).unwrap() == damaged, "byte {at}: the damaged file was changed");
                refused += 1;
            }
        }
    }
    assert!(refused > 10, "only {refused} of 150 changed bytes were in use?");
}

#[tokio::test]
async fn a_damaged_record_is_named() {
    let folder = Folder::new();
    filled(&folder).await;
    let bytes = record::encode_key(&key("default", "c7"));
    let database = Database::open(folder.file(FILE)).unwrap();
    let transaction = database.begin_write().unwrap();
    {
        let mut table = transaction.open_table(OBJECTS).unwrap();
        let mut value = table.get(bytes.as_slice()).unwrap().unwrap().value().to_vec();
        *value.last_mut().unwrap() ^= 1;
        table.insert(bytes.as_slice(), value.as_slice()).unwrap();
    }
    transaction.commit().unwrap();
    drop(database);
    assert_names(&refusal(&folder), &["object configmaps default/c7: its checksum does not match its content"]);
}

#[tokio::test]
async fn a_record_under_another_key_is_found() {
    let folder = Folder::new();
    let store = Store::open(folder.path()).unwrap();
    let object = create(&store, &key("default", "a"), "").await.unwrap();
    let (right, wrong) = (record::encode_key(&object.key), record::encode_key(&key("default", "b")));
    let bytes = record::encode(&right, &object);
    assert_eq!(record::decode(&right, &bytes).as_ref(), Ok(&*object));
    assert!(record::decode(&wrong, &bytes).is_err());
    for length in 0..bytes.len() {
        assert!(record::decode(&right, &bytes[..length]).is_err(), "cut at {length}");
    }
}

#[tokio::test]
async fn the_refusal_of_a_damaged_file_says_how_to_go_back_and_that_works() {
    let folder = Folder::new();
    filled(&folder).await;
    assert!(!folder.file(BACKUP).exists() || fs::metadata(folder.file(BACKUP)).unwrap().len() > 0);
    drop(Store::open(folder.path()).unwrap());
    fs::write(folder.file(FILE), "damaged").unwrap();
    let text = refusal(&folder);
    let (file, backup) = (folder.file(FILE).display().to_string(), folder.file(BACKUP).display().to_string());
    assert_names(&text, &[&format!("mv {file} {file}.damaged && cp {backup} {file}")]);
    assert_eq!(fs::read(folder.file(FILE)).unwrap(), b"damaged", "the damaged file is left as it is");
    let command = text.split("last good copy: ").nth(1).unwrap().split(';').next().unwrap();
    assert!(std::process::Command::new("sh").arg("-c").arg(command).status().unwrap().success());
    let store = Store::open(folder.path()).unwrap();
    assert_eq!(store.counters().objects["configmaps"], 200);
}

#[tokio::test]
async fn a_file_of_a_later_release_is_refused_untouched() {
    let folder = Folder::new();
    filled(&folder).await;
    let database = Database::open(folder.file(FILE)).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction.open_table(FACTS).unwrap().insert("format", FORMAT + 1).unwrap();
    transaction.commit().unwrap();
    drop(database);
    let text = refusal(&folder);
    assert_names(
        &text,
        &[&format!("has format {}, and this release knows formats up to {FORMAT}", FORMAT + 1), "run the release that wrote it"],
    );
}

#[tokio::test]
async fn a_file_half_made_by_a_start_that_was_killed_is_made_again() {
    let folder = Folder::new();
    fs::write(folder.file("objects.new"), "half").unwrap();
    let store = Store::open(folder.path()).unwrap();
    create(&store, &key("default", "a"), "").await.unwrap();
}

#[tokio::test]
async fn what_could_not_be_read_again_is_not_written() {
    let folder = Folder::new();
    let store = Store::open(folder.path()).unwrap();
    for key in [Key::new("config\0maps", "default", "a"), key("def\0ault", "a"), key("default", "a\0b")] {
        let refused = create(&store, &key, "x").await.unwrap_err();
        assert!(refused.to_string().contains("contains the character NUL"), "{refused}");
    }
    let nested = |levels: usize| (0..levels).fold(json!(1), |inner, _| json!({"x": inner}));
    let deep = Write::Create { key: key("default", "deep"), value: nested(121) };
    let refused = store.write(deep).await.unwrap_err();
    assert!(refused.to_string().contains("nested deeper than 120 levels"), "{refused}");
    store.write(Write::Create { key: key("default", "fair"), value: nested(120) }).await.unwrap();
    store.close();
    drop(store);
    let again = Store::open(folder.path()).unwrap();
    assert!(again.get(&key("default", "fair")).unwrap().value()["x"].is_object());
}

#[test]
fn an_object_that_cannot_be_parsed_keeps_its_identity() {
    let levels = 200;
    let json = format!("{{\"a\":{}{},\"metadata\":{{\"resourceVersion\":\"7\"}}}}", "[".repeat(levels), "]".repeat(levels));
    let labels = [("app".into(), "x".into())].into();
    let object = Object { key: key("default", "a"), revision: 7, json: json.into(), labels, stamp: 0 };
    let metadata = json!({"name": "a", "namespace": "default", "labels": {"app": "x"}, "resourceVersion": "7"});
    assert_eq!(object.value(), json!({"metadata": metadata}));
}
