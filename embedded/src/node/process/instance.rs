//! One life of a container: from start to exit, with its output going to the log.

use std::os::unix::process::ExitStatusExt;
use std::sync::Arc;

use jiff::Timestamp;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::Child;
use tokio::sync::mpsc;

use super::OUTPUT_BOUND;
use super::console::{Console, Wishes};
use super::identity::{self, Identity};
use super::spawner::{Execution, Spawner, Wiring};
use super::streams::Output as Stream;
use super::terminal::Terminal;
use crate::node::logs::{InstanceLog, Output};

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
    /// What one can attach to.
    pub console: Arc<Console>,
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
        wishes: Wishes,
        log: Arc<InstanceLog>,
    ) -> std::io::Result<(Self, impl Future<Output = Exit> + Send + 'static + use<>)> {
        let (terminal, wiring) = if wishes.tty {
            let (terminal, far) = Terminal::open()?;
            (Some(terminal), Wiring::Terminal(far))
        } else {
            (None, Wiring::Pipes { input: wishes.stdin, output: true, errors: true })
        };
        let mut child = spawner.spawn_with(execution, wiring).await?;
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).ok_or_else(|| std::io::Error::other("the process ended at once"))?;
        // Not reaped yet, so the process is still there to be looked at, even if it has ended.
        let identity = Identity::of(pid).ok_or_else(|| std::io::Error::other("the process vanished at once"))?;
        let started = Timestamp::now();
        let (signals, received) = mpsc::unbounded_channel();
        let console = Console::new(wishes, terminal.clone(), child.stdin.take());
        let outputs = match terminal {
            Some(terminal) => [Some(Stream::Terminal(terminal)), None],
            None => [child.stdout.take().map(Stream::Out), child.stderr.take().map(Stream::Error)],
        };
        let life = live(child, pid, started, received, outputs, Pump { log, console: Arc::clone(&console) }, execution.marker.clone());
        Ok((Self { identity, started, console, signals }, life))
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
    [out, errors]: [Option<Stream>; 2],
    pump: Pump,
    marker: String,
) -> Exit {
    let pumps = async { tokio::join!(pump.run(out, Output::Stdout), pump.run(errors, Output::Stderr)) };
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
    let code = code_of(&status);
    pump.console.ended(code);
    // A container ends with its first process; what it left behind ends too.
    let _ = tokio::task::spawn_blocking(move || identity::kill_container(&marker, Some(pid))).await;
    if !drained {
        let _ = tokio::time::timeout(OUTPUT_BOUND, &mut pumps).await;
    }
    pump.log.finish();
    pump.console.close().await;
    Exit { code, signal: status.ok().and_then(|status| status.signal()), started, finished }
}

/// The exit code as container runtimes count: 128 + signal when a signal ended it.
pub(super) fn code_of(status: &std::io::Result<std::process::ExitStatus>) -> i32 {
    match status {
        Ok(status) => status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0)),
        Err(error) => {
            tracing::warn!(%error, "the exit of a process could not be read");
            255
        }
    }
}

fn send(pid: i32, signal: Signal) {
    if let Some(group) = Pid::from_raw(pid)
        && let Err(error) = kill_process_group(group, signal)
        && error != rustix::io::Errno::SRCH
    {
        tracing::warn!(%error, pid, ?signal, "a signal could not be sent to a container");
    }
}

/// Where a container's outputs go.
struct Pump {
    log: Arc<InstanceLog>,
    console: Arc<Console>,
}

impl Pump {
    async fn run(&self, stream: Option<Stream>, output: Output) {
        let Some(mut stream) = stream else { return };
        let mut buffer = vec![0; 16 * 1024];
        loop {
            match stream.read(&mut buffer).await {
                Ok(0) => break,
                Ok(length) => {
                    self.log.append(output, &buffer[..length]);
                    self.console.tell(output, &buffer[..length]).await;
                }
                Err(error) => {
                    tracing::warn!(%error, "the output of a container could not be read");
                    break;
                }
            }
        }
        self.log.end_of(output);
    }
}
