#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use http::{Request, Response};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::{Limits, Listener};
use crate::body::{self, Body, BoxError};
use crate::server::pki::Pair;
use crate::server::{Authenticator, FixedTokens, Pki};
use crate::upgrade::Takeover;
use crate::user::User;

/// A running server that answers with who asked for what, and how much came along.
struct Running {
    address: SocketAddr,
    pki: Arc<Pki>,
    folder: PathBuf,
    stop: Option<oneshot::Sender<()>>,
    ended: tokio::task::JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

async fn answer(mut request: Request<Bytes>, user: User) -> Response<Body> {
    match request.uri().path() {
        "/stream" => {
            let first = futures::stream::iter([Ok::<_, BoxError>(Bytes::from("first\n"))]);
            Response::new(body::stream(first.chain(futures::stream::pending())))
        }
        "/upgrade" => {
            let takeover = request.extensions_mut().remove::<Takeover>().unwrap();
            takeover.then(async |upgraded| {
                let mut stream = hyper_util::rt::TokioIo::new(upgraded);
                let mut word = [0; 4];
                stream.read_exact(&mut word).await.unwrap();
                stream.write_all(&word).await.unwrap();
                stream.shutdown().await.unwrap();
            });
            let response = Response::builder().status(101).header("Connection", "Upgrade").header("Upgrade", "echo");
            response.body(body::empty()).unwrap()
        }
        "/panic" => panic!("as asked"),
        path => Response::new(body::full(
            json!({"user": user.name, "groups": user.groups, "path": path, "bytes": request.body().len()}).to_string(),
        )),
    }
}

async fn start(limits: Limits) -> Running {
    let folder = std::env::temp_dir().join(format!("tls-{}", uuid::Uuid::new_v4()));
    let pki = Arc::new(Pki::open(&folder, &[]).unwrap());
    let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), "--api-address").await.unwrap();
    let address = listener.address();
    let authenticator = Authenticator::new(FixedTokens::new().unwrap().with("secret", User::admin()), None);
    let (stop, stopped) = oneshot::channel::<()>();
    let config = pki.server_config().unwrap();
    let ended = tokio::spawn(async move {
        listener.serve(config, authenticator, Arc::new(answer), limits, async { drop(stopped.await) }).await;
    });
    Running { address, pki, folder, stop: Some(stop), ended }
}

impl Running {
    async fn connect_with(&self, name: &str, client: Option<Pair>) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.pki.authority().as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config =
            ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap().with_root_certificates(roots);
        let config = match client {
            None => config.with_no_client_auth(),
            Some(pair) => {
                let chain = vec![CertificateDer::from_pem_slice(pair.certificate.as_bytes()).unwrap()];
                config.with_client_auth_cert(chain, PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap()).unwrap()
            }
        };
        let stream = TcpStream::connect(self.address).await?;
        TlsConnector::from(Arc::new(config)).connect(ServerName::try_from(name.to_owned()).unwrap(), stream).await
    }

    async fn connect(&self) -> TlsStream<TcpStream> {
        self.connect_with("127.0.0.1", None).await.unwrap()
    }

    /// One request on a connection of its own: status and body.
    async fn ask(&self, request: &str) -> (u16, String) {
        let mut stream = self.connect().await;
        stream.write_all(request.as_bytes()).await.unwrap();
        response(&mut stream).await
    }
}

async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(10), future).await.expect("nothing came within ten seconds")
}

/// Reads one answer with a length.
async fn response(stream: &mut TlsStream<TcpStream>) -> (u16, String) {
    let mut text = Vec::new();
    let whole = |text: &[u8]| {
        let text = std::str::from_utf8(text).ok()?;
        let (head, body) = text.split_once("\r\n\r\n")?;
        let length = head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse::<usize>().ok())?;
        (body.len() >= length).then(|| (head[9..12].parse::<u16>().unwrap(), body.to_owned()))
    };
    loop {
        if let Some(whole) = whole(&text) {
            return whole;
        }
        let count = soon(stream.read_buf(&mut text)).await.unwrap();
        assert!(count > 0, "ended within: {}", String::from_utf8_lossy(&text));
    }
}

