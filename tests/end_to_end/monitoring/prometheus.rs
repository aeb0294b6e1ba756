//! A real Prometheus on a port of its own, and promtool.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use harness::folder::Folder;
use harness::switchboard::Ports;
use harness::wait;
use serde_json::Value;

/// Bound for its start, on a loaded machine.
const START: Duration = Duration::from_secs(60);

/// The project's folder.
pub fn root() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

fn tool(name: &str) -> PathBuf {
    let program = root().join(".tools/bin").join(name);
    assert!(program.exists(), "{} is missing: run tools/install.sh", program.display());
    program
}

/// Runs promtool with `input`, and prints what it said.
pub fn promtool(arguments: &[&str], input: &str) -> Output {
    let mut command = Command::new(tool("promtool"));
    command.args(arguments).current_dir(root()).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    eprintln!("$ promtool {}\n{}\n{}\n", arguments.join(" "), text(&output.stdout), text(&output.stderr));
    output
}

/// A running Prometheus that scrapes one target every second and evaluates rules as often. Ends with this value.
pub struct Prometheus {
    child: Child,
    folder: Folder,
    port: u16,
}

impl Prometheus {
    /// Starts it as the job `switchboard` for this port, with these rules.
    pub fn start(target: u16, rules: &str) -> Self {
        let folder = Folder::new();
        let port = Ports::free().api;
        let configuration = format!(
            "global: {{scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}}\n\
             rule_files: [rules.yaml]\n\
             scrape_configs:\n  - job_name: switchboard\n    static_configs: [{{targets: [\"127.0.0.1:{target}\"]}}]\n"
        );
        std::fs::write(folder.path().join("rules.yaml"), rules).unwrap();
        std::fs::write(folder.path().join("prometheus.yaml"), configuration).unwrap();
        let log = File::create(folder.path().join("log")).unwrap();
        let at = |name: &str| folder.path().join(name).display().to_string();
        let child = Command::new(tool("prometheus"))
            .arg(format!("--config.file={}", at("prometheus.yaml")))
            .arg(format!("--storage.tsdb.path={}", at("data")))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let started = Self { child, folder, port };
        wait::until_true("Prometheus", START, || get(started.port, "/-/ready").is_some());
        started
    }

    /// What its API answers as `data`.
    pub fn api(&self, path: &str) -> Value {
        let answer: Value =
            serde_json::from_str(&get(self.port, path).unwrap_or_else(|| panic!("no answer of Prometheus to {path}"))).unwrap();
        assert_eq!(answer["status"], "success", "{path}: {answer}");
        answer["data"].clone()
    }

    /// The series an expression gives now, with labels and value.
    pub fn query(&self, expression: &str) -> Vec<Value> {
        let answer = self.api(&format!("/api/v1/query?query={}", encoded(expression)));
        match answer["resultType"].as_str() {
            Some("vector") => answer["result"].as_array().unwrap().clone(),
            _ => vec![answer["result"].clone()],
        }
    }

    /// Names and states of the alerts that are pending or fire.
    pub fn alerts(&self) -> Vec<(String, String)> {
        let alerts = self.api("/api/v1/alerts")["alerts"].as_array().unwrap().clone();
        alerts.iter().map(|alert| (text(&alert["labels"]["alertname"]), text(&alert["state"]))).collect()
    }

    /// What it logged.
    pub fn log(&self) -> String {
        read(&self.folder.path().join("log"))
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("---- log of Prometheus\n{}\n----", self.log());
        }
    }
}

/// Text of a file.
pub fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A JSON string.
pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}

fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut all, byte| {
        write!(all, "%{byte:02X}").unwrap();
        all
    })
}

/// Body of a good answer. HTTP/1.0, so that it comes in one piece and ends with the connection.
fn get(port: u16, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(wait::SOON)).ok()?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?;
    assert!(status.starts_with('2') || status == "503", "Prometheus answers {status} to {path}: {body}");
    (status == "200").then(|| body.to_owned())
}
