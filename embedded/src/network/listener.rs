//! One address and port of a Service: takes connections on to whoever answers.

use std::io;
use std::net::SocketAddrV4;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::task::JoinSet;

/// Bound for a connection to a pod; after it the next one is tried.
const CONNECT: Duration = Duration::from_secs(5);
/// Before an address that could not be opened is tried again, doubled each time: it may be that of a service that has just gone.
const AGAIN: Duration = Duration::from_millis(50);
/// The longest of these times.
const LONGEST: Duration = Duration::from_secs(10);
/// After so many attempts it is told.
const TOLD_AFTER: u32 = 5;
/// Before the next connection is taken where one could not be: no file descriptors are left, mostly.
const PAUSE: Duration = Duration::from_millis(50);

/// Those who answer at an address.
pub type Targets = Arc<[SocketAddrV4]>;

/// An address that cannot be opened.
#[derive(Debug)]
pub struct Failure {
    /// Which.
    pub at: SocketAddrV4,
    /// What the system said.
    pub error: io::Error,
}

/// What one listener works with.
pub struct Listener {
    /// Where it listens.
    pub at: SocketAddrV4,
    /// Those who answer, as they come and go; its end is that of the listener and its connections.
    pub targets: watch::Receiver<Targets>,
    /// Connections that all listeners may have together.
    pub places: Arc<Semaphore>,
    /// Who is told that an address cannot be opened.
    pub failures: mpsc::Sender<Failure>,
}

impl Listener {
    /// Listens while anybody answers: otherwise connections are refused at once, as on a real node. Ends with the sender of the targets.
    pub async fn run(mut self) {
        let mut connections = JoinSet::new();
        let turn = Arc::new(AtomicUsize::new(0));
        let mut attempts = 0;
        while self.targets.wait_for(|targets| !targets.is_empty()).await.is_ok() {
            match TcpListener::bind(self.at).await {
                Ok(listener) => {
                    attempts = 0;
                    if !self.serve(&listener, &mut connections, &turn).await {
                        return;
                    }
                }
                Err(error) => {
                    attempts += 1;
                    if attempts == TOLD_AFTER {
                        // Whoever is told may be gone or busy: it is tried again all the same.
                        let _ = self.failures.try_send(Failure { at: self.at, error });
                    }
                    let ended = async { while self.targets.changed().await.is_ok() {} };
                    if tokio::time::timeout((AGAIN * (1 << attempts.min(8))).min(LONGEST), ended).await.is_ok() {
                        return;
                    }
                }
            }
        }
    }

    /// Until nobody answers any more; connections that are open stay. `false`: for good, because the sender of the targets is gone.
    async fn serve(&mut self, listener: &TcpListener, connections: &mut JoinSet<()>, turn: &Arc<AtomicUsize>) -> bool {
        let places = Arc::clone(&self.places);
        // Kept from turn to turn: it may hold a connection that waits for its place.
        let next = accept(listener, &places);
        tokio::pin!(next);
        loop {
            tokio::select! {
                changed = self.targets.changed() => match changed {
                    Ok(()) if self.targets.borrow().is_empty() => return true,
                    Ok(()) => {}
                    // Not left to whoever waits for targets: the last ones stay, and would be listened for again at once and for ever.
                    Err(_) => return false,
                },
                (stream, place) = &mut next => {
                    next.set(accept(listener, &places));
                    let (targets, turn) = (self.targets.borrow().clone(), Arc::clone(turn));
                    connections.spawn(async move {
                        pass(stream, &targets, &turn).await;
                        drop(place);
                    });
                }
                Some(_) = connections.join_next() => {}
            }
        }
    }
}

/// The next connection, with its place among all. Only one waits for a place, further ones in the system's queue; a listener that nobody connects
/// to takes none.
async fn accept(listener: &TcpListener, places: &Arc<Semaphore>) -> (TcpStream, Option<OwnedSemaphorePermit>) {
    let stream = loop {
        match listener.accept().await {
            Ok((stream, _)) => break stream,
            Err(error) => {
                tracing::debug!(%error, "a connection to a service could not be taken");
                tokio::time::sleep(PAUSE).await;
            }
        }
    };
    // The semaphore is never closed.
    (stream, Arc::clone(places).acquire_owned().await.ok())
}