/// Reads to the end of the connection; an abrupt end is one too.
async fn rest(stream: &mut TlsStream<TcpStream>) -> Vec<u8> {
    let mut text = Vec::new();
    let _ = soon(stream.read_to_end(&mut text)).await;
    text
}

fn get(path: &str, headers: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: x\r\n{headers}\r\n")
}

fn parse(text: &str) -> Value {
    text.parse().unwrap()
}

#[tokio::test]
async fn a_request_reaches_the_handler_with_its_user() {
    let server = start(Limits::default()).await;
    let (code, text) = server.ask(&get("/a", "Authorization: Bearer secret\r\n")).await;
    assert_eq!((code, parse(&text)["user"].clone(), parse(&text)["path"].clone()), (200, json!("kubernetes-admin"), json!("/a")));
    let (code, text) = server.ask(&get("/a", "")).await;
    assert_eq!((code, parse(&text)["groups"].clone()), (200, json!(["system:unauthenticated"])));
}

#[tokio::test]
async fn a_wrong_token_is_401_with_the_usual_status() {
    let server = start(Limits::default()).await;
    let (code, text) = server.ask(&get("/a", "Authorization: Bearer wrong\r\n")).await;
    let expected = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": "Unauthorized", "reason": "Unauthorized", "code": 401});
    assert_eq!((code, parse(&text)), (401, expected));
}

#[tokio::test]
async fn a_connection_serves_many_requests() {
    let server = start(Limits::default()).await;
    let mut stream = server.connect().await;
    for path in ["/one", "/two", "/three"] {
        stream.write_all(get(path, "").as_bytes()).await.unwrap();
        assert_eq!(parse(&response(&mut stream).await.1)["path"], path);
    }
}

#[tokio::test]
async fn clients_reach_it_by_its_names_and_no_other() {
    let server = start(Limits::default()).await;
    for name in ["localhost", "kubernetes.default.svc", "127.0.0.1"] {
        server.connect_with(name, None).await.unwrap();
    }
    assert!(server.connect_with("example.com", None).await.is_err());
}

#[tokio::test]
async fn a_client_certificate_of_our_authority_makes_the_user_and_another_is_turned_away() {
    let server = start(Limits::default()).await;
    let pair = server.pki.client("ann", Some("staff")).unwrap();
    let mut stream = server.connect_with("localhost", Some(pair)).await.unwrap();
    stream.write_all(get("/a", "").as_bytes()).await.unwrap();
    let text = response(&mut stream).await.1;
    assert_eq!((parse(&text)["user"].clone(), parse(&text)["groups"].clone()), (json!("ann"), json!(["staff", "system:authenticated"])));

    let other = start(Limits::default()).await;
    let stranger = other.pki.client("ann", Some("system:masters")).unwrap();
    // With TLS 1.3 the client learns of it when it reads.
    if let Ok(mut stream) = server.connect_with("localhost", Some(stranger)).await {
        let _ = stream.write_all(get("/a", "").as_bytes()).await;
        assert!(rest(&mut stream).await.is_empty());
    }
}

#[tokio::test]
async fn a_body_above_the_limit_is_413_whether_announced_or_not() {
    let server = start(Limits { body_bytes: 1000, ..Limits::default() }).await;
    let post = |headers: &str, body: &str| format!("POST /a HTTP/1.1\r\nHost: x\r\n{headers}\r\n\r\n{body}");
    let (code, text) = server.ask(&post("Content-Length: 1000", &"x".repeat(1000))).await;
    assert_eq!((code, parse(&text)["bytes"].clone()), (200, json!(1000)));
    let chunks = format!("{:x}\r\n{}\r\n", 600, "x".repeat(600));
    for request in [post("Content-Length: 1001", ""), post("Transfer-Encoding: chunked", &format!("{chunks}{chunks}"))] {
        let (code, text) = server.ask(&request).await;
        let status = parse(&text);
        assert_eq!((code, status["reason"].clone()), (413, json!("RequestEntityTooLarge")));
        assert_eq!(status["message"], "Request entity too large: limit is 1000");
    }
}

