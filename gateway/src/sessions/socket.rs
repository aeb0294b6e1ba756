//! The websocket of a session: messages and pings out, messages in, a last word.

use std::time::Duration;

use bytes::Bytes;
use futures::{SinkExt as _, StreamExt as _};
use protocol::LARGEST_MESSAGE;
use protocol::frame;
use protocol::message::{CloseReason, FromGateway};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::server::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::CapacityError;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};

use crate::sessions::end::End;

/// Small, because thousands of sessions are idle most of the time.
const BUFFER: usize = 4096;
/// Bytes that are still taken from a peer after the last word.
const LINGER_BYTES: usize = 4 * LARGEST_MESSAGE;

/// What came.
#[derive(Debug)]
pub(crate) enum Received {
    Text(Utf8Bytes),
    /// A ping (answered by the library) or a pong.
    Sign,
}

pub(crate) struct Socket {
    stream: WebSocketStream<TlsStream<TcpStream>>,
    send_timeout: Duration,
}

impl Socket {
    /// `read` is what came after the HTTP request.
    pub(crate) async fn new(stream: TlsStream<TcpStream>, read: Bytes, send_timeout: Duration) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(BUFFER)
            .write_buffer_size(BUFFER)
            .max_write_buffer_size(2 * LARGEST_MESSAGE)
            .max_message_size(Some(LARGEST_MESSAGE))
            .max_frame_size(Some(LARGEST_MESSAGE));
        let stream = WebSocketStream::from_partially_read(stream, read.into(), Role::Server, Some(config)).await;
        Self { stream, send_timeout }
    }

    /// The next thing that comes. May be dropped and called again.
    pub(crate) async fn receive(&mut self) -> Result<Received, End> {
        match self.stream.next().await {
            Some(Ok(Message::Text(text))) => Ok(Received::Text(text)),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => Ok(Received::Sign),
            Some(Ok(Message::Binary(_) | Message::Frame(_))) => {
                Err(End::Close(CloseReason::Malformed, "a binary message came; messages are JSON in websocket text messages".into()))
            }
            None | Some(Ok(Message::Close(_))) => Err(End::Disconnected),
            Some(Err(error)) => Err(end_of(&error)),
        }
    }

    pub(crate) async fn send(&mut self, message: &FromGateway) -> Result<(), End> {
        self.put(Message::text(frame::write(message))).await
    }

    pub(crate) async fn ping(&mut self) -> Result<(), End> {
        self.put(Message::Ping(Bytes::new())).await
    }

    async fn put(&mut self, message: Message) -> Result<(), End> {
        match timeout(self.send_timeout, self.stream.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(End::Disconnected),
            Err(_) => Err(End::Silent),
        }
    }

    /// Says the last word and closes. What the peer still sends is read for a moment, because closing before that would make its
    /// operating system throw away the last word.
    pub(crate) async fn finish(mut self, last_words: Option<(CloseReason, String)>, linger: Duration) {
        let closing = async {
            if let Some((reason, message)) = last_words
                && self.send(&FromGateway::Close { reason, message }).await.is_err()
            {
                return;
            }
            let _ = self.stream.send(Message::Close(None)).await;
            close(self.stream.into_inner()).await;
        };
        let _ = timeout(linger, Box::pin(closing)).await;
    }
}

/// Closes, and reads what the peer still sends until it closes too: bounded in bytes here, in time by the caller.
pub(crate) async fn close(mut stream: TlsStream<TcpStream>) {
    let _ = stream.shutdown().await;
    let mut buffer = [0; BUFFER];
    let mut left = LINGER_BYTES;
    while let Ok(count) = stream.read(&mut buffer).await {
        left = left.saturating_sub(count);
        if count == 0 || left == 0 {
            return;
        }
    }
}

fn end_of(error: &Error) -> End {
    match error {
        Error::Capacity(CapacityError::MessageTooLong { size, .. }) => End::Close(
            CloseReason::TooLarge,
            format!("a message of at least {size} bytes came; at most {LARGEST_MESSAGE} are taken: send less in one message"),
        ),
        Error::Utf8(_) => End::Close(CloseReason::Malformed, "a message was no UTF-8; messages are JSON in websocket text messages".into()),
        Error::Protocol(tokio_tungstenite::tungstenite::error::ProtocolError::ResetWithoutClosingHandshake) => End::Disconnected,
        Error::Protocol(error) => End::Close(CloseReason::Malformed, format!("what came is no websocket frame ({error}); see RFC 6455")),
        _ => End::Disconnected,
    }
}
