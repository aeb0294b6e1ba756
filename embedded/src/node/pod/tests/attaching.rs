//! Those who are attached and take nothing, and those whose container is not looked after any more.

use serde_json::json;

use super::world::*;
use crate::node::process::Streams;
use crate::node::{ContainerKey, LogRequest, Node};

fn key() -> ContainerKey {
    ContainerKey { namespace: "n".into(), pod: "p".into(), container: "c".into() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_takes_nothing_does_not_keep_the_last_output_from_the_log() {
    // More than waits for one who is attached, not more than fits into the pipe beside it: the program ends while its output is being handed on.
    let text = "read line; head -c 100000 /dev/zero | tr '\\0' x; echo; echo last";
    let world = World::start(shell("Never", text, json!({"stdin": true})));
    world.until("running", |status| status["phase"] == "Running").await;
    let container = world.shared.node.running(&key()).expect("the container runs");
    let mut session = container.attach(Streams { stdin: true, stdout: true, stderr: false, tty: false }).unwrap();
    session.input.take().unwrap().write_all(b"go\n").await.unwrap();
    world.until_phase("Succeeded").await;
    let log = world.log(LogRequest { container: "c".into(), ..Default::default() }).await;
    assert!(log.ends_with("x\nlast\n"), "{} bytes that end in {:?}", log.len(), &log[log.len().saturating_sub(20)..]);
    drop(session);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_reads_gets_all_of_it_also_what_comes_after_the_end() {
    let text = "read line; head -c 1000000 /dev/zero | tr '\\0' x; echo; echo last";
    let world = World::start(shell("Never", text, json!({"stdin": true})));
    world.until("running", |status| status["phase"] == "Running").await;
    let container = world.shared.node.running(&key()).expect("the container runs");
    let mut session = container.attach(Streams { stdin: true, stdout: true, stderr: false, tty: false }).unwrap();
    session.input.take().unwrap().write_all(b"go\n").await.unwrap();
    let (mut output, mut all, mut buffer) = (session.output.take().unwrap(), Vec::new(), vec![0; 4096]);
    loop {
        let length = tokio::time::timeout(std::time::Duration::from_secs(20), output.read(&mut buffer)).await.unwrap().unwrap();
        if length == 0 {
            break;
        }
        all.extend_from_slice(&buffer[..length]);
    }
    assert_eq!(all.len(), 1_000_000 + "\nlast\n".len());
    assert!(all.ends_with(b"x\nlast\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_starts_in_a_container_whose_pod_is_not_looked_after_any_more() {
    let mut world = World::start(shell("Always", "while :; do sleep 0.05; done", json!({})));
    world.until_ready().await;
    let container = world.shared.node.running(&key()).expect("the container runs");
    let out = Streams { stdin: false, stdout: true, stderr: false, tty: false };
    let attached = container.attach(out).unwrap();
    // As where it panics: all it has is dropped.
    world.task.abort();
    assert!((&mut world.task).await.unwrap_err().is_cancelled());
    assert!(world.shared.node.running(&key()).is_none(), "it is not found any more");
    let refused = container.exec(vec!["true".into()], out).await.err().expect("whoever had found it starts nothing");
    assert!(refused.contains("has ended"), "{refused}");
    assert!(container.attach(out).is_err());
    tokio::time::timeout(std::time::Duration::from_secs(20), attached.end).await.expect("who is attached is told");
}