#[tokio::test]
async fn headers_above_the_limit_are_refused() {
    let server = start(Limits { header_bytes: 9000, ..Limits::default() }).await;
    assert_eq!(server.ask(&get("/a", &format!("X: {}\r\n", "x".repeat(5000)))).await.0, 200);
    let mut stream = server.connect().await;
    stream.write_all(get("/a", &format!("X: {}\r\n", "x".repeat(20_000))).as_bytes()).await.unwrap();
    assert!(rest(&mut stream).await.starts_with(b"HTTP/1.1 431 "));
}

#[tokio::test]
async fn a_client_that_goes_quiet_is_let_go_at_every_stage() {
    // Long enough for what a client that is not quiet does here.
    let short = Duration::from_secs(2);
    let server = start(Limits { handshake: short, idle: short, body: short, ..Limits::default() }).await;
    // Within the handshake.
    let mut plain = TcpStream::connect(server.address).await.unwrap();
    assert_eq!(soon(plain.read(&mut [0; 10])).await.unwrap_or(0), 0);
    // After the handshake, within the headers, and after an answer.
    for beginning in ["", "GET /a HTTP/1.1\r\nHost:", &get("/a", "")] {
        let mut stream = server.connect().await;
        stream.write_all(beginning.as_bytes()).await.unwrap();
        rest(&mut stream).await;
    }
    // Within the body.
    let (code, text) = server.ask("POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf").await;
    assert_eq!((code, parse(&text)["reason"].clone()), (504, json!("Timeout")));
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_for_a_place() {
    let server = start(Limits { connections: 2, ..Limits::default() }).await;
    let (first, _second) = (server.connect().await, server.connect().await);
    let mut third = Box::pin(server.connect());
    assert!(tokio::time::timeout(Duration::from_millis(200), third.as_mut()).await.is_err());
    drop(first);
    soon(third).await;
}

#[tokio::test]
async fn a_panic_in_the_handler_ends_one_connection_only() {
    let server = start(Limits::default()).await;
    let mut stream = server.connect().await;
    stream.write_all(get("/panic", "").as_bytes()).await.unwrap();
    assert!(rest(&mut stream).await.is_empty());
    assert_eq!(server.ask(&get("/a", "")).await.0, 200);
}

#[tokio::test]
async fn an_upgrade_passes_through() {
    let server = start(Limits::default()).await;
    let mut stream = server.connect().await;
    stream.write_all(get("/upgrade", "Connection: Upgrade\r\nUpgrade: echo\r\n").as_bytes()).await.unwrap();
    stream.write_all(b"ping").await.unwrap();
    let text = String::from_utf8(rest(&mut stream).await).unwrap();
    assert!(text.starts_with("HTTP/1.1 101 ") && text.ends_with("\r\n\r\nping"), "{text}");
}

#[tokio::test]
async fn stopping_refuses_new_connections_and_cuts_off_streams_after_the_drain_time() {
    let mut server = start(Limits { drain: Duration::from_millis(200), ..Limits::default() }).await;
    let mut streaming = server.connect().await;
    streaming.write_all(get("/stream", "").as_bytes()).await.unwrap();
    let mut seen = Vec::new();
    while !seen.ends_with(b"first\n\r\n") {
        assert!(soon(streaming.read_buf(&mut seen)).await.unwrap() > 0);
    }
    let _idle = server.connect().await;
    drop(server.stop.take());
    soon(&mut server.ended).await.unwrap();
    rest(&mut streaming).await;
    assert!(TcpStream::connect(server.address).await.is_err());
}

#[tokio::test]
async fn a_port_in_use_is_named_with_the_flag_to_change() {
    let first = Listener::bind("127.0.0.1:0".parse().unwrap(), "--api-address").await.unwrap();
    let text = Listener::bind(first.address(), "--api-address").await.err().unwrap().to_string();
    assert_eq!(
        text,
        format!(
            "port {} of 127.0.0.1 is in use by another program; stop that program, or choose another port with --api-address",
            first.address().port()
        )
    );
    let text = Listener::bind("192.0.2.1:1".parse().unwrap(), "--api-address").await.err().unwrap().to_string();
    assert!(text.contains("cannot listen on 192.0.2.1:1") && text.contains("--api-address"), "{text}");
}
