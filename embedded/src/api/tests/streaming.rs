use std::sync::Arc;

use futures::future::BoxFuture;

use super::*;
use crate::api::authorize::{Attributes, Authorizer, Decision};
use crate::node::process::{Session, Streams};
use crate::node::{ContainerKey, LogRequest, LogStream, Node, RunningContainer};
use crate::status::Status;

/// A node on which the container `up` runs, and can do nothing.
struct Running;

impl Node for Running {
    fn logs(&self, _: LogRequest) -> BoxFuture<'_, Result<LogStream, Status>> {
        Box::pin(async { Err(Status::internal("nothing is written here")) })
    }

    fn running(&self, container: &ContainerKey) -> Option<Arc<dyn RunningContainer>> {
        (container.container == "up").then(|| Arc::new(Self) as Arc<dyn RunningContainer>)
    }
}

impl RunningContainer for Running {
    fn exec(&self, _: Vec<String>, _: Streams) -> BoxFuture<'static, Result<Session, String>> {
        Box::pin(async { Err("nothing is started here".to_owned()) })
    }

    fn attach(&self, _: Streams) -> Result<Session, String> {
        Err("nothing is attached to here".to_owned())
    }
}

/// Lets everybody do anything but create execs, or nothing but that.
struct But(bool);

impl Authorizer for But {
    fn authorize(&self, _: &User, attributes: &Attributes) -> Decision {
        let creates = attributes.verb == "create" && attributes.subresource == "exec";
        if creates == self.0 { Decision::Allow(String::new()) } else { Decision::Deny(String::new()) }
    }
}

async fn server() -> Server {
    let server = Server::new().await;
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"},
        "spec": {"nodeName": "n", "containers": [{"name": "up", "image": "i:1"}, {"name": "down", "image": "i:1"}]}
    });
    server.post("/api/v1/namespaces/default/pods", pod).await.ok();
    server.api.set_node(Arc::new(Running));
    server
}

const PODS: &str = "/api/v1/namespaces/default/pods";

#[tokio::test]
async fn what_cannot_be_streamed_says_why() {
    let server = server().await;
    for (query, code, message) in [
        ("none/exec?container=up&stdout=1&command=x", 404, "pods \"none\" not found"),
        ("p/exec?stdout=1&command=x", 400, "a container name must be specified for pod p, choose one of: [up down]"),
        ("p/attach?container=z&stdout=1", 400, "container z is not valid for pod p"),
        ("p/exec?container=up&command=x", 400, "you must specify at least 1 of stdin, stdout, stderr"),
        ("p/exec?container=up&stdout=1", 400, "you must specify at least one command for the container"),
        ("p/exec?container=up&stdout=1&command=x", 400, "Upgrade request required"),
    ] {
        assert_eq!(server.get(&format!("{PODS}/{query}")).await.error(), (code, message.to_owned()), "{query}");
        let posted = server.send(&User::admin(), "POST", &format!("{PODS}/{query}"), &[], "").await;
        assert_eq!(posted.error(), (code, message.to_owned()), "{query}");
    }
    // The words of the node, which clients show as they are.
    let down = server.get(&format!("{PODS}/p/attach?container=down&stdout=1")).await;
    assert_eq!((down.code, down.body), (500, json!("container not found (\"down\")")));
    let forward = server.get(&format!("{PODS}/p/portforward?ports=80")).await.error();
    assert!(forward.0 == 501 && forward.1.contains("an address of its own"), "{forward:?}");
}

#[tokio::test]
async fn the_right_to_create_decides_whatever_the_method() {
    let server = server().await;
    let jane = User::new("jane", &[]);
    let ask = async |method: &str| {
        let reply = server.send(&jane, method, &format!("{PODS}/p/exec?container=up&stdout=1&command=x"), &[], "").await;
        (reply.code, reply.body["message"].as_str().unwrap_or_default().to_owned())
    };
    server.api.set_authorizer(Arc::new(But(false)));
    for method in ["GET", "POST"] {
        let (code, message) = ask(method).await;
        assert!(code == 403 && message.contains("cannot create resource \"pods/exec\""), "{method}: {code} {message}");
    }
    server.api.set_authorizer(Arc::new(But(true)));
    for method in ["GET", "POST"] {
        assert_eq!(ask(method).await.1, "Upgrade request required");
    }
}
