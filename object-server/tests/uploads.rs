//! Uploads in parts through the real client over TLS, presigned as for systems.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::time::Duration;

use archive::digest::{Composite, Sha256};
use aws_sdk_s3::Client;
use aws_sdk_s3::presigning::{PresignedRequest, PresigningConfig};
use aws_sdk_s3::types::{ChecksumAlgorithm, ChecksumMode, ChecksumType, CompletedMultipartUpload, CompletedPart, ObjectAttributes};
use support::{BUCKET, Folder, ID, Served, bytes, code};

const KEY: &str = "backups/c1/s1/b1/config.tar";
const MIB: usize = 1 << 20;

async fn begin(client: &Client, key: &str) -> String {
    let begin = client.create_multipart_upload().bucket(BUCKET).key(key).checksum_algorithm(ChecksumAlgorithm::Sha256);
    begin.send().await.unwrap().upload_id().unwrap().to_owned()
}

/// As the operator does for a system: the digest of the part is a signed header.
async fn presign(client: &Client, upload: &str, number: i32, digest: &Sha256, lifetime: Duration) -> PresignedRequest {
    let part = client.upload_part().bucket(BUCKET).key(KEY).upload_id(upload).part_number(number).checksum_sha256(digest.to_base64());
    part.presigned(PresigningConfig::expires_in(lifetime).unwrap()).await.unwrap()
}

async fn send(served: &Served, request: &PresignedRequest, body: &[u8]) -> (u16, String) {
    let target = request.uri().strip_prefix(&format!("https://{}", served.address)).unwrap();
    let headers: Vec<_> = request.headers().filter(|(name, _)| !matches!(*name, "host" | "content-length")).collect();
    served.send(request.method(), target, &headers, body).await
}

fn completed(number: i32, etag: &str, digest: &Sha256) -> CompletedPart {
    CompletedPart::builder().part_number(number).e_tag(etag).checksum_sha256(digest.to_base64()).build()
}

fn list(parts: Vec<CompletedPart>) -> CompletedMultipartUpload {
    CompletedMultipartUpload::builder().set_parts(Some(parts)).build()
}

#[tokio::test]
async fn an_upload_of_presigned_parts_becomes_an_object_with_a_composite_checksum() {
    let folder = Folder::new();
    let served = Served::start(&folder.0).await;
    let client = served.client();
    let upload = begin(&client, KEY).await;
    let parts = [bytes(5 * MIB, 1), bytes(6 * MIB, 2), bytes(12345, 3)];
    let digests: Vec<_> = parts.iter().map(|part| Sha256::of(part)).collect();
    for (number, (part, digest)) in (1..).zip(parts.iter().zip(&digests)) {
        let request = presign(&client, &upload, number, digest, Duration::from_secs(60)).await;
        let (status, answer) = send(&served, &request, part).await;
        assert_eq!(status, 200, "{answer}");
    }
    let listed = client.list_parts().bucket(BUCKET).key(KEY).upload_id(&upload).send().await.unwrap();
    let known: Vec<_> = listed.parts().iter().map(|part| part.checksum_sha256().unwrap().to_owned()).collect();
    assert_eq!(known, digests.iter().map(Sha256::to_base64).collect::<Vec<_>>());
    let chosen =
        (1..).zip(listed.parts().iter().zip(&digests)).map(|(number, (part, digest))| completed(number, part.e_tag().unwrap(), digest));
    let complete = client.complete_multipart_upload().bucket(BUCKET).key(KEY).upload_id(&upload).multipart_upload(list(chosen.collect()));
    let composite = Composite::of(&digests);
    let done = complete.clone().send().await.unwrap();
    assert_eq!(done.checksum_sha256(), Some(composite.to_string().as_str()));
    assert!(done.e_tag().unwrap().ends_with("-3\""), "{done:?}");
    let again = complete.send().await.unwrap();
    assert_eq!(again.e_tag(), done.e_tag(), "a completion whose answer was lost can be asked for again");
    let head = client.head_object().bucket(BUCKET).key(KEY).checksum_mode(ChecksumMode::Enabled).send().await.unwrap();
    assert!(composite.confirmed_by(head.checksum_sha256().unwrap()));
    assert_eq!(head.checksum_type(), Some(&ChecksumType::Composite));
    let whole = parts.concat();
    assert_eq!(head.content_length(), Some(whole.len() as i64));
    let attributes = client.get_object_attributes().bucket(BUCKET).key(KEY);
    let attributes = attributes.object_attributes(ObjectAttributes::ObjectParts).object_attributes(ObjectAttributes::Checksum);
    let attributes = attributes.send().await.unwrap();
    assert!(composite.confirmed_by(attributes.checksum().unwrap().checksum_sha256().unwrap()));
    assert_eq!(attributes.object_parts().unwrap().total_parts_count(), Some(3));
    assert_eq!(attributes.object_parts().unwrap().parts().len(), 3);
    let got = client.get_object().bucket(BUCKET).key(KEY).send().await.unwrap().body.collect().await.unwrap().to_vec();
    assert!(got == whole);
    for (first, last) in [(0, 0), (5 * MIB - 1, 5 * MIB), (3 * MIB, 11 * MIB + 5), (11 * MIB, whole.len() - 1)] {
        let got = client.get_object().bucket(BUCKET).key(KEY).range(format!("bytes={first}-{last}")).send().await.unwrap();
        assert_eq!(got.content_range(), Some(format!("bytes {first}-{last}/{}", whole.len()).as_str()));
        assert!(got.body.collect().await.unwrap().to_vec() == whole[first..=last], "{first}-{last}");
    }
    let tail = client.get_object().bucket(BUCKET).key(KEY).range("bytes=-7").send().await.unwrap();
    assert_eq!(tail.body.collect().await.unwrap().to_vec(), whole[whole.len() - 7..]);
    let part = client.get_object().bucket(BUCKET).key(KEY).part_number(2).send().await.unwrap();
    assert!(part.body.collect().await.unwrap().to_vec() == parts[1]);
    let outside = client.get_object().bucket(BUCKET).key(KEY).range(format!("bytes={}-", whole.len())).send().await;
    assert_eq!(code(outside), "InvalidRange");
    served.stop().await;
}

