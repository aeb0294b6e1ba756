//! One connection: TLS, one HTTP request, and for a system its session.

use std::collections::HashMap;
use std::future::poll_fn;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::http::{self, Accepted, Peer};
use crate::identity::Identity;
use crate::metrics::Refusal;
use crate::sessions::session;
use crate::sessions::socket::{self, Socket};
use crate::shared::Shared;

const MOST_HEADERS: usize = 48;

/// How many connections that proved nothing each address has. Bounded by the number of such connections.
#[derive(Debug, Default)]
pub(crate) struct PerAddress(Mutex<HashMap<IpAddr, usize>>);

impl PerAddress {
    /// Counts one more, unless the address has `most` already.
    fn enter(self: &Arc<Self>, address: IpAddr, most: usize) -> Option<PerAddressPlace> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(address).or_insert(0);
        if *count >= most {
            return None;
        }
        *count += 1;
        Some(PerAddressPlace { counts: self.clone(), address })
    }
}

struct PerAddressPlace {
    counts: Arc<PerAddress>,
    address: IpAddr,
}

impl Drop for PerAddressPlace {
    fn drop(&mut self) {
        let mut counts = self.counts.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.address);
            }
        }
    }
}

/// What a connection holds until it is a session.
struct Unproved {
    _permit: OwnedSemaphorePermit,
    _place: PerAddressPlace,
}

/// Serves a connection to its end.
pub(crate) async fn serve(shared: Arc<Shared>, acceptor: TlsAcceptor, stream: TcpStream, peer: SocketAddr, permit: OwnedSemaphorePermit) {
    let Some(place) = shared.per_address.enter(peer.ip(), shared.limits.unproved_per_address) else {
        shared.metrics.refusal(Refusal::ConnectionsOfAddress);
        return;
    };
    let _gauge = shared.metrics.connection();
    let unproved = Unproved { _permit: permit, _place: place };
    // Boxed, so that an idle session does not keep the room that handshake and request took.
    if let Some((socket, accepted)) = Box::pin(prove(&shared, acceptor, stream, peer)).await {
        drop(unproved);
        Box::pin(session::run(shared, socket, accepted.identity, peer)).await;
        drop(accepted.permit);
    }
}

/// TLS and the request. Something comes back if it was a system that wants a session.
async fn prove(shared: &Arc<Shared>, acceptor: TlsAcceptor, stream: TcpStream, peer: SocketAddr) -> Option<(Socket, Accepted)> {
    let _ = stream.set_nodelay(true);
    let stream = match timeout(shared.times.handshake_timeout, handshake(shared, acceptor, stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            shared.metrics.refusal(Refusal::TlsFailed);
            tracing::debug!(%peer, reason = %error, "TLS handshake failed");
            return None;
        }
        Err(_) => {
            shared.metrics.refusal(Refusal::RequestTimedOut);
            return None;
        }
    };
    let identity =
        stream.get_ref().1.peer_certificates().and_then(<[_]>::first).and_then(|certificate| Identity::from_certificate(certificate));
    let accepted = Mutex::new(None);
    let peer = Peer { shared: shared.clone(), address: peer, identity, accepted: &accepted };
    let service = service_fn(|request| {
        let peer = &peer;
        Box::pin(async move { Ok::<_, std::convert::Infallible>(http::answer(peer, request).await) })
    });
    let mut connection = http1::Builder::new()
        .max_buf_size(shared.limits.header_bytes.max(8192))
        .max_headers(MOST_HEADERS)
        .serve_connection(TokioIo::new(stream), service);
    // hyper gives the stream back: nothing of hyper stays around a session, and after a refusal the stream is closed with care.
    let served = poll_fn(|context| connection.poll_without_shutdown(context));
    if timeout(shared.times.handshake_timeout + shared.times.directory_timeout, served).await.is_err() {
        shared.metrics.refusal(Refusal::RequestTimedOut);
        return None;
    }
    let parts = connection.into_parts();
    let accepted = accepted.lock().unwrap_or_else(PoisonError::into_inner).take();
    let stream = parts.io.into_inner();
    match accepted {
        Some(accepted) => Some((Socket::new(stream, parts.read_buf, shared.times.send_timeout).await, accepted)),
        None => {
            let _ = timeout(shared.times.linger, Box::pin(socket::close(stream))).await;
            None
        }
    }
}

async fn handshake(shared: &Shared, acceptor: TlsAcceptor, stream: TcpStream) -> std::io::Result<TlsStream<TcpStream>> {
    // A peer that is silent holds no permit: only once its first bytes are here does the handshake begin.
    stream.readable().await?;
    let _permit = shared.handshakes.acquire().await.map_err(std::io::Error::other)?;
    acceptor.accept(stream).await
}
