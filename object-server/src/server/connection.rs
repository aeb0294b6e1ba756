//! One connection: requests in, answers out, within the limits.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, Weak};
use std::time::Duration;

use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{Method, Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use s3s::service::S3Service;
use s3s::{Body, HttpError, S3Error, S3ErrorCode};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::body::PatientBody;
use super::stalls::Stalls;
use crate::options::Limits;
use crate::store::Store;

/// After a refusal, how long and how much of a body that is still coming is thrown away, so that the client reads the answer.
const LINGER: Duration = Duration::from_secs(5);
const LINGER_BYTES: usize = 64 << 20;

/// Bytes of a connection's buffer at least, which is what hyper demands.
const LEAST_BUFFER: usize = 8192;

/// What every connection needs.
pub(super) struct Context {
    pub(super) acceptor: Option<TlsAcceptor>,
    pub(super) service: S3Service,
    /// For when it is to be closed.
    pub(super) store: Weak<Store>,
    pub(super) limits: Limits,
}

/// Serves one connection until the client leaves, goes quiet, or the server stops: then it ends after the answer under way.
pub(super) async fn serve(context: Arc<Context>, stream: TcpStream, stop: CancellationToken) {
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let Some(acceptor) = context.acceptor.clone() else { return requests(context, stream, stop).await };
    let handshake = tokio::time::timeout(context.limits.handshake, acceptor.accept(stream));
    tokio::select! {
        outcome = handshake => match outcome {
            Ok(Ok(stream)) => Box::pin(requests(context, stream, stop.clone())).await,
            Ok(Err(error)) => tracing::debug!(%error, "TLS handshake failed"),
            Err(_) => tracing::debug!("TLS handshake took too long"),
        },
        () = stop.cancelled() => {}
    }
}

async fn requests<S: AsyncRead + AsyncWrite + Unpin>(context: Arc<Context>, stream: S, stop: CancellationToken) {
    let service = service_fn(|request| Box::pin(answer(Arc::clone(&context), request)));
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(context.limits.idle)
        .max_header_size(context.limits.header_bytes)
        .max_buf_size(context.limits.header_bytes.max(LEAST_BUFFER))
        .serve_connection(TokioIo::new(Stalls::new(stream, context.limits.stall)), service);
    // hyper gives the stream back, so that it is closed with care after a refusal.
    let outcome = {
        let mut stopped = pin!(stop.cancelled());
        let mut stopping = false;
        poll_fn(|task| {
            if !stopping && stopped.as_mut().poll(task).is_ready() {
                stopping = true;
                std::pin::Pin::new(&mut connection).graceful_shutdown();
            }
            connection.poll_without_shutdown(task)
        })
        .await
    };
    if let Err(error) = outcome {
        return tracing::debug!(%error, "connection ended");
    }
    let closing = tokio::time::timeout(LINGER, close(connection.into_parts().io.into_inner()));
    tokio::select! {
        _ = closing => {}
        () = stop.cancelled() => {}
    }
}

/// Says goodbye and throws away what still comes: a reset would take the answer from a client that is still sending.
async fn close<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S) {
    let _ = stream.shutdown().await;
    let mut buffer = vec![0; 16 << 10];
    let mut left = LINGER_BYTES;
    while let Ok(count) = stream.read(&mut buffer).await {
        left = left.saturating_sub(count);
        if count == 0 || left == 0 {
            return;
        }
    }
}

async fn answer(context: Arc<Context>, request: Request<Incoming>) -> Result<Response<Body>, HttpError> {
    if let Some(refusal) = refusal(&request) {
        return refusal.to_http_response().map_err(|error| HttpError::new(Box::new(error)));
    }
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let patience = context.limits.stall;
    let request = request.map(|body| Body::http_body(PatientBody::new(body, patience)));
    let response = context.service.call(request).await;
    if let Ok(response) = &response {
        // The query is left out: in presigned requests it is what lets somebody in.
        tracing::debug!(%method, path, status = response.status().as_u16(), "request answered");
    }
    response
}

/// What the library would take and this server does not: forms, which it holds in memory, and the old signature, which covers no body.
fn refusal(request: &Request<Incoming>) -> Option<S3Error> {
    let header = |name| request.headers().get(name).map(|value: &http::HeaderValue| value.as_bytes()).unwrap_or_default();
    let form = b"multipart/form-data";
    if request.method() == Method::POST && header(CONTENT_TYPE).get(..form.len()).is_some_and(|start| start.eq_ignore_ascii_case(form)) {
        let message = "uploads by form are not taken; use PutObject or an upload in parts";
        return Some(S3Error::with_message(S3ErrorCode::NotImplemented, message));
    }
    let in_query = request.uri().query().is_some_and(|query| query.split('&').any(|pair| pair.starts_with("Signature=")));
    if in_query || header(AUTHORIZATION).starts_with(b"AWS ") {
        let message = "signature version 2 is not taken; sign with version 4";
        return Some(S3Error::with_message(S3ErrorCode::InvalidRequest, message));
    }
    None
}