#[tokio::test]
async fn a_presigned_request_serves_its_own_bytes_for_its_own_time_only() {
    let folder = Folder::new();
    let served = Served::start(&folder.0).await;
    let client = served.client();
    let upload = begin(&client, KEY).await;
    let body = bytes(1000, 1);
    let request = presign(&client, &upload, 1, &Sha256::of(&body), Duration::from_secs(60)).await;
    let (status, answer) = send(&served, &request, &bytes(1000, 2)).await;
    assert!(status == 400 && answer.contains("BadDigest"), "other bytes of the same length: {answer}");
    let target = request.uri().strip_prefix(&format!("https://{}", served.address)).unwrap().to_owned();
    let (status, answer) = served.send("PUT", &target, &[("x-amz-checksum-sha256", &Sha256::of(b"other").to_base64())], b"other").await;
    assert!(status == 403 && answer.contains("SignatureDoesNotMatch"), "another digest: {answer}");
    let (status, answer) = served.send("PUT", &target, &[], &body).await;
    assert_eq!(status, 403, "without the digest: {answer}");
    let (status, _) = served.send("PUT", &target.replace("partNumber=1", "partNumber=2"), &[], &body).await;
    assert_eq!(status, 403, "another part");
    let (status, _) = served.send("GET", &target, &[], &[]).await;
    assert_eq!(status, 403, "another method");
    let short = presign(&client, &upload, 1, &Sha256::of(&body), Duration::from_secs(1)).await;
    let begun = std::time::Instant::now();
    let expired = loop {
        let (status, answer) = send(&served, &short, &body).await;
        if status != 200 {
            break (status, answer);
        }
        assert!(begun.elapsed() < Duration::from_secs(10), "it never expires");
    };
    assert!(expired.0 == 403 && expired.1.contains("expired"), "{}", expired.1);
    served.stop().await;
}

#[tokio::test]
async fn a_presigned_get_takes_a_range_that_was_not_signed() {
    let folder = Folder::new();
    let served = Served::start(&folder.0).await;
    let client = served.client();
    client.put_object().bucket(BUCKET).key("k").body(b"0123456789".to_vec().into()).send().await.unwrap();
    let request = client.get_object().bucket(BUCKET).key("k").presigned(PresigningConfig::expires_in(Duration::from_secs(60)).unwrap());
    let request = request.await.unwrap();
    let target = request.uri().strip_prefix(&format!("https://{}", served.address)).unwrap();
    let (status, answer) = served.send("GET", target, &[("range", "bytes=2-4")], &[]).await;
    assert!(status == 206 && answer.ends_with("\r\n\r\n234"), "{answer}");
    served.stop().await;
}

#[tokio::test]
async fn wrong_credentials_and_unsigned_requests_are_refused() {
    let folder = Folder::new();
    let served = Served::start(&folder.0).await;
    let put = |client: Client| async move { client.put_object().bucket(BUCKET).key("k").body(b"x".to_vec().into()).send().await };
    assert_eq!(code(put(served.client_with(ID, "wrong")).await), "SignatureDoesNotMatch");
    assert_eq!(code(put(served.client_with("NOBODY", "wrong")).await), "InvalidAccessKeyId");
    let (status, answer) = served.send("GET", &format!("/{BUCKET}/k"), &[], &[]).await;
    assert!(status == 403 && answer.contains("AccessDenied"), "{answer}");
    let (status, _) = served.send("PUT", &format!("/{BUCKET}/k"), &[], &bytes(20 * MIB, 1)).await;
    assert_eq!(status, 403, "also with a large body under way, the answer arrives");
    let (status, answer) = served.send("POST", &format!("/{BUCKET}"), &[("content-type", "multipart/form-data; boundary=b")], b"--b").await;
    assert!(status == 501 && answer.contains("NotImplemented"), "{answer}");
    let (status, _) = served.send("GET", &format!("/{BUCKET}/k?AWSAccessKeyId={ID}&Expires=99999999999&Signature=x"), &[], &[]).await;
    assert_eq!(status, 400, "the old signature is not taken");
    served.stop().await;
}

