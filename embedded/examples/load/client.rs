//! The least client that does: one kept TLS connection, requests one after another. Measuring with a full client library would
//! measure that library.

use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::Failure;

/// Where the server is and how to sign in.
#[derive(Clone)]
pub(crate) struct Target {
    host: String,
    token: String,
    tls: Arc<ClientConfig>,
}

fn text<'a>(value: &'a Value, what: &str) -> Result<&'a str, Failure> {
    value.as_str().ok_or_else(|| format!("the kubeconfig has no {what}").into())
}

impl Target {
    /// From the first cluster and user of a kubeconfig with embedded authority and token.
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        let config: Value = serde_yaml::from_str(&std::fs::read_to_string(path)?)?;
        let cluster = &config["clusters"][0]["cluster"];
        let host = text(&cluster["server"], "server")?.trim_start_matches("https://").trim_end_matches('/').to_owned();
        let token = text(&config["users"][0]["user"]["token"], "token")?.to_owned();
        let authority = STANDARD.decode(text(&cluster["certificate-authority-data"], "certificate-authority-data")?)?;
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(&authority)?)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        Ok(Self { host, token, tls: Arc::new(tls.with_root_certificates(roots).with_no_client_auth()) })
    }

    pub(crate) async fn connect(&self) -> Result<Connection, Failure> {
        let stream = TcpStream::connect(&self.host).await?;
        stream.set_nodelay(true)?;
        let name = self.host.rsplit_once(':').map_or(self.host.as_str(), |(name, _)| name);
        let stream = TlsConnector::from(Arc::clone(&self.tls)).connect(ServerName::try_from(name.to_owned())?, stream).await?;
        Ok(Connection { target: self.clone(), stream, buffer: Vec::with_capacity(1 << 16) })
    }
}

/// One kept connection.
pub(crate) struct Connection {
    target: Target,
    stream: TlsStream<TcpStream>,
    buffer: Vec<u8>,
}

impl Connection {
    async fn send(&mut self, method: &str, path: &str, content_type: &str, body: &str) -> Result<(), Failure> {
        let Target { host, token, .. } = &self.target;
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        Ok(self.stream.write_all(request.as_bytes()).await?)
    }

    /// Reads the head of an answer, leaving what follows in the buffer: code and length.
    async fn head(&mut self) -> Result<(u16, Option<usize>), Failure> {
        self.buffer.clear();
        let end = loop {
            if let Some(end) = self.buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                break end;
            }
            self.more().await?;
        };
        let head = std::str::from_utf8(&self.buffer[..end])?.to_lowercase();
        let code = head.split(' ').nth(1).ok_or("an answer without a code")?.parse()?;
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
        self.buffer.drain(..end + 4);
        Ok((code, length))
    }

    async fn more(&mut self) -> Result<(), Failure> {
        if self.stream.read_buf(&mut self.buffer).await? == 0 {
            return Err("the server closed the connection".into());
        }
        Ok(())
    }

    /// Sends a request and reads the answer: code and size of the body. A code the caller does not expect is an error with the body.
    pub(crate) async fn ask(&mut self, method: &str, path: &str, body: &str, expected: &[u16]) -> Result<usize, Failure> {
        self.ask_with(method, path, "application/json", body, expected).await
    }

    /// As [`Connection::ask`], with a body of another type.
    pub(crate) async fn ask_with(
        &mut self,
        method: &str,
        path: &str,
        content_type: &str,
        body: &str,
        expected: &[u16],
    ) -> Result<usize, Failure> {
        self.send(method, path, content_type, body).await?;
        let (code, length) = self.head().await?;
        match length {
            Some(length) => {
                while self.buffer.len() < length {
                    self.more().await?;
                }
            }
            None => {
                while !self.buffer.ends_with(b"0\r\n\r\n") {
                    self.more().await?;
                }
            }
        }
        if expected.contains(&code) {
            return Ok(self.buffer.len());
        }
        Err(format!("{method} {path} was answered with {code}: {}", String::from_utf8_lossy(&self.buffer)).into())
    }

    /// Begins a watch; its events come from [`Connection::events`].
    pub(crate) async fn watch(&mut self, path: &str) -> Result<(), Failure> {
        self.send("GET", path, "application/json", "").await?;
        match self.head().await? {
            (200, _) => Ok(()),
            (code, _) => Err(format!("the watch was answered with {code}").into()),
        }
    }

    /// Waits until so many events of added objects have come in all, counted by their marker.
    pub(crate) async fn events(&mut self, seen: &mut usize, wanted: usize) -> Result<(), Failure> {
        const MARKER: &[u8] = b"\"type\":\"ADDED\"";
        loop {
            let found = self.buffer.windows(MARKER.len()).filter(|window| *window == MARKER).count();
            *seen += found;
            // What may be the beginning of a marker stays for the next round.
            let kept = if found > 0 || self.buffer.len() >= MARKER.len() { MARKER.len() - 1 } else { self.buffer.len() };
            self.buffer.drain(..self.buffer.len() - kept.min(self.buffer.len()));
            if *seen >= wanted {
                return Ok(());
            }
            self.more().await?;
        }
    }
}
