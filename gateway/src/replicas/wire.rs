//! One message a line, with bounds on size and time.

use std::time::Duration;

use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt as _, StreamExt as _};
use protocol::replica::{Greeting, LONGEST_LINE, OLDEST_VERSION};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_util::codec::{Framed, LinesCodec, LinesCodecError};

/// For one message to leave.
const SEND: Duration = Duration::from_secs(15);

/// Why a connection to another replica ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Broken {
    #[error("{0}")]
    Connection(String),
    #[error("nothing was heard for {} s", .0.as_secs())]
    Silent(Duration),
    #[error("what came is no message: {0}")]
    Malformed(String),
    #[error("it speaks version {0} of the protocol between replicas, and {OLDEST_VERSION} is the oldest that is spoken here")]
    Version(u32),
    #[error("another replica answers there: {0}")]
    Other(String),
}

/// What is written.
pub(super) struct Writer<S>(SplitSink<Framed<S, LinesCodec>, String>);

/// What is read.
pub(super) struct Reader<S>(SplitStream<Framed<S, LinesCodec>>);

pub(super) fn split<S: AsyncRead + AsyncWrite>(stream: S) -> (Writer<S>, Reader<S>) {
    let (writer, reader) = Framed::new(stream, LinesCodec::new_with_max_length(LONGEST_LINE)).split();
    (Writer(writer), Reader(reader))
}

impl<S: AsyncRead + AsyncWrite> Writer<S> {
    pub(super) async fn send(&mut self, message: &impl Serialize) -> Result<(), Broken> {
        let line = serde_json::to_string(message).map_err(|error| Broken::Malformed(error.to_string()))?;
        match timeout(SEND, self.0.send(line)).await {
            Ok(sent) => sent.map_err(|error| Broken::Connection(error.to_string())),
            Err(_) => Err(Broken::Silent(SEND)),
        }
    }
}

impl<S: AsyncRead + AsyncWrite> Reader<S> {
    /// The next message. May be dropped and called again.
    pub(super) async fn next<T: DeserializeOwned>(&mut self, silence: Duration) -> Result<T, Broken> {
        let line = match timeout(silence, self.0.next()).await {
            Ok(Some(Ok(line))) => line,
            Ok(Some(Err(LinesCodecError::Io(error)))) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                return Err(Broken::Connection("the other side is gone".to_owned()));
            }
            Ok(Some(Err(error))) => return Err(Broken::Connection(error.to_string())),
            Ok(None) => return Err(Broken::Connection("the other side closed".to_owned())),
            Err(_) => return Err(Broken::Silent(silence)),
        };
        serde_json::from_str(&line).map_err(|error| Broken::Malformed(error.to_string()))
    }
}

/// Whether the two understand each other.
pub(super) fn check(greeting: &Greeting) -> Result<(), Broken> {
    if greeting.protocol < OLDEST_VERSION { Err(Broken::Version(greeting.protocol)) } else { Ok(()) }
}
