//! A server in a folder of its own over TLS, and clients of it.
#![allow(dead_code, clippy::unwrap_used, clippy::panic, reason = "tests; not every file uses everything")]

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use aws_smithy_http_client::tls;
use object_server::{ObjectServer, Options, Tls};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub const BUCKET: &str = "backups";
pub const ID: &str = "SWITCHBOARDTEST";
pub const SECRET: &str = "a secret/with+characters=";

/// A folder that goes with the test.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new() -> Self {
        Self(std::env::temp_dir().join(format!("object-server-{}", uuid::Uuid::new_v4())))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub fn options(folder: &Path) -> Options {
    let mut options = Options::new(folder);
    options.buckets = vec![String::from(BUCKET)];
    options.credentials = vec![object_server::Credentials { access_key_id: ID.into(), secret_access_key: SECRET.into() }];
    options
}

pub struct Served {
    pub address: SocketAddr,
    pub certificate: String,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Served {
    pub async fn start(folder: &Path) -> Self {
        Self::with(options(folder)).await
    }

    pub async fn with(mut options: Options) -> Self {
        let made = rcgen::generate_simple_self_signed([String::from("localhost"), String::from("127.0.0.1")]).unwrap();
        let certificate = made.cert.pem();
        options.tls = Some(Tls::Pem { certificates: certificate.clone(), key: made.signing_key.serialize_pem() });
        let server = tokio::task::spawn_blocking(|| ObjectServer::open(options)).await.unwrap().unwrap();
        let bound = server.bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let (address, stop) = (bound.address(), CancellationToken::new());
        let task = tokio::spawn(bound.run(stop.clone()));
        Self { address, certificate, stop, task }
    }

    pub async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }

    pub fn client(&self) -> Client {
        self.client_with(ID, SECRET)
    }

    pub fn client_with(&self, id: &str, secret: &str) -> Client {
        let trust = tls::TrustStore::empty().with_pem_certificate(self.certificate.as_bytes());
        let http = aws_smithy_http_client::Builder::new()
            .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring))
            .tls_context(tls::TlsContext::builder().with_trust_store(trust).build().unwrap())
            .build_https();
        let config = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .endpoint_url(format!("https://{}", self.address))
            .credentials_provider(Credentials::new(id, secret, None, None, "test"))
            .force_path_style(true)
            .retry_config(aws_sdk_s3::config::retry::RetryConfig::disabled())
            .http_client(http)
            .build();
        Client::from_conf(config)
    }

    /// A TLS connection of our own.
    pub async fn connect(&self) -> tokio_rustls::client::TlsStream<TcpStream> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.certificate.as_bytes()).unwrap()).unwrap();
        let config = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let stream = TcpStream::connect(self.address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap()
    }

    /// Sends a request as a system would that got it presigned: method, target and headers as they are.
    pub async fn send(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> (u16, String) {
        let mut stream = self.connect().await;
        let mut head = format!("{method} {target} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n", self.address);
        if method != "GET" {
            head.push_str(&format!("content-length: {}\r\n", body.len()));
        }
        headers.iter().for_each(|(name, value)| head.push_str(&format!("{name}: {value}\r\n")));
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(b"\r\n").await.unwrap();
        stream.write_all(body).await.unwrap();
        stream.flush().await.unwrap();
        let mut answer = Vec::new();
        let reading = stream.read_to_end(&mut answer);
        let _ = tokio::time::timeout(Duration::from_secs(30), reading).await.expect("an answer in time");
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_else(|| panic!("no answer: {answer:?}"));
        (status, answer)
    }
}

/// Bytes that differ from place to place.
pub fn bytes(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// The code of a service error, such as `NoSuchKey`.
pub fn code<T: std::fmt::Debug, E: aws_sdk_s3::error::ProvideErrorMetadata>(
    outcome: Result<T, aws_sdk_s3::error::SdkError<E, aws_sdk_s3::config::http::HttpResponse>>,
) -> String {
    match outcome {
        Ok(output) => panic!("it went through: {output:?}"),
        Err(error) => {
            let status = error.raw_response().map(|response| response.status().as_u16());
            let metadata = error.as_service_error().map(aws_sdk_s3::error::ProvideErrorMetadata::meta);
            metadata.and_then(|metadata| metadata.code().map(str::to_owned)).unwrap_or_else(|| format!("{status:?}"))
        }
    }
}
