//! A further program in a running container, or somebody attached to its first one.

use std::io;

use futures::FutureExt;
use futures::future::BoxFuture;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::Child;

use super::console::Console;
use super::instance::code_of;
use super::spawner::{Execution, Spawner, Wiring};
use super::streams::{Input, Output};
use super::terminal::Terminal;

/// Which streams are wanted: the query of `exec` and `attach`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Streams {
    /// Standard input.
    pub stdin: bool,
    /// Standard output.
    pub stdout: bool,
    /// Standard error; with a terminal it comes as standard output.
    pub stderr: bool,
    /// A terminal.
    pub tty: bool,
}

/// Streams to and from a program. Dropping it ends a program that was started for it.
pub struct Session {
    /// Its input, where it is wanted and there is one.
    pub input: Option<Input>,
    /// Its output.
    pub output: Option<Output>,
    /// Its errors.
    pub errors: Option<Output>,
    /// Its terminal, to be told its size.
    pub terminal: Option<Terminal>,
    /// Ends with the program, with its exit code if it was started for the session, else with 0. Must be polled.
    pub end: BoxFuture<'static, i32>,
}

impl Session {
    /// Starts a program beside a container's first one.
    ///
    /// # Errors
    /// What the system says, and that the container has ended.
    pub async fn start(spawner: &Spawner, mut execution: Execution, streams: Streams, console: &Console) -> io::Result<Self> {
        let (terminal, wiring) = if streams.tty {
            let (terminal, far) = Terminal::open()?;
            execution.ensure_terminal_type();
            (Some(terminal), Wiring::Terminal(far))
        } else {
            (None, Wiring::Pipes { input: streams.stdin, output: streams.stdout, errors: streams.stderr })
        };
        let mut program = Foreground(spawner.spawn_with(&execution, wiring).await?);
        // It carries the container's marker: one that was there when the container ended was ended with it, this one may be later.
        if console.has_ended() {
            return Err(io::Error::other("the container has ended"));
        }
        let child = &mut program.0;
        let (input, output, errors) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let shown = |wanted: bool| terminal.clone().filter(|_| wanted);
        Ok(Self {
            input: shown(streams.stdin).map(Input::Terminal).or(input.map(Input::Pipe)),
            output: shown(streams.stdout).map(Output::Terminal).or(output.map(Output::Out)),
            errors: errors.map(Output::Error),
            terminal,
            end: async move { program.end().await }.boxed(),
        })
    }
}

/// A program that ends, with its group, when nobody is interested any more.
struct Foreground(Child);

impl Foreground {
    async fn end(&mut self) -> i32 {
        code_of(&self.0.wait().await)
    }
}

impl Drop for Foreground {
    fn drop(&mut self) {
        // Without an id it has been waited for, and the id may be another's.
        let group = self.0.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
        if let Some(group) = group {
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}
