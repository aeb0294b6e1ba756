//! Stores that are down, slow, full, or say what is not so: a server that answers as the test wishes.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod server;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use archive::catalogue::State;
use archive::digest::{Part, Sha256};
use archive::layout::{BackupId, Folder};
use archive::manifest::Manifest;
use archive::verification::Outcome;
use model::secret::Secret;
use object_client::verification::{VerifyError, verify};
use object_client::{Encryption, LockMode, ObjectClient, ObjectLock, Options, StoreError, Written, catalogue};

use crate::server::{Reply, Request, Server, object, refusal, status};

#[tokio::test]
async fn a_store_that_is_down_is_found_out_at_once() {
    let server = Server::start(|_| status(200)).await;
    let mut options = server.options();
    // A port that was free a moment ago.
    options.endpoint = format!("http://{}", std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap());
    let client = ObjectClient::new(options).unwrap();
    let began = Instant::now();
    let error = client.probe().await.unwrap_err();
    assert!(matches!(error, StoreError::Unreachable(_)) && error.is_transient(), "{error:?}");
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert!(error.to_string().contains("refused"), "it says why: {error}");
}

#[tokio::test]
async fn a_store_that_never_answers_is_given_up() {
    let server = Server::start(|_| Reply::Silence).await;
    let began = Instant::now();
    let error = server.client_with(Duration::from_millis(500)).read("a", 1).await.unwrap_err();
    assert_eq!(error, StoreError::Timeout("read a".into()));
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_busy_store_is_asked_again_and_then_left_alone() {
    let mut count = 0;
    let server = Server::start(move |_| {
        count += 1;
        if count == 3 { object(b"x") } else { refusal(503, "SlowDown") }
    })
    .await;
    assert_eq!(server.client().read("a", 1).await, Ok(Some(b"x".to_vec())));
    let error = server.client().read("a", 1).await.unwrap_err();
    assert_eq!((error.reason(), error.is_transient()), ("StoreBusy", true));
    assert_eq!(server.asked().len(), 6);
}

#[tokio::test]
async fn what_a_store_refuses_has_a_name() {
    let table = [
        (507, "InsufficientStorage", "StoreFull", true),
        (403, "QuotaExceeded", "StoreFull", true),
        (403, "AccessDenied", "StoreForbidden", false),
        (403, "RequestTimeTooSkewed", "ClockSkew", true),
        (404, "NoSuchBucket", "BucketMissing", false),
        (403, "ObjectLocked", "ObjectLocked", false),
        (301, "PermanentRedirect", "StoreMisconfigured", false),
        (400, "InvalidArgument", "StoreRefused", false),
        (500, "InternalError", "StoreRefused", true),
        (502, "", "StoreRefused", true),
    ];
    for (status, code, reason, transient) in table {
        let server = Server::start(move |_| refusal(status, code)).await;
        let error = server.client().delete(&["a".to_owned()]).await.unwrap_err();
        assert_eq!((error.reason(), error.is_transient()), (reason, transient), "{status} {code}: {error}");
    }
}

#[tokio::test]
async fn a_lock_that_only_its_text_tells_is_a_lock() {
    let text = b"<Error><Code>AccessDenied</Code><Message>Access Denied because object protected by object lock.</Message></Error>";
    let server = Server::start(|_| Reply::Answer(403, vec![], text.to_vec())).await;
    assert_eq!(server.client().delete(&["a".to_owned()]).await.unwrap_err().reason(), "ObjectLocked");
}

#[tokio::test]
async fn a_page_of_something_else_is_no_store() {
    let server = Server::start(|_| Reply::Answer(200, vec![], b"<html>Sign in to the network</html>".to_vec())).await;
    let error = server.client().probe().await.unwrap_err();
    assert_eq!(error.reason(), "StoreUnusable", "{error}");
    let server = Server::start(|_| Reply::Answer(200, vec![], b"<html><p>Sign in".to_vec())).await;
    let error = server.client().list("", |_, _| ()).await.unwrap_err();
    assert_eq!(error.reason(), "StoreUnusable", "{error}");
}

fn rest(content: &[u8], request: &Request) -> Reply {
    let from: usize = request.headers["range"].strip_prefix("bytes=").unwrap().trim_end_matches('-').parse().unwrap();
    let range = format!("bytes {from}-{}/{}", content.len() - 1, content.len());
    Reply::Cut(206, vec![("etag", "\"e\"".into()), ("content-range", range)], content[from..].to_vec(), usize::MAX)
}

#[tokio::test]
async fn a_broken_connection_is_made_again_where_it_broke() {
    let content: Vec<u8> = (0..100_000_u32).map(|at| u8::try_from(at % 251).unwrap()).collect();
    let whole = content.clone();
    let server = Server::start(move |request| {
        if request.headers.contains_key("range") {
            rest(&whole, request)
        } else {
            Reply::Cut(200, vec![("etag", "\"e\"".into())], whole.clone(), 70_000)
        }
    })
    .await;
    let read = server.client().read("a", content.len()).await.unwrap().unwrap();
    assert!(read == content);
    let requests = server.requests.lock().unwrap().clone();
    assert_eq!(requests.len(), 2);
    assert_eq!((requests[1].headers["range"].as_str(), requests[1].headers["if-match"].as_str()), ("bytes=70000-", "\"e\""));
}

#[tokio::test]
async fn a_store_that_begins_anew_in_the_middle_is_not_believed() {
    let server = Server::start(|_| Reply::Cut(200, vec![("etag", "\"e\"".into())], vec![7; 1000], 500)).await;
    let error = server.client().read("a", 1000).await.unwrap_err();
    assert_eq!(error.reason(), "StoreUnusable", "{error}");
    // As many bytes as are left, and others.
    let range = |bytes: &str| vec![("etag", "\"e\"".to_owned()), ("content-range", format!("bytes {bytes}/1000"))];
    let server = Server::start(move |request| match request.headers.contains_key("range") {
        true => Reply::Answer(206, range("0-499"), vec![7; 500]),
        false => Reply::Cut(200, vec![("etag", "\"e\"".into())], vec![7; 1000], 500),
    })
    .await;
    let error = server.client().read("a", 1000).await.unwrap_err();
    assert_eq!(error.reason(), "StoreUnusable", "{error}");
}

#[tokio::test]
async fn a_connection_that_always_breaks_is_given_up() {
    let server = Server::start(|request| match request.headers.contains_key("range") {
        true => Reply::Cut(206, vec![("etag", "\"e\"".into()), ("content-range", "bytes 500-999/1000".into())], vec![7; 500], 0),
        false => Reply::Cut(200, vec![("etag", "\"e\"".into())], vec![7; 1000], 500),
    })
    .await;
    let error = server.client().read("a", 1000).await.unwrap_err();
    assert_eq!((error.reason(), error.is_transient()), ("StoreUnreachable", true), "{error}");
}

#[tokio::test]
async fn an_answer_that_is_lost_is_asked_for_again() {
    let mut count = 0;
    let server = Server::start(move |request| {
        count += 1;
        match (count, request.method.as_str()) {
            (1, _) => Reply::HangUp,
            (_, "HEAD") => object(b"12345"),
            (_, _) => status(200),
        }
    })
    .await;
    server.client().write("a", b"12345".to_vec()).await.unwrap();
    assert_eq!(server.asked(), ["PUT /bucket/a", "PUT /bucket/a", "HEAD /bucket/a"]);
    let requests = server.requests.lock().unwrap().clone();
    assert_eq!(requests[0].headers["x-amz-checksum-sha256"], Sha256::of(b"12345").to_base64());
    assert_eq!(requests[1].body, b"12345");
}

#[tokio::test]
async fn a_store_that_does_not_keep_what_it_took_is_found_out() {
    let server = Server::start(|request| if request.method == "HEAD" { object(b"123") } else { status(200) }).await;
    let error = server.client().write("a", b"12345".to_vec()).await.unwrap_err();
    assert_eq!(error.reason(), "ObjectNotStored", "{error}");
    let server = Server::start(|request| match (request.method.as_str(), request.path.starts_with("/bucket/a")) {
        ("HEAD", true) => status(404),
        _ => status(200),
    })
    .await;
    assert_eq!(server.client().write("a", b"12345".to_vec()).await.unwrap_err().reason(), "ObjectNotStored");
}

#[tokio::test]
async fn a_store_without_conditions_writes_once_all_the_same() {
    let server = Server::start(|request| match (request.method.as_str(), request.headers.contains_key("if-none-match")) {
        ("GET", _) => refusal(404, "NoSuchKey"),
        ("PUT", true) => refusal(501, "NotImplemented"),
        ("HEAD", _) => object(b"12345"),
        _ => status(200),
    })
    .await;
    assert_eq!(server.client().write_new("a", b"12345".to_vec()).await, Ok(Written::New));
    // 501 is no reason to ask again.
    assert_eq!(server.asked(), ["GET /bucket/a", "PUT /bucket/a", "PUT /bucket/a", "HEAD /bucket/a"]);
    let server = Server::start(|request| if request.method == "GET" { object(b"12345") } else { status(200) }).await;
    assert_eq!(server.client().write_new("a", b"12345".to_vec()).await, Ok(Written::SameThere));
    assert_eq!(server.client().write_new("a", b"other".to_vec()).await, Ok(Written::OtherThere));
    assert!(server.asked().iter().all(|request| request.starts_with("GET")), "nothing is put where something is");
}

#[tokio::test]
async fn an_upload_that_was_finished_without_an_answer_is_done() {
    let server = Server::start(|request| match request.method.as_str() {
        "POST" => refusal(404, "NoSuchUpload"),
        _ => object(b"12345"),
    })
    .await;
    let client = server.client();
    let upload = object_client::Upload { key: "a".into(), id: "u".into(), started: jiff::Timestamp::UNIX_EPOCH };
    let part = |size| object_client::UploadedPart { number: 1, size, etag: "\"e\"".into(), sha256: None };
    assert_eq!(client.finish_upload(&upload, &[part(5)]).await, Ok(()));
    assert_eq!(client.finish_upload(&upload, &[part(6)]).await, Err(StoreError::NoUpload("a".into())));
}

#[tokio::test]
async fn presigned_requests_name_the_endpoint_of_systems_and_nothing_is_dialled() {
    let server = Server::start(|_| Reply::HangUp).await;
    let mut options = server.options();
    options.system_endpoint = Some("https://store.example.com:9443".into());
    options.prefix = "some/path/".into();
    options.session_token = Some(Secret::new("a-token"));
    let client = ObjectClient::new(options).unwrap();
    let upload = object_client::Upload { key: "e.tar".into(), id: "the-upload".into(), started: jiff::Timestamp::UNIX_EPOCH };
    let part = Part { size: 5, sha256: Sha256::of(b"12345") };
    let put = client.presign_part(&upload, 7, &part, Duration::from_secs(60)).await.unwrap();
    let url = put.url.expose();
    assert!(url.starts_with("https://store.example.com:9443/bucket/some/path/e.tar?"), "{url}");
    assert!(url.contains("partNumber=7") && url.contains("uploadId=the-upload") && url.contains("X-Amz-Expires=60"), "{url}");
    let get = client.presign_get("e.tar", Duration::from_secs(60)).await.unwrap();
    assert!(get.url.expose().contains("X-Amz-SignedHeaders=host&"), "{}", get.url.expose());
    assert_eq!(server.asked(), [""; 0]);
    let shown = format!("{client:?} {put:?}");
    assert!(!shown.contains("a-secret") && !shown.contains("a-token") && !shown.contains("X-Amz-Signature"), "{shown}");
}

#[tokio::test]
async fn encryption_and_lock_are_said_by_whoever_creates_an_object() {
    let begun = b"<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>";
    let server = Server::start(|request| match request.method.as_str() {
        "HEAD" | "GET" => object(b"12345"),
        "POST" => Reply::Answer(200, vec![], begun.to_vec()),
        _ => status(200),
    })
    .await;
    let mut options = server.options();
    options.encryption = Some(Encryption::Kms { key_id: Some("the-key".into()) });
    options.object_lock = Some(ObjectLock { mode: LockMode::Compliance, days: 30 });
    let client = ObjectClient::new(options).unwrap();
    client.write("a", b"12345".to_vec()).await.unwrap();
    let upload = client.begin_upload("b", None).await.unwrap();
    let requests = server.requests.lock().unwrap().clone();
    let creating: Vec<&Request> = requests.iter().filter(|request| request.method != "HEAD").collect();
    assert_eq!(creating.len(), 2);
    for request in creating {
        let header = |name: &str| request.headers.get(name).map(String::as_str);
        assert_eq!(header("x-amz-server-side-encryption"), Some("aws:kms"));
        assert_eq!(header("x-amz-server-side-encryption-aws-kms-key-id"), Some("the-key"));
        assert_eq!(header("x-amz-object-lock-mode"), Some("COMPLIANCE"));
        let until: jiff::Timestamp = header("x-amz-object-lock-retain-until-date").unwrap().parse().unwrap();
        let days = until.duration_since(jiff::Timestamp::now()).as_hours();
        assert!((29 * 24..=30 * 24).contains(&days), "{until}");
    }
    // A system sends none of that, and a probe must be able to delete what it wrote.
    let part = Part { size: 5, sha256: Sha256::of(b"12345") };
    let request = client.presign_part(&upload, 1, &part, Duration::from_secs(60)).await.unwrap();
    assert_eq!(request.headers.keys().collect::<Vec<_>>(), ["content-length", "x-amz-checksum-sha256"]);
    let _ = client.probe_write().await;
    let requests = server.requests.lock().unwrap().clone();
    let probe = requests.iter().find(|request| request.method == "PUT" && request.path.contains("/probe/")).unwrap();
    assert!(!probe.headers.keys().any(|name| name.contains("lock") || name.contains("encryption")), "{probe:?}");
}

#[tokio::test]
async fn objects_go_in_the_order_given_and_one_that_stays_ends_it() {
    let server = Server::start(|request| match request.path.as_str() {
        path if path.starts_with("/bucket/locked") => refusal(403, "ObjectLocked"),
        path if path.starts_with("/bucket/gone") => refusal(404, "NoSuchKey"),
        _ => status(204),
    })
    .await;
    let keys = ["manifest.json", "gone", "b", "a", "locked", "c"].map(str::to_owned);
    assert_eq!(server.client().delete(&keys).await.unwrap_err().reason(), "ObjectLocked");
    let expected = ["manifest.json", "gone", "b", "a", "locked"].map(|key| format!("DELETE /bucket/{key}"));
    assert_eq!(server.asked(), expected);
}

#[tokio::test]
async fn options_that_cannot_work_are_refused_before_anything_is_dialled() {
    let server = Server::start(|_| Reply::HangUp).await;
    let changes: [fn(&mut Options); 12] = [
        |options| options.endpoint = "store.example.com".into(),
        |options| options.endpoint = "ftp://store.example.com".into(),
        |options| options.endpoint = "https://name:hunter2@store.example.com".into(),
        |options| options.endpoint = "https://store.example.com/path".into(),
        |options| options.system_endpoint = Some("https://store.example.com?x=y".into()),
        |options| options.bucket = "a/b".into(),
        |options| options.bucket = "arn:aws:s3:us-west-2:123456789012:accesspoint/x".into(),
        |options| options.prefix = "no-slash".into(),
        |options| options.prefix = "../up/".into(),
        |options| options.secret_access_key = Secret::new(""),
        |options| {
            options.endpoint = "https://store.example.com".into();
            options.authority = Some("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".into());
        },
        |options| {
            options.endpoint = "https://store.example.com".into();
            options.authority = Some("no certificate".into());
        },
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let mut options = server.options();
        change(&mut options);
        let error = ObjectClient::new(options).unwrap_err();
        assert!(matches!(error, StoreError::Configuration(_)), "{number}: {error}");
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}

const MANIFEST: &str = include_str!("../../../archive/fixtures/manifest-v1.json");
/// What the elements of that manifest hold.
const CONTENTS: [(&str, &[u8]); 3] = [("0001-", b"configuration"), ("0002-", b"voicemail"), ("0003-", b"messages in two parts")];

fn folder() -> Folder {
    serde_json::from_str::<Manifest>(MANIFEST).unwrap().folder()
}

/// The backup of the fixture, where `change` is done to what is read for the so-many-th time.
fn backup(mut change: impl FnMut(usize, &mut Vec<u8>) + Send + 'static) -> impl FnMut(&Request) -> Reply + Send + 'static {
    let mut count = 0;
    move |request| match CONTENTS.iter().find(|(name, _)| request.path.contains(name)) {
        None => object(MANIFEST.as_bytes()),
        Some((_, content)) => {
            let mut content = content.to_vec();
            change(count, &mut content);
            count += 1;
            object(&content)
        }
    }
}

#[tokio::test]
async fn bytes_that_are_wrong_twice_are_damage() {
    let server = Server::start(backup(|_, content| content[0] ^= 1)).await;
    let found = verify(&server.client(), &folder()).await.unwrap();
    let Outcome::Damaged { reason } = &found.outcome else {
        panic!("{found:?}");
    };
    assert!(reason.contains("SelectiveVoicemails: part 1 of 2 differs"), "{reason}");
    assert_eq!(found.manifest_sha256, Sha256::of(MANIFEST.as_bytes()));
}

#[tokio::test]
async fn bytes_that_differ_between_two_readings_are_no_verdict() {
    let server = Server::start(backup(|count, content| content[0] ^= u8::from(count == 0))).await;
    let error = verify(&server.client(), &folder()).await.unwrap_err();
    assert!(matches!(&error, VerifyError::Store(StoreError::Unusable(text)) if text.contains("read twice")), "{error}");
}

#[tokio::test]
async fn a_store_that_goes_down_while_a_backup_is_read_is_no_verdict() {
    let mut serve = backup(|_, _| ());
    let server = Server::start(move |request| if request.path.contains("0003-") { Reply::HangUp } else { serve(request) }).await;
    let error = verify(&server.client(), &folder()).await.unwrap_err();
    assert!(matches!(error, VerifyError::Store(StoreError::Unreachable(_))), "{error}");
}

fn listing(keys: &[String]) -> Reply {
    let contents: String = keys.iter().map(|key| format!("<Contents><Key>{key}</Key><Size>2</Size></Contents>")).collect();
    let text = format!("<ListBucketResult><IsTruncated>false</IsTruncated>{contents}</ListBucketResult>");
    Reply::Answer(200, vec![], text.into_bytes())
}

fn manifests(count: usize) -> Vec<String> {
    let id = |number: usize| BackupId::new(jiff::Timestamp::UNIX_EPOCH, &number.to_string()).unwrap();
    (0..count).map(|number| format!("backups/acme1/hq/{}/manifest.json", id(number))).collect()
}

#[tokio::test]
async fn one_manifest_that_cannot_be_read_stops_no_other() {
    let keys = manifests(20);
    let bad = keys[7].clone();
    let server = Server::start(move |request| match request.path.as_str() {
        path if path.contains("list-type=2") => listing(&keys),
        path if path.contains(&bad) => refusal(403, "AccessDenied"),
        _ => object(b"{}"),
    })
    .await;
    let found = catalogue(&server.client(), "backups/").await.unwrap();
    assert_eq!(found.entries.len(), 20);
    assert_eq!(found.entries.iter().filter(|entry| matches!(entry.state, State::Unread(_))).count(), 1);
}

#[tokio::test]
async fn a_store_that_goes_down_while_the_catalogue_is_read_is_no_empty_one() {
    let keys = manifests(50);
    let server = Server::start(move |request| if request.path.contains("list-type=2") { listing(&keys) } else { Reply::HangUp }).await;
    let error = catalogue(&server.client(), "backups/").await.unwrap_err();
    assert_eq!(error.reason(), "StoreUnreachable", "{error}");
    assert!(server.asked().len() < 100, "it is given up long before every manifest was tried: {}", server.asked().len());
}

/// What was logged, for a subscriber to write to.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn nothing_secret_is_logged_at_the_most_detailed_level() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber =
        tracing_subscriber::fmt().with_max_level(tracing_subscriber::filter::LevelFilter::DEBUG).with_writer(move || writer.clone());
    let logging = tracing_subscriber::util::SubscriberInitExt::set_default(subscriber.finish());
    let server = Server::start(|_| refusal(403, "AccessDenied")).await;
    let mut options = server.options();
    options.session_token = Some(Secret::new("a-token"));
    let client = ObjectClient::new(options).unwrap();
    let _ = client.write("a", b"12345".to_vec()).await;
    let get = client.presign_get("a", Duration::from_secs(60)).await.unwrap();
    drop(logging);
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let signature = get.url.expose().split("X-Amz-Signature=").nth(1).unwrap().split('&').next().unwrap();
    assert!(text.contains("attempt"), "something is logged: {text}");
    for secret in ["a-secret", "a-token", "X-Amz-Signature", signature] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
}
