//! Probes and hooks: what they do, and when their results count.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, ExecAction, HTTPGetAction, LifecycleHandler, Probe};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::http;
use crate::node::process::{Execution, Spawner};

/// Output of a failed check that is shown.
const SHOWN: usize = 1024;

/// Which probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Holds the others back until it has succeeded once.
    Startup,
    /// Its failure restarts the container.
    Liveness,
    /// Decides whether the container is ready.
    Readiness,
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Startup => "Startup",
            Self::Liveness => "Liveness",
            Self::Readiness => "Readiness",
        })
    }
}

/// Everything a check needs of its container.
#[derive(Debug)]
pub struct Target {
    /// Starts programs for `exec`.
    pub spawner: Arc<Spawner>,
    /// The container's own execution: `exec` gets its environment, folder and marker.
    pub execution: Execution,
    /// The pod's address.
    pub address: Ipv4Addr,
    /// The container, for its port names.
    pub container: Container,
    /// Rewrites mount paths.
    pub mounts: super::mounts::Mounts,
}

/// One check: success, or what went wrong.
pub type Outcome = Result<(), String>;

/// Counts results in a row until a threshold is reached. Pure.
#[derive(Debug, Clone, Copy)]
pub struct Counter {
    success: u32,
    failure: u32,
    last: Option<bool>,
    in_a_row: u32,
    settled: Option<bool>,
}

impl Counter {
    /// The thresholds of a probe; Kubernetes' defaults are 1 success and 3 failures.
    pub fn new(probe: &Probe) -> Self {
        let at_least_one = |value: Option<i32>, otherwise| value.and_then(|value| u32::try_from(value).ok()).unwrap_or(otherwise).max(1);
        Self {
            success: at_least_one(probe.success_threshold, 1),
            failure: at_least_one(probe.failure_threshold, 3),
            last: None,
            in_a_row: 0,
            settled: None,
        }
    }
    /// Takes a result; returns the probe's verdict when it changes.
    pub fn take(&mut self, success: bool) -> Option<bool> {
        self.in_a_row = if self.last == Some(success) { self.in_a_row.saturating_add(1) } else { 1 };
        self.last = Some(success);
        let needed = if success { self.success } else { self.failure };
        if self.in_a_row >= needed && self.settled != Some(success) {
            self.settled = Some(success);
            return Some(success);
        }
        None
    }
    /// Whether this failure is the first in its row.
    pub fn row_began(&self) -> bool {
        self.in_a_row == 1
    }
}

/// A probe's times.
pub fn seconds(value: Option<i32>, otherwise: u64) -> Duration {
    Duration::from_secs(value.and_then(|value| u64::try_from(value).ok()).filter(|value| *value > 0).unwrap_or(otherwise))
}

/// Does what a probe says, once.
///
/// # Errors
/// What went wrong, as the kubelet words it.
pub async fn check(probe: &Probe, target: &Target) -> Outcome {
    let limit = seconds(probe.timeout_seconds, 1);
    if let Some(exec) = &probe.exec {
        execute(exec, target, limit).await
    } else if let Some(get) = &probe.http_get {
        within(limit, get_request(get, target)).await
    } else if let Some(tcp) = &probe.tcp_socket {
        within(limit, connect(tcp.host.as_deref(), &tcp.port, target)).await
    } else {
        Err("this node has no such probe; use exec, httpGet or tcpSocket".to_owned())
    }
}

/// Does what a lifecycle hook says.
///
/// # Errors
/// What went wrong.
pub async fn hook(handler: &LifecycleHandler, target: &Target, limit: Duration) -> Outcome {
    if let Some(exec) = &handler.exec {
        execute(exec, target, limit).await
    } else if let Some(get) = &handler.http_get {
        within(limit, get_request(get, target)).await
    } else if let Some(sleep) = &handler.sleep {
        tokio::time::sleep(Duration::from_secs(u64::try_from(sleep.seconds).unwrap_or(0)).min(limit)).await;
        Ok(())
    } else {
        Err("this node has no such hook; use exec, httpGet or sleep".to_owned())
    }
}

async fn within(limit: Duration, work: impl Future<Output = Outcome>) -> Outcome {
    tokio::time::timeout(limit, work).await.unwrap_or_else(|_| Err(format!("no answer within {} s", limit.as_secs())))
}

