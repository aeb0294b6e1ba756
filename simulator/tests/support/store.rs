//! A small object store of the tests' own: it keeps what is put, checks what was signed, and fails as it is told.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use archive::digest::Sha256;
use bytes::Bytes;
use futures::StreamExt as _;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use model::secret::Secret;
use protocol::transfer::{PartUpload, PresignedRequest};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// What stands for the signature in every URL: it must appear nowhere.
pub const SIGNATURE: &str = "very5ecretSignature";

/// What goes wrong with a request.
#[derive(Debug, Clone)]
pub enum Fault {
    /// Refused with a status and a code, at once.
    Refuse(u16, &'static str),
    /// The connection breaks after so many bytes of the body, either way.
    Break(usize),
}

/// What the store holds, was asked, and is to do.
#[derive(Default)]
pub struct Content {
    pub objects: BTreeMap<String, Bytes>,
    pub faults: VecDeque<Fault>,
    /// Method, path and `Range` of each request.
    pub requests: Vec<(String, String, Option<String>)>,
    /// Whether `Range` is not understood.
    pub no_ranges: bool,
    /// Whether a range begins elsewhere than asked for.
    pub wrong_ranges: bool,
}

pub struct TestStore {
    port: u16,
    authority: Option<String>,
    pub content: Arc<Mutex<Content>>,
    pub connections: Arc<AtomicUsize>,
    accepting: tokio::task::JoinHandle<()>,
}

impl Drop for TestStore {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

type Body = UnsyncBoxBody<Bytes, io::Error>;

impl TestStore {
    /// A store behind TLS, with an authority of its own.
    pub async fn start() -> Self {
        let mut parameters = CertificateParams::default();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let own = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![own.der().clone()], PrivateKeyDer::try_from(key.serialize_der()).unwrap())
            .unwrap();
        Self::listen(Some(TlsAcceptor::from(Arc::new(tls))), Some(issuer.pem())).await
    }

    async fn listen(tls: Option<TlsAcceptor>, authority: Option<String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (content, connections) = (Arc::<Mutex<Content>>::default(), Arc::<AtomicUsize>::default());
        let accepting = tokio::spawn(accept(listener, tls, content.clone(), connections.clone()));
        Self { port, authority, content, connections, accepting }
    }

    pub fn authority(&self) -> Option<String> {
        self.authority.clone()
    }

    pub fn get(&self, key: &str) -> PresignedRequest {
        self.request("GET", key, BTreeMap::new())
    }

    /// A request to put bytes of that digest.
    pub fn put(&self, key: &str, sha256: &str) -> PresignedRequest {
        let base64 = sha256.parse::<Sha256>().unwrap().to_base64();
        let headers = [("x-amz-checksum-sha256", base64.as_str()), ("x-amz-meta-Test", "As It Is")];
        self.request("PUT", key, headers.map(|(name, value)| (name.to_owned(), value.to_owned())).into())
    }

    pub fn part(&self, key: &str, number: u32, sha256: &str) -> PartUpload {
        PartUpload { number, request: self.put(&format!("{key}.{number:05}"), sha256) }
    }

    fn request(&self, method: &str, key: &str, headers: BTreeMap<String, String>) -> PresignedRequest {
        let scheme = if self.authority.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://127.0.0.1:{}/{key}?X-Amz-Signature={SIGNATURE}", self.port);
        PresignedRequest { method: method.into(), url: Secret::new(url), headers }
    }

    pub fn fail(&self, faults: impl IntoIterator<Item = Fault>) {
        self.content.lock().unwrap().faults.extend(faults);
    }

    pub fn keep(&self, key: &str, bytes: impl Into<Bytes>) {
        self.content.lock().unwrap().objects.insert(key.to_owned(), bytes.into());
    }

    /// The parts of an object, put together.
    pub fn object(&self, key: &str) -> Vec<u8> {
        let content = self.content.lock().unwrap();
        content.objects.iter().filter(|(name, _)| name.starts_with(&format!("{key}."))).flat_map(|(_, bytes)| bytes.to_vec()).collect()
    }

