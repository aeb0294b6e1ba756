use std::fs;
use std::io;

use super::*;
use crate::options::OpenError;
use crate::record;

#[tokio::test]
async fn what_interrupted_writes_left_is_removed_at_the_start() {
    let mut fixture = Fixture::new();
    fixture.put("kept", b"bytes").await;
    fixture.close();
    fs::create_dir_all(fixture.folder.join("staging/17/deep")).unwrap();
    fs::write(fixture.folder.join("staging/17/part-00001"), b"half").unwrap();
    fs::write(fixture.folder.join("staging/18"), b"half").unwrap();
    fs::create_dir_all(fixture.folder.join("trash/0000000000000001")).unwrap();
    fixture.reopen();
    assert_eq!((fixture.names("staging"), fixture.names("trash")), (vec![], vec![]));
    assert_eq!(fixture.get("kept").await.unwrap(), b"bytes");
}

#[tokio::test]
async fn of_two_versions_that_a_crash_left_the_newer_counts_and_the_older_goes_for_good() {
    for older_first in [true, false] {
        let mut fixture = Fixture::new();
        fixture.put("a/key", b"older").await;
        let parent = fixture.objects().join("a");
        let older = fs::read_dir(&parent).unwrap().next().unwrap().unwrap().path();
        let aside = fixture.folder.join("aside");
        copy(&older, &aside);
        fixture.put("a/key", b"newer").await;
        fixture.close();
        let newer = fs::read_dir(&parent).unwrap().next().unwrap().unwrap().path();
        assert_ne!(newer, older);
        // In either order of their creation, because folders are read in no order that is promised.
        if older_first {
            let moved = fixture.folder.join("moved");
            fs::rename(&newer, &moved).unwrap();
            fs::rename(&aside, &older).unwrap();
            fs::rename(&moved, &newer).unwrap();
        } else {
            fs::rename(&aside, &older).unwrap();
        }
        fixture.reopen();
        assert_eq!(fixture.get("a/key").await.unwrap(), b"newer");
        assert!(!older.exists() && newer.exists());
        fixture.delete("a/key");
        fixture.reopen();
        assert!(matches!(fixture.get("a/key").await, Err(Failure::NoSuchKey)), "the older one does not come back");
    }
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

#[tokio::test]
async fn one_damaged_object_never_hides_the_others() {
    let mut fixture = Fixture::new();
    for key in ["a", "b", "c"] {
        fixture.put(key, key.as_bytes()).await;
    }
    fixture.close();
    let mut objects = fs::read_dir(fixture.objects()).unwrap().map(|entry| entry.unwrap().path());
    let damaged = objects.find(|path| path.file_name().unwrap().to_str().unwrap().starts_with("b@")).unwrap();
    fs::write(damaged.join("object.json"), b"{").unwrap();
    fs::write(fixture.objects().join("a stranger's file"), b"").unwrap();
    fixture.reopen();
    assert_eq!(fixture.keys(), ["a", "c"]);
    assert!(matches!(fixture.get("b").await, Err(Failure::Disk { .. })));
    assert_eq!(fixture.get("c").await.unwrap(), b"c");
    fixture.put("b", b"again").await;
    assert_eq!(fixture.keys(), ["a", "b", "c"]);
}

#[tokio::test]
async fn a_body_that_breaks_off_leaves_nothing() {
    let fixture = Fixture::new();
    let pieces = || vec![Ok(Bytes::from(vec![1; 3 << 20])), Err(io::Error::other("gone"))];
    let outcome = receive(fixture.store(), Some(body(pieces())), 4 << 20, vec![]).await;
    assert!(matches!(outcome, Err(Failure::IncompleteBody)), "{outcome:?}");
    let short = receive(fixture.store(), Some(body(vec![Ok(Bytes::from_static(b"ab"))])), 3, vec![]).await;
    assert!(matches!(short, Err(Failure::IncompleteBody)));
    let long = receive(fixture.store(), Some(body(vec![Ok(Bytes::from_static(b"abcd"))])), 3, vec![]).await;
    assert!(matches!(long, Err(Failure::IncompleteBody)));
    wait_until_empty(&fixture, "staging").await;
    drop(fixture.receive(b"never committed").await);
    assert_eq!(fixture.names("staging"), Vec::<String>::new());
}

/// A piece may still be on its way to the disk when the request has ended.
async fn wait_until_empty(fixture: &Fixture, folder: &str) {
    let begun = std::time::Instant::now();
    while !fixture.names(folder).is_empty() {
        assert!(begun.elapsed().as_secs() < 10, "{:?} stays in {folder}", fixture.names(folder));
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_part_that_was_sent_again_counts_once_also_after_a_crash() {
    let mut fixture = Fixture::new();
    let bucket = fixture.store().bucket(BUCKET).unwrap();
    let record = record::Upload { form: 1, key: "k".into(), initiated: 5, algorithm: None, headers: Headers::default() };
    let upload = fixture.store().begin_upload(&bucket, record).unwrap();
    upload.add(1, fixture.receive(b"first").await).unwrap();
    let folder = format!("buckets/{BUCKET}/uploads/{}", upload.id());
    let first = fixture.names(&folder).remove(0);
    upload.add(1, fixture.receive(b"second").await).unwrap();
    upload.add(2, fixture.receive(b"other").await).unwrap();
    assert_eq!(fixture.names(&folder).len(), 3, "two parts and upload.json");
    // As if the process had ended before the first try was removed.
    fs::write(fixture.folder.join(&folder).join(first), b"first").unwrap();
    let (before, id) = (upload.parts(0, 10).0, upload.id().to_owned());
    drop((upload, bucket));
    fixture.reopen();
    assert_eq!(fixture.names(&folder).len(), 3);
    let upload = fixture.store().bucket(BUCKET).unwrap().upload("k", &id).unwrap();
    let after = upload.parts(0, 10).0;
    let said = |parts: &[(u32, super::super::upload::Part)]| -> Vec<_> {
        parts.iter().map(|(number, part)| (*number, part.size, part.md5, part.checksum.clone())).collect()
    };
    assert_eq!(said(&after), said(&before));
}

#[tokio::test]
async fn a_folder_in_use_is_not_opened_twice() {
    let fixture = Fixture::new();
    let own = Some(std::process::id());
    let second = Store::open(&fixture.folder, 0).err().unwrap();
    assert!(matches!(&second, OpenError::InUse { pid, .. } if *pid == own), "{second}");
}

#[tokio::test]
async fn a_full_disk_says_so() {
    let full = Failure::disk(std::path::Path::new("x"), io::Error::from(io::ErrorKind::StorageFull));
    assert!(matches!(full, Failure::Full));
    let error = s3s::S3Error::from(full);
    assert_eq!(error.status_code().unwrap().as_u16(), 507);
    assert!(error.message().unwrap().contains("full"));
}

#[tokio::test]
async fn conditions_hold_at_the_moment_of_the_write() {
    let fixture = Fixture::new();
    let absent = || Condition::Absent;
    assert!(matches!(fixture.put_if("k", b"x", Condition::Present).await, Err(Failure::NoSuchKey)));
    fixture.put_if("k", b"one", absent()).await.unwrap();
    assert!(matches!(fixture.put_if("k", b"two", absent()).await, Err(Failure::Precondition)));
    assert_eq!(fixture.get("k").await.unwrap(), b"one");
    let etag = fixture.store().bucket(BUCKET).unwrap().open("k").unwrap().record.etag;
    fixture.put_if("k", b"three", Condition::ETag(etag.clone())).await.unwrap();
    assert!(matches!(fixture.put_if("k", b"four", Condition::ETag(etag.clone())).await, Err(Failure::Precondition)));
    fixture.put_if("k", b"five", Condition::NotETag(etag)).await.unwrap();
    assert_eq!(fixture.get("k").await.unwrap(), b"five");
    assert_eq!(fixture.names("staging"), Vec::<String>::new());
}
