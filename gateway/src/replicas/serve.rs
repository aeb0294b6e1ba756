//! Tells another replica of the sessions held here, and does what it asks of them.

use std::net::SocketAddr;
use std::sync::Arc;

use futures::StreamExt as _;
use model::ids::SystemKey;
use protocol::link::{Done, LinkError};
use protocol::message::Command;
use protocol::replica::{FromHolder, HEARTBEAT, SILENCE, ToHolder};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use super::Replicas;
use super::wire::{Broken, Reader, Writer, check, split};

/// Requests of another replica that wait for systems at a time.
const MOST_REQUESTS: usize = 1024;

/// Serves a connection to its end.
pub(super) async fn serve(replicas: Arc<Replicas>, stream: TcpStream, peer: SocketAddr, shutdown: CancellationToken) {
    let _ = stream.set_nodelay(true);
    let stream = match timeout(replicas.times.handshake_timeout, replicas.acceptor.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            tracing::debug!(%peer, reason = %error, "something that is no replica came to where replicas are met");
            return;
        }
        Err(_) => return,
    };
    let (mut writer, mut reader) = split(stream);
    if let Err(reason) = talk(&replicas, &mut writer, &mut reader, &shutdown).await {
        tracing::debug!(%peer, %reason, "a replica is not told of sessions any more");
    }
}

async fn talk<S: AsyncRead + AsyncWrite>(
    replicas: &Arc<Replicas>,
    writer: &mut Writer<S>,
    reader: &mut Reader<S>,
    shutdown: &CancellationToken,
) -> Result<(), Broken> {
    let ToHolder::Greeting(greeting) = reader.next(SILENCE).await? else {
        return Err(Broken::Malformed("the first message is no greeting".to_owned()));
    };
    check(&greeting)?;
    writer.send(&FromHolder::Greeting(replicas.greeting.clone())).await?;
    tracing::info!(replica = greeting.replica, "another replica is told of the sessions here");
    let (answers, answered) = mpsc::channel(MOST_REQUESTS);
    // Both in one task: what ends one ends the other, and with them the requests that still run.
    tokio::select! {
        told = tell(replicas, writer, answered, shutdown) => told,
        asked = listen(replicas, reader, answers) => asked,
    }
}

/// All that is known, then what changes.
async fn tell<S: AsyncRead + AsyncWrite>(
    replicas: &Replicas,
    writer: &mut Writer<S>,
    mut answers: mpsc::Receiver<FromHolder>,
    shutdown: &CancellationToken,
) -> Result<(), Broken> {
    let (known, mut changes) = replicas.table.details();
    for key in known {
        writer.send(&told(replicas, key)).await?;
    }
    writer.send(&FromHolder::Complete).await?;
    let mut heartbeat = interval(HEARTBEAT);
    heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            Some(answer) = answers.recv() => writer.send(&answer).await?,
            Some(key) = changes.next() => writer.send(&told(replicas, key)).await?,
            _ = heartbeat.tick() => writer.send(&FromHolder::Heartbeat).await?,
            () = shutdown.cancelled() => return writer.send(&FromHolder::Leaving).await,
        }
    }
}

fn told(replicas: &Replicas, key: SystemKey) -> FromHolder {
    match replicas.table.held(&key) {
        Some(held) => FromHolder::Session(Box::new(held)),
        None => FromHolder::Gone { key },
    }
}

async fn listen<S: AsyncRead + AsyncWrite>(
    replicas: &Arc<Replicas>,
    reader: &mut Reader<S>,
    answers: mpsc::Sender<FromHolder>,
) -> Result<(), Broken> {
    let places = Arc::new(Semaphore::new(MOST_REQUESTS));
    let mut running = JoinSet::new();
    loop {
        let message = tokio::select! {
            message = reader.next(SILENCE) => message?,
            Some(_) = running.join_next() => continue,
        };
        match message {
            ToHolder::Request { id, term, key, operation, command } => {
                let (replicas, answers) = (Arc::clone(replicas), answers.clone());
                let place = Arc::clone(&places).try_acquire_owned();
                running.spawn(async move {
                    let result = match place {
                        Ok(_place) if replicas.obeys(term) => replicas.ask_here(&key, &operation, command).await,
                        Ok(_) => Err(LinkError::NotConnected),
                        Err(_) => Err(LinkError::Busy),
                    };
                    let (done, error) = match result {
                        Ok(done) => (Some(done), None),
                        Err(error) => (None, Some(error)),
                    };
                    // The connection may be gone by now: whoever asked knows.
                    let _ = answers.send(FromHolder::Answer { id, done, error }).await;
                });
            }
            ToHolder::Forget { term, key } if replicas.obeys(term) => replicas.forget_here(&key),
            ToHolder::Forget { .. } | ToHolder::Greeting(_) | ToHolder::Heartbeat | ToHolder::Unknown => {}
        }
    }
}

impl Replicas {
    /// Asks a system whose session is held here.
    pub(super) async fn ask_here(&self, key: &SystemKey, operation: &str, command: Command) -> Result<Done, LinkError> {
        let (control, decided) = self.table.control(key).ok_or(LinkError::NotConnected)?;
        if !decided {
            return Err(LinkError::NotConnected);
        }
        let answer = control.ask(operation, command, self.requests_in_flight)?;
        answer.await.unwrap_or(Err(LinkError::Interrupted))
    }

    /// Signs in again to a system whose session is held here; a refusal is forgiven in any case.
    pub(super) fn sign_in_again_here(&self, key: &SystemKey) {
        self.mirrors.forgive(key);
        self.table.forgive_refusal(key);
        if let Some((control, _)) = self.table.control(key) {
            control.sign_in();
        }
    }

    /// Forgets what is known here of a system, and ends its session.
    pub(super) fn forget_here(&self, key: &SystemKey) {
        self.mirrors.forget(key);
        self.table.forget(key);
    }
}
