//! Requests to the object store that COM signed: the system makes them as they are, and says nothing of their URL to anybody.

use std::fmt;
use std::io;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use archive::digest::Sha256;
use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use model::secret::Secret;
use protocol::transfer::{PresignedRequest, StoreFailure};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;

use crate::clock::SystemClock;

/// Bytes of a request or an answer.
pub type Body = UnsyncBoxBody<Bytes, io::Error>;

/// Largest refusal that is read.
const LARGEST_REFUSAL: usize = 16 * 1024;
/// Bytes that a connection holds at most, either way: many systems share a process.
const BUFFER: usize = 64 * 1024;
/// Time to connect, TLS included.
const CONNECT: Duration = Duration::from_secs(15);
/// Where the authorities stand that everybody trusts.
const EVERYBODY: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Where a request goes. `Debug` shows the host only.
#[derive(Clone, PartialEq, Eq)]
pub struct Target {
    secure: bool,
    host: String,
    port: u16,
    path_and_query: Secret,
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.authority())
    }
}

impl Target {
    /// Reads the URL of a request.
    ///
    /// # Errors
    /// It is no HTTP URL; the text does not repeat it.
    pub fn of(request: &PresignedRequest) -> Result<Self, StoreFailure> {
        let refused = || failure("the URL of the request is no HTTP address; order again, and look at the store's system endpoint");
        let uri: http::Uri = request.url.expose().parse().map_err(|_| refused())?;
        let secure = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(refused()),
        };
        let host = uri.host().map(|host| host.trim_matches(['[', ']']).to_owned()).filter(|host| !host.is_empty()).ok_or_else(refused)?;
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let path_and_query = Secret::new(uri.path_and_query().map_or("/", |path| path.as_str()));
        Ok(Self { secure, host, port, path_and_query })
    }

    /// What the request is for, whoever signed it and when: two requests for the same part of the same upload have the same.
    pub fn identity(&self) -> Sha256 {
        let (path, query) = self.path_and_query.expose().split_once('?').unwrap_or((self.path_and_query.expose(), ""));
        let mut lasting: Vec<&str> = query.split('&').filter(|pair| !pair.to_ascii_lowercase().starts_with("x-amz-")).collect();
        lasting.sort_unstable();
        Sha256::of(format!("{} {path} {}", self.authority(), lasting.join("&")).as_bytes())
    }

    fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        let usual = if self.secure { 443 } else { 80 };
        if self.port == usual { host } else { format!("{host}:{}", self.port) }
    }

    fn same_place(&self, other: &Self) -> bool {
        (self.secure, self.port, &self.host) == (other.secure, other.port, &other.host)
    }
}

/// When something last moved.
#[derive(Debug, Clone)]
pub struct Pulse(Arc<Mutex<Instant>>);

impl Default for Pulse {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }
}

impl Pulse {
    /// Something moved.
    pub fn beat(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// Comes back once nothing moved for so long.
    pub async fn stops(&self, patience: Duration) {
        loop {
            let still = self.0.lock().unwrap_or_else(PoisonError::into_inner).elapsed();
            match patience.checked_sub(still) {
                Some(left) if !left.is_zero() => tokio::time::sleep(left).await,
                _ => return,
            }
        }
    }
}

/// Opens connections to stores.
#[derive(Debug, Clone)]
pub struct Dialer {
    authority: Option<String>,
    tls: Result<Arc<ClientConfig>, StoreFailure>,
}

impl Dialer {
    /// One that trusts `authority` (PEM), or those that everybody trusts.
    pub fn new(authority: Option<String>, clock: &SystemClock) -> Self {
        let tls = roots(authority.as_deref()).and_then(|roots| configuration(roots, clock));
        Self { authority, tls }
    }

    /// Whether it trusts that authority.
    pub fn trusts(&self, authority: Option<&str>) -> bool {
        self.authority.as_deref() == authority
    }

    /// Connects to where a request goes.
    ///
    /// # Errors
    /// Not reachable in time, or TLS could not be agreed.
    pub async fn connect(&self, target: &Target) -> Result<Connection, StoreFailure> {
        let place = target.authority();
        match tokio::time::timeout(CONNECT, self.connect_slowly(target)).await {
            Ok(connected) => connected.map_err(|error| {
                failure(format!("the object store at {place} is not reachable from the system: {error}; look at its system endpoint, its authority and the system's network"))
            }),
            Err(_) => Err(failure(format!("the object store at {place} did not answer within {} s", CONNECT.as_secs()))),
        }
    }

    async fn connect_slowly(&self, target: &Target) -> io::Result<Connection> {
        let stream = TcpStream::connect((target.host.as_str(), target.port)).await?;
        let _ = stream.set_nodelay(true);
        let mut builder = http1::Builder::new();
        builder.max_buf_size(BUFFER);
        let (sender, driver) = if target.secure {
            let tls = self.tls.clone().map_err(|failure| io::Error::other(failure.message))?;
            let name = ServerName::try_from(target.host.clone()).map_err(io::Error::other)?;
            let stream = TlsConnector::from(tls).connect(name, stream).await?;
            let (sender, connection) = builder.handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
            (sender, tokio::spawn(async move { drop(connection.await) }))
        } else {
            let (sender, connection) = builder.handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
            (sender, tokio::spawn(async move { drop(connection.await) }))
        };
        Ok(Connection { target: target.clone(), sender, driver, used: false })
    }
}

/// A connection to a store. It ends when this is dropped.
pub struct Connection {
    target: Target,
    sender: http1::SendRequest<Body>,
    driver: JoinHandle<()>,
    used: bool,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Connection({:?})", self.target)
    }
}

