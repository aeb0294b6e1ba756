//! The program under test, started and ended as its users do.

use std::fs::File;
use std::net::TcpListener;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::process::Signal;

use crate::folder::Folder;
use crate::kubectl::Kubectl;
use crate::processes::{self, ProcessId};
use crate::wait;

/// Bound for the start, on a loaded machine.
const START: Duration = Duration::from_secs(60);
/// Bound for a stop by SIGTERM: pods get 5 s each, side by side.
const STOP: Duration = Duration::from_secs(30);

/// The built program: beside the test's own executable, where cargo puts it.
///
/// # Panics
/// It is not built.
pub fn program() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let folder = own.parent().and_then(Path::parent).expect("a test's executable is in <target>/debug/deps");
    let program = folder.join("switchboard");
    assert!(program.exists(), "there is no {}; build it first: cargo build -p operator", program.display());
    program
}

/// The ports of `switchboard up`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ports {
    /// Kubernetes API.
    pub api: u16,
    /// Where systems dial.
    pub gateway: u16,
    /// Metrics and probes.
    pub metrics: u16,
    /// Object store.
    pub store: u16,
}

impl Ports {
    /// Some that are free now, and that no other test takes before this process ends.
    pub fn free() -> Self {
        Self { api: free_port(), gateway: free_port(), metrics: free_port(), store: free_port() }
    }

    /// As arguments of `up`.
    pub fn arguments(&self) -> Vec<String> {
        [("api", self.api), ("gateway", self.gateway), ("metrics", self.metrics), ("store", self.store)]
            .map(|(name, port)| format!("--{name}-port={port}"))
            .to_vec()
    }
}

/// The first port that tests take.
const FIRST_PORT: u16 = 12_000;
/// Ports that a process takes at a time: those of a slot.
const SLOT: u16 = 16;
/// Slots. Their ports end below 30000, where those of nodes begin, and below the range from which the kernel takes ports of outgoing connections, so
/// that they are still free at a restart.
const SLOTS: u16 = 1125;

/// A port of a slot of this process, each once.
fn free_port() -> u16 {
    // Ports that are left of the last slot, and the locks of all slots: never given back, so that they end with the process.
    static OWN: Mutex<(Range<u16>, Vec<File>)> = Mutex::new((0..0, Vec::new()));
    let mut own = OWN.lock().unwrap_or_else(PoisonError::into_inner);
    let (ports, locks) = &mut *own;
    loop {
        // Somebody else than a test may have it.
        if let Some(port) = ports.find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()) {
            return port;
        }
        let (slot, lock) = lock_slot();
        *ports = FIRST_PORT + slot * SLOT..FIRST_PORT + (slot + 1) * SLOT;
        locks.push(lock);
    }
}

/// A slot that no process has, and the lock that keeps it so.
fn lock_slot() -> (u16, File) {
    let start = u16::try_from(std::process::id() % u32::from(SLOTS)).unwrap();
    let lock = |slot: u16| {
        // One that cannot be opened is another user's.
        let path = std::env::temp_dir().join(format!("switchboard-test-ports-{slot}"));
        let file = File::options().create(true).append(true).open(path).ok()?;
        file.try_lock().is_ok().then_some((slot, file))
    };
    (start..SLOTS).chain(0..start).find_map(lock).expect("a slot of ports that no process has")
}

/// A running `switchboard up`. Ends with this value, its log shown where the test failed.
#[derive(Debug)]
pub struct Switchboard {
    folder: Folder,
    child: Child,
    /// Its ports.
    pub ports: Ports,
    options: Vec<String>,
}

impl Switchboard {
    /// Starts with an empty data folder and waits until it is ready. `options` beside data folder and ports, such as `--demo`.
    pub fn start(options: &[&str]) -> Self {
        Self::start_in(Folder::new(), Ports::free(), options)
    }

    /// As [`Switchboard::start`], with a folder that may have data, and these ports.
    pub fn start_in(folder: Folder, ports: Ports, options: &[&str]) -> Self {
        let options: Vec<String> = options.iter().map(|option| (*option).to_owned()).collect();
        let child = spawn(&folder, ports, &options);
        let mut plane = Self { folder, child, ports, options };
        plane.wait_until_ready();
        plane
    }

