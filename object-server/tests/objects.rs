//! Objects through the real client over TLS.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ChecksumMode, Delete, ObjectAttributes, ObjectIdentifier};
use support::{BUCKET, Folder, Served, bytes, code};

/// Keys that file systems and XML would stumble over.
const KEYS: [&str; 12] = [
    "a",
    "a/b",
    "a/b/",
    "a//b",
    "A/b",
    "../../etc/passwd",
    "with space+plus&amp<tag>\"quotes'",
    "ümläut/日本語/🦀",
    "%2e%2e/@0000000000000001",
    "tilde~/star*/question?",
    ".hidden/.",
    "con/nul.txt",
];

#[tokio::test]
async fn what_is_put_under_any_key_comes_back_also_after_a_restart() {
    let folder = Folder::new();
    let served = Served::start(&folder.0).await;
    let client = served.client();
    let long = format!("{}/{}", "x".repeat(500), "Ü".repeat(261));
    let keys: Vec<&str> = KEYS.into_iter().chain([long.as_str()]).collect();
    for (number, key) in keys.iter().enumerate() {
        let body = bytes(1000 * number, number as u64);
        client.put_object().bucket(BUCKET).key(*key).body(body.into()).content_type("text/x-test").send().await.unwrap();
    }
    served.stop().await;
    let served = Served::start(&folder.0).await;
    let client = served.client();
    for (number, key) in keys.iter().enumerate() {
        let got = client.get_object().bucket(BUCKET).key(*key).send().await.unwrap_or_else(|error| panic!("{key}: {error:?}"));
        assert_eq!(got.content_type(), Some("text/x-test"));
        assert_eq!(got.body.collect().await.unwrap().to_vec(), bytes(1000 * number, number as u64), "{key}");
    }
    let listed = client.list_objects_v2().bucket(BUCKET).send().await.unwrap();
    let listed: Vec<&str> = listed.contents().iter().filter_map(|object| object.key()).collect();
    let mut sorted = keys.clone();
    sorted.sort_unstable();
    assert_eq!(listed, sorted);
    for key in &keys {
        client.delete_object().bucket(BUCKET).key(*key).send().await.unwrap();
        assert_eq!(code(client.get_object().bucket(BUCKET).key(*key).send().await), "NoSuchKey");
    }
    let left = std::fs::read_dir(folder.0.join("buckets").join(BUCKET).join("objects")).unwrap().count();
    assert_eq!(left, 0, "empty folders go with the last key");
    served.stop().await;
}

#[tokio::test]
async fn pages_follow_each_other_without_gap_or_double() {
    let folder = Folder::new();
    let served = Served::start(&folder.0).await;
    let client = served.client();
    let keys: Vec<String> = (0..47).map(|number| format!("c{}/s{}/{}", number % 3, number % 7, number)).collect();
    for key in &keys {
        client.put_object().bucket(BUCKET).key(key).body(ByteStream::from_static(b"x")).send().await.unwrap();
    }
    let mut sorted = keys.clone();
    sorted.sort_unstable();
    let mut pages = client.list_objects_v2().bucket(BUCKET).max_keys(5).into_paginator().send();
    let mut seen = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.unwrap();
        assert!(page.contents().len() <= 5);
        seen.extend(page.contents().iter().map(|object| object.key().unwrap().to_owned()));
    }
    assert_eq!(seen, sorted);
    let folders = client.list_objects_v2().bucket(BUCKET).prefix("c1/").delimiter("/").max_keys(3).send().await.unwrap();
    let names: Vec<_> = folders.common_prefixes().iter().filter_map(|prefix| prefix.prefix()).collect();
    assert_eq!(names, ["c1/s0/", "c1/s1/", "c1/s2/"]);
    let rest = client.list_objects_v2().bucket(BUCKET).prefix("c1/").delimiter("/");
    let rest = rest.continuation_token(folders.next_continuation_token().unwrap()).send().await.unwrap();
    assert_eq!(rest.common_prefixes().first().and_then(|prefix| prefix.prefix()), Some("c1/s3/"));
    let first = client.list_objects().bucket(BUCKET).max_keys(4).send().await.unwrap();
    let second = client.list_objects().bucket(BUCKET).max_keys(4).marker(first.next_marker().unwrap()).send().await.unwrap();
    assert_eq!(second.contents().first().and_then(|object| object.key()), Some(sorted[4].as_str()));
    let after = client.list_objects_v2().bucket(BUCKET).start_after(&sorted[40]).send().await.unwrap();
    assert_eq!(after.key_count(), Some(6));
    served.stop().await;
}

#[tokio::test]
async fn a_checksum_that_is_not_the_bodys_refuses_it_and_stores_nothing() {
    let folder = Folder::new();
    let served = Served::start(&folder.0).await;
    let client = served.client();
    let put = || client.put_object().bucket(BUCKET).key("k").body(ByteStream::from_static(b"hello"));
    let of_hello = "LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=";
    let of_world = "SG6kYiTRuwKmiZ7bX+mFoWKUG+I5tL85Ho1kbXCXJPw=";
    assert_eq!(code(put().checksum_sha256(of_world).send().await), "BadDigest");
    assert_eq!(code(put().content_md5("1B2M2Y8AsgTpgAmY7PhCfg==").send().await), "BadDigest");
    assert_eq!(code(client.head_object().bucket(BUCKET).key("k").send().await), "NotFound");
    let stored = put().checksum_sha256(of_hello).content_md5("XUFAKrxLKna5cZ2REBfFkg==").send().await.unwrap();
    assert_eq!(stored.checksum_sha256(), Some(of_hello));
    assert_eq!(stored.e_tag(), Some("\"5d41402abc4b2a76b9719d911017c592\""));
    let head = client.head_object().bucket(BUCKET).key("k").checksum_mode(ChecksumMode::Enabled).send().await.unwrap();
    assert_eq!((head.checksum_sha256(), head.content_length()), (Some(of_hello), Some(5)));
    let attributes = client.get_object_attributes().bucket(BUCKET).key("k");
    let attributes = attributes.object_attributes(ObjectAttributes::Checksum).object_attributes(ObjectAttributes::ObjectSize);
    let attributes = attributes.send().await.unwrap();
    assert_eq!(attributes.checksum().and_then(|checksum| checksum.checksum_sha256()), Some(of_hello));
    assert_eq!(attributes.object_size(), Some(5));
    served.stop().await;
}

