//! Uploads in parts, put with presigned requests.

use std::time::Duration;

use archive::digest::{Composite, Digested, PartHasher, Sha256};
use object_client::{ObjectClient, StoreError, Upload, UploadedPart};

use crate::store::{Folder, Store};
use crate::{against_every_store, curl};

against_every_store!(
    parts_are_put_by_others_and_become_an_object,
    a_part_with_other_bytes_is_refused,
    many_parts_are_listed_over_pages,
    unfinished_uploads_are_found_and_aborted,
    presigned_requests_do_one_thing_only,
    finishing_may_be_repeated,
);

const SOON: Duration = Duration::from_secs(300);
const PART: u64 = 5 << 20;

fn content(size: u64) -> Vec<u8> {
    (0..size).map(|at| u8::try_from((at * 31 + at / 251) % 251).unwrap()).collect()
}

fn digest(content: &[u8]) -> Digested {
    let mut hasher = PartHasher::new(PART.try_into().unwrap());
    hasher.update(content);
    hasher.finish()
}

/// Puts every part as a system does.
async fn put(store: &Store, client: &ObjectClient, upload: &Upload, content: &[u8]) -> Digested {
    let digested = digest(content);
    let part_size = usize::try_from(PART).unwrap();
    for (index, (part, bytes)) in digested.parts.iter().zip(content.chunks(part_size)).enumerate() {
        let request = client.presign_part(upload, u32::try_from(index + 1).unwrap(), part, SOON).await.unwrap();
        let answer = curl::make(&request, bytes, &[], store.authority.as_deref()).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    digested
}

/// The parts with the digests that were signed for them, where the store does not list them.
fn known(mut parts: Vec<UploadedPart>, digested: &Digested) -> Vec<UploadedPart> {
    for (part, known) in parts.iter_mut().zip(&digested.parts) {
        part.sha256.get_or_insert(known.sha256);
    }
    parts
}

async fn parts_are_put_by_others_and_become_an_object(store: &Store) {
    let client = store.client();
    let content = content(2 * PART + 12_345);
    let upload = client.begin_upload("element.tar", None).await.unwrap();
    let digested = put(store, &client, &upload, &content).await;
    let parts = client.uploaded_parts(&upload).await.unwrap();
    let found: Vec<(u32, u64)> = parts.iter().map(|part| (part.number, part.size)).collect();
    assert_eq!(found, [(1, PART), (2, PART), (3, 12_345)]);
    for (part, expected) in parts.iter().zip(&digested.parts) {
        assert_eq!(part.sha256, store.lists_digests.then_some(expected.sha256));
    }
    assert_eq!(client.stored("element.tar").await, Ok(None), "an upload is no object");
    client.finish_upload(&upload, &known(parts, &digested)).await.unwrap();
    let stored = client.stored("element.tar").await.unwrap().unwrap();
    assert_eq!(stored.size, content.len() as u64);
    let composite = Composite::of(digested.parts.iter().map(|part| &part.sha256));
    match stored.checksum {
        Some(checksum) => assert!(store.tells_checksums && composite.confirmed_by(&checksum), "{checksum}"),
        None => assert!(!store.tells_checksums),
    }
    let mut reader = client.open("element.tar").await.unwrap().unwrap();
    let mut hasher = PartHasher::new(PART.try_into().unwrap());
    while let Some(bytes) = reader.next().await.unwrap() {
        hasher.update(&bytes);
    }
    assert_eq!(hasher.finish(), digested);
}

async fn a_part_with_other_bytes_is_refused(store: &Store) {
    let client = store.client();
    let upload = client.begin_upload("element.tar", None).await.unwrap();
    let content = content(1000);
    let part = digest(&content).parts[0];
    let request = client.presign_part(&upload, 1, &part, SOON).await.unwrap();
    assert_eq!(request.method, "PUT");
    assert_eq!(request.headers.get("x-amz-checksum-sha256"), Some(&part.sha256.to_base64()));
    assert_eq!(request.headers.get("content-length"), Some(&"1000".to_owned()));
    let signed = request.url.expose().split_once("X-Amz-SignedHeaders=").unwrap().1;
    assert!(signed.starts_with("content-length%3Bhost%3Bx-amz-checksum-sha256&"), "{signed}");
    let mut other = content.clone();
    other[500] ^= 1;
    let answer = curl::make(&request, &other, &[], store.authority.as_deref()).await;
    assert_eq!(answer.status, 400, "{}", answer.text());
    // The digest is signed: one that fits other bytes does not help.
    let mut forged = request.clone();
    forged.headers.insert("x-amz-checksum-sha256".into(), Sha256::of(&other).to_base64());
    assert_eq!(curl::make(&forged, &other, &[], store.authority.as_deref()).await.status, 403);
    let mut bare = request.clone();
    bare.headers.remove("x-amz-checksum-sha256");
    assert!(matches!(curl::make(&bare, &other, &[], store.authority.as_deref()).await.status, 400 | 403));
    assert_eq!(client.uploaded_parts(&upload).await, Ok(vec![]), "nothing of all that is in the store");
    assert_eq!(curl::make(&request, &content, &[], store.authority.as_deref()).await.status, 200);
}

async fn many_parts_are_listed_over_pages(store: &Store) {
    let client = store.client();
    let upload = client.begin_upload("many.tar", None).await.unwrap();
    let part = digest(b"tiny").parts[0];
    let mut requests = Vec::new();
    for number in 1..=1010 {
        requests.push(client.presign_part(&upload, number, &part, SOON).await.unwrap());
    }
    let folder = Folder::new();
    let file = folder.path().join("part");
    std::fs::write(&file, b"tiny").unwrap();
    curl::put_all(&requests, &file, store.authority.as_deref()).await;
    let numbers: Vec<u32> = client.uploaded_parts(&upload).await.unwrap().iter().map(|part| part.number).collect();
    assert_eq!(numbers, (1..=1010).collect::<Vec<u32>>());
}

async fn unfinished_uploads_are_found_and_aborted(store: &Store) {
    let client = store.client();
    assert_eq!(client.find_uploads("").await, Ok(vec![]));
    let first = client.begin_upload("a/2.tar", None).await.unwrap();
    let second = client.begin_upload("a/1.tar", None).await.unwrap();
    let again = client.begin_upload("a/2.tar", None).await.unwrap();
    let elsewhere = client.begin_upload("b/1.tar", None).await.unwrap();
    let found = client.find_uploads("a/").await.unwrap();
    let mut ids: Vec<(&str, &str)> = found.iter().map(|upload| (upload.key.as_str(), upload.id.as_str())).collect();
    assert!(found.is_sorted_by_key(|upload| upload.started), "{found:?}");
    let close = |upload: &Upload| (upload.started.as_second() - first.started.as_second()).abs() < 120;
    assert!(found.iter().all(close), "{found:?}");
    ids.sort_unstable();
    let mut expected = [(first.key.as_str(), first.id.as_str()), ("a/1.tar", second.id.as_str()), ("a/2.tar", again.id.as_str())];
    expected.sort_unstable();
    assert_eq!(ids, expected);
    assert_eq!(client.find_uploads("").await.unwrap().len(), 4);
    for upload in [&first, &first, &second] {
        client.abort_upload(upload).await.unwrap();
    }
    assert_eq!(client.uploaded_parts(&first).await, Err(StoreError::NoUpload("a/2.tar".into())));
    assert_eq!(client.finish_upload(&first, &[]).await.unwrap_err().reason(), "UploadMissing");
    let mut left: Vec<String> = client.find_uploads("").await.unwrap().into_iter().map(|upload| upload.id).collect();
    let mut expected = vec![again.id, elsewhere.id];
    left.sort_unstable();
    expected.sort_unstable();
    assert_eq!(left, expected);
}

async fn presigned_requests_do_one_thing_only(store: &Store) {
    let client = store.client();
    client.write("element.tar", b"0123456789".to_vec()).await.unwrap();
    let get = client.presign_get("element.tar", SOON).await.unwrap();
    let authority = store.authority.as_deref();
    assert_eq!((get.method.as_str(), get.headers.len()), ("GET", 0));
    let whole = curl::make(&get, b"", &[], authority).await;
    assert_eq!((whole.status, whole.body.as_slice()), (200, &b"0123456789"[..]));
    let range = curl::make(&get, b"", &["Range: bytes=4-"], authority).await;
    assert_eq!((range.status, range.body.as_slice()), (206, &b"456789"[..]));
    let mut other = get.clone();
    other.method = "DELETE".into();
    assert_eq!(curl::make(&other, b"", &[], authority).await.status, 403);
    let mut other = get.clone();
    other.url = model::secret::Secret::new(get.url.expose().replace("element.tar", "manifest.json"));
    assert_eq!(curl::make(&other, b"", &[], authority).await.status, 403);
    let short = client.presign_get("element.tar", Duration::from_secs(1)).await.unwrap();
    let expired = async { while curl::make(&short, b"", &[], authority).await.status != 403 {} };
    tokio::time::timeout(Duration::from_secs(30), expired).await.expect("it expires");
    assert!(client.presign_get("element.tar", Duration::from_secs(8 * 86_400)).await.is_err());
}

async fn finishing_may_be_repeated(store: &Store) {
    let client = store.client();
    let upload = client.begin_upload("element.tar", None).await.unwrap();
    let digested = put(store, &client, &upload, &content(PART + 1)).await;
    let parts = known(client.uploaded_parts(&upload).await.unwrap(), &digested);
    client.finish_upload(&upload, &parts).await.unwrap();
    client.finish_upload(&upload, &parts).await.unwrap();
    client.abort_upload(&upload).await.unwrap();
    assert_eq!(client.stored("element.tar").await.unwrap().unwrap().size, PART + 1);
    assert_eq!(client.find_uploads("").await, Ok(vec![]));
    client.delete(&["element.tar".to_owned()]).await.unwrap();
    assert_eq!(client.finish_upload(&upload, &parts).await, Err(StoreError::NoUpload("element.tar".into())));
}
