//! The way to COM: TLS with the subscription's authority and the system's own clock, one HTTP request, or the session's websocket.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::rt::TokioIo;
use model::secret::Secret;
use protocol::enrolment::{CertificateAnswer, Problem, ProblemReason};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{AlertDescription, ClientConfig, RootCertStore};
use serde::Serialize;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite;
use tungstenite::ClientRequestBuilder;
use tungstenite::protocol::WebSocketConfig;

use crate::clock::SystemClock;
use crate::disk::DiskError;
use crate::inputs::GatewayAddress;

/// The session's websocket.
pub type Socket = WebSocketStream<TlsStream<TcpStream>>;

/// Largest answer to an HTTP request.
const LARGEST_ANSWER: usize = 64 * 1024;

/// Why COM could not be reached, or sent the system away.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The subscription is not complete.
    #[error("{0}")]
    Subscription(String),
    /// What the subscription holds cannot be used.
    #[error("{what} cannot be used: {why}; correct it in the subscription")]
    Unusable {
        /// Which part.
        what: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// Nobody answers.
    #[error("COM at {address} is not reachable: {source}")]
    Unreachable {
        /// Where.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// No answer in time.
    #[error("COM did not answer within {} s", .0.as_secs())]
    TimedOut(Duration),
    /// TLS could not be agreed.
    #[error("TLS with COM failed: {0}; check the subscription's ca.crt, the address and both clocks")]
    Tls(io::Error),
    /// COM says why not.
    #[error("COM refused ({:?}): {}", .0.reason, .0.message)]
    Refused(Problem),
    /// What answers does not speak the protocol.
    #[error("what answers is not COM: {0}")]
    NotCom(String),
    /// The disk.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

impl ConnectError {
    /// Whether COM does not take the certificate any more: only enrolling again can help.
    pub fn is_certificate_refused(&self) -> bool {
        match self {
            Self::Refused(problem) => problem.reason == ProblemReason::CertificateNotAccepted,
            Self::Tls(error) => is_certificate_alert(error),
            _ => false,
        }
    }

    /// Whether trying again soon cannot help: somebody must act first.
    pub fn needs_somebody(&self) -> bool {
        match self {
            Self::Refused(problem) => match problem.reason {
                ProblemReason::NotRecognised
                | ProblemReason::AlreadyEnrolled
                | ProblemReason::Malformed
                | ProblemReason::TooLarge
                | ProblemReason::UnsupportedVersion
                | ProblemReason::CertificateNotAccepted
                | ProblemReason::ApprovalPending
                | ProblemReason::Denied
                | ProblemReason::TooManyRegistrations => true,
                ProblemReason::TooManyRequests | ProblemReason::Unavailable => false,
            },
            Self::Subscription(_) | Self::Unusable { .. } => true,
            Self::Unreachable { .. } | Self::TimedOut(_) | Self::Tls(_) | Self::NotCom(_) | Self::Disk(_) => false,
        }
    }

    /// How long COM asks to wait.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused(problem) => problem.retry_after_seconds.map(Duration::from_secs),
            _ => None,
        }
    }
}

/// Whether the other side sent a TLS alert that means the client's certificate.
fn is_certificate_alert(error: &io::Error) -> bool {
    let Some(rustls::Error::AlertReceived(alert)) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) else {
        return false;
    };
    matches!(
        alert,
        AlertDescription::UnknownCA
            | AlertDescription::BadCertificate
            | AlertDescription::CertificateUnknown
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::AccessDenied
            | AlertDescription::DecryptError
    )
}

/// A way to COM.
#[derive(Debug, Clone)]
pub struct Route {
    gateway: GatewayAddress,
    tls: Arc<ClientConfig>,
    timeout: Duration,
}

