//! What one can attach to: input and outputs of a container's first process.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use futures::future::join_all;
use tokio::io::{AsyncWriteExt, DuplexStream, duplex};
use tokio::process::ChildStdin;
use tokio::sync::watch;

use super::OUTPUT_BOUND;
use super::session::{Session, Streams};
use super::streams::{Input, Output, SharedInput};
use super::terminal::Terminal;
use crate::node::logs;

/// Bytes that wait for one who is attached.
const BUFFER: usize = 64 * 1024;
/// Whoever is attached and takes nothing holds the container up for this long while it runs, then is left behind.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes kept for one who is attached that come after the container's end; whoever is further behind is left behind.
const LATE: usize = 1 << 20;

/// The exit code of a process nobody waited for: that of one ended by SIGKILL.
const ABANDONED: i32 = 137;

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
    copies: [Mutex<Vec<Copy>>; 2],
    code: watch::Sender<Option<i32>>,
}

/// The way to one who is attached.
#[derive(Debug)]
struct Copy {
    stream: DuplexStream,
    /// What came after the end and was not waited for.
    late: Vec<u8>,
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

    fn copies(&self, of: logs::Output) -> std::sync::MutexGuard<'_, Vec<Copy>> {
        self.copies[of as usize].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn copy(&self, of: logs::Output) -> Output {
        let (near, far) = duplex(BUFFER);
        self.copies(of).push(Copy { stream: near, late: Vec::new() });
        Output::Copy(far)
    }

    /// Hands output on to all who are attached. Slow ones hold the process up for a while, as a slow terminal would; once it has ended they hold up
    /// nothing, so that the rest of its output still comes to the log.
    pub(super) async fn tell(&self, of: logs::Output, bytes: &[u8]) {
        if self.copies(of).is_empty() {
            return;
        }
        let copies = std::mem::take(&mut *self.copies(of));
        let mut code = self.code.subscribe();
        for mut copy in copies {
            let mut left = bytes;
            let handed = tokio::select! {
                biased;
                _ = code.wait_for(Option::is_some) => None,
                handed = tokio::time::timeout(PATIENCE, copy.write(&mut left)) => Some(matches!(handed, Ok(Ok(())))),
            };
            if handed.unwrap_or_else(|| copy.keep(left)) {
                self.copies(of).push(copy);
            }
        }
    }

    /// The process has ended. To be called before what it left behind is ended too: whatever starts later finds this.
    pub(super) fn ended(&self, code: i32) {
        self.code.send_replace(Some(code));
    }

    /// Nobody looks after the process any more, which is being ended. How it ended is not known, unless it was told before.
    pub fn abandon(&self) {
        self.code.send_if_modified(|code| {
            let unknown = code.is_none();
            code.get_or_insert(ABANDONED);
            unknown
        });
    }

    /// All output has been told. Those who are attached get what they have not taken yet, if they take it soon.
    pub(super) async fn close(&self) {
        let copies = [logs::Output::Stdout, logs::Output::Stderr].map(|of| std::mem::take(&mut *self.copies(of)));
        let last = copies.into_iter().flatten().map(|mut copy| async move {
            let _ = tokio::time::timeout(OUTPUT_BOUND, copy.stream.write_all(&copy.late)).await;
        });
        join_all(last).await;
    }
}

impl Copy {
    /// Writes all of it. Given up, `left` is what remains.
    async fn write(&mut self, left: &mut &[u8]) -> std::io::Result<()> {
        while !left.is_empty() {
            let length = self.stream.write(left).await?;
            *left = &left[length..];
        }
        Ok(())
    }

    /// Keeps what is not waited for. Says whether there is room for it.
    fn keep(&mut self, bytes: &[u8]) -> bool {
        self.late.extend_from_slice(bytes);
        self.late.len() <= LATE
    }
}
