//! Programs in running pods: `kubectl exec`, `attach`, `cp`, `run -i`, and the same through kube-rs.

use std::io::Write as _;
use std::process::{Command, Stdio};

use harness::cluster::Cluster;
use harness::folder::Folder;
use harness::kubectl::Kubectl;
use harness::switchboard::Switchboard;
use harness::wait;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::AttachParams;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

fn pod(name: &str, container: Value) -> Value {
    let mut whole = json!({"name": "c", "image": "switchboard", "command": ["sh", "-c", "while :; do sleep 0.05; done"]});
    for (key, value) in container.as_object().unwrap() {
        whole[key] = value.clone();
    }
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default"},
        "spec": {"terminationGracePeriodSeconds": 1, "restartPolicy": "Never", "containers": [whole]}
    })
}

/// kubectl at a terminal of 99 columns and 33 rows, at which `typed` is typed; what the terminal shows, and the exit code.
fn at_terminal(kubectl: &Kubectl, arguments: &[&str], typed: &str) -> (String, i32) {
    let command = kubectl.command(arguments);
    let mut words = vec!["sh".to_owned(), "-c".to_owned(), "stty rows 33 cols 99; exec \"$@\"".to_owned(), "sh".to_owned()];
    words.push(command.get_program().to_string_lossy().into_owned());
    words.extend(command.get_args().map(|word| word.to_string_lossy().into_owned()));
    let program = "import os, pty, sys\nsys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))";
    let mut terminal = Command::new("python3");
    terminal.args(["-c", program]).args(words);
    terminal.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let mut child = terminal.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(typed.as_bytes()).unwrap();
    let mut output = child.stdout.take().unwrap();
    let reader = std::thread::spawn(move || {
        let mut text = Vec::new();
        let _ = std::io::Read::read_to_end(&mut output, &mut text);
        String::from_utf8_lossy(&text).into_owned()
    });
    let status = wait::until("the end of kubectl at a terminal", wait::SOON, || child.try_wait().unwrap());
    drop(input);
    (reader.join().unwrap(), status.code().unwrap_or(-1))
}

#[test]
fn a_program_runs_in_a_pod_as_it_would_in_any_cluster() {
    let plane = Switchboard::start(&["--bare"]);
    let kubectl = plane.kubectl();
    kubectl.apply(&[pod("p", json!({"env": [{"name": "WHERE", "value": "here"}]})), pod("two", json!({}))]);
    for name in ["pod/p", "pod/two"] {
        kubectl.wait("default", name, "condition=Ready");
    }

    // Output, errors, environment, exit code.
    let ran = kubectl.run(&["exec", "p", "--", "sh", "-c", "echo $WHERE; echo aside >&2; exit 7"]);
    assert_eq!((ran.code, ran.out.as_str()), (7, "here\n"), "{ran:?}");
    assert_eq!(ran.error, "aside\ncommand terminated with exit code 7\n");
    assert_eq!(kubectl.ok(&["exec", "p", "--", "true"]), "");
    // Input, and its end.
    let megabyte = "0123456789abcdef".repeat(1 << 16);
    assert_eq!(kubectl.ok_with(&["exec", "-i", "p", "--", "wc", "-c"], &megabyte, &[]).trim(), "1048576");
    let echoed = kubectl.ok_with(&["exec", "-i", "p", "--", "cat"], &megabyte, &[]);
    assert!(echoed == megabyte, "what came back is {} bytes long and differs", echoed.len());
    // A terminal, with the size of the user's. kubectl says the size beside what is typed, so either may come first. It is added up: what is typed
    // is shown as well, and must not be what is looked for.
    let typed = "until [ \"$(stty size)\" = \"$((30 + 3)) 99\" ]; do sleep 0.05; done; stty size; test -t 2 && echo all; exit 5\n";
    let (shown, code) = at_terminal(&kubectl, &["exec", "-it", "p", "--", "sh"], typed);
    assert!(shown.contains("33 99") && shown.contains("all\r\n"), "{shown}");
    assert_eq!(code, 5, "{shown}");

    // What cannot be.
    let missing = kubectl.run(&["exec", "p", "--", "no-such-program"]);
    assert!(missing.code != 0 && missing.error.contains("executable file not found in $PATH"), "{missing:?}");
    let missing = kubectl.refused(&["exec", "none", "--", "true"], "");
    assert_eq!(missing, "Error from server (NotFound): pods \"none\" not found\n");
    let missing = kubectl.refused(&["exec", "p", "-c", "x", "--", "true"], "");
    assert!(missing.contains("container x is not valid for pod p") || missing.contains("container not found"), "{missing}");

    // A program ends with its pod.
    let follow = kubectl.follow(&["exec", "two", "--", "sh", "-c", "echo $$; while :; do sleep 0.05; done"]);
    let line = follow.line(0, |line| line.parse::<u32>().is_ok());
    let process = follow.lines()[line - 1].parse::<u32>().unwrap();
    kubectl.ok(&["delete", "pod", "two"]);
    assert_ne!(follow.ends(), 0);
    wait::until_true("the end of the program", wait::SOON, || !std::path::Path::new(&format!("/proc/{process}")).exists());
    let gone = kubectl.refused(&["exec", "two", "--", "true"], "");
    assert!(gone.contains("NotFound"), "{gone}");
}

