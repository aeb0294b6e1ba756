//! A small system: enrols, connects, and says what a test wants it to say.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use futures::{SinkExt as _, StreamExt as _};
use model::account::SignInOutcome;
use model::rights::Right;
use model::secret::Secret;
use protocol::message::{CloseReason, FromGateway, FromSystem, SignInResult};
use protocol::scram::{ClientFirst, Server, Verifier};
use protocol::{ENROL_PATH, SESSION_PATH, SUBPROTOCOL, frame};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::world::{CODE, World, soon};

pub const HOME: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Key and certificate of a system.
pub struct Credential {
    pub system: String,
    pub key: rcgen::KeyPair,
    pub certificate: String,
}

/// An HTTP answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Value,
}

impl Answer {
    pub fn reason(&self) -> &str {
        self.body["reason"].as_str().unwrap_or_default()
    }
}

pub fn certificate_request(key: &rcgen::KeyPair) -> String {
    rcgen::CertificateParams::default().serialize_request(key).unwrap().pem().unwrap()
}

pub fn enrolment(system: &str, code: &str, request: &str) -> Value {
    json!({"protocol": 1, "customerId": "acme", "systemId": system, "enrolmentCode": code, "certificateRequest": request})
}

impl Credential {
    pub async fn enrol(world: &World, system: &str) -> Self {
        let key = rcgen::KeyPair::generate().unwrap();
        let answer = post(world, ENROL_PATH, &enrolment(system, CODE, &certificate_request(&key)), None, HOME).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        Self { system: system.into(), key, certificate: answer.body["certificate"].as_str().unwrap().into() }
    }
}

/// Connects with TLS, from an address of this machine.
pub async fn dial(world: &World, credential: Option<&Credential>, from: IpAddr) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(world.authority.as_bytes()).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let config = match credential {
        None => config.with_no_client_auth(),
        Some(credential) => {
            let certificate = CertificateDer::from_pem_slice(credential.certificate.as_bytes()).unwrap();
            let key = PrivateKeyDer::from_pem_slice(credential.key.serialize_pem().as_bytes()).unwrap();
            config.with_client_auth_cert(vec![certificate], key).unwrap()
        }
    };
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::new(from, 0))?;
    let stream = socket.connect(world.address).await?;
    stream.set_nodelay(true)?;
    TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("localhost").unwrap(), stream).await
}

/// Connects to where replicas meet, with a system's certificate.
pub async fn dial_replica(
    address: SocketAddr,
    credential: &Credential,
    authority: &gateway::Authority,
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.certificate_pem().as_bytes()).unwrap()).unwrap();
    let certificate = CertificateDer::from_pem_slice(credential.certificate.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(credential.key.serialize_pem().as_bytes()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_client_auth_cert(vec![certificate], key)
        .unwrap();
    let name = ServerName::try_from(protocol::replica::SERVER_NAME).unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, TcpStream::connect(address).await?).await
}

pub async fn post(world: &World, path: &str, body: &Value, credential: Option<&Credential>, from: IpAddr) -> Answer {
    send_request(world, "POST", path, &body.to_string(), credential, from).await.unwrap()
}

pub async fn send_request(
    world: &World,
    method: &str,
    path: &str,
    body: &str,
    credential: Option<&Credential>,
    from: IpAddr,
) -> std::io::Result<Answer> {
    let exchange = async {
        let mut stream = dial(world, credential, from).await?;
        let head = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n", body.len());
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(body.as_bytes()).await?;
        // Without it the last record may stay in the TLS layer when this task has used up its share of the runtime.
        stream.flush().await?;
        let mut text = String::new();
        stream.read_to_string(&mut text).await?;
        let (head, body) = text.split_once("\r\n\r\n").ok_or(std::io::ErrorKind::UnexpectedEof)?;
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Ok(Answer { status, head: head.to_ascii_lowercase(), body: serde_json::from_str(body).unwrap_or_default() })
    };
    soon(exchange).await
}

/// What a system is, as it says in its hello.
pub fn facts(name: &str) -> Value {
    json!({
        "systemName": name, "address": "192.0.2.1", "port": 443, "profile": "IP500 V2", "version": "11.1.3.2.0", "timeZone": "Europe/London",
        "servers": [{"name": name, "role": "Primary", "version": "11.1.3.2.0", "address": "192.0.2.1", "online": true}],
        "remoteOperations": {"centralizedManagement": true}, "voicemailBackup": {}, "certificates": {},
        "configurationRevision": 3, "started": "2026-01-01T00:00:00Z"
    })
}