/// Passes a connection on to the first that takes it, each getting its turn as the first. Where none does, it is reset.
async fn pass(mut client: TcpStream, targets: &[SocketAddrV4], turn: &AtomicUsize) {
    let first = turn.fetch_add(1, Ordering::Relaxed);
    for step in 0..targets.len() {
        let target = targets[(first.wrapping_add(step)) % targets.len()];
        let Ok(Ok(mut server)) = tokio::time::timeout(CONNECT, TcpStream::connect(target)).await else { continue };
        // Small messages go at once; a connection that cannot be told so works too.
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        // How a connection ends is the business of its two ends.
        let _ = copy_bidirectional(&mut client, &mut server).await;
        return;
    }
    let _ = client.set_zero_linger();
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
    use std::net::Ipv4Addr;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// Answers each connection with its name, after it has read everything.
    async fn answering(name: &'static str) -> SocketAddrV4 {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let std::net::SocketAddr::V4(at) = listener.local_addr().unwrap() else { panic!("not IPv4") };
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut all = String::new();
                stream.read_to_string(&mut all).await.unwrap();
                stream.write_all(format!("{name}:{all}").as_bytes()).await.unwrap();
            }
        });
        at
    }

    /// An address that is free now.
    async fn free() -> SocketAddrV4 {
        let listener = TcpListener::bind((Ipv4Addr::new(127, 0, 0, 9), 0)).await.unwrap();
        let std::net::SocketAddr::V4(at) = listener.local_addr().unwrap() else { panic!("not IPv4") };
        at
    }

    async fn ask(at: SocketAddrV4) -> io::Result<String> {
        let mut stream = TcpStream::connect(at).await?;
        stream.write_all(b"hello").await?;
        stream.shutdown().await?;
        let mut all = String::new();
        stream.read_to_string(&mut all).await?;
        Ok(all)
    }

    /// Asks until the answer is as wished: the listener follows its targets in a task of its own.
    async fn until(at: SocketAddrV4, holds: impl Fn(&io::Result<String>) -> bool) {
        let wait = async {
            while !holds(&ask(at).await) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), wait).await.unwrap();
    }

    #[tokio::test]
    async fn connections_go_to_each_in_turn_pass_over_the_dead_and_are_refused_where_nobody_is() {
        let (one, two, dead, at) = (answering("one").await, answering("two").await, free().await, free().await);
        let (targets, watched) = watch::channel::<Targets>(Arc::from([]));
        let (failures, _failed) = mpsc::channel(1);
        let task = tokio::spawn(Listener { at, targets: watched, places: Arc::new(Semaphore::new(8)), failures }.run());
        assert_eq!(ask(at).await.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        targets.send_replace(Arc::from([dead, one, two]));
        until(at, Result::is_ok).await;
        let mut answers = std::collections::HashSet::new();
        for _ in 0..6 {
            answers.insert(ask(at).await.unwrap());
        }
        assert_eq!(answers, ["one:hello".to_owned(), "two:hello".to_owned()].into());
        targets.send_replace(Arc::from([two]));
        until(at, |answer| answer.as_ref().is_ok_and(|text| text == "two:hello")).await;
        for _ in 0..4 {
            assert_eq!(ask(at).await.unwrap(), "two:hello");
        }
        targets.send_replace(Arc::from([]));
        until(at, |answer| answer.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)).await;
        drop(targets);
        task.await.unwrap();
    }

    #[tokio::test]
    async fn listeners_that_nobody_connects_to_take_no_place_and_who_waits_for_one_gets_it() {
        let (one, places) = (answering("one").await, Arc::new(Semaphore::new(1)));
        let (failures, _failed) = mpsc::channel(1);
        let (targets, watched) = watch::channel::<Targets>(Arc::from([one]));
        let mut addresses = Vec::new();
        let mut tasks = JoinSet::new();
        for _ in 0..3 {
            let at = free().await;
            let (targets, places, failures) = (watched.clone(), Arc::clone(&places), failures.clone());
            tasks.spawn(Listener { at, targets, places, failures }.run());
            addresses.push(at);
        }
        for at in &addresses {
            until(*at, |answer| answer.as_ref().is_ok_and(|text| text == "one:hello")).await;
        }
        let place = Arc::clone(&places).acquire_owned().await.unwrap();
        let waiting = tokio::spawn(ask(addresses[0]));
        // Its listener turns meanwhile, and does not lose it.
        let two = answering("two").await;
        for count in 0..1000 {
            targets.send_replace(vec![two; 1 + count % 2].into());
            tokio::task::yield_now().await;
        }
        assert!(!waiting.is_finished(), "there is no place");
        drop(place);
        let answer = tokio::time::timeout(Duration::from_secs(20), waiting).await.unwrap().unwrap().unwrap();
        assert_eq!(answer, "two:hello");
        // Also where somebody still answers, as when a service is deleted before its pods.
        drop(targets);
        let ended = tokio::time::timeout(Duration::from_secs(20), tasks.join_all()).await;
        assert_eq!(ended.expect("listeners end with their targets").len(), 3);
        assert_eq!(ask(addresses[0]).await.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    }

    #[tokio::test]
    async fn an_address_in_use_is_told() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let std::net::SocketAddr::V4(at) = taken.local_addr().unwrap() else { panic!("not IPv4") };
        let (targets, watched) = watch::channel::<Targets>(Arc::from([at]));
        let (failures, mut failed) = mpsc::channel(1);
        let task = tokio::spawn(Listener { at, targets: watched, places: Arc::new(Semaphore::new(8)), failures }.run());
        let failure = failed.recv().await.unwrap();
        assert_eq!((failure.at, failure.error.kind()), (at, io::ErrorKind::AddrInUse));
        drop(targets);
        task.await.unwrap();
    }
}
