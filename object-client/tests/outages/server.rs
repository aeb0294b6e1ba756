//! A server that answers as the test wishes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use model::secret::Secret;
use object_client::{Addressing, ObjectClient, Options};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: String,
    pub path: String,
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

/// What is answered.
pub enum Reply {
    /// Status, headers, body.
    Answer(u16, Vec<(&'static str, String)>, Vec<u8>),
    /// The same for an object, but the connection ends after so many bytes of it.
    Cut(u16, Vec<(&'static str, String)>, Vec<u8>, usize),
    /// The connection ends.
    HangUp,
    /// No answer ever comes.
    Silence,
}

pub fn status(code: u16) -> Reply {
    Reply::Answer(code, vec![], vec![])
}

pub fn refusal(status: u16, code: &str) -> Reply {
    let text = format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>as the test wishes</Message></Error>");
    Reply::Answer(status, vec![("content-type", "application/xml".into())], text.into_bytes())
}

pub fn object(content: &[u8]) -> Reply {
    Reply::Answer(200, vec![("etag", "\"e\"".into())], content.to_vec())
}

/// A server that is there until the test ends, and what it was asked.
pub struct Server {
    pub endpoint: String,
    pub requests: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    pub async fn start(mut answer: impl FnMut(&Request) -> Reply + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let requests: Arc<Mutex<Vec<Request>>> = Arc::default();
        let seen = Arc::clone(&requests);
        tokio::spawn(async move {
            let mut silent = Vec::new();
            // One request a connection, one connection after the other: what is asked is in order.
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let Some(request) = read_request(&mut stream).await else {
                    continue;
                };
                let reply = answer(&request);
                seen.lock().unwrap().push(request.clone());
                if matches!(reply, Reply::Silence) {
                    silent.push(stream);
                    continue;
                }
                write_reply(&mut stream, &request, reply).await;
            }
        });
        Self { endpoint, requests }
    }
    pub fn options(&self) -> Options {
        Options {
            endpoint: self.endpoint.clone(),
            system_endpoint: None,
            region: "us-east-1".into(),
            bucket: "bucket".into(),
            prefix: String::new(),
            addressing: Addressing::Path,
            authority: None,
            encryption: None,
            object_lock: None,
            access_key_id: "key".into(),
            secret_access_key: Secret::new("a-secret"),
            session_token: None,
        }
    }
    pub fn client(&self) -> ObjectClient {
        // So long that no answer is late and asked for again where a test counts.
        self.client_with(Duration::from_secs(10))
    }
    pub fn client_with(&self, attempt: Duration) -> ObjectClient {
        ObjectClient::with_attempt_timeout(self.options(), attempt).unwrap()
    }
    /// Method and path of every request.
    pub fn asked(&self) -> Vec<String> {
        let path = |path: &str| path.split_once('?').map_or(path, |(path, _)| path).to_owned();
        self.requests.lock().unwrap().iter().map(|request| format!("{} {}", request.method, path(&request.path))).collect()
    }
}

async fn read_request(stream: &mut TcpStream) -> Option<Request> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break at;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(bytes[..end].to_vec()).ok()?;
    let mut lines = head.lines();
    let mut first = lines.next()?.split(' ');
    let (method, path) = (first.next()?.to_owned(), first.next()?.to_owned());
    let headers: BTreeMap<String, String> =
        lines.filter_map(|line| line.split_once(": ")).map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
    let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = bytes[end + 4..].to_vec();
    while body.len() < length {
        stream.read_buf(&mut body).await.ok()?;
    }
    Some(Request { method, path, headers, body })
}

async fn write_reply(stream: &mut TcpStream, request: &Request, reply: Reply) {
    let (status, headers, body, end) = match reply {
        Reply::Answer(status, headers, body) => (status, headers, body, usize::MAX),
        Reply::Cut(status, headers, body, end) => (status, headers, body, end),
        Reply::HangUp | Reply::Silence => return,
    };
    let mut head = format!("HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    let mut bytes = (head + "\r\n").into_bytes();
    if request.method != "HEAD" {
        bytes.extend_from_slice(&body[..body.len().min(end)]);
    }
    let _ = stream.write_all(&bytes).await;
}