#[test]
fn only_who_may_create_an_exec_runs_programs() {
    let plane = Switchboard::start(&["--bare"]);
    let kubectl = plane.kubectl();
    kubectl.apply(&[pod("p", json!({}))]);
    kubectl.wait("default", "pod/p", "condition=Ready");
    kubectl.ok(&["create", "role", "read", "--verb=get", "--resource=pods,pods/exec"]);
    kubectl.ok(&["create", "role", "run", "--verb=create", "--resource=pods/exec"]);
    kubectl.ok(&["create", "rolebinding", "read", "--role=read", "--user=jane"]);
    let refused = kubectl.refused(&["exec", "p", "--as=jane", "--", "true"], "");
    assert!(refused.contains("\"jane\" cannot create resource \"pods/exec\""), "{refused}");
    assert_eq!(kubectl.run(&["auth", "can-i", "create", "pods/exec", "--as=jane"]).out, "no\n");
    kubectl.ok(&["create", "rolebinding", "run", "--role=run", "--user=jane"]);
    assert_eq!(kubectl.ok(&["exec", "p", "--as=jane", "--", "echo", "hello"]), "hello\n");
}

#[test]
fn files_are_copied_both_ways() {
    let plane = Switchboard::start(&["--bare"]);
    let kubectl = plane.kubectl();
    let mut with_volume = pod("p", json!({"volumeMounts": [{"name": "v", "mountPath": "/data"}]}));
    with_volume["spec"]["volumes"] = json!([{"name": "v", "emptyDir": {}}]);
    kubectl.apply(&[with_volume]);
    kubectl.wait("default", "pod/p", "condition=Ready");
    let folder = Folder::new();
    let (here, there) = (folder.path().join("here"), folder.path().join("there"));
    std::fs::create_dir_all(here.join("inner")).unwrap();
    std::fs::write(here.join("one"), "1".repeat(300_000)).unwrap();
    std::fs::write(here.join("inner/two"), "2").unwrap();
    let path = |path: &std::path::Path| path.to_str().unwrap().to_owned();
    // A relative path is in the container's own folder, a mounted one in its volume.
    for (place, name) in [("copied", "copied"), ("/data/copied", "/data/copied")] {
        kubectl.ok(&["cp", &path(&here), &format!("p:{place}")]);
        assert_eq!(kubectl.ok(&["exec", "p", "--", "cat", &format!("{name}/inner/two")]), "2");
        kubectl.ok(&["cp", &format!("p:{place}"), &path(&there)]);
        assert_eq!(std::fs::read(there.join("one")).unwrap(), std::fs::read(here.join("one")).unwrap());
        std::fs::remove_dir_all(&there).unwrap();
    }
}