    pub fn requests(&self, method: &str) -> usize {
        self.content.lock().unwrap().requests.iter().filter(|(each, _, _)| each == method).count()
    }
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, content: Arc<Mutex<Content>>, connections: Arc<AtomicUsize>) {
    while let Ok((stream, _)) = listener.accept().await {
        let (tls, content, connections) = (tls.clone(), content.clone(), connections.clone());
        tokio::spawn(async move {
            connections.fetch_add(1, Ordering::SeqCst);
            let service = service_fn(move |request| {
                let content = content.clone();
                async move { answer(request, &content).await }
            });
            let builder = hyper::server::conn::http1::Builder::new();
            match tls {
                Some(tls) => {
                    if let Ok(stream) = tls.accept(stream).await {
                        let _ = builder.serve_connection(TokioIo::new(stream), service).await;
                    }
                }
                None => drop(builder.serve_connection(TokioIo::new(stream), service).await),
            }
        });
    }
}

/// An error here breaks the connection.
async fn answer(request: http::Request<Incoming>, content: &Mutex<Content>) -> io::Result<http::Response<Body>> {
    let (path, query) = (request.uri().path()[1..].to_owned(), request.uri().query().unwrap_or_default().to_owned());
    let (method, headers) = (request.method().clone(), request.headers().clone());
    let header = |name: &str| headers.get(name).map(|value| value.to_str().unwrap().to_owned());
    let fault = {
        let mut content = content.lock().unwrap();
        content.requests.push((method.to_string(), path.clone(), header("range")));
        content.faults.pop_front()
    };
    if let Some(Fault::Refuse(status, code)) = fault {
        let text = format!("<Error><Code>{code}</Code><StringToSign>{SIGNATURE}</StringToSign></Error>");
        return Ok(full(status, text.into()));
    }
    if query != format!("X-Amz-Signature={SIGNATURE}") {
        return Ok(full(403, "<Error><Code>SignatureDoesNotMatch</Code></Error>".into()));
    }
    let most = match fault {
        Some(Fault::Break(bytes)) => Some(bytes),
        _ => None,
    };
    if method == http::Method::PUT {
        assert_eq!(header("x-amz-meta-test").as_deref(), Some("As It Is"), "signed headers arrive unchanged");
        let body = take(request.into_body(), most).await?;
        assert_eq!(header("content-length"), Some(body.len().to_string()));
        if header("x-amz-checksum-sha256") != Some(Sha256::of(&body).to_base64()) {
            return Ok(full(400, "<Error><Code>BadDigest</Code></Error>".into()));
        }
        content.lock().unwrap().objects.insert(path, body);
        return Ok(full(200, Bytes::new()));
    }
    let (object, no_ranges, wrong_ranges) = {
        let content = content.lock().unwrap();
        (content.objects.get(&path).cloned(), content.no_ranges, content.wrong_ranges)
    };
    let Some(object) = object else { return Ok(full(404, "<Error><Code>NoSuchKey</Code></Error>".into())) };
    let from = header("range").filter(|_| !no_ranges);
    let from = from.map(|range| range.strip_prefix("bytes=").unwrap().strip_suffix('-').unwrap().parse::<usize>().unwrap());
    let from = from.map(|from| if wrong_ranges { from + 1 } else { from });
    Ok(give(&object, from, most))
}

async fn take(mut body: Incoming, most: Option<usize>) -> io::Result<Bytes> {
    let mut taken = Vec::new();
    while let Some(frame) = body.frame().await {
        taken.extend_from_slice(&frame.map_err(io::Error::other)?.into_data().unwrap());
        if most.is_some_and(|most| taken.len() >= most) {
            return Err(io::Error::other("the test breaks the connection"));
        }
    }
    Ok(taken.into())
}

fn give(object: &Bytes, from: Option<usize>, most: Option<usize>) -> http::Response<Body> {
    let total = object.len();
    let rest = object.slice(from.unwrap_or(0)..);
    let mut builder = http::Response::builder().header("content-length", rest.len());
    builder = match from {
        None => builder.status(200),
        Some(from) => builder.status(206).header("content-range", format!("bytes {from}-{}/{total}", total - 1)),
    };
    let mut frames: Vec<io::Result<Frame<Bytes>>> = rest
        .slice(..most.unwrap_or(rest.len()).min(rest.len()))
        .chunks(10_000)
        .map(|piece| Ok(Frame::data(Bytes::copy_from_slice(piece))))
        .collect();
    if most.is_some() {
        frames.push(Err(io::Error::other("the test breaks the connection")));
    }
    // Each piece is on its way before the next, also before the connection breaks.
    let frames = futures::stream::iter(frames).then(|frame| async {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        frame
    });
    builder.body(StreamBody::new(frames).boxed_unsync()).unwrap()
}

fn full(status: u16, text: Bytes) -> http::Response<Body> {
    http::Response::builder().status(status).body(Full::new(text).map_err(|never: Infallible| match never {}).boxed_unsync()).unwrap()
}
