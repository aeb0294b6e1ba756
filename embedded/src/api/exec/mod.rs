//! `/exec` and `/attach` of a pod: programs in its containers, over websockets.
//!
//! | module | what |
//! |---|---|
//! | [`handshake`] | from a request to a websocket that speaks `channel.k8s.io` |
//! | [`channels`] | a session's streams as channels of the websocket |

mod channels;
mod handshake;

use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::json;
use tokio::sync::OwnedSemaphorePermit;

use super::Api;
use super::logs::container_of;
use super::request::Call;
use super::respond::{self, Answer};
use super::routing::Target;
use crate::node::process::{Session, Streams};
use crate::node::{ContainerKey, RunningContainer};
use crate::status::Status;

/// Sessions at a time, of all users together.
pub(super) const MOST_SESSIONS: usize = 256;

/// A session that is started once the client can be told what comes of it.
type Starting = BoxFuture<'static, Result<Session, String>>;

impl Api {
    /// Runs a program in a container, or attaches to its own.
    pub(super) fn stream(&self, call: &Call, target: &Target) -> Result<Answer, Status> {
        let pod = self.find(target)?.value();
        let container = container_of(&pod, target.name(), call.query.text("container"))?;
        if pod["spec"]["nodeName"].as_str().unwrap_or_default().is_empty() {
            return Err(Status::bad_request(format!("pod {} does not have a host assigned", target.name())));
        }
        let streams = streams(call);
        if !(streams.stdin || streams.stdout || streams.stderr) {
            return Err(Status::bad_request("you must specify at least 1 of stdin, stdout, stderr"));
        }
        let Some(node) = self.node() else {
            return Err(Status::new(503, "ServiceUnavailable", "no node agent runs here: nothing runs in this pod"));
        };
        let key = ContainerKey { namespace: target.namespace.clone(), pod: target.name().to_owned(), container };
        let Some(running) = node.running(&key) else {
            // What clients show comes from the node here, and that answers in plain text.
            return Ok(respond::bytes(500, "text/plain; charset=utf-8", format!("container not found ({:?})", key.container)));
        };
        let place = self.session_place()?;
        let starting = starting(call, target, &*running, streams)?;
        handshake::accept(call, move |socket, channels| async move {
            channels::serve(socket, channels, starting).await;
            drop(place);
        })
    }

    fn session_place(&self) -> Result<OwnedSemaphorePermit, Status> {
        Arc::clone(&self.0.sessions).try_acquire_owned().map_err(|_| {
            let text =
                format!("{MOST_SESSIONS} sessions of exec and attach are open, which is the most this server serves: end some of them");
            let mut status = Status::new(429, "TooManyRequests", text);
            status.details = Some(json!({"retryAfterSeconds": 1}));
            status
        })
    }

    /// Why a port is not forwarded, and where it is instead.
    pub(super) fn no_forwarding(&self, target: &Target) -> Status {
        let pod = match self.find(target) {
            Ok(pod) => pod.value(),
            Err(status) => return status,
        };
        let place = match pod["status"]["podIP"].as_str() {
            Some(address) => format!("connect to {address}, this pod's own address on this machine"),
            None => "each pod has an address of its own on this machine, and this one has none yet".to_owned(),
        };
        Status::new(501, "NotImplemented", format!("ports are not forwarded here, because they need not be: {place}"))
    }
}

fn starting(call: &Call, target: &Target, running: &dyn RunningContainer, streams: Streams) -> Result<Starting, Status> {
    if target.subresource == "attach" {
        return Ok(futures::future::ready(running.attach(streams)).boxed());
    }
    let command: Vec<String> = call.query.all("command").map(str::to_owned).collect();
    if command.is_empty() {
        return Err(Status::bad_request("you must specify at least one command for the container"));
    }
    Ok(running.exec(command, streams))
}

/// A terminal has one output for both.
fn streams(call: &Call) -> Streams {
    let flag = |name: &str| call.query.flag(name);
    let tty = flag("tty");
    Streams { stdin: flag("stdin"), stdout: flag("stdout"), stderr: flag("stderr") && !tty, tty }
}
