//! What a Service is in a cluster: one address that systems dial, before several replicas, of which only those that are ready get connections.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use harness::wait;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

/// How often a replica is asked whether it is ready.
const PROBE: Duration = Duration::from_millis(300);
/// How long it may take to answer: one that is well does so also on a loaded machine.
const ANSWER: Duration = Duration::from_secs(5);

/// A replica behind it.
struct Backend {
    gateway: SocketAddr,
    probes: SocketAddr,
    ready: bool,
}

#[derive(Default)]
struct Shared {
    backends: Mutex<Vec<Backend>>,
    next: AtomicUsize,
}

impl Shared {
    fn backends(&self) -> MutexGuard<'_, Vec<Backend>> {
        self.backends.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A running front. Ends with this value, and its connections with it.
pub struct Front {
    /// Where systems dial.
    pub port: u16,
    shared: Arc<Shared>,
    runtime: tokio::runtime::Runtime,
}

impl Front {
    /// One with nothing behind it yet.
    ///
    /// # Panics
    /// There is no free port.
    pub fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let (port, shared) = (listener.local_addr().unwrap().port(), Arc::new(Shared::default()));
        runtime.spawn(accept(listener, Arc::clone(&shared)));
        Self { port, shared, runtime }
    }

    /// One more replica.
    pub fn add(&self, gateway: u16, probes: u16) {
        let [gateway, probes] = [gateway, probes].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        self.shared.backends().push(Backend { gateway, probes, ready: false });
        self.runtime.spawn(probe(probes, Arc::clone(&self.shared)));
    }

    /// Waits until it has found each of them ready: systems that dial from then on are spread over all.
    pub fn wait_until_all_ready(&self) {
        wait::until_true("the front to find all replicas ready", wait::SOON, || self.shared.backends().iter().all(|backend| backend.ready));
    }
}

/// Asks one replica, so that one that stands still keeps none of the others waiting.
async fn probe(probes: SocketAddr, shared: Arc<Shared>) {
    loop {
        let ready = timeout(ANSWER, is_ready(probes)).await.unwrap_or(false);
        shared.backends().iter_mut().filter(|backend| backend.probes == probes).for_each(|backend| backend.ready = ready);
        tokio::time::sleep(PROBE).await;
    }
}

async fn is_ready(address: SocketAddr) -> bool {
    let Ok(mut stream) = TcpStream::connect(address).await else { return false };
    if stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await.is_err() {
        return false;
    }
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.is_ok() && answer.ends_with(b"200")
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(forward(stream, Arc::clone(&shared)));
    }
}

async fn forward(mut stream: TcpStream, shared: Arc<Shared>) {
    let behind = {
        let backends = shared.backends();
        let ready: Vec<SocketAddr> = backends.iter().filter(|backend| backend.ready).map(|backend| backend.gateway).collect();
        let next = shared.next.fetch_add(1, Ordering::Relaxed);
        // Each in turn, and not so that who comes twice, to enrol and to connect, always meets the same two in the same order.
        ready.get((next + next / 2) % ready.len().max(1)).copied()
    };
    // Nobody is ready: the connection ends, as it does in a cluster.
    let Some(behind) = behind else { return };
    let Ok(mut to) = TcpStream::connect(behind).await else { return };
    let _ = (stream.set_nodelay(true), to.set_nodelay(true));
    let _ = copy_bidirectional(&mut stream, &mut to).await;
}
