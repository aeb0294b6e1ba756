//! Clients that stall, flood or stay: none of them holds the server up.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use aws_sdk_s3::presigning::PresigningConfig;
use object_server::{BindError, Credentials, ObjectServer, OpenError, Options, Tls};
use support::{BUCKET, Folder, Served, bytes, options};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const PATIENCE: Duration = Duration::from_secs(20);
/// Of an impatient server. Requests that do not stall must keep to it, too.
const SHORT: Duration = Duration::from_secs(2);

async fn impatient(folder: &Folder) -> Served {
    let mut options = options(&folder.0);
    options.limits.stall = SHORT;
    options.limits.handshake = SHORT;
    options.limits.idle = SHORT;
    Served::with(options).await
}

fn lifetime() -> PresigningConfig {
    PresigningConfig::expires_in(Duration::from_secs(60)).unwrap()
}

#[tokio::test]
async fn a_body_that_stalls_is_given_up_and_nothing_of_it_stays() {
    let folder = Folder::new();
    let served = impatient(&folder).await;
    let request = served.client().put_object().bucket(BUCKET).key("k").presigned(lifetime()).await.unwrap();
    let target = request.uri().strip_prefix(&format!("https://{}", served.address)).unwrap();
    let mut stream = served.connect().await;
    let head = format!("PUT {target} HTTP/1.1\r\nhost: {}\r\ncontent-length: 1000000\r\n\r\nsome bytes", served.address);
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("the server gives up").ok();
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("IncompleteBody"), "{answer}");
    assert_eq!(std::fs::read_dir(folder.0.join("staging")).unwrap().count(), 0);
    served.stop().await;
}

#[tokio::test]
async fn a_client_that_takes_nothing_loses_its_connection() {
    let folder = Folder::new();
    let mut options = options(&folder.0);
    options.limits.stall = SHORT;
    options.limits.drain = PATIENCE * 2;
    let served = Served::with(options).await;
    let client = served.client();
    client.put_object().bucket(BUCKET).key("k").body(bytes(64 << 20, 1).into()).send().await.unwrap();
    let request = client.get_object().bucket(BUCKET).key("k").presigned(lifetime()).await.unwrap();
    let target = request.uri().strip_prefix(&format!("https://{}", served.address)).unwrap();
    let mut stream = served.connect().await;
    stream.write_all(format!("GET {target} HTTP/1.1\r\nhost: {}\r\n\r\n", served.address).as_bytes()).await.unwrap();
    let mut first = [0; 1];
    stream.read_exact(&mut first).await.unwrap();
    // The server ends when its last connection has: nobody takes the rest, so only giving up ends this one.
    tokio::time::timeout(PATIENCE, served.stop()).await.expect("the server gives up");
}

#[tokio::test]
async fn silent_and_flooding_clients_are_let_go() {
    let folder = Folder::new();
    let served = impatient(&folder).await;
    let mut silent = TcpStream::connect(served.address).await.unwrap();
    let mut end = Vec::new();
    tokio::time::timeout(PATIENCE, silent.read_to_end(&mut end)).await.expect("no handshake, no connection").ok();
    let mut idle = served.connect().await;
    tokio::time::timeout(PATIENCE, idle.read_to_end(&mut end)).await.expect("no request, no connection").ok();
    let (status, _) = served.send("GET", "/", &[("x-flood", &"x".repeat(100_000))], &[]).await;
    assert_eq!(status, 431);
    served.client().list_buckets().send().await.unwrap();
    served.stop().await;
}

#[tokio::test]
async fn stopping_does_not_wait_for_idle_connections_and_frees_the_folder() {
    let folder = Folder::new();
    let served = Served::start(&folder.0).await;
    let client = served.client();
    client.list_buckets().send().await.unwrap();
    let _idle = served.connect().await;
    let started = Instant::now();
    served.stop().await;
    assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
    ObjectServer::open(options(&folder.0)).unwrap();
}

#[tokio::test]
async fn what_cannot_be_opened_or_bound_says_what_to_do() {
    let folder = Folder::new();
    let open = |change: fn(&mut Options)| {
        let mut options = options(&folder.0);
        change(&mut options);
        ObjectServer::open(options).map(drop).unwrap_err()
    };
    assert!(matches!(open(|options| options.buckets.push("../up".into())), OpenError::BucketName(_)));
    let twice = open(|options| {
        let same = options.credentials[0].clone();
        options.credentials.push(same);
    });
    assert!(matches!(twice, OpenError::Credentials(_)));
    let empty = Credentials { access_key_id: "x".into(), secret_access_key: String::new() };
    assert!(!format!("{empty:?}").contains("secret_access_key"));
    assert!(matches!(open(|options| options.tls = Some(Tls::Pem { certificates: "no".into(), key: "no".into() })), OpenError::Tls(_)));
    assert!(matches!(open(|options| options.folder = "/proc/no".into()), OpenError::Folder { .. }));
    let first = ObjectServer::open(options(&folder.0)).unwrap();
    assert!(matches!(open(|_| ()), OpenError::InUse { .. }));
    let bound = first.bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
    let other = Folder::new();
    let second = ObjectServer::open(options(&other.0)).unwrap().bind(bound.address()).await;
    assert!(matches!(second.unwrap_err(), BindError::PortInUse(address) if address == bound.address()));
}
