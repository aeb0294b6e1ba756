//! A session's streams as channels of a websocket: the first byte of a message says which channel it belongs to.

use std::time::Duration;

use bytes::Bytes;
use futures::stream::{SplitSink, SplitStream};
use futures::{FutureExt, SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};

use super::Starting;
use super::handshake::Channels;
use crate::api::respond;
use crate::node::process::streams::{Input, Output};
use crate::node::process::terminal::Terminal;
use crate::node::process::{OUTPUT_BOUND, Session};

const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const STATUS: u8 = 3;
const RESIZE: u8 = 4;
/// Says that a channel, named in the second byte, has ended.
const CLOSE: u8 = 255;

/// Output that is sent at a time.
const CHUNK: usize = 16 << 10;
/// What a pipe holds, and with it the copy of one: what a program wrote before its end is not more.
const PIPE: usize = 128 << 10;
/// How often a client that may be gone is looked for.
const PING: Duration = Duration::from_secs(20);
/// For the client to say good-bye.
const FAREWELL: Duration = Duration::from_secs(5);

/// Starts a session and carries it until its program ends or the client goes.
pub(super) async fn serve<S: Stream>(socket: WebSocketStream<S>, channels: Channels, starting: Starting) {
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

/// What carries a websocket.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin {}

impl<S: AsyncRead + AsyncWrite + Unpin> Stream for S {}

/// The client is gone; there is nobody to tell anything.
struct Gone;

impl From<Error> for Gone {
    fn from(error: Error) -> Self {
        tracing::debug!(%error, "the client of a session is gone");
        Self
    }
}

/// Returns the last word to the client.
async fn run<S: Stream>(
    session: Session,
    sender: &mut Sender<S>,
    client: &mut SplitStream<WebSocketStream<S>>,
    channels: Channels,
) -> Result<Value, Gone> {
    let Session { mut input, output, errors, terminal, end } = session;
    let talk = async {
        // Clients take the first message for the sign that all is connected.
        let first = if output.is_some() { STDOUT } else { STATUS };
        sender.send(first, b"").await?;
        let incoming = receive(client, &mut input, terminal, channels);
        let outgoing = forward(output, errors, end, sender);
        tokio::select! {
            () = incoming => Err(Gone),
            code = outgoing => Ok(ending(code?)),
        }
    };
    let outcome = talk.await;
    // However the client went, and whatever was being done then: its input has ended.
    if let Some(open) = input.filter(|_| outcome.is_err()) {
        let _ = tokio::time::timeout(FAREWELL, open.close()).await;
    }
    outcome
}

/// Takes what the client sends, until it goes. A program that does not read its input keeps the client from sending more.
async fn receive<S: Stream>(
    client: &mut SplitStream<WebSocketStream<S>>,
    input: &mut Option<Input>,
    terminal: Option<Terminal>,
    channels: Channels,
) {
    while let Some(Ok(message)) = client.next().await {
        let Message::Binary(message) = message else { continue };
        let Some((channel, content)) = message.split_first() else { continue };
        match *channel {
            STDIN if !content.is_empty() => {
                // A program that has closed its input goes on without it, and so does the session.
                if let Some(open) = input
                    && open.write_all(content).await.is_err()
                {
                    *input = None;
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
}

/// `{"Width":80,"Height":24}`.
fn size(content: &[u8]) -> Option<(u16, u16)> {
    let size = respond::parse(content)?;
    let number = |key: &str| size[key].as_u64().and_then(|number| u16::try_from(number).ok());
    Some((number("Width")?, number("Height")?))
}

/// Sends what the program writes until it has ended, and returns its exit code. Nothing is read while the client takes nothing.
async fn forward<S: Stream>(
    mut output: Option<Output>,
    mut errors: Option<Output>,
    mut end: futures::future::BoxFuture<'static, i32>,
    sender: &mut Sender<S>,
) -> Result<i32, Error> {
    let (mut from_output, mut from_errors) = (vec![0; CHUNK], vec![0; CHUNK]);
    let (mut code, mut bound) = (None, Instant::now());
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
            ended = &mut end, if code.is_none() => (code, bound) = (Some(ended), Instant::now() + OUTPUT_BOUND),
            _ = ping.tick(), if code.is_none() => sender.0.send(Message::Ping(Bytes::new())).await?,
            () = tokio::time::sleep_until(bound), if code.is_some() => {
                // A stray descendant holds the output open, or the client is slow: it gets what the program itself had written.
                drain(STDOUT, &mut output, sender).await?;
                drain(STDERR, &mut errors, sender).await?;
                break;
            }
        }
    }
    Ok(code.unwrap_or(0))
}

/// Sends what lies in a pipe, without waiting for more.
async fn drain<S: Stream>(channel: u8, from: &mut Option<Output>, sender: &mut Sender<S>) -> Result<(), Error> {
    let (mut buffer, mut left) = (vec![0; CHUNK], PIPE);
    while left > 0
        // What this task has used up of its share of the runtime must not hide what is there.
        && let Some(length @ 1..) = tokio::task::unconstrained(read(from, &mut buffer)).now_or_never()
    {
        sender.send(channel, &buffer[..length]).await?;
        left = left.saturating_sub(length);
    }
    Ok(())
}

/// What there is; 0 at the end, and where it cannot be read any more.
async fn read(from: &mut Option<Output>, buffer: &mut [u8]) -> usize {
    match from {
        Some(output) => output.read(buffer).await.unwrap_or(0),
        None => 0,
    }
}

/// The sending half of the websocket.
struct Sender<S>(SplitSink<WebSocketStream<S>, Message>);

impl<S: Stream> Sender<S> {
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
    use std::process::Stdio;
    use std::sync::Arc;

    use tokio::io::{AsyncWriteExt, DuplexStream, duplex};
    use tokio_tungstenite::tungstenite::protocol::Role;

    use super::*;

    const BOUND: Duration = Duration::from_secs(20);

    type Client = WebSocketStream<DuplexStream>;

    /// Serves a session; the client takes as much as the buffer holds without reading.
    async fn begin(session: Session, buffer: usize) -> (Client, tokio::task::JoinHandle<()>) {
        let (near, far) = duplex(buffer);
        let socket = WebSocketStream::from_raw_socket(near, Role::Server, None).await;
        let client = WebSocketStream::from_raw_socket(far, Role::Client, None).await;
        (client, tokio::spawn(serve(socket, Channels::Five, futures::future::ready(Ok(session)).boxed())))
    }

    fn session(output: DuplexStream, input: Option<Input>, ended: bool) -> Session {
        let end = if ended { futures::future::ready(3).boxed() } else { futures::future::pending().boxed() };
        Session { input, output: Some(Output::Copy(output)), errors: None, terminal: None, end }
    }

    /// The bytes of the output, and the last word.
    async fn take(client: &mut Client) -> (usize, Value) {
        let mut length = 0;
        loop {
            let message = tokio::time::timeout(BOUND, client.next()).await.expect("the session ends").unwrap().unwrap();
            let Message::Binary(message) = message else { continue };
            match message[0] {
                STDOUT => length += message.len() - 1,
                _ => return (length, serde_json::from_slice(&message[1..]).unwrap()),
            }
        }
    }

    #[tokio::test]
    async fn a_descendant_that_goes_on_writing_does_not_keep_the_session() {
        let (output, mut stray) = duplex(1 << 10);
        let writing = tokio::spawn(async move { while stray.write_all(b"y\n").await.is_ok() {} });
        let (mut client, _serving) = begin(session(output, None, true), 1 << 16).await;
        let (length, last) = take(&mut client).await;
        assert!(length > 0);
        assert_eq!(last["details"]["causes"][0]["message"], "3");
        tokio::time::timeout(BOUND, writing).await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_slow_client_gets_all_that_a_program_wrote_before_its_end() {
        let (output, mut program) = duplex(PIPE);
        program.write_all(&vec![b'x'; PIPE]).await.unwrap();
        // Held open all the while, as by a descendant.
        let (mut client, _serving) = begin(session(output, None, true), 1 << 10).await;
        tokio::time::sleep(OUTPUT_BOUND + Duration::from_millis(500)).await;
        assert_eq!(take(&mut client).await.0, PIPE);
    }

    #[tokio::test]
    async fn the_input_of_a_client_that_vanishes_while_its_program_does_not_read_is_closed() {
        let mut program = tokio::process::Command::new("sleep");
        let mut program = program.arg("60").stdin(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
        let pipe = Arc::new(tokio::sync::Mutex::new(program.stdin.take()));
        let input = Input::Shared { pipe: Arc::clone(&pipe), once: true };
        let (output, mut copy) = duplex(1 << 10);
        let (mut client, serving) = begin(session(output, Some(input), false), 1 << 16).await;
        // More than its pipe holds: the session waits for the program to read, and does not see that the client goes.
        client.send(Message::binary(vec![STDIN; 1 << 19])).await.unwrap();
        tokio::time::timeout(BOUND, async {
            while pipe.try_lock().is_ok() {
                tokio::task::yield_now().await;
            }
        })
        .await
        .unwrap();
        drop(client);
        let _ = copy.write_all(b"anything").await;
        tokio::time::timeout(BOUND, serving).await.unwrap().unwrap();
        assert!(pipe.lock().await.is_none(), "the program sees the end of its input");
    }
}
