//! Plain HTTP on the metrics port, and the numbers there.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use crate::switchboard::Switchboard;
use crate::wait;

/// Verbs of the Kubernetes API that write.
const WRITES: [&str; 5] = ["create", "update", "patch", "delete", "deletecollection"];

/// A plane that can be measured.
pub trait Measured {
    /// Port of the operator's metrics.
    fn metrics_port(&self) -> u16;

    /// The series of the API server that counts requests, and the page that it is on.
    fn requests(&self) -> (&'static str, String);
}

impl Measured for Switchboard {
    fn metrics_port(&self) -> u16 {
        self.ports.metrics
    }

    fn requests(&self) -> (&'static str, String) {
        ("switchboard_api_requests_total", request(self, "GET", "/metrics", "").1)
    }
}

/// One request to the metrics port; returns status and body.
///
/// # Panics
/// No answer came.
pub fn request(plane: &impl Measured, method: &str, path: &str, body: &str) -> (u16, String) {
    answer(plane.metrics_port(), method, path, body).expect("an answer of the metrics port")
}

/// One request over plain HTTP to a port of this machine; none where no whole answer came.
pub fn answer(port: u16, method: &str, path: &str, body: &str) -> Option<(u16, String)> {
    answer_of(("127.0.0.1", port), method, path, body)
}

/// The metrics of whoever serves them at this address; none where nobody does.
pub fn page(address: &str, port: u16) -> Option<String> {
    answer_of((address, port), "GET", "/metrics", "").filter(|(status, _)| *status == 200).map(|(_, body)| body)
}

fn answer_of(address: (&str, u16), method: &str, path: &str, body: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(wait::SOON)).ok()?;
    let length = body.len();
    write!(stream, "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
}

/// All series and their values.
///
/// # Panics
/// The page cannot be read.
pub fn all(plane: &impl Measured) -> BTreeMap<String, f64> {
    let (status, body) = request(plane, "GET", "/metrics", "");
    assert_eq!(status, 200, "{body}");
    series(&body)
}

/// The series of a page and their values.
///
/// # Panics
/// The page cannot be read.
pub fn series(page: &str) -> BTreeMap<String, f64> {
    let lines = page.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    lines.map(|line| line.rsplit_once(' ').unwrap()).map(|(name, value)| (name.to_owned(), value.parse().unwrap())).collect()
}

/// One series; 0 where it is not there.
pub fn value(plane: &impl Measured, series: &str) -> f64 {
    all(plane).get(series).copied().unwrap_or_default()
}

/// Requests that write, by `verb resource`, over all answers.
pub fn writes(plane: &impl Measured) -> BTreeMap<String, u64> {
    let (series, page) = plane.requests();
    let mut found = BTreeMap::new();
    for line in page.lines() {
        let Some((labels, count)) = line.strip_prefix(series).and_then(|rest| rest.rsplit_once(' ')) else { continue };
        let label =
            |name: &str| labels.split(&format!("{name}=\"")).nth(1).and_then(|rest| rest.split('"').next()).unwrap_or_default().to_owned();
        let verb = match label("verb").as_str() {
            // As a kube-apiserver counts them.
            "POST" => "create".to_owned(),
            "PUT" => "update".to_owned(),
            "APPLY" => "patch".to_owned(),
            other => other.to_lowercase(),
        };
        let group = label("group");
        let resource = label("resource") + if group.is_empty() { "" } else { "." } + &group;
        if WRITES.contains(&verb.as_str()) {
            *found.entry(format!("{verb} {resource}")).or_default() += count.parse::<f64>().unwrap() as u64;
        }
    }
    found
}

/// Writes that came since `before`, but for those of Leases.
pub fn writes_since(plane: &impl Measured, before: &BTreeMap<String, u64>) -> BTreeMap<String, u64> {
    let grown = |(name, count): (String, u64)| {
        let more = count - before.get(&name).copied().unwrap_or_default();
        (more > 0 && !name.ends_with("leases.coordination.k8s.io")).then_some((name, more))
    };
    writes(plane).into_iter().filter_map(grown).collect()
}

/// Waits until nothing but Leases was written for three seconds: what was begun is done, also on a loaded machine.
pub fn wait_until_at_rest(plane: &impl Measured) {
    let mut last = (std::time::Instant::now(), writes(plane));
    wait::until_true("writes come to rest", wait::SOON, || {
        if !writes_since(plane, &last.1).is_empty() {
            last = (std::time::Instant::now(), writes(plane));
        }
        last.0.elapsed() > std::time::Duration::from_secs(3)
    });
}