impl Route {
    /// A way that trusts `authority` (PEM) only, and proves itself with a certificate where there is one.
    ///
    /// # Errors
    /// The authority, certificate or key is not PEM of one.
    pub fn new(
        gateway: GatewayAddress,
        authority: &str,
        certificate: Option<(&str, &Secret)>,
        clock: &SystemClock,
        timeout: Duration,
    ) -> Result<Self, ConnectError> {
        let unusable = |what| move |error: &dyn std::fmt::Display| ConnectError::Unusable { what, why: error.to_string() };
        let mut roots = RootCertStore::empty();
        for root in CertificateDer::pem_slice_iter(authority.as_bytes()) {
            let root = root.map_err(|error| unusable("ca.crt")(&error))?;
            roots.add(root).map_err(|error| unusable("ca.crt")(&error))?;
        }
        if roots.is_empty() {
            return Err(unusable("ca.crt")(&"it holds no certificate in PEM"));
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_details(provider, Arc::new(clock.clone()))
            .with_safe_default_protocol_versions()
            .map_err(|error| unusable("TLS")(&error))?
            .with_root_certificates(roots);
        let mut tls = match certificate {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                let chain: Vec<_> = CertificateDer::pem_slice_iter(certificate.as_bytes())
                    .collect::<Result<_, _>>()
                    .map_err(|error| unusable("the client certificate")(&error))?;
                let key = PrivateKeyDer::from_pem_slice(key.expose().as_bytes()).map_err(|error| unusable("the private key")(&error))?;
                builder.with_client_auth_cert(chain, key).map_err(|error| unusable("the client certificate")(&error))?
            }
        };
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { gateway, tls: Arc::new(tls), timeout })
    }

    async fn dial(&self) -> Result<TlsStream<TcpStream>, ConnectError> {
        let GatewayAddress { host, port } = &self.gateway;
        let tcp = TcpStream::connect((host.as_str(), *port))
            .await
            .map_err(|source| ConnectError::Unreachable { address: format!("{host}:{port}"), source })?;
        let _ = tcp.set_nodelay(true);
        let name = ServerName::try_from(host.clone())
            .map_err(|error| ConnectError::Unusable { what: "the gateway's host name", why: error.to_string() })?;
        TlsConnector::from(self.tls.clone()).connect(name, tcp).await.map_err(ConnectError::Tls)
    }

    async fn in_time<T>(&self, work: impl Future<Output = Result<T, ConnectError>>) -> Result<T, ConnectError> {
        tokio::time::timeout(self.timeout, work).await.unwrap_or(Err(ConnectError::TimedOut(self.timeout)))
    }

    fn authority_part(&self) -> String {
        let GatewayAddress { host, port } = &self.gateway;
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
    }

    /// Asks for a certificate.
    ///
    /// # Errors
    /// Not reachable, refused, or not COM.
    pub async fn post<T: Serialize>(&self, path: &str, body: &T) -> Result<CertificateAnswer, ConnectError> {
        self.in_time(self.post_slowly(path, body)).await
    }

    async fn post_slowly<T: Serialize>(&self, path: &str, body: &T) -> Result<CertificateAnswer, ConnectError> {
        let not_com = |error: &dyn std::fmt::Display| ConnectError::NotCom(error.to_string());
        let body = serde_json::to_vec(body).map_err(|error| not_com(&error))?;
        let request = http::Request::post(path)
            .header(http::header::HOST, self.authority_part())
            .header(http::header::CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| not_com(&error))?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(self.dial().await?)).await.map_err(|error| http_failure(&error))?;
        let exchange = async {
            let answer = sender.send_request(request).await.map_err(|error| http_failure(&error))?;
            let (head, body) = answer.into_parts();
            let body = Limited::new(body, LARGEST_ANSWER).collect().await.map_err(|error| not_com(&error))?.to_bytes();
            if head.status == http::StatusCode::OK {
                serde_json::from_slice(&body).map_err(|error| not_com(&error))
            } else {
                Err(refusal(&head, &body))
            }
        };
        tokio::pin!(connection, exchange);
        tokio::select! {
            biased;
            answer = &mut exchange => answer,
            // The connection may end before the answer was taken from it.
            ended = &mut connection => match ended {
                Ok(()) => exchange.await,
                Err(error) => Err(http_failure(&error)),
            },
        }
    }

    /// Opens the session's websocket. Returns also the address it was opened from.
    ///
    /// # Errors
    /// Not reachable, refused, or not COM.
    pub async fn open(&self) -> Result<(Socket, Option<IpAddr>), ConnectError> {
        self.in_time(async {
            let stream = self.dial().await?;
            let address = stream.get_ref().0.local_addr().ok().map(|address| address.ip());
            let uri: http::Uri = format!("wss://{}{}", self.authority_part(), protocol::SESSION_PATH)
                .parse()
                .map_err(|error: http::uri::InvalidUri| ConnectError::NotCom(error.to_string()))?;
            let request = ClientRequestBuilder::new(uri).with_sub_protocol(protocol::SUBPROTOCOL);
            // The library's own buffers take 128 KiB a socket: too much where thousands of systems share a process.
            let config = WebSocketConfig::default()
                .read_buffer_size(4096)
                .write_buffer_size(4096)
                .max_message_size(Some(protocol::LARGEST_MESSAGE))
                .max_frame_size(Some(protocol::LARGEST_MESSAGE));
            let opened = tokio_tungstenite::client_async_with_config(request, stream, Some(config)).await;
            opened.map(|(socket, _)| (socket, address)).map_err(websocket_failure)
        })
        .await
    }
}

fn http_failure(error: &hyper::Error) -> ConnectError {
    use std::error::Error as _;
    // TLS 1.3 tells about a refused client certificate only with the first answer.
    match error.source().and_then(|source| source.downcast_ref::<io::Error>()) {
        Some(inner) => ConnectError::Tls(copy(inner)),
        None => ConnectError::NotCom(error.to_string()),
    }
}

/// The same error, with the TLS error in it where there is one.
fn copy(error: &io::Error) -> io::Error {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(tls) => io::Error::new(error.kind(), tls.clone()),
        None => io::Error::new(error.kind(), error.to_string()),
    }
}

fn websocket_failure(error: tungstenite::Error) -> ConnectError {
    match error {
        tungstenite::Error::Http(response) => {
            let (head, body) = response.into_parts();
            refusal(&head, body.as_deref().unwrap_or_default())
        }
        tungstenite::Error::Io(error) => ConnectError::Tls(error),
        other => ConnectError::NotCom(other.to_string()),
    }
}

/// Reads a refusal. One without a problem in its body is judged by its status.
fn refusal(head: &http::response::Parts, body: &[u8]) -> ConnectError {
    let header = head.headers.get(http::header::RETRY_AFTER).and_then(|value| value.to_str().ok()).and_then(|text| text.parse().ok());
    if let Ok(mut problem) = serde_json::from_slice::<Problem>(body) {
        problem.retry_after_seconds = problem.retry_after_seconds.or(header);
        return ConnectError::Refused(problem);
    }
    let reason = match head.status {
        http::StatusCode::TOO_MANY_REQUESTS => ProblemReason::TooManyRequests,
        status if status.is_server_error() => ProblemReason::Unavailable,
        http::StatusCode::UNAUTHORIZED | http::StatusCode::FORBIDDEN => ProblemReason::CertificateNotAccepted,
        status => return ConnectError::NotCom(format!("it answered {status}")),
    };
    ConnectError::Refused(Problem { reason, message: format!("it answered {}", head.status), retry_after_seconds: header })
}
