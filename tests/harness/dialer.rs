//! A system of one's own at the gateway, after `docs/protocol.md` and with nothing of the project's code: enrols, connects, and says what a test
//! wants said.

use std::io::{Error, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::{SinkExt as _, StreamExt as _};
use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

use crate::kubectl::Kubectl;
use crate::wait::SOON;

/// Where systems usually come from here.
pub const HOME: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// What the subscription e-mail of a customer carries.
#[derive(Clone)]
pub struct Subscription {
    address: SocketAddr,
    config: Arc<ClientConfig>,
    roots: RootCertStore,
    /// Customer id.
    pub customer: String,
    /// Enrolment code.
    pub code: String,
}

/// Key and certificate of a system.
pub struct Credential {
    /// System id.
    pub system: String,
    config: Arc<ClientConfig>,
}

fn client_config(roots: &RootCertStore, identity: Option<(CertificateDer<'static>, PrivateKeyDer<'static>)>) -> Arc<ClientConfig> {
    let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots.clone());
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => builder.with_client_auth_cert(vec![certificate], key).unwrap(),
    };
    config.resumption = Resumption::disabled();
    Arc::new(config)
}

/// A certificate request with a new key: the request in PEM, and the key in PEM.
pub fn certificate_request() -> (String, String) {
    let key = rcgen::KeyPair::generate().unwrap();
    let request = rcgen::CertificateParams::default().serialize_request(&key).unwrap();
    (request.pem().unwrap(), key.serialize_pem())
}

impl Subscription {
    /// Reads the Secret that Switchboard keeps for a customer.
    ///
    /// # Panics
    /// It is not there or not whole.
    pub fn read(kubectl: &Kubectl, namespace: &str, customer: &str) -> Self {
        kubectl.wait(namespace, &format!("customer/{customer}"), "condition=Ready");
        let secret = kubectl.object(namespace, &format!("secret/{customer}-subscription"));
        let text = |key: &str| String::from_utf8(STANDARD.decode(secret["data"][key].as_str().unwrap()).unwrap()).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(text("ca.crt").as_bytes()).unwrap()).unwrap();
        let address = text("gateway").strip_prefix("https://").unwrap().parse().unwrap();
        Self { address, config: client_config(&roots, None), roots, customer: text("customerId"), code: text("enrolmentCode") }
    }

    /// A TLS connection from an address of this machine.
    ///
    /// # Errors
    /// What the network or TLS says.
    pub async fn connect(&self, credential: Option<&Credential>, from: IpAddr) -> std::io::Result<TlsStream<TcpStream>> {
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::new(from, 0))?;
        let stream = socket.connect(self.address).await?;
        stream.set_nodelay(true)?;
        let config = credential.map_or(&self.config, |credential| &credential.config);
        TlsConnector::from(Arc::clone(config)).connect(ServerName::IpAddress(self.address.ip().into()), stream).await
    }

    /// A POST; returns status and body.
    ///
    /// # Errors
    /// No whole answer came.
    pub async fn post(&self, path: &str, body: &str, from: IpAddr) -> std::io::Result<(u16, Value)> {
        let exchange = async {
            let mut stream = self.connect(None, from).await?;
            let head = format!("POST {path} HTTP/1.1\r\nHost: gateway\r\nContent-Length: {}\r\n\r\n", body.len());
            stream.write_all(head.as_bytes()).await?;
            stream.write_all(body.as_bytes()).await?;
            stream.flush().await?;
            let mut text = String::new();
            stream.read_to_string(&mut text).await?;
            let (head, body) = text.split_once("\r\n\r\n").ok_or(ErrorKind::UnexpectedEof)?;
            let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or(ErrorKind::InvalidData)?;
            Ok((status, serde_json::from_str(body).unwrap_or_default()))
        };
        timeout(SOON, exchange).await.map_err(|_| Error::from(ErrorKind::TimedOut))?
    }

    /// The body of an enrolment.
    pub fn enrolment(&self, system: &str, code: &str, request: &str) -> String {
        json!({"protocol": 1, "customerId": self.customer, "systemId": system, "enrolmentCode": code, "certificateRequest": request})
            .to_string()
    }

    /// Enrols a system.
    ///
    /// # Panics
    /// It is refused.
    pub async fn enrol(&self, system: &str) -> Credential {
        let (request, key) = certificate_request();
        let (status, body) = self.post("/v1/enrol", &self.enrolment(system, &self.code, &request), HOME).await.unwrap();
        assert_eq!(status, 200, "{body}");
        let certificate = CertificateDer::from_pem_slice(body["certificate"].as_str().unwrap().as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
        Credential { system: system.to_owned(), config: client_config(&self.roots, Some((certificate, key))) }
    }

    /// A hello as a healthy system says it.
    pub fn hello(&self, system: &str, counter: u64) -> Value {
        json!({
            "type": "hello", "protocol": 1, "customerId": self.customer, "systemId": system, "session": counter,
            "facts": {
                "systemName": "By hand", "address": "192.0.2.1", "port": 443, "profile": "IP500 V2", "version": "11.1.3.2.0", "timeZone": "UTC",
                "servers": [{"name": "By hand", "role": "Primary", "version": "11.1.3.2.0", "address": "192.0.2.1", "online": true}],
                "remoteOperations": {"centralizedManagement": true}, "voicemailBackup": {}, "certificates": {},
                "configurationRevision": 1, "started": "2026-01-01T00:00:00Z"
            }
        })
    }

    /// Opens the websocket, without a hello.
    ///
    /// # Panics
    /// It is refused.
    pub async fn session(&self, credential: &Credential) -> Session {
        let stream = self.connect(Some(credential), HOME).await.unwrap();
        let mut request = format!("wss://{}/v1/session", self.address).into_client_request().unwrap();
        request.headers_mut().insert("Sec-WebSocket-Protocol", "switchboard.v1".parse().unwrap());
        let (socket, _) = timeout(SOON, tokio_tungstenite::client_async(request, stream)).await.unwrap().unwrap();
        Session { socket }
    }
}

/// A websocket to the gateway.
pub struct Session {
    socket: WebSocketStream<TlsStream<TcpStream>>,
}

impl Session {
    /// Sends a message. That the gateway may have closed already is seen by whoever reads next.
    pub async fn send(&mut self, message: Message) {
        let _ = timeout(SOON, self.socket.send(message)).await;
    }

    /// Sends a text.
    pub async fn say(&mut self, text: impl Into<String>) {
        self.send(Message::text(text.into())).await;
    }

    /// The next message; `None` once the gateway closed.
    ///
    /// # Panics
    /// Nothing came.
    pub async fn next(&mut self) -> Option<Value> {
        let next = async {
            loop {
                match self.socket.next().await {
                    Some(Ok(Message::Text(text))) => return Some(serde_json::from_str(&text).unwrap()),
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                    _ => return None,
                }
            }
        };
        // Over all: pings are no answer.
        timeout(SOON, next).await.expect("the gateway says nothing")
    }

    /// Reads until the gateway closes; returns `reason` and `message` of its last message.
    ///
    /// # Panics
    /// It closed without one.
    pub async fn closes(&mut self) -> (String, String) {
        let mut last = Value::Null;
        while let Some(message) = self.next().await {
            last = message;
        }
        assert_eq!(last["type"], "close", "it closed without saying why; the last message was {last}");
        let word = |name: &str| last[name].as_str().unwrap_or_default().to_owned();
        (word("reason"), word("message"))
    }
}
