//! The HTTP and TLS half of the tests' gateway.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use protocol::enrolment::{CertificateAnswer, EnrolmentRequest, Problem, ProblemReason, RenewalRequest};
use rcgen::{BasicConstraints, CertificateParams, CertificateSigningRequestParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::session::TestSession;
use super::soon;

/// What the gateway is to say, and what it was asked.
#[derive(Default)]
pub struct Script {
    /// Answers to the next requests of each kind; where there is none, yes.
    pub enrolments: VecDeque<Problem>,
    pub sessions: VecDeque<Problem>,
    /// Whether certificates are due for renewal at once.
    pub renew_at_once: bool,
    /// Certificate requests seen.
    pub enrolled: Vec<EnrolmentRequest>,
    pub renewed: usize,
}

pub struct TestGateway {
    port: u16,
    authority: String,
    sessions: mpsc::Receiver<TestSession>,
    pub script: Arc<Mutex<Script>>,
    accepting: tokio::task::JoinHandle<()>,
}

impl Drop for TestGateway {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl TestGateway {
    pub async fn start() -> Self {
        let mut parameters = CertificateParams::default();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap();
        let authority = issuer.pem();
        let key = KeyPair::generate().unwrap();
        let own = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(authority.as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone()).allow_unauthenticated().build().unwrap();
        let tls = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier)
            .with_single_cert(vec![own.der().clone()], PrivateKeyDer::try_from(key.serialize_der()).unwrap())
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (sender, sessions) = mpsc::channel(16);
        let script = Arc::new(Mutex::new(Script::default()));
        let server = Arc::new(Server { issuer, sender, script: script.clone() });
        let accepting = tokio::spawn(accept(listener, TlsAcceptor::from(Arc::new(tls)), server));
        Self { port, authority, sessions, script, accepting }
    }

    pub fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    pub fn authority(&self) -> String {
        self.authority.clone()
    }

    /// The next session a system opens.
    pub async fn session(&mut self) -> TestSession {
        soon("a session", self.sessions.recv()).await.unwrap()
    }

    /// Whether a session was opened that nobody took yet.
    pub fn has_session(&mut self) -> bool {
        !self.sessions.is_empty()
    }
}

struct Server {
    issuer: CertifiedIssuer<'static, KeyPair>,
    sender: mpsc::Sender<TestSession>,
    script: Arc<Mutex<Script>>,
}

async fn accept(listener: TcpListener, tls: TlsAcceptor, server: Arc<Server>) {
    while let Ok((stream, _)) = listener.accept().await {
        let (tls, server) = (tls.clone(), server.clone());
        tokio::spawn(async move {
            let Ok(stream) = tls.accept(stream).await else { return };
            let proved = stream.get_ref().1.peer_certificates().is_some();
            let service = service_fn(move |request| {
                let server = server.clone();
                async move { Ok::<_, Infallible>(server.answer(request, proved).await) }
            });
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).with_upgrades().await;
        });
    }
}

impl Server {
    async fn answer(&self, mut request: http::Request<hyper::body::Incoming>, proved: bool) -> http::Response<Full<Bytes>> {
        let path = request.uri().path().to_owned();
        if path == protocol::SESSION_PATH {
            let refused = if proved {
                self.script.lock().unwrap().sessions.pop_front()
            } else {
                Some(problem(ProblemReason::CertificateNotAccepted))
            };
            return match refused {
                Some(problem) => json(403, &problem),
                None => self.upgrade(&mut request),
            };
        }
        let body = request.into_body().collect().await.unwrap().to_bytes();
        match path.as_str() {
            protocol::ENROL_PATH => {
                let body: EnrolmentRequest = serde_json::from_slice(&body).unwrap();
                let certificate_request = body.certificate_request.clone();
                let refused = {
                    let mut script = self.script.lock().unwrap();
                    script.enrolled.push(body);
                    script.enrolments.pop_front()
                };
                refused.map_or_else(|| self.certificate(&certificate_request), |problem| json(403, &problem))
            }
            protocol::RENEW_PATH if proved => {
                let body: RenewalRequest = serde_json::from_slice(&body).unwrap();
                let mut script = self.script.lock().unwrap();
                script.renewed += 1;
                script.renew_at_once = false;
                drop(script);
                self.certificate(&body.certificate_request)
            }
            _ => json(403, &problem(ProblemReason::CertificateNotAccepted)),
        }
    }

    fn certificate(&self, request: &str) -> http::Response<Full<Bytes>> {
        let certificate = CertificateSigningRequestParams::from_pem(request).unwrap().signed_by(&self.issuer).unwrap().pem();
        let now = jiff::Timestamp::now();
        let hours = |hours| now + jiff::SignedDuration::from_hours(hours);
        let renew_after = if self.script.lock().unwrap().renew_at_once { now } else { hours(16) };
        json(200, &CertificateAnswer { certificate, authority: self.issuer.pem(), renew_after, expires: hours(24) })
    }

    fn upgrade(&self, request: &mut http::Request<hyper::body::Incoming>) -> http::Response<Full<Bytes>> {
        assert_eq!(request.headers()["sec-websocket-protocol"], protocol::SUBPROTOCOL);
        let key = derive_accept_key(request.headers()["sec-websocket-key"].as_bytes());
        let (upgrade, sender) = (hyper::upgrade::on(request), self.sender.clone());
        tokio::spawn(async move {
            let upgraded = TokioIo::new(upgrade.await.unwrap());
            let socket = WebSocketStream::from_raw_socket(upgraded, Role::Server, None).await;
            let _ = sender.send(TestSession::new(socket)).await;
        });
        let mut response = http::Response::new(Full::default());
        *response.status_mut() = http::StatusCode::SWITCHING_PROTOCOLS;
        for (name, value) in [
            ("connection", "upgrade"),
            ("upgrade", "websocket"),
            ("sec-websocket-accept", key.as_str()),
            ("sec-websocket-protocol", protocol::SUBPROTOCOL),
        ] {
            response.headers_mut().insert(name, value.parse().unwrap());
        }
        response
    }
}

pub fn problem(reason: ProblemReason) -> Problem {
    Problem { reason, message: "as the test wants".into(), retry_after_seconds: None }
}

fn json<T: serde::Serialize>(status: u16, value: &T) -> http::Response<Full<Bytes>> {
    let body = Full::new(Bytes::from(serde_json::to_vec(value).unwrap()));
    http::Response::builder().status(status).body(body).unwrap()
}
