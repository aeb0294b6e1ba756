//! The real kubectl, as people use it.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value;

use crate::wait;

/// No single call takes longer.
const BOUND: Duration = Duration::from_secs(120);

/// What a call came to.
#[derive(Debug)]
pub struct Outcome {
    /// Exit code.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub error: String,
}

/// kubectl with the kubeconfig of one plane, and a cache of its own.
#[derive(Debug, Clone)]
pub struct Kubectl {
    program: PathBuf,
    kubeconfig: PathBuf,
    cache: PathBuf,
}

/// Where kubectl is: `SWITCHBOARD_KUBECTL`, else the project's own.
fn program() -> PathBuf {
    if let Some(path) = std::env::var_os("SWITCHBOARD_KUBECTL") {
        return path.into();
    }
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.tools/bin/kubectl");
    assert!(own.exists(), "there is no kubectl at {}; run `make tools`, or name one with SWITCHBOARD_KUBECTL", own.display());
    own
}

impl Kubectl {
    /// For this kubeconfig.
    pub fn new(kubeconfig: &Path, cache: &Path) -> Self {
        Self { program: program(), kubeconfig: kubeconfig.to_owned(), cache: cache.to_owned() }
    }

    /// A call that is not started yet, for those who run it in their own way.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("--cache-dir").arg(&self.cache).args(arguments);
        command.env("KUBECONFIG", &self.kubeconfig).env("HOME", &self.cache).env_remove("KUBERNETES_SERVICE_HOST");
        // Relative paths are those of the repository, as in its README.
        command.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."));
        command
    }

    /// Runs to the end, whatever comes of it.
    pub fn run(&self, arguments: &[&str]) -> Outcome {
        self.run_with(arguments, "", &[])
    }

    /// Runs to the end with this on standard input and these variables.
    ///
    /// # Panics
    /// It cannot be started, or does not end.
    pub fn run_with(&self, arguments: &[&str], input: &str, variables: &[(&str, &str)]) -> Outcome {
        let mut command = self.command(arguments);
        command.envs(variables.iter().copied()).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("cannot run {}: {error}", self.program.display()));
        let out = collect(child.stdout.take().unwrap());
        let error = collect(child.stderr.take().unwrap());
        // A program that reads nothing closes its input: fine.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let mut child = Guard(child);
        let status = wait::until(&format!("the end of kubectl {}", arguments.join(" ")), BOUND, || child.0.try_wait().unwrap());
        Outcome { code: status.code().unwrap_or(-1), out: out.join().unwrap(), error: error.join().unwrap() }
    }

    /// Runs and must succeed; returns standard output.
    ///
    /// # Panics
    /// It failed.
    pub fn ok(&self, arguments: &[&str]) -> String {
        self.ok_with(arguments, "", &[])
    }

    /// As [`Kubectl::ok`], with input and variables.
    ///
    /// # Panics
    /// It failed.
    pub fn ok_with(&self, arguments: &[&str], input: &str, variables: &[(&str, &str)]) -> String {
        let outcome = self.run_with(arguments, input, variables);
        assert!(outcome.code == 0, "kubectl {} failed with {}:\n{}{}", arguments.join(" "), outcome.code, outcome.out, outcome.error);
        outcome.out
    }

    /// Runs and must fail; returns standard error.
    ///
    /// # Panics
    /// It succeeded.
    pub fn refused(&self, arguments: &[&str], input: &str) -> String {
        let outcome = self.run_with(arguments, input, &[]);
        assert!(outcome.code != 0, "kubectl {} was not refused:\n{}\ninput:\n{input}", arguments.join(" "), outcome.out);
        outcome.error
    }

    /// Applies objects, in order.
    pub fn apply(&self, objects: &[Value]) -> String {
        self.ok_with(&["apply", "-f", "-"], &documents(objects), &[])
    }

    /// One object as JSON.
    ///
    /// # Panics
    /// It is not there.
    pub fn object(&self, namespace: &str, name: &str) -> Value {
        serde_json::from_str(&self.ok(&["get", "-n", namespace, name, "-o", "json"])).unwrap()
    }

    /// What a JSONPath of one object gives.
    pub fn field(&self, namespace: &str, name: &str, path: &str) -> String {
        self.ok(&["get", "-n", namespace, name, "-o", &format!("jsonpath={path}")])
    }

    /// The version that a list of all systems has now: one more with every write to the plane.
    ///
    /// # Panics
    /// The list is not one.
    pub fn revision(&self) -> u64 {
        let list: Value = serde_json::from_str(&self.ok(&["get", "--raw", "/apis/switchboard.dev/v1alpha1/ipoffices?limit=1"])).unwrap();
        list["metadata"]["resourceVersion"]
            .as_str()
            .and_then(|version| version.parse().ok())
            .unwrap_or_else(|| panic!("a list without a version: {list}"))
    }

    /// `kubectl wait` until a JSONPath of one object has this value.
    pub fn wait_for_field(&self, namespace: &str, name: &str, path: &str, value: &str) {
        self.wait(namespace, name, &format!("jsonpath={path}={value}"));
    }

    /// `kubectl wait` with any `--for`. On failure the object is shown.
    ///
    /// # Panics
    /// It did not come about.
    pub fn wait(&self, namespace: &str, name: &str, what: &str) {
        let outcome = self.run(&["wait", "-n", namespace, name, &format!("--for={what}"), "--timeout=60s"]);
        if outcome.code != 0 {
            let shown = self.run(&["get", "-n", namespace, name, "-o", "yaml"]);
            panic!("{name} never came to {what}: {}\nit is now:\n{}{}", outcome.error, shown.out, shown.error);
        }
    }

    /// Starts a call that goes on, such as `get -w` or `logs -f`.
    ///
    /// # Panics
    /// It cannot be started.
    pub fn follow(&self, arguments: &[&str]) -> Follow {
        let mut command = self.command(arguments);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
        let lines = Arc::new(Mutex::new(Vec::new()));
        let (output, kept) = (child.stdout.take().unwrap(), Arc::clone(&lines));
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                kept.lock().unwrap_or_else(PoisonError::into_inner).push(line);
            }
        });
        Follow { child: Guard(child), lines, what: arguments.join(" ") }
    }
}

