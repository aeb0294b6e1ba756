//! What one can attach to: input and outputs of a container's first process.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use tokio::io::{AsyncWriteExt, DuplexStream, duplex};
use tokio::process::ChildStdin;
use tokio::sync::watch;

use super::session::{Session, Streams};
use super::streams::{Input, Output, SharedInput};
use super::terminal::Terminal;
use crate::node::logs;

/// Bytes that wait for one who is attached.
const BUFFER: usize = 64 * 1024;
/// Whoever is attached and takes nothing holds the container up for this long, then is left behind.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a container's manifest says of its input and outputs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wishes {
    /// `stdin`: its input stays open for those who attach; otherwise it is at its end from the first.
    pub stdin: bool,
    /// `stdinOnce`: its input is closed when the first who attached leaves.
    pub once: bool,
    /// `tty`: it has a terminal.
    pub tty: bool,
}

/// Input and outputs of a container's first process. Its outputs go to the log; those who are attached get copies from then on.
#[derive(Debug)]
pub struct Console {
    wishes: Wishes,
    terminal: Option<Terminal>,
    input: SharedInput,
    copies: [Mutex<Vec<DuplexStream>>; 2],
    code: watch::Sender<Option<i32>>,
}

impl Console {
    /// The console of a process that has just been started.
    pub(super) fn new(wishes: Wishes, terminal: Option<Terminal>, input: Option<ChildStdin>) -> Arc<Self> {
        let input = Arc::new(tokio::sync::Mutex::new(input));
        Arc::new(Self { wishes, terminal, input, copies: Default::default(), code: watch::Sender::new(None) })
    }

    /// Whether the process has ended.
    pub fn has_ended(&self) -> bool {
        self.code.borrow().is_some()
    }

    /// Attaches to the process.
    ///
    /// # Errors
    /// It has ended.
    pub fn attach(&self, streams: Streams) -> Result<Session, String> {
        let mut code = self.code.subscribe();
        let output = streams.stdout.then(|| self.copy(logs::Output::Stdout));
        let errors = (streams.stderr && !self.wishes.tty).then(|| self.copy(logs::Output::Stderr));
        // Asked afterwards: a copy that was added too late is never closed.
        if self.has_ended() {
            return Err("the container has ended".to_owned());
        }
        // How it ended is in the status of its pod; to whoever was attached every end is a good one.
        let end = async move {
            let _ = code.wait_for(Option::is_some).await;
            0
        };
        let input = self.input_if(streams.stdin && self.wishes.stdin);
        Ok(Session { input, output, errors, terminal: self.terminal.clone(), end: end.boxed() })
    }

    fn input_if(&self, wanted: bool) -> Option<Input> {
        wanted.then(|| match &self.terminal {
            Some(terminal) => Input::Terminal(terminal.clone()),
            None => Input::Shared { pipe: Arc::clone(&self.input), once: self.wishes.once },
        })
    }

    fn copies(&self, of: logs::Output) -> std::sync::MutexGuard<'_, Vec<DuplexStream>> {
        self.copies[of as usize].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn copy(&self, of: logs::Output) -> Output {
        let (near, far) = duplex(BUFFER);
        self.copies(of).push(near);
        Output::Copy(far)
    }

    /// Hands output on to all who are attached. Slow ones hold the process up for a while, as a slow terminal would.
    pub(super) async fn tell(&self, of: logs::Output, bytes: &[u8]) {
        if self.copies(of).is_empty() {
            return;
        }
        let copies = std::mem::take(&mut *self.copies(of));
        for mut copy in copies {
            if matches!(tokio::time::timeout(PATIENCE, copy.write_all(bytes)).await, Ok(Ok(()))) {
                self.copies(of).push(copy);
            }
        }
    }

    /// The process has ended. To be called before what it left behind is ended too: whatever starts later finds this.
    pub(super) fn ended(&self, code: i32) {
        self.code.send_replace(Some(code));
    }

    /// All output has been told.
    pub(super) fn close(&self) {
        for of in [logs::Output::Stdout, logs::Output::Stderr] {
            self.copies(of).clear();
        }
    }
}