async fn execute(action: &ExecAction, target: &Target, limit: Duration) -> Outcome {
    let mut command = action.command.iter().flatten().map(|word| target.mounts.rewrite(word));
    let program = command.next().ok_or("the command is empty")?;
    let program = super::execution::locate(&program, &target.execution)?;
    let execution = Execution { program, arguments: command.collect(), ..target.execution.clone() };
    let mut child = target.spawner.spawn(&execution).await.map_err(|error| error.to_string())?;
    let group = child.id().and_then(|pid| i32::try_from(pid).ok());
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let finished = async {
        let (mut text, mut errors) = (Vec::new(), Vec::new());
        let drain = async {
            tokio::join!(shown(out, &mut text), shown(err, &mut errors));
        };
        let (status, ()) = tokio::join!(child.wait(), drain);
        text.extend_from_slice(&errors);
        (status, text)
    };
    match tokio::time::timeout(limit, finished).await {
        Ok((Ok(status), _)) if status.success() => Ok(()),
        Ok((Ok(status), text)) => Err(match String::from_utf8_lossy(&text).trim() {
            "" => format!("command ended with {status}"),
            text => text.chars().take(SHOWN).collect(),
        }),
        Ok((Err(error), _)) => Err(error.to_string()),
        Err(_) => {
            // Not reaped, so the group is still this command's.
            if let Some(group) = group.and_then(rustix::process::Pid::from_raw) {
                let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
            }
            Err(format!("command {:?} timed out after {} s", action.command.as_deref().unwrap_or_default().join(" "), limit.as_secs()))
        }
    }
}

/// Reads all, keeps the beginning.
async fn shown(pipe: Option<impl tokio::io::AsyncRead + Unpin>, into: &mut Vec<u8>) {
    let Some(mut pipe) = pipe else { return };
    let mut buffer = [0; 1024];
    while let Ok(length) = pipe.read(&mut buffer).await {
        if length == 0 {
            break;
        }
        let room = SHOWN.saturating_sub(into.len()).min(length);
        into.extend_from_slice(&buffer[..room]);
    }
}

async fn connect(host: Option<&str>, port: &IntOrString, target: &Target) -> Outcome {
    let port = port_number(port, &target.container)?;
    let host = host.filter(|host| !host.is_empty()).map_or_else(|| target.address.to_string(), str::to_owned);
    let stream = TcpStream::connect((host.as_str(), port)).await.map_err(|error| format!("dial tcp {host}:{port}: {error}"))?;
    drop(stream);
    Ok(())
}

async fn get_request(get: &HTTPGetAction, target: &Target) -> Outcome {
    let port = port_number(&get.port, &target.container)?;
    let host = get.host.clone().filter(|host| !host.is_empty()).unwrap_or_else(|| target.address.to_string());
    let secure = get.scheme.as_deref().is_some_and(|scheme| scheme.eq_ignore_ascii_case("https"));
    let path = get.path.as_deref().filter(|path| !path.is_empty()).unwrap_or("/");
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    let headers: Vec<(&str, &str)> =
        get.http_headers.iter().flatten().map(|header| (header.name.as_str(), header.value.as_str())).collect();
    let url = format!("{}://{host}:{port}{path}", if secure { "https" } else { "http" });
    let failed = |error: std::io::Error| format!("Get \"{url}\": {error}");
    let mut stream = TcpStream::connect((host.as_str(), port)).await.map_err(failed)?;
    let request = http::request(&path, &format!("{host}:{port}"), &headers);
    let code = if secure {
        let mut stream = http::secure(stream, &host).await.map_err(failed)?;
        stream.write_all(request.as_bytes()).await.map_err(failed)?;
        http::status(&mut stream).await.map_err(failed)?
    } else {
        stream.write_all(request.as_bytes()).await.map_err(failed)?;
        http::status(&mut stream).await.map_err(failed)?
    };
    if (200..400).contains(&code) { Ok(()) } else { Err(format!("HTTP probe failed with statuscode: {code}")) }
}

fn port_number(port: &IntOrString, container: &Container) -> Result<u16, String> {
    let number = match port {
        IntOrString::Int(number) => Some(*number),
        IntOrString::String(name) => {
            let named = container.ports.iter().flatten().find(|port| port.name.as_deref() == Some(name.as_str()));
            named.map(|port| port.container_port).or_else(|| name.parse().ok())
        }
    };
    number.and_then(|number| u16::try_from(number).ok()).filter(|number| *number > 0).ok_or_else(|| format!("couldn't find port: {port:?}"))
}