pub fn hello(system: &str, counter: u64) -> Value {
    json!({"type": "hello", "protocol": 1, "customerId": "acme", "systemId": system, "session": counter, "facts": facts("HQ")})
}

/// A websocket to the gateway.
pub struct Session {
    socket: WebSocketStream<TlsStream<TcpStream>>,
}

impl Session {
    /// Only the websocket, no hello.
    pub async fn dial(world: &World, credential: &Credential) -> Result<Self, Error> {
        let stream = dial(world, Some(credential), HOME).await?;
        let mut request = format!("wss://localhost{SESSION_PATH}").into_client_request()?;
        request.headers_mut().insert("Sec-WebSocket-Protocol", SUBPROTOCOL.parse().unwrap());
        let small = WebSocketConfig::default().read_buffer_size(4096).write_buffer_size(4096);
        let (socket, _) = soon(tokio_tungstenite::client_async_with_config(request, stream, Some(small))).await?;
        Ok(Self { socket })
    }

    /// With hello, up to the welcome.
    pub async fn open(world: &World, credential: &Credential, counter: u64) -> Self {
        let mut session = Self::dial(world, credential).await.unwrap();
        session.say(&hello(&credential.system, counter)).await;
        assert!(matches!(session.next().await, FromGateway::Welcome { protocol: 1, .. }));
        session
    }

    pub async fn say(&mut self, message: &Value) {
        self.say_text(message.to_string()).await;
    }

    pub async fn say_text(&mut self, text: String) {
        self.send(Message::text(text)).await;
    }

    pub async fn send(&mut self, message: Message) {
        // A gateway that has closed already is seen by whoever reads next.
        let _ = soon(self.socket.send(message)).await;
    }

    pub async fn tell(&mut self, message: &FromSystem) {
        self.say_text(frame::write(message)).await;
    }

    /// The next message; `None` once the gateway closed.
    pub async fn next_or_end(&mut self) -> Option<FromGateway> {
        loop {
            match soon(self.socket.next()).await {
                Some(Ok(Message::Text(text))) => return Some(frame::parse(&text).unwrap()),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(Message::Close(_)) | Err(_)) | None => return None,
                Some(Ok(other)) => panic!("{other:?} came"),
            }
        }
    }

    pub async fn next(&mut self) -> FromGateway {
        self.next_or_end().await.expect("the gateway closed")
    }

    /// Reads until the gateway closes, and returns the reason and words of its last message.
    pub async fn closes(&mut self) -> (CloseReason, String) {
        let mut last = None;
        while let Some(message) = self.next_or_end().await {
            last = Some(message);
        }
        match last {
            Some(FromGateway::Close { reason, message }) => (reason, message),
            other => panic!("it closed without saying why, after {other:?}"),
        }
    }

    /// Does the system's side of a sign-in with the right password, or says `refusal` instead of a challenge.
    pub async fn answer_sign_in(&mut self, password: &str, refusal: Option<SignInOutcome>) {
        let FromGateway::SignIn { scram } = self.next().await else { panic!("no sign-in came") };
        if let Some(outcome) = refusal {
            return self.tell(&FromSystem::SignInResult(SignInResult { outcome, scram: None })).await;
        }
        let first = ClientFirst::parse(&scram).unwrap();
        assert_eq!(first.user, "COMAdmin");
        let (server, challenge) = Server::start(first, Verifier::with_salt(&Secret::new(password), b"salt", 4096));
        self.tell(&FromSystem::Challenge { scram: challenge }).await;
        let FromGateway::Proof { scram } = self.next().await else { panic!("no proof came") };
        let result = match server.verify(&scram) {
            Ok(server_final) => {
                SignInResult { outcome: SignInOutcome::Accepted { rights: Right::ALL.to_vec() }, scram: Some(server_final) }
            }
            Err(_) => SignInResult { outcome: SignInOutcome::WrongPassword, scram: None },
        };
        self.tell(&FromSystem::SignInResult(result)).await;
    }
}
