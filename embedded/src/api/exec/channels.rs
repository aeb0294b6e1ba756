//! A session's streams as channels of a websocket: the first byte of a message says which channel it belongs to.

use std::time::Duration;

use bytes::Bytes;
use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};

use super::Starting;
use super::handshake::{Channels, Socket};
use crate::api::respond;
use crate::node::process::Session;
use crate::node::process::streams::{Input, Output};
use crate::node::process::terminal::Terminal;

const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const STATUS: u8 = 3;
const RESIZE: u8 = 4;
/// Says that a channel, named in the second byte, has ended.
const CLOSE: u8 = 255;

/// Output that is sent at a time.
const CHUNK: usize = 16 << 10;
/// After the program's end its output is waited for at most this long: a stray descendant may hold it open.
const OUTPUT_BOUND: Duration = Duration::from_secs(2);
/// How often a client that may be gone is looked for.
const PING: Duration = Duration::from_secs(20);
/// For the client to say good-bye.
const FAREWELL: Duration = Duration::from_secs(5);

/// Starts a session and carries it until its program ends or the client goes.
pub(super) async fn serve(socket: Socket, channels: Channels, starting: Starting) {
    let (sink, mut client) = socket.split();
    let mut sender = Sender(sink);
    let status = match starting.await {
        Err(why) => Ok(failure(&why)),
        Ok(session) => run(session, &mut sender, &mut client, channels).await,
    };
    let Ok(status) = status else { return };
    if sender.send(STATUS, status.to_string().as_bytes()).await.is_err() || sender.close().await.is_err() {
        return;
    }
    let farewell = async { while let Some(Ok(_)) = client.next().await {} };
    let _ = tokio::time::timeout(FAREWELL, farewell).await;
}

/// The client is gone; there is nobody to tell anything.
struct Gone;

impl From<Error> for Gone {
    fn from(error: Error) -> Self {
        tracing::debug!(%error, "the client of a session is gone");
        Self
    }
}

/// Returns the last word to the client.
async fn run(session: Session, sender: &mut Sender, client: &mut SplitStream<Socket>, channels: Channels) -> Result<Value, Gone> {
    let Session { input, output, errors, terminal, end } = session;
    // Clients take the first message for the sign that all is connected.
    let first = if output.is_some() { STDOUT } else { STATUS };
    sender.send(first, b"").await?;
    let incoming = receive(client, input, terminal, channels);
    let outgoing = forward(output, errors, end, sender);
    tokio::select! {
        () = incoming => Err(Gone),
        code = outgoing => Ok(ending(code?)),
    }
}

/// Takes what the client sends, until it goes. A program that does not read its input keeps the client from sending more.
async fn receive(client: &mut SplitStream<Socket>, mut input: Option<Input>, terminal: Option<Terminal>, channels: Channels) {
    while let Some(Ok(message)) = client.next().await {
        let Message::Binary(message) = message else { continue };
        let Some((channel, content)) = message.split_first() else { continue };
        match *channel {
            STDIN if !content.is_empty() => {
                // A program that has closed its input goes on without it, and so does the session.
                if let Some(open) = &mut input
                    && open.write_all(content).await.is_err()
                {
                    input = None;
                }
            }
            RESIZE => {
                if let (Some(terminal), Some((columns, rows))) = (&terminal, size(content)) {
                    terminal.resize(columns, rows);
                }
            }
            CLOSE if channels == Channels::Five && content == [STDIN] => {
                if let Some(open) = input.take() {
                    open.close().await;
                }
            }
            _ => {}
        }
    }
    if let Some(open) = input {
        open.close().await;
    }
}

/// `{"Width":80,"Height":24}`.
fn size(content: &[u8]) -> Option<(u16, u16)> {
    let size = respond::parse(content)?;
    let number = |key: &str| size[key].as_u64().and_then(|number| u16::try_from(number).ok());
    Some((number("Width")?, number("Height")?))
}

/// Sends what the program writes until it has ended, and returns its exit code. Nothing is read while the client takes nothing.
async fn forward(
    mut output: Option<Output>,
    mut errors: Option<Output>,
    mut end: futures::future::BoxFuture<'static, i32>,
    sender: &mut Sender,
) -> Result<i32, Error> {
    let (mut from_output, mut from_errors) = (vec![0; CHUNK], vec![0; CHUNK]);
    let mut code = None;
    let mut ping = tokio::time::interval(PING);
    while code.is_none() || output.is_some() || errors.is_some() {
        tokio::select! {
            length = read(&mut output, &mut from_output), if output.is_some() => match length {
                0 => output = None,
                length => sender.send(STDOUT, &from_output[..length]).await?,
            },
            length = read(&mut errors, &mut from_errors), if errors.is_some() => match length {
                0 => errors = None,
                length => sender.send(STDERR, &from_errors[..length]).await?,
            },
            ended = &mut end, if code.is_none() => code = Some(ended),
            _ = ping.tick(), if code.is_none() => sender.0.send(Message::Ping(Bytes::new())).await?,
            () = tokio::time::sleep(OUTPUT_BOUND), if code.is_some() => break,
        }
    }
    Ok(code.unwrap_or(0))
}

/// What there is; 0 at the end, and where it cannot be read any more.
async fn read(from: &mut Option<Output>, buffer: &mut [u8]) -> usize {
    match from {
        Some(output) => output.read(buffer).await.unwrap_or(0),
        None => 0,
    }
}

/// The sending half of the websocket.
struct Sender(SplitSink<Socket, Message>);

impl Sender {
    async fn send(&mut self, channel: u8, content: &[u8]) -> Result<(), Error> {
        let mut message = Vec::with_capacity(content.len() + 1);
        message.push(channel);
        message.extend_from_slice(content);
        self.0.send(Message::binary(message)).await
    }

    /// Says good-bye. Clients take every other code, and none, for an error.
    async fn close(&mut self) -> Result<(), Error> {
        self.0.send(Message::Close(Some(CloseFrame { code: CloseCode::Normal, reason: Utf8Bytes::default() }))).await
    }
}

/// How a program ended, as clients expect it.
fn ending(code: i32) -> Value {
    if code == 0 {
        return json!({"metadata": {}, "status": "Success"});
    }
    json!({
        "metadata": {},
        "status": "Failure",
        "message": format!("command terminated with non-zero exit code: exit status {code}"),
        "reason": "NonZeroExitCode",
        "details": {"causes": [{"reason": "ExitCode", "message": code.to_string()}]}
    })
}

/// Why no program runs.
fn failure(why: &str) -> Value {
    json!({
        "metadata": {},
        "status": "Failure",
        "message": format!("Internal error occurred: error executing command in container: {why}"),
        "reason": "InternalError",
        "details": {"causes": [{"message": format!("error executing command in container: {why}")}]},
        "code": 500
    })
}
