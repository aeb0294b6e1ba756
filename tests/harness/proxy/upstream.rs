//! The way on to the server: one connection for each that came in.

use std::net::SocketAddr;
use std::sync::Arc;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio_rustls::TlsConnector;

use super::{Body, Failure};

/// The server.
pub struct Upstream {
    address: SocketAddr,
    connector: TlsConnector,
}

impl Upstream {
    pub fn new(address: SocketAddr, authority: &str) -> Self {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(authority.as_bytes()) {
            roots.add(certificate.unwrap()).unwrap();
        }
        let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
        let config = builder.with_safe_default_protocol_versions().unwrap().with_root_certificates(roots).with_no_client_auth();
        Self { address, connector: TlsConnector::from(Arc::new(config)) }
    }

    async fn connect(&self) -> Result<SendRequest<Body>, Failure> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let stream = self.connector.connect(ServerName::from(self.address.ip()), stream).await?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(Failure::other)?;
        // Its end is seen by whoever sends on it.
        tokio::spawn(connection);
        Ok(sender)
    }
}

/// The connection behind one that came in; made when it is needed.
#[derive(Default)]
pub struct Way(Mutex<Option<SendRequest<Body>>>);

impl Way {
    /// Sends a request as it is, host and all: signatures cover it.
    pub async fn send(&self, request: Request<Body>, upstream: &Upstream) -> Result<Response<Incoming>, Failure> {
        let mut kept = self.0.lock().await;
        let ready = match kept.as_mut() {
            Some(sender) => !sender.is_closed() && sender.ready().await.is_ok(),
            None => false,
        };
        if !ready {
            *kept = None;
        }
        let sender = match kept.as_mut() {
            Some(sender) => sender,
            None => kept.insert(upstream.connect().await?),
        };
        sender.send_request(request).await.map_err(Failure::other)
    }
}
