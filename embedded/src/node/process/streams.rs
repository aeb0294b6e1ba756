//! The ends of a program's input and outputs, whatever they are made of.

use std::io;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::process::{ChildStderr, ChildStdin, ChildStdout};
use tokio::sync::Mutex;

use super::terminal::Terminal;

/// The character that ends input at a terminal (Ctrl-D).
const END_OF_INPUT: [u8; 1] = [4];

/// Standard input of a container's first process, which several may write to; `None` once it is closed.
pub type SharedInput = Arc<Mutex<Option<ChildStdin>>>;

/// Where a program's input goes.
#[derive(Debug)]
pub enum Input {
    /// A pipe of one's own.
    Pipe(ChildStdin),
    /// A pipe shared with others.
    Shared {
        /// The pipe.
        pipe: SharedInput,
        /// Whether it is closed with the first who leaves (`stdinOnce`).
        once: bool,
    },
    /// A terminal.
    Terminal(Terminal),
}

impl Input {
    /// Writes all of it; waits while the program does not read.
    ///
    /// # Errors
    /// The program has closed its input, or ended.
    pub async fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Pipe(pipe) => pipe.write_all(bytes).await,
            Self::Terminal(terminal) => terminal.write_all(bytes).await,
            Self::Shared { pipe, .. } => match pipe.lock().await.as_mut() {
                Some(pipe) => pipe.write_all(bytes).await,
                None => Err(io::ErrorKind::BrokenPipe.into()),
            },
        }
    }

    /// Says that no more comes.
    pub async fn close(self) {
        match self {
            Self::Pipe(pipe) => drop(pipe),
            // A terminal cannot be closed halfway.
            Self::Terminal(terminal) => {
                let _ = terminal.write_all(&END_OF_INPUT).await;
            }
            Self::Shared { pipe, once: true } => drop(pipe.lock().await.take()),
            Self::Shared { once: false, .. } => {}
        }
    }
}

/// Where a program's output comes from.
#[derive(Debug)]
pub enum Output {
    /// Its standard output.
    Out(ChildStdout),
    /// Its standard error.
    Error(ChildStderr),
    /// Its terminal.
    Terminal(Terminal),
    /// A copy, of which the log has the original.
    Copy(DuplexStream),
}

impl Output {
    /// Reads what there is; 0 at the end. Nothing is lost when this is given up.
    ///
    /// # Errors
    /// What the system says.
    pub async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Out(pipe) => pipe.read(buffer).await,
            Self::Error(pipe) => pipe.read(buffer).await,
            Self::Terminal(terminal) => terminal.read(buffer).await,
            Self::Copy(stream) => stream.read(buffer).await,
        }
    }
}
