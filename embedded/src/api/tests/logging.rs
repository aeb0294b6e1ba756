use std::sync::{Arc, Mutex};

use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};

use super::*;
use crate::node::{ContainerKey, LogRequest, LogStream, Node, RunningContainer};
use crate::status::Status;

/// A node whose containers wrote two lines. Keeps what it was asked.
#[derive(Default)]
struct Wrote(Mutex<Vec<LogRequest>>);

impl Node for Wrote {
    fn logs(&self, request: LogRequest) -> BoxFuture<'_, Result<LogStream, Status>> {
        self.0.lock().unwrap().push(request);
        let lines = ["one\n", "two\n"].map(|line| Ok(Bytes::from_static(line.as_bytes())));
        async move { Ok(futures::stream::iter(lines).boxed()) }.boxed()
    }

    fn running(&self, _: &ContainerKey) -> Option<Arc<dyn RunningContainer>> {
        None
    }
}

async fn pod(server: &Server, name: &str, node: Value, containers: &[&str]) {
    let containers: Vec<Value> = containers.iter().map(|name| json!({"name": name, "image": "i:1"})).collect();
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {"nodeName": node, "containers": containers}});
    server.post("/api/v1/namespaces/default/pods", pod).await.ok();
}

#[tokio::test]
async fn lines_come_from_the_node_as_they_are_asked_for() {
    let server = Server::new().await;
    let node = Arc::new(Wrote::default());
    server.api.set_node(node.clone());
    pod(&server, "p", json!("n"), &["c"]).await;
    let query = "follow=true&tailLines=5&timestamps=true&previous=true&limitBytes=100&sinceTime=2026-01-01T00:00:00Z";
    let reply = server.get(&format!("/api/v1/namespaces/default/pods/p/log?{query}")).await;
    assert_eq!((reply.code, reply.body), (200, json!("one\ntwo\n")));
    assert_eq!(reply.headers["content-type"], "text/plain");
    let asked = LogRequest {
        namespace: "default".into(),
        pod: "p".into(),
        container: "c".into(),
        follow: true,
        previous: true,
        timestamps: true,
        tail_lines: Some(5),
        since: Some("2026-01-01T00:00:00Z".parse().unwrap()),
        limit_bytes: Some(100),
    };
    assert_eq!(node.0.lock().unwrap().as_slice(), [asked]);
}

#[tokio::test]
async fn a_log_that_cannot_be_had_says_why() {
    let server = Server::new().await;
    pod(&server, "two", json!("n"), &["a", "b"]).await;
    pod(&server, "nowhere", Value::Null, &["c"]).await;
    let ask = async |path: &str| server.get(&format!("/api/v1/namespaces/default/pods/{path}")).await.error();
    assert_eq!(ask("none/log").await.0, 404);
    assert_eq!(ask("two/log").await, (400, "a container name must be specified for pod two, choose one of: [a b]".to_owned()));
    assert_eq!(ask("two/log?container=z").await, (400, "container z is not valid for pod two".to_owned()));
    assert_eq!(ask("nowhere/log").await, (400, "pod nowhere does not have a host assigned".to_owned()));
    assert_eq!(ask("two/log?container=a").await.0, 503, "no node agent is registered");
    server.api.set_node(Arc::new(Wrote::default()));
    assert_eq!(ask("two/log?container=a&tailLines=-1").await.0, 422);
    assert_eq!(ask("two/log?container=a&sinceSeconds=1&sinceTime=2026-01-01T00:00:00Z").await.0, 422);
    assert_eq!(ask("two/exec?container=a&command=ls").await, (400, "you must specify at least 1 of stdin, stdout, stderr".to_owned()));
}
