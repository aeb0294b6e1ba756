//! Is told of the sessions another replica holds, and asks it for the leader's part.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use model::ids::SystemKey;
use protocol::link::{Done, LinkError};
use protocol::message::Command;
use protocol::replica::{FromHolder, HEARTBEAT, SERVER_NAME, SILENCE, ToHolder};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::Replicas;
use super::mirrors::Following;
use super::wire::{Broken, Reader, Writer, check, split};

/// For the connection, and for TLS.
const CONNECT: Duration = Duration::from_secs(5);
/// Between two tries, at first and at most.
const AGAIN: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(3));
/// What waits to be sent to one replica.
const QUEUE: usize = 1024;

/// Something for another replica.
#[derive(Debug)]
pub(super) enum Ask {
    /// A request, and where its answer goes. Dropped without one, it tells that the connection broke.
    Request { term: u64, key: SystemKey, operation: String, command: Command, reply: oneshot::Sender<Result<Done, LinkError>> },
    /// Something without an answer.
    Order(ToHolder),
}

/// Follows the replica for as long as this is not dropped.
pub(super) async fn follow(replicas: Arc<Replicas>, name: String, address: SocketAddr) {
    let mut wait = AGAIN.0;
    let mut last = None;
    loop {
        match session(&replicas, &name, address).await {
            Ok(reason) => {
                tracing::info!(replica = name, %reason, "the sessions of another replica are not followed any more; it is dialled again");
                (wait, last) = (AGAIN.0, None);
            }
            // Said once, however often it is tried.
            Err(reason) if last.as_ref() != Some(&reason) => {
                tracing::info!(replica = name, %address, %reason, "another replica cannot be reached yet; it is dialled again and again");
                last = Some(reason);
            }
            Err(_) => {}
        }
        sleep(wait).await;
        wait = (wait * 2).min(AGAIN.1);
    }
}

/// One connection, from its beginning to its end. `Err`: it did not come to telling.
async fn session(replicas: &Arc<Replicas>, name: &str, address: SocketAddr) -> Result<Broken, Broken> {
    let connection = |error: std::io::Error| Broken::Connection(error.to_string());
    let stream = timeout(CONNECT, TcpStream::connect(address)).await.map_err(|_| Broken::Silent(CONNECT))?.map_err(connection)?;
    stream.set_nodelay(true).map_err(connection)?;
    let server = ServerName::try_from(SERVER_NAME).map_err(|error| Broken::Malformed(error.to_string()))?;
    let stream =
        timeout(CONNECT, replicas.connector.connect(server, stream)).await.map_err(|_| Broken::Silent(CONNECT))?.map_err(connection)?;
    let (mut writer, mut reader) = split(stream);
    writer.send(&ToHolder::Greeting(replicas.greeting.clone())).await?;
    let FromHolder::Greeting(greeting) = reader.next(CONNECT).await? else {
        return Err(Broken::Malformed("the first message is no greeting".to_owned()));
    };
    check(&greeting)?;
    if greeting.replica != name {
        return Err(Broken::Other(greeting.replica));
    }
    let (asks, asked) = mpsc::channel(QUEUE);
    let following = replicas.mirrors.begin(&greeting, asks);
    let answers = Waiting::default();
    Ok(tokio::select! {
        broken = ask(&mut writer, asked, &answers) => broken,
        broken = listen(replicas, &following, &mut reader, &answers) => broken,
    })
}

/// Requests that wait for their answers, by number.
#[derive(Default)]
struct Waiting(std::sync::Mutex<HashMap<u64, oneshot::Sender<Result<Done, LinkError>>>>);

impl Waiting {
    fn with<T>(&self, work: impl FnOnce(&mut HashMap<u64, oneshot::Sender<Result<Done, LinkError>>>) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }
}

/// Sends what is asked; something at least as often as the other side wants to hear something.
async fn ask<S: AsyncRead + AsyncWrite>(writer: &mut Writer<S>, mut asked: mpsc::Receiver<Ask>, waiting: &Waiting) -> Broken {
    let mut last_id = 0;
    let mut heartbeat = interval(HEARTBEAT);
    heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let message = tokio::select! {
            ask = asked.recv() => match ask {
                None => return Broken::Connection("it is not followed any more".to_owned()),
                Some(Ask::Order(order)) => order,
                Some(Ask::Request { term, key, operation, command, reply }) => {
                    last_id += 1;
                    waiting.with(|waiting| {
                        // Whoever asked may have stopped waiting.
                        waiting.retain(|_, reply| !reply.is_closed());
                        waiting.insert(last_id, reply)
                    });
                    ToHolder::Request { id: last_id, term, key, operation, command }
                }
            },
            _ = heartbeat.tick() => ToHolder::Heartbeat,
        };
        if let Err(broken) = writer.send(&message).await {
            return broken;
        }
    }
}

async fn listen<S: AsyncRead + AsyncWrite>(
    replicas: &Replicas,
    following: &Following<'_>,
    reader: &mut Reader<S>,
    waiting: &Waiting,
) -> Broken {
    loop {
        let message = match reader.next(SILENCE).await {
            Ok(message) => message,
            Err(broken) => return broken,
        };
        following.heard();
        match message {
            FromHolder::Session(held) => {
                replicas.table.yield_to(&held);
                following.told(*held);
            }
            FromHolder::Gone { key } => following.gone(&key),
            FromHolder::Complete => following.complete(),
            FromHolder::Answer { id, done, error } => {
                if let Some(reply) = waiting.with(|waiting| waiting.remove(&id)) {
                    let result = done.map_or_else(|| Err(error.unwrap_or(LinkError::Interrupted)), Ok);
                    let _ = reply.send(result);
                }
            }
            FromHolder::Leaving => return Broken::Connection("it goes down in order".to_owned()),
            FromHolder::Greeting(_) | FromHolder::Heartbeat | FromHolder::Unknown => {}
        }
    }
}
