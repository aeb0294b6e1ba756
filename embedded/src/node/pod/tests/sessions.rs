//! Further programs in a running container, and being attached to its own.

use serde_json::json;
use tokio::time::timeout;

use super::world::*;
use crate::node::process::streams::{Input, Output};
use crate::node::process::{Session, Streams};
use crate::node::{ContainerKey, Node, RunningContainer};

const BOUND: std::time::Duration = std::time::Duration::from_secs(20);
const WAITING: &str = "echo up; while :; do sleep 0.05; done";

fn container(world: &World) -> std::sync::Arc<dyn RunningContainer> {
    let key = ContainerKey { namespace: "n".into(), pod: "p".into(), container: "c".into() };
    world.shared.node.running(&key).expect("the container runs")
}

async fn exec(world: &World, streams: Streams, text: &str) -> Session {
    let command = ["sh", "-c", text].map(str::to_owned).to_vec();
    container(world).exec(command, streams).await.unwrap()
}

/// All of an output, read to its end.
async fn all(output: Option<Output>) -> String {
    let mut output = output.expect("there is an output");
    let mut text = Vec::new();
    let mut buffer = [0; 1024];
    loop {
        match timeout(BOUND, output.read(&mut buffer)).await.expect("the output ends").unwrap() {
            0 => return String::from_utf8(text).unwrap(),
            length => text.extend_from_slice(&buffer[..length]),
        }
    }
}

/// Reads until a text comes.
async fn until(output: &mut Option<Output>, wanted: &str) -> String {
    let mut text = String::new();
    let mut buffer = [0; 1024];
    while !text.contains(wanted) {
        let length =
            timeout(BOUND, output.as_mut().unwrap().read(&mut buffer)).await.unwrap_or_else(|_| panic!("no {wanted:?} in {text:?}"));
        match length.unwrap() {
            0 => panic!("no {wanted:?} in {text:?}"),
            length => text.push_str(std::str::from_utf8(&buffer[..length]).unwrap()),
        }
    }
    text
}

const ALL: Streams = Streams { stdin: true, stdout: true, stderr: true, tty: false };
const OUT: Streams = Streams { stdin: false, stdout: true, stderr: false, tty: false };
const TERMINAL: Streams = Streams { stdin: true, stdout: true, stderr: false, tty: true };

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_further_program_has_the_surroundings_of_the_first_and_its_own_streams_and_code() {
    let more = json!({"env": [{"name": "WHERE", "value": "here"}], "volumeMounts": [{"name": "v", "mountPath": "/data"}]});
    let mut pod = shell("Always", "touch own; while :; do sleep 0.05; done", more);
    pod["spec"]["volumes"] = json!([{"name": "v", "emptyDir": {}}]);
    let world = World::start(pod);
    world.until_ready().await;
    let mut session =
        exec(&world, ALL, "read line; echo $WHERE $line; until [ -e own ]; do sleep 0.05; done; echo own >&2; echo x > /data/f; exit 7")
            .await;
    let mut input = session.input.take().unwrap();
    input.write_all(b"typed\nmore").await.unwrap();
    input.close().await;
    assert_eq!(timeout(BOUND, session.end).await.unwrap(), 7);
    assert_eq!(all(session.output).await, "here typed\n");
    assert_eq!(all(session.errors).await, "own\n");
    assert!(world.pod_folder().join("volumes/v/f").exists());
    let missing = container(&world).exec(vec!["no-such-program".into()], OUT).await.err().unwrap();
    assert!(missing.contains("executable file not found in $PATH"), "{missing}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn input_ends_where_the_client_says_so() {
    let world = World::start(shell("Always", WAITING, json!({})));
    world.until_ready().await;
    let mut session = exec(&world, ALL, "wc -c").await;
    let mut input = session.input.take().unwrap();
    let megabyte = vec![b'x'; 1 << 20];
    input.write_all(&megabyte).await.unwrap();
    input.close().await;
    assert_eq!(all(session.output).await.trim(), (1 << 20).to_string());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_terminal_is_one_and_knows_its_size() {
    let world = World::start(shell("Always", WAITING, json!({})));
    world.until_ready().await;
    let text = "test -t 0 && test -t 1 && echo $TERM; read line; stty size; exec sh -c 'echo waiting; exec sleep 60'";
    let mut session = exec(&world, TERMINAL, text).await;
    until(&mut session.output, "xterm").await;
    session.terminal.as_ref().unwrap().resize(99, 33);
    let Some(Input::Terminal(terminal)) = &session.input else { panic!("the input is the terminal") };
    terminal.write_all(b"\n").await.unwrap();
    let shown = until(&mut session.output, "waiting").await;
    assert!(shown.contains("33 99"), "{shown}");
    // Ctrl-C reaches the program through the terminal it controls. Not a shell that waits for another program: it goes on where that one ended well.
    terminal.write_all(&[3]).await.unwrap();
    assert_ne!(timeout(BOUND, session.end).await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_ends_with_its_session_and_with_its_container() {
    let mut world = World::start(shell("Always", WAITING, json!({})));
    world.until_ready().await;
    let mut pids = Vec::new();
    let mut sessions = Vec::new();
    for streams in [OUT, TERMINAL] {
        for _ in 0..2 {
            let mut session = exec(&world, streams, "echo $$.; while :; do sleep 0.05; done").await;
            let text = until(&mut session.output, ".").await;
            pids.push(text.trim().trim_end_matches('.').parse::<i32>().unwrap());
            sessions.push(session);
        }
    }
    drop(sessions.remove(0));
    drop(sessions.remove(1));
    until_dead(pids[0]).await;
    until_dead(pids[2]).await;
    assert!(alive(pids[1]) && alive(pids[3]));
    world.delete(0);
    until_dead(pids[1]).await;
    until_dead(pids[3]).await;
    world.until_removed().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_attached_reads_along_and_types() {
    let text = "while read line; do case $line in aside) echo aside >&2;; *) echo got $line;; esac; done; echo over";
    let world = World::start(shell("Never", text, json!({"stdin": true, "stdinOnce": true})));
    world.until("running", |status| status["phase"] == "Running").await;
    let mut reader = container(&world).attach(OUT).unwrap();
    let mut writer = container(&world).attach(ALL).unwrap();
    let mut input = writer.input.take().unwrap();
    input.write_all(b"this\n").await.unwrap();
    until(&mut reader.output, "got this\n").await;
    until(&mut writer.output, "got this\n").await;
    // Asked for by itself: nothing says which of two outputs is read first.
    input.write_all(b"aside\n").await.unwrap();
    until(&mut writer.errors, "aside\n").await;
    // Its input is closed once: the program sees the end.
    input.close().await;
    assert_eq!(all(reader.output).await, "over\n");
    assert_eq!(timeout(BOUND, writer.end).await.unwrap(), 0);
    world.until_phase("Succeeded").await;
    assert_eq!(world.log(crate::node::LogRequest { container: "c".into(), ..Default::default() }).await, "got this\naside\nover\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_container_with_a_terminal_is_typed_at() {
    let world = World::start(shell("Never", "read line; echo got $line; exit 4", json!({"stdin": true, "tty": true})));
    world.until("running", |status| status["phase"] == "Running").await;
    let mut session = container(&world).attach(TERMINAL).unwrap();
    session.input.take().unwrap().write_all(b"this\n").await.unwrap();
    until(&mut session.output, "got this").await;
    assert_eq!(timeout(BOUND, session.end).await.unwrap(), 0, "to whoever was attached every end is a good one");
    world.until_phase("Failed").await;
}
