//! One of several operators, in a process of its own, with ports and a way to the API server of its own.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use harness::processes;
use harness::switchboard::{Ports, Switchboard, program};
use harness::{metrics, wait};
use rustix::process::Signal;

/// A `switchboard operator` that is one of several. Ends with this value, its log shown where the test failed.
#[derive(Debug)]
pub struct Replica {
    /// Its name.
    pub name: String,
    /// Its ports. That of `api` is where it meets the others, that of `store` is not used.
    pub ports: Ports,
    child: Child,
    kubeconfig: PathBuf,
    options: Vec<String>,
    folder: PathBuf,
}

impl Replica {
    /// Starts one against the plane, by the API that this kubeconfig names. Systems dial `front`. It may not be ready yet.
    pub fn start(plane: &Switchboard, name: &str, kubeconfig: &Path, namespace: &str, front: u16, options: &[&str]) -> Self {
        let (folder, ports) = (plane.data().with_file_name(name), Ports::free());
        std::fs::create_dir_all(&folder).unwrap();
        let mut all = vec![
            format!("--namespace={namespace}"),
            format!("--replica={name}"),
            format!("--gateway-port={}", ports.gateway),
            format!("--gateway-public-port={front}"),
            format!("--metrics-port={}", ports.metrics),
            format!("--peer-port={}", ports.api),
        ];
        all.extend(options.iter().map(|option| (*option).to_owned()));
        let child = spawn(&folder, kubeconfig, &all);
        Self { name: name.to_owned(), ports, child, kubeconfig: kubeconfig.to_owned(), options: all, folder }
    }

    /// Waits until it serves systems.
    ///
    /// # Panics
    /// It ended instead.
    pub fn wait_until_ready(&mut self) {
        wait::until_true(&format!("replica {} to be ready", self.name), wait::SOON, || {
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("replica {} ended with {status} instead of getting ready:\n{}", self.name, self.log());
            }
            metrics::answer(self.ports.metrics, "GET", "/readyz", "").is_some_and(|(status, _)| status == 200)
        });
    }

    /// Whether it runs.
    pub fn runs(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// SIGKILL; waits until it is gone.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        self.child.wait().unwrap();
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
        wait::until(&format!("the end of replica {}", self.name), std::time::Duration::from_secs(30), || self.child.try_wait().unwrap())
            .code()
    }

    /// Starts again after it ended.
    pub fn start_again(&mut self) {
        self.kill();
        self.child = spawn(&self.folder, &self.kubeconfig, &self.options);
    }

    /// All series and their values; none where it does not answer.
    pub fn metrics(&self) -> BTreeMap<String, f64> {
        let (_, page) = metrics::answer(self.ports.metrics, "GET", "/metrics", "").unwrap_or_default();
        let series = page.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.rsplit_once(' '));
        series.filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?))).collect()
    }

    /// Whether it says that it leads.
    pub fn leads(&self) -> bool {
        self.metrics().get("switchboard_leader") == Some(&1.0)
    }

    /// Sessions of systems it holds.
    pub fn sessions(&self) -> u64 {
        let held = self.metrics();
        ["connected", "signed_in"]
            .iter()
            .filter_map(|state| held.get(&format!("switchboard_gateway_sessions{{state=\"{state}\"}}")))
            .sum::<f64>() as u64
    }

    /// All it wrote so far, over restarts.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            eprintln!("---- the last lines of replica {}\n{}\n----", self.name, lines[lines.len().saturating_sub(60)..].join("\n"));
        }
    }
}

fn spawn(folder: &Path, kubeconfig: &Path, options: &[String]) -> Child {
    let output = File::options().create(true).append(true).open(folder.join("log")).unwrap();
    let mut command = Command::new(program());
    command.args(["operator", "--listen=127.0.0.1", "--gateway-host=127.0.0.1", "--data"]).arg(folder).args(options);
    command.env("KUBECONFIG", kubeconfig).env_remove("KUBERNETES_SERVICE_HOST");
    command.stdin(Stdio::null()).stdout(output.try_clone().unwrap()).stderr(output).spawn().unwrap()
}