/// Objects as the documents of one text, for `-f -`.
pub fn documents(objects: &[Value]) -> String {
    objects.iter().map(|object| format!("---\n{object}\n")).collect()
}

fn collect(mut from: impl std::io::Read + Send + 'static) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = from.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// Ends its process with itself.
#[derive(Debug)]
struct Guard(Child);

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A call that goes on, and the lines it wrote so far.
#[derive(Debug)]
pub struct Follow {
    child: Guard,
    lines: Arc<Mutex<Vec<String>>>,
    what: String,
}

impl Follow {
    /// All lines so far.
    pub fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits for a line among those after the first `after`, and returns how many lines there were up to it.
    ///
    /// # Panics
    /// It did not come.
    pub fn line(&self, after: usize, wanted: impl Fn(&str) -> bool) -> usize {
        self.line_within(after, wait::SOON, wanted)
    }

    /// As [`Follow::line`], with another bound.
    ///
    /// # Panics
    /// It did not come.
    pub fn line_within(&self, after: usize, bound: Duration, wanted: impl Fn(&str) -> bool) -> usize {
        let found = || self.lines().iter().enumerate().skip(after).find(|(_, line)| wanted(line)).map(|(at, _)| at + 1);
        let began = std::time::Instant::now();
        wait::until(&format!("a line of kubectl {}", self.what), bound + Duration::from_secs(1), || {
            let found = found();
            assert!(
                found.is_some() || began.elapsed() < bound,
                "kubectl {} did not write the line; it wrote:\n{}",
                self.what,
                self.lines().join("\n")
            );
            found
        })
    }

    /// Waits until the call ends by itself.
    ///
    /// # Panics
    /// It goes on.
    pub fn ends(mut self) -> i32 {
        wait::until(&format!("the end of kubectl {}", self.what), wait::SOON, || self.child.0.try_wait().unwrap()).code().unwrap_or(-1)
    }
}
