//! The operator in a process of its own, against a plane without one, so that it can be killed alone.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::Signal;

use crate::metrics;
use crate::processes::{self, ProcessId};
use crate::switchboard::{Switchboard, program};
use crate::wait;

/// A `switchboard operator`. Ends with this value, its log shown where the test failed.
#[derive(Debug)]
pub struct Operator {
    child: Child,
    kubeconfig: PathBuf,
    options: Vec<String>,
    folder: PathBuf,
    plane: [String; 2],
}

impl Operator {
    /// Starts it against the plane, by the API that this kubeconfig names, and waits until it is ready. It takes the ports that the plane has for it.
    pub fn start(plane: &Switchboard, kubeconfig: &Path, options: &[&str]) -> Self {
        let folder = plane.data().with_file_name("operator");
        std::fs::create_dir_all(&folder).unwrap();
        let options = options.iter().map(|option| (*option).to_owned()).collect();
        let ports = [format!("--gateway-port={}", plane.ports.gateway), format!("--metrics-port={}", plane.ports.metrics)];
        let child = spawn(&folder, kubeconfig, &options, &ports);
        let mut operator = Self { child, kubeconfig: kubeconfig.to_owned(), options, folder, plane: ports };
        operator.wait_until_ready(plane);
        operator
    }

    fn wait_until_ready(&mut self, plane: &Switchboard) {
        wait::until_true("switchboard operator to be ready", wait::SOON, || {
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("switchboard operator ended with {status} instead of getting ready:\n{}", self.log());
            }
            metrics::answer(plane.ports.metrics, "GET", "/readyz", "").is_some_and(|(status, _)| status == 200)
        });
    }

    /// Its process.
    pub fn id(&self) -> ProcessId {
        self.child.id()
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

    /// Starts again after it was killed, and waits until it is ready.
    pub fn start_again(&mut self, plane: &Switchboard) {
        self.kill();
        self.child = spawn(&self.folder, &self.kubeconfig, &self.options, &self.plane);
        self.wait_until_ready(plane);
    }

    /// Another signal, such as SIGSTOP.
    pub fn signal(&self, signal: Signal) {
        processes::signal(self.child.id(), signal);
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
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            eprintln!("---- the last lines of switchboard operator\n{}\n----", lines[lines.len().saturating_sub(60)..].join("\n"));
        }
    }
}

fn spawn(folder: &Path, kubeconfig: &Path, options: &Vec<String>, ports: &[String; 2]) -> Child {
    let output = File::options().create(true).append(true).open(folder.join("log")).unwrap();
    let mut command = Command::new(program());
    command.args(["operator", "--listen=127.0.0.1", "--gateway-host=127.0.0.1", "--data"]).arg(folder).args(ports).args(options);
    command.env("KUBECONFIG", kubeconfig).env_remove("KUBERNETES_SERVICE_HOST");
    command.stdin(Stdio::null()).stdout(output.try_clone().unwrap()).stderr(output).spawn().unwrap()
}