#[tokio::test]
async fn a_conditional_put_never_replaces_what_it_must_not() {
    let folder = Folder::new();
    let served = Served::start(&folder.0).await;
    let client = served.client();
    let put = |text: &'static str| client.put_object().bucket(BUCKET).key("once").body(ByteStream::from_static(text.as_bytes()));
    let all: Vec<_> = ["one", "two", "three", "four"].into_iter().map(|text| put(text).if_none_match("*").send()).collect();
    let outcomes = futures::future::join_all(all).await;
    let (won, lost): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(Result::is_ok);
    assert_eq!((won.len(), lost.len()), (1, 3), "of puts at one time one wins");
    lost.into_iter().for_each(|lost| assert_eq!(code(lost), "PreconditionFailed"));
    let etag = won[0].as_ref().unwrap().e_tag().unwrap().to_owned();
    put("five").if_match(&etag).send().await.unwrap();
    assert_eq!(code(put("six").if_match(&etag).send().await), "PreconditionFailed");
    let get = client.get_object().bucket(BUCKET).key("once");
    assert_eq!(code(get.clone().if_match(&etag).send().await), "PreconditionFailed");
    let new = get.clone().send().await.unwrap().e_tag().unwrap().to_owned();
    let unchanged = get.if_none_match(new).send().await.unwrap_err();
    assert_eq!(unchanged.raw_response().unwrap().status().as_u16(), 304);
    served.stop().await;
}

#[tokio::test]
async fn many_keys_are_deleted_in_one_request_and_absent_ones_count() {
    let folder = Folder::new();
    let served = Served::start(&folder.0).await;
    let client = served.client();
    for key in ["x", "y"] {
        client.put_object().bucket(BUCKET).key(key).body(ByteStream::from_static(b"x")).send().await.unwrap();
    }
    let keys = ["x", "never", "y"].map(|key| ObjectIdentifier::builder().key(key).build().unwrap());
    let delete = Delete::builder().set_objects(Some(keys.to_vec())).build().unwrap();
    let deleted = client.delete_objects().bucket(BUCKET).delete(delete).send().await.unwrap();
    assert_eq!((deleted.deleted().len(), deleted.errors().len()), (3, 0));
    let left = client.list_objects_v2().bucket(BUCKET).send().await.unwrap();
    assert_eq!(left.key_count(), Some(0));
    served.stop().await;
}

#[tokio::test]
async fn buckets_are_made_named_and_found() {
    let folder = Folder::new();
    let served = Served::start(&folder.0).await;
    let client = served.client();
    client.create_bucket().bucket("another-one").send().await.unwrap();
    assert_eq!(code(client.create_bucket().bucket("another-one").send().await), "BucketAlreadyOwnedByYou");
    client.head_bucket().bucket("another-one").send().await.unwrap();
    assert_eq!(code(client.head_bucket().bucket("missing").send().await), "NotFound");
    assert_eq!(code(client.list_objects_v2().bucket("missing").send().await), "NoSuchBucket");
    let listed = client.list_buckets().send().await.unwrap();
    let names: Vec<_> = listed.buckets().iter().filter_map(|bucket| bucket.name()).collect();
    assert_eq!(names, ["another-one", BUCKET]);
    client.get_bucket_location().bucket(BUCKET).send().await.unwrap();
    served.stop().await;
}

#[tokio::test]
async fn what_the_store_cannot_do_is_refused_and_not_ignored() {
    let folder = Folder::new();
    let served = Served::start(&folder.0).await;
    let client = served.client();
    let put = || client.put_object().bucket(BUCKET).key("k").body(ByteStream::from_static(b"hello"));
    let encrypted = put().server_side_encryption(aws_sdk_s3::types::ServerSideEncryption::Aes256).send().await;
    assert_eq!(code(encrypted), "NotImplemented");
    let locked = put().object_lock_legal_hold_status(aws_sdk_s3::types::ObjectLockLegalHoldStatus::On).send().await;
    assert_eq!(code(locked), "NotImplemented");
    assert_eq!(code(put().tagging("a=b").send().await), "NotImplemented");
    served.stop().await;
}

#[tokio::test]
async fn a_disk_without_room_refuses_with_507_and_stores_nothing() {
    let folder = Folder::new();
    let mut options = support::options(&folder.0);
    options.limits.reserve_bytes = u64::MAX;
    let served = Served::with(options).await;
    let client = served.client();
    let refused = client.put_object().bucket(BUCKET).key("k").body(ByteStream::from_static(b"hello")).send().await;
    assert_eq!(refused.as_ref().unwrap_err().raw_response().unwrap().status().as_u16(), 507);
    assert_eq!(code(refused), "InsufficientStorage");
    assert_eq!(code(client.head_object().bucket(BUCKET).key("k").send().await), "NotFound");
    assert_eq!(std::fs::read_dir(folder.0.join("staging")).unwrap().count(), 0);
    served.stop().await;
}
