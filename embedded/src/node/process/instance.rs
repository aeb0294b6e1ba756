//! One life of a container: from start to exit, with its output going to the log.

use std::os::unix::process::ExitStatusExt;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Child;
use tokio::sync::mpsc;

use super::identity::{self, Identity};
use super::spawner::{Execution, Spawner};
use crate::node::logs::{InstanceLog, Output};

/// After the program's end its output is read for at most this long: a stray descendant may hold the pipe open.
const OUTPUT_BOUND: Duration = Duration::from_secs(2);

/// How a container ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exit {
    /// Exit code; 128 + signal when a signal ended it.
    pub code: i32,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// Start.
    pub started: Timestamp,
    /// End.
    pub finished: Timestamp,
}

/// A running container.
#[derive(Debug)]
pub struct Instance {
    /// Which process it is.
    pub identity: Identity,
    /// When it started.
    pub started: Timestamp,
    signals: mpsc::UnboundedSender<Signal>,
}

/// Sends signals to a container's process group, for as long as it lives.
#[derive(Debug, Clone)]
pub struct Signaller(mpsc::UnboundedSender<Signal>);

impl Signaller {
    /// Sends; nothing happens when the container has ended.
    pub fn send(&self, signal: Signal) {
        let _ = self.0.send(signal);
    }
}

impl Instance {
    /// Starts a container. The second value is its life: it must be polled, and ends with the exit.
    ///
    /// # Errors
    /// What the system says.
    pub async fn start(
        spawner: &Spawner,
        execution: &Execution,
        log: Arc<InstanceLog>,
    ) -> std::io::Result<(Self, impl Future<Output = Exit> + Send + 'static + use<>)> {
        let child = spawner.spawn(execution).await?;
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).ok_or_else(|| std::io::Error::other("the process ended at once"))?;
        // Not reaped yet, so the process is still there to be looked at, even if it has ended.
        let identity = Identity::of(pid).ok_or_else(|| std::io::Error::other("the process vanished at once"))?;
        let started = Timestamp::now();
        let (signals, received) = mpsc::unbounded_channel();
        let life = live(child, pid, started, received, log, execution.marker.clone());
        Ok((Self { identity, started, signals }, life))
    }

    /// A handle for signals.
    pub fn signaller(&self) -> Signaller {
        Signaller(self.signals.clone())
    }
}

async fn live(
    mut child: Child,
    pid: i32,
    started: Timestamp,
    mut signals: mpsc::UnboundedReceiver<Signal>,
    log: Arc<InstanceLog>,
    marker: String,
) -> Exit {
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let pumps = async { tokio::join!(pump(out, Output::Stdout, &log), pump(err, Output::Stderr, &log)) };
    tokio::pin!(pumps);
    let mut drained = false;
    let status = loop {
        tokio::select! {
            // Signals are sent here, where the process is known not to be reaped: its id cannot be another's.
            status = child.wait() => break status,
            Some(signal) = signals.recv() => send(pid, signal),
            _ = &mut pumps, if !drained => drained = true,
        }
    };
    let finished = Timestamp::now();
    // A container ends with its first process; what it left behind ends too.
    let _ = tokio::task::spawn_blocking(move || identity::kill_container(&marker, Some(pid))).await;
    if !drained {
        let _ = tokio::time::timeout(OUTPUT_BOUND, &mut pumps).await;
    }
    log.finish();
    let (code, signal) = match status {
        Ok(status) => (status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0)), status.signal()),
        Err(error) => {
            tracing::warn!(%error, pid, "the exit of a container could not be read");
            (255, None)
        }
    };
    Exit { code, signal, started, finished }
}

fn send(pid: i32, signal: Signal) {
    if let Some(group) = Pid::from_raw(pid)
        && let Err(error) = kill_process_group(group, signal)
        && error != rustix::io::Errno::SRCH
    {
        tracing::warn!(%error, pid, ?signal, "a signal could not be sent to a container");
    }
}

async fn pump(pipe: Option<impl AsyncRead + Unpin>, output: Output, log: &InstanceLog) {
    let Some(mut pipe) = pipe else { return };
    let mut buffer = vec![0; 16 * 1024];
    loop {
        match pipe.read(&mut buffer).await {
            Ok(0) => break,
            Ok(length) => log.append(output, &buffer[..length]),
            Err(error) => {
                tracing::warn!(%error, "the output of a container could not be read");
                break;
            }
        }
    }
    log.end_of(output);
}
