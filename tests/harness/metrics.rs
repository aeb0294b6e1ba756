//! Plain HTTP on the metrics port, and the numbers there.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use crate::switchboard::Switchboard;
use crate::wait;

/// Verbs of the Kubernetes API that write.
const WRITES: [&str; 5] = ["create", "update", "patch", "delete", "deletecollection"];

/// One request to the metrics port; returns status and body.
///
/// # Panics
/// No answer came.
pub fn request(plane: &Switchboard, method: &str, path: &str, body: &str) -> (u16, String) {
    answer(plane.ports.metrics, method, path, body).expect("an answer of the metrics port")
}

/// One request over plain HTTP to a port of this machine; none where no whole answer came.
pub fn answer(port: u16, method: &str, path: &str, body: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
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
pub fn all(plane: &Switchboard) -> BTreeMap<String, f64> {
    let (status, body) = request(plane, "GET", "/metrics", "");
    assert_eq!(status, 200, "{body}");
    let series = body.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    series.map(|line| line.rsplit_once(' ').unwrap()).map(|(name, value)| (name.to_owned(), value.parse().unwrap())).collect()
}

/// One series; 0 where it is not there.
pub fn value(plane: &Switchboard, series: &str) -> f64 {
    all(plane).get(series).copied().unwrap_or_default()
}

/// Requests that write, by `verb resource`, over all answers.
pub fn writes(plane: &Switchboard) -> BTreeMap<String, u64> {
    let mut found = BTreeMap::new();
    for (series, count) in all(plane) {
        let Some(labels) = series.strip_prefix("switchboard_api_requests_total") else { continue };
        let label =
            |name: &str| labels.split(&format!("{name}=\"")).nth(1).and_then(|rest| rest.split('"').next()).unwrap_or_default().to_owned();
        if WRITES.contains(&label("verb").as_str()) {
            *found.entry(format!("{} {}", label("verb"), label("resource"))).or_default() += count as u64;
        }
    }
    found
}

/// Writes that came since `before`, but for those of Leases.
pub fn writes_since(plane: &Switchboard, before: &BTreeMap<String, u64>) -> BTreeMap<String, u64> {
    let grown = |(name, count): (String, u64)| {
        let more = count - before.get(&name).copied().unwrap_or_default();
        (more > 0 && !name.ends_with("leases.coordination.k8s.io")).then_some((name, more))
    };
    writes(plane).into_iter().filter_map(grown).collect()
}

/// Waits until nothing but Leases was written for a second: what was begun is done.
pub fn wait_until_at_rest(plane: &Switchboard) {
    let mut last = (std::time::Instant::now(), writes(plane));
    wait::until_true("writes come to rest", wait::SOON, || {
        if !writes_since(plane, &last.1).is_empty() {
            last = (std::time::Instant::now(), writes(plane));
        }
        last.0.elapsed() > std::time::Duration::from_secs(1)
    });
}
