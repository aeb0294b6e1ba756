//! One thread that starts all children.
//!
//! The kernel's "die with your parent" means the parent *thread*. Runtime threads come and go, so children are started by a thread of
//! their own that lives as long as the agent.

use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::mpsc;
use std::thread::JoinHandle;

use tokio::process::{Child, Command};
use tokio::sync::oneshot;

use super::MARKER;
use crate::node::launcher::TERMINAL;
use crate::node::options::Launcher;

/// What to run, with everything resolved.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Execution {
    /// The program file.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Its whole environment.
    pub environment: Vec<(String, String)>,
    /// Its working folder.
    pub folder: PathBuf,
    /// Value of the marker variable: `<pod uid>/<container>`.
    pub marker: String,
}

impl Execution {
    /// Says which kind of terminal the program has, as container runtimes do, unless the environment says it already.
    pub fn ensure_terminal_type(&mut self) {
        if !self.environment.iter().any(|(name, _)| name == "TERM") {
            self.environment.push(("TERM".to_owned(), "xterm".to_owned()));
        }
    }
}

/// What a child's input and outputs are connected to.
#[derive(Debug)]
pub enum Wiring {
    /// A pipe each, and nothing where none is wanted.
    Pipes {
        /// Standard input.
        input: bool,
        /// Standard output.
        output: bool,
        /// Standard error.
        errors: bool,
    },
    /// All of them to a terminal, of which this is the far side.
    Terminal(OwnedFd),
}

struct Job {
    command: Command,
    answer: oneshot::Sender<std::io::Result<Child>>,
}

/// Starts children through the launcher.
#[derive(Debug)]
pub struct Spawner {
    launcher: Launcher,
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Spawner {
    /// Starts the thread. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(launcher: Launcher) -> std::io::Result<Self> {
        let (jobs, queue) = mpsc::channel::<Job>();
        let runtime = tokio::runtime::Handle::current();
        let thread = std::thread::Builder::new().name("pod-spawner".to_owned()).spawn(move || {
            let _inside = runtime.enter();
            for mut job in queue {
                // Whoever no longer waits drops the child, which kills it.
                let _ = job.answer.send(job.command.spawn());
            }
        })?;
        Ok(Self { launcher, jobs: Some(jobs), thread: Some(thread) })
    }

    /// Starts a child as the leader of a new process group, with both outputs piped.
    ///
    /// # Errors
    /// What the system says; also when the agent is ending.
    pub async fn spawn(&self, execution: &Execution) -> std::io::Result<Child> {
        self.spawn_with(execution, Wiring::Pipes { input: false, output: true, errors: true }).await
    }

    /// Starts a child as the leader of a new process group, and of a new session where it has a terminal.
    ///
    /// # Errors
    /// What the system says; also when the agent is ending.
    pub async fn spawn_with(&self, execution: &Execution, wiring: Wiring) -> std::io::Result<Child> {
        let mut command = Command::new(&self.launcher.program);
        command.args(&self.launcher.arguments).arg(OsString::from(std::process::id().to_string()));
        connect(&mut command, wiring)?;
        command
            .arg(&execution.program)
            .args(&execution.arguments)
            .env_clear()
            .envs(execution.environment.iter().map(|(name, value)| (name, value)))
            .env(MARKER, &execution.marker)
            .current_dir(&execution.folder)
            .kill_on_drop(true);
        let (answer, spawned) = oneshot::channel();
        let ended = || std::io::Error::other("the thread that starts processes has ended");
        self.jobs.as_ref().ok_or_else(ended)?.send(Job { command, answer }).map_err(|_| ended())?;
        spawned.await.map_err(|_| ended())?
    }
}

/// Connects input and outputs. A session with a terminal of its own is made by the launcher, which must not lead a group by then.
fn connect(command: &mut Command, wiring: Wiring) -> std::io::Result<()> {
    match wiring {
        Wiring::Pipes { input, output, errors } => {
            let pipe_if = |wanted: bool| if wanted { Stdio::piped() } else { Stdio::null() };
            command.stdin(pipe_if(input)).stdout(pipe_if(output)).stderr(pipe_if(errors)).process_group(0);
        }
        Wiring::Terminal(far) => {
            command.stdin(far.try_clone()?).stdout(far.try_clone()?).stderr(far).arg(TERMINAL);
        }
    }
    Ok(())
}

impl Drop for Spawner {
    fn drop(&mut self) {
        self.jobs.take();
        if let Some(thread) = self.thread.take() {
            // It ends at once: its queue is closed. A panic in it has shown itself as failed starts.
            let _ = thread.join();
        }
    }
}