    fn wait_until_ready(&mut self) {
        let ready = self.data().join("ready");
        wait::until_true("the file `ready` of switchboard up", START, || {
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("switchboard up ended with {status} instead of getting ready");
            }
            ready.exists()
        });
    }

    /// Its data folder.
    pub fn data(&self) -> PathBuf {
        data(&self.folder)
    }

    /// Its process.
    pub fn id(&self) -> ProcessId {
        self.child.id()
    }

    /// All it wrote so far, over restarts.
    pub fn log(&self) -> String {
        std::fs::read_to_string(log(&self.folder)).unwrap_or_default()
    }

    /// Waits for a text in its log.
    ///
    /// # Panics
    /// It does not come.
    pub fn wait_for_log(&self, text: &str) {
        wait::until_true(&format!("{text:?} in the log of switchboard up"), wait::SOON, || self.log().contains(text));
    }

    /// Its kubeconfig.
    pub fn kubeconfig(&self) -> PathBuf {
        self.data().join("kubeconfig")
    }

    /// kubectl for it.
    pub fn kubectl(&self) -> Kubectl {
        Kubectl::new(&self.kubeconfig(), &self.folder.path().join("kubectl-cache"))
    }

    /// SIGKILL; waits until it is gone.
    ///
    /// # Panics
    /// It was gone already.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Another signal, such as SIGTERM; waits until it is gone, and returns the exit code.
    ///
    /// # Panics
    /// It goes on.
    pub fn stop(&mut self, signal: Signal) -> Option<i32> {
        processes::signal(self.child.id(), signal);
        wait::until("the end of switchboard up", STOP, || self.child.try_wait().unwrap()).code()
    }

    /// Starts again after [`Switchboard::kill`] or [`Switchboard::stop`], and waits until it is ready.
    pub fn start_again(&mut self) {
        self.child = spawn(&self.folder, self.ports, &self.options);
        self.wait_until_ready();
    }

    /// Processes of its simulated systems.
    pub fn simulated_systems(&self) -> Vec<ProcessId> {
        processes::simulated_systems(&self.data())
    }
}

impl Drop for Switchboard {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            processes::show_end_of_log("switchboard up", &self.log());
        }
    }
}

fn data(folder: &Folder) -> PathBuf {
    folder.path().join("data")
}

fn log(folder: &Folder) -> PathBuf {
    folder.path().join("switchboard.log")
}

fn spawn(folder: &Folder, ports: Ports, options: &[String]) -> Child {
    // Left by a run that was killed: only the one of this run counts.
    let _ = std::fs::remove_file(data(folder).join("ready"));
    let output = File::options().create(true).append(true).open(log(folder)).unwrap();
    Command::new(program())
        .arg("up")
        .arg("--data")
        .arg(data(folder))
        .args(ports.arguments())
        .args(options)
        .stdin(Stdio::null())
        .stdout(output.try_clone().unwrap())
        .stderr(output)
        .spawn()
        .unwrap()
}

/// What a program that ended by itself came to.
#[derive(Debug)]
pub struct Ended {
    /// Exit code.
    pub code: i32,
    /// What it wrote on standard error.
    pub error: String,
}

/// Starts `switchboard up` that is expected to refuse to start.
///
/// # Panics
/// It goes on.
pub fn up_ends(data: &Path, ports: Ports, options: &[&str]) -> Ended {
    let errors = Folder::new();
    let file = errors.path().join("errors");
    let mut command = Command::new(program());
    command.arg("up").arg("--data").arg(data).args(ports.arguments()).args(options);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(&file).unwrap()).spawn().unwrap();
    let began = std::time::Instant::now();
    let status = wait::until("the end of switchboard up", START + STOP, || {
        if began.elapsed() > START {
            let _ = child.kill();
        }
        child.try_wait().unwrap()
    });
    Ended { code: status.code().unwrap_or_else(|| panic!("switchboard up went on")), error: std::fs::read_to_string(file).unwrap() }
}