impl Connection {
    /// Whether it may carry a request to that target.
    pub fn fits(&self, target: &Target) -> bool {
        self.target.same_place(target) && !self.sender.is_closed()
    }

    /// Whether it carried a request before: such a one may have been closed by the store meanwhile.
    pub fn is_used(&self) -> bool {
        self.used
    }

    /// Makes a request as it was signed. `extra` headers are those that are not signed.
    ///
    /// # Errors
    /// The connection broke, or the request cannot be written.
    pub async fn send(
        &mut self,
        target: &Target,
        request: &PresignedRequest,
        extra: &[(http::HeaderName, String)],
        body: Body,
    ) -> Result<http::Response<Incoming>, StoreFailure> {
        self.used = true;
        let mut builder = http::Request::builder().method(request.method.as_str()).uri(target.path_and_query.expose());
        let signed = |name: &http::HeaderName| request.headers.keys().any(|key| key.eq_ignore_ascii_case(name.as_str()));
        if !signed(&http::header::HOST) {
            builder = builder.header(http::header::HOST, target.authority());
        }
        for (name, value) in &request.headers {
            builder = builder.header(name, value);
        }
        for (name, value) in extra.iter().filter(|(name, _)| !signed(name)) {
            builder = builder.header(name, value);
        }
        let built = builder.body(body).map_err(|_| failure("the request cannot be written as HTTP; order again"))?;
        let sent = async {
            self.sender.ready().await?;
            self.sender.send_request(built).await
        };
        sent.await.map_err(|error| broken(&error))
    }
}

/// What a broken connection is called.
pub fn broken(error: &(dyn std::error::Error + 'static)) -> StoreFailure {
    let mut deepest = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    failure(format!("the connection with the object store broke: {deepest}; it is tried again with the next order"))
}

/// A failure without an answer.
pub fn failure(message: impl Into<String>) -> StoreFailure {
    StoreFailure { status: None, code: String::new(), message: message.into() }
}

/// Reads a refusal. Of what the store says only its code is passed on: its texts repeat what was signed.
pub async fn refusal(response: http::Response<Incoming>) -> StoreFailure {
    let status = response.status();
    let body = Limited::new(response.into_body(), LARGEST_REFUSAL).collect().await.map(http_body_util::Collected::to_bytes);
    let text = body.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let code = code_in(&text);
    let said = if code.is_empty() { status.to_string() } else { format!("{status}, {code}") };
    let advice = match status.as_u16() {
        403 => "the order may be too old, or clocks differ: order again, and look at the store's credentials",
        404 => "the upload or object is gone: look whether somebody removed it",
        507 => "it is full: make room in it",
        500.. => "it has a problem of its own: try again later",
        _ => "order again",
    };
    StoreFailure { status: Some(status.as_u16()), code, message: format!("the object store refused the request ({said}); {advice}") }
}

fn code_in(text: &str) -> String {
    let code = text.split_once("<Code>").and_then(|(_, rest)| rest.split_once("</Code>")).map_or("", |(code, _)| code);
    let plain = code.len() <= 64 && code.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if plain { code.to_owned() } else { String::new() }
}

fn roots(authority: Option<&str>) -> Result<Arc<RootCertStore>, StoreFailure> {
    static USUAL: LazyLock<Result<Arc<RootCertStore>, String>> = LazyLock::new(|| {
        let text = std::fs::read(EVERYBODY).map_err(|error| format!("{EVERYBODY} cannot be read: {error}"))?;
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(CertificateDer::pem_slice_iter(&text).filter_map(Result::ok));
        Ok(Arc::new(roots))
    });
    let Some(authority) = authority else {
        return USUAL.clone().map_err(|why| failure(format!("there is no authority to trust: {why}; give the store's authority to COM")));
    };
    let mut roots = RootCertStore::empty();
    let unusable = |why: String| failure(format!("the authority of the object store cannot be used: {why}; correct it in COM"));
    for root in CertificateDer::pem_slice_iter(authority.as_bytes()) {
        let root = root.map_err(|error| unusable(error.to_string()))?;
        roots.add(root).map_err(|error| unusable(error.to_string()))?;
    }
    if roots.is_empty() { Err(unusable("it holds no certificate in PEM".to_owned())) } else { Ok(Arc::new(roots)) }
}

fn configuration(roots: Arc<RootCertStore>, clock: &SystemClock) -> Result<Arc<ClientConfig>, StoreFailure> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut tls = ClientConfig::builder_with_details(provider, Arc::new(clock.clone()))
        .with_safe_default_protocol_versions()
        .map_err(|error| failure(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(tls))
}

#[cfg(test)]
mod tests;