#[tokio::test]
async fn only_whole_and_ordered_parts_of_enough_bytes_complete_an_upload() {
    let folder = Folder::new();
    let served = Served::start(&folder.0).await;
    let client = served.client();
    let upload = begin(&client, KEY).await;
    let (small, large) = (bytes(1000, 1), bytes(5 * MIB, 2));
    let mut etags = Vec::new();
    for (number, body) in [(1, &small), (2, &large), (3, &small)] {
        let part = client.upload_part().bucket(BUCKET).key(KEY).upload_id(&upload).part_number(number);
        let part = part.checksum_sha256(Sha256::of(body).to_base64()).body(body.clone().into()).send().await.unwrap();
        etags.push(part.e_tag().unwrap().to_owned());
    }
    let (of_small, of_large) = (Sha256::of(&small), Sha256::of(&large));
    let complete =
        |parts| client.complete_multipart_upload().bucket(BUCKET).key(KEY).upload_id(&upload).multipart_upload(list(parts)).send();
    let part = |number: usize, digest| completed(number as i32, &etags[number - 1], digest);
    assert_eq!(code(complete(vec![part(1, &of_small), part(2, &of_large)]).await), "EntityTooSmall");
    assert_eq!(code(complete(vec![part(3, &of_small), part(2, &of_large)]).await), "InvalidPartOrder");
    assert_eq!(code(complete(vec![part(2, &of_large), completed(4, &etags[2], &of_small)]).await), "InvalidPart");
    assert_eq!(code(complete(vec![completed(2, &etags[2], &of_large)]).await), "InvalidPart");
    assert_eq!(code(complete(vec![part(2, &of_small)]).await), "InvalidPart");
    assert_eq!(code(complete(vec![]).await), "MalformedXML");
    let unsigned = client.upload_part().bucket(BUCKET).key(KEY).upload_id(&upload).part_number(5).body(small.clone().into()).send().await;
    assert_eq!(code(unsigned), "InvalidRequest", "every part comes with the checksum that was agreed");
    assert_eq!(code(client.head_object().bucket(BUCKET).key(KEY).send().await), "NotFound");
    complete(vec![part(2, &of_large), part(3, &of_small)]).await.unwrap();
    let head = client.head_object().bucket(BUCKET).key(KEY).send().await.unwrap();
    assert_eq!(head.content_length(), Some((5 * MIB + 1000) as i64));
    served.stop().await;
}

#[tokio::test]
async fn an_abandoned_upload_stays_listed_over_a_restart_until_it_is_aborted() {
    let folder = Folder::new();
    let served = Served::start(&folder.0).await;
    let client = served.client();
    let (first, second) = (begin(&client, KEY).await, begin(&client, KEY).await);
    let other = begin(&client, "releases/r1").await;
    let body = bytes(5000, 7);
    let part = client.upload_part().bucket(BUCKET).key(KEY).upload_id(&first).part_number(3).checksum_sha256(Sha256::of(&body).to_base64());
    part.body(body.clone().into()).send().await.unwrap();
    served.stop().await;
    let served = Served::start(&folder.0).await;
    let client = served.client();
    let listed = client.list_multipart_uploads().bucket(BUCKET).prefix("backups/").send().await.unwrap();
    let ids: Vec<_> = listed.uploads().iter().map(|upload| upload.upload_id().unwrap()).collect();
    assert_eq!(ids, [first.as_str(), second.as_str()], "in the order in which they began");
    let page = client.list_multipart_uploads().bucket(BUCKET).max_uploads(1).send().await.unwrap();
    let next = client.list_multipart_uploads().bucket(BUCKET).key_marker(page.next_key_marker().unwrap());
    let next = next.upload_id_marker(page.next_upload_id_marker().unwrap()).send().await.unwrap();
    let ids: Vec<_> = next.uploads().iter().map(|upload| upload.upload_id().unwrap()).collect();
    assert_eq!(ids, [second.as_str(), other.as_str()]);
    let parts = client.list_parts().bucket(BUCKET).key(KEY).upload_id(&first).send().await.unwrap();
    assert_eq!(parts.parts().len(), 1);
    assert_eq!(parts.parts()[0].part_number(), Some(3));
    assert_eq!(parts.parts()[0].checksum_sha256(), Some(Sha256::of(&body).to_base64().as_str()));
    client.abort_multipart_upload().bucket(BUCKET).key(KEY).upload_id(&first).send().await.unwrap();
    assert_eq!(code(client.abort_multipart_upload().bucket(BUCKET).key(KEY).upload_id(&first).send().await), "NoSuchUpload");
    assert_eq!(code(client.list_parts().bucket(BUCKET).key(KEY).upload_id(&first).send().await), "NoSuchUpload");
    assert_eq!(code(client.list_parts().bucket(BUCKET).key("other").upload_id(&second).send().await), "NoSuchUpload");
    served.stop().await;
}
