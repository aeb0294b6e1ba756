//! The operator in a process of its own, against a plane without one, so that it can be killed alone.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::Signal;

use crate::metrics;
use crate::processes::{self, ProcessId};
use crate::switchboard::{Switchboard, program};
use crate::wait;

/// How long one may take to end in order: what a pod is given.
const ENDING: Duration = Duration::from_secs(30);

/// A `switchboard operator`. Ends with this value, its log shown where the test failed.
#[derive(Debug)]
pub struct Operator {
    child: Child,
    name: String,
    kubeconfig: PathBuf,
    options: Vec<String>,
    folder: PathBuf,
    metrics: u16,
}

impl Operator {
    /// Starts it against the plane, by the API that this kubeconfig names, and waits until it is ready. It takes the ports that the plane has for it.
    pub fn start(plane: &Switchboard, kubeconfig: &Path, options: &[&str]) -> Self {
        let mut all = vec![format!("--gateway-port={}", plane.ports.gateway)];
        all.extend(options.iter().map(|option| (*option).to_owned()));
        let mut operator = Self::begin(plane, "operator", kubeconfig, plane.ports.metrics, all);
        operator.wait_until_ready();
        operator
    }

    /// Starts one of this name, with its folder beside the plane's. It may not be ready yet.
    pub fn begin(plane: &Switchboard, name: &str, kubeconfig: &Path, metrics: u16, options: Vec<String>) -> Self {
        let folder = plane.data().with_file_name(name);
        std::fs::create_dir_all(&folder).unwrap();
        let child = spawn(&folder, kubeconfig, metrics, &options);
        Self { child, name: name.to_owned(), kubeconfig: kubeconfig.to_owned(), options, folder, metrics }
    }

    /// Waits until it serves.
    ///
    /// # Panics
    /// It ended instead.
    pub fn wait_until_ready(&mut self) {
        wait::until_true(&format!("{} to be ready", self.name), wait::SOON, || {
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("{} ended with {status} instead of getting ready:\n{}", self.name, self.log());
            }
            metrics::answer(self.metrics, "GET", "/readyz", "").is_some_and(|(status, _)| status == 200)
        });
    }

    /// Its process.
    pub fn id(&self) -> ProcessId {
        self.child.id()
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it runs.
    pub fn runs(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// SIGKILL; waits until it is gone. Also where it is gone already.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        self.child.wait().unwrap();
    }

    /// Starts again after it ended; it may not be ready yet.
    pub fn start_again(&mut self) {
        self.kill();
        self.child = spawn(&self.folder, &self.kubeconfig, self.metrics, &self.options);
    }

    /// Another signal, such as SIGSTOP.
    pub fn signal(&self, signal: Signal) {
        processes::signal(self.child.id(), signal);
    }

    /// SIGTERM; waits until it is gone, and returns the exit code.
    ///
    /// # Panics
    /// It goes on for longer than a pod is given.
    pub fn stop(&mut self) -> Option<i32> {
        self.signal(Signal::TERM);
        wait::until(&format!("the end of {}", self.name), ENDING, || self.child.try_wait().unwrap()).code()
    }

    /// All it wrote so far, over restarts.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            processes::show_end_of_log(&self.name, &self.log());
        }
    }
}

/// The command that runs an operator on this machine.
pub fn command(folder: &Path, kubeconfig: &Path, metrics: u16) -> Command {
    let mut command = Command::new(program());
    command.args(["operator", "--listen=127.0.0.1", "--gateway-host=127.0.0.1", "--data"]).arg(folder);
    command.arg(format!("--metrics-port={metrics}"));
    command.env("KUBECONFIG", kubeconfig).env_remove("KUBERNETES_SERVICE_HOST");
    command
}

fn spawn(folder: &Path, kubeconfig: &Path, metrics: u16, options: &[String]) -> Child {
    let output = File::options().create(true).append(true).open(folder.join("log")).unwrap();
    let mut command = command(folder, kubeconfig, metrics);
    command.args(options).stdin(Stdio::null()).stdout(output.try_clone().unwrap()).stderr(output).spawn().unwrap()
}