#[test]
fn one_attaches_to_what_runs_and_runs_what_one_is_attached_to() {
    let plane = Switchboard::start(&["--bare"]);
    let kubectl = plane.kubectl();
    let echo = "(while :; do echo tick; sleep 0.05; done) & while read line; do echo got $line; done; echo over";
    kubectl.apply(&[pod("p", json!({"stdin": true, "stdinOnce": true, "command": ["sh", "-c", echo]}))]);
    kubectl.wait("default", "pod/p", "jsonpath={.status.phase}=Running");
    let along = kubectl.follow(&["attach", "p"]);
    let from = along.line(0, |line| line == "tick");
    let attached = kubectl.ok_with(&["attach", "-i", "p"], "this\nthat\n", &[]);
    assert!(attached.contains("got that\n") && attached.contains("over\n"), "{attached}");
    along.line(from, |line| line == "got that");
    assert_eq!(along.ends(), 0);
    kubectl.wait("default", "pod/p", "jsonpath={.status.phase}=Succeeded");

    let ran = ["run", "r", "--rm", "-i", "--quiet", "--image=switchboard", "--restart=Never", "--command", "--", "sh", "-c"];
    let ran = kubectl.ok_with(&[&ran[..], &["read line; echo got $line"]].concat(), "this\n", &[]);
    assert!(ran.contains("got this"), "{ran}");
    let typed = ["run", "t", "--rm", "-it", "--image=switchboard", "--restart=Never", "--command", "--", "sh"];
    let (shown, _) = at_terminal(&kubectl, &typed, "stty size; echo $((6*7)); exit\n");
    assert!(shown.contains("42\r\n"), "{shown}");
    assert_eq!(kubectl.ok(&["get", "pods", "-o", "name"]), "pod/p\n");
}

#[test]
fn a_slow_reader_holds_the_program_up_and_loses_nothing() {
    let plane = Switchboard::start(&["--bare"]);
    let kubectl = plane.kubectl();
    kubectl.apply(&[pod("p", json!({}))]);
    kubectl.wait("default", "pod/p", "condition=Ready");
    let cluster = Cluster::new(&plane.kubeconfig());
    let pods: Api<Pod> = Api::default_namespaced(cluster.client());
    // The most memory the plane has had so far.
    let memory = || {
        let text = std::fs::read_to_string(format!("/proc/{}/status", plane.id())).unwrap();
        let line = text.lines().find(|line| line.starts_with("VmHWM")).unwrap().to_owned();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
    };
    let before = memory();
    cluster.block_on(async {
        // 64 MiB through pipes, sockets and buffers that hold a small part of it.
        let mut session = pods.exec("p", ["sh", "-c", "head -c 67108864 /dev/zero; echo end"], &AttachParams::default()).await.unwrap();
        let mut output = session.stdout().unwrap();
        let mut first = [0; 1];
        output.read_exact(&mut first).await.unwrap();
        let mut rest = Vec::new();
        output.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest.len(), (64 << 20) + 3);
        assert!(rest.ends_with(b"end\n"));
        assert!(memory() < before + 32, "the plane kept what was to be read");

        // Input, its end, and the exit code as a Status.
        let mut session = pods.exec("p", ["sh", "-c", "cat; exit 3"], &AttachParams::default().stdin(true).stderr(false)).await.unwrap();
        let (status, mut input, mut output) = (session.take_status().unwrap(), session.stdin().unwrap(), session.stdout().unwrap());
        input.write_all(b"typed").await.unwrap();
        input.shutdown().await.unwrap();
        drop(input);
        let mut text = String::new();
        output.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "typed");
        let status = status.await.unwrap();
        assert_eq!(status.reason.as_deref(), Some("NonZeroExitCode"));
        assert_eq!(status.details.unwrap().causes.unwrap()[0].message.as_deref(), Some("3"));
    });
}
