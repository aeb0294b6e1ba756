//! Pods with real child processes.

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use serde_json::{Value, json};

use super::world::{Memory, World, alive, condition, plain_launcher, pod, shell, until_dead};
use crate::node::LogRequest;
use crate::node::testing::Folder;

#[tokio::test]
async fn a_pod_that_ends_well_succeeds_with_its_exit_code_times_and_events() {
    let world = World::start(shell("Never", "echo hello; echo oops >&2", json!({})));
    let status = world.until_phase("Succeeded").await;
    let ended = &status["containerStatuses"][0]["state"]["terminated"];
    assert_eq!((&ended["exitCode"], &ended["reason"]), (&json!(0), &json!("Completed")), "{status:#}");
    assert!(ended["startedAt"].is_string() && ended["finishedAt"].is_string());
    assert_eq!(status["podIP"], "127.7.7.7");
    assert_eq!(condition(&status, "Ready"), "False");
    let log = world.log(LogRequest::default()).await;
    assert!(log.contains("hello\n") && log.contains("oops\n"), "{log}");
    assert_eq!(world.reasons(), ["Pulled", "Created", "Started"]);
}

#[tokio::test]
async fn a_failing_container_is_restarted_at_once_and_then_backs_off() {
    let world = World::start(shell("Always", "echo life; exit 3", json!({})));
    let status =
        world.until("a back-off", |status| status["containerStatuses"][0]["state"]["waiting"]["reason"] == "CrashLoopBackOff").await;
    let container = &status["containerStatuses"][0];
    assert_eq!(container["lastState"]["terminated"]["exitCode"], 3);
    assert_eq!(container["restartCount"], 1, "the first restart does not wait");
    assert_eq!(status["phase"], "Running");
    world.until("more restarts", |status| status["containerStatuses"][0]["restartCount"].as_i64() >= Some(3)).await;
    assert_eq!(world.log(LogRequest { previous: true, ..LogRequest::default() }).await, "life\n");
    assert!(world.reasons().contains(&"BackOff"));
}

#[tokio::test]
async fn on_failure_restarts_until_it_works_and_never_does_not() {
    let text = "echo x >> $COUNT; test $(wc -l < $COUNT) -ge 2";
    let more = json!({"env": [{"name": "COUNT", "value": "/data/count"}], "volumeMounts": [{"name": "v", "mountPath": "/data"}]});
    let mut again = shell("OnFailure", text, more);
    again["spec"]["volumes"] = json!([{"name": "v", "emptyDir": {}}]);
    let mut once = again.clone();
    once["spec"]["restartPolicy"] = json!("Never");
    let status = World::start(again).until_phase("Succeeded").await;
    assert_eq!(status["containerStatuses"][0]["restartCount"], 1);
    let status = World::start(once).until_phase("Failed").await;
    assert_eq!(status["containerStatuses"][0]["state"]["terminated"]["reason"], "Error");
}

#[tokio::test]
async fn init_containers_run_in_order_before_the_others_and_side_containers_live_beside_them() {
    let step = |name: &str, text: &str| json!({"name": name, "image": "shell", "args": [text], "volumeMounts": [{"name": "v", "mountPath": "/v"}]});
    let mut side = step("side", "echo side >> /v/order; trap 'echo bye >> /v/order; exit 0' TERM; while :; do sleep 0.05; done");
    side["restartPolicy"] = json!("Always");
    side["startupProbe"] = json!({"exec": {"command": ["grep", "side", "/v/order"]}, "periodSeconds": 1});
    let world = World::start(pod(json!({
        "restartPolicy": "Never", "volumes": [{"name": "v", "emptyDir": {}}],
        "initContainers": [step("one", "echo one >> /v/order"), side, step("two", "echo two >> /v/order")],
        "containers": [step("main", "echo main >> /v/order; cat /v/order")],
    })));
    let status = world.until_phase("Succeeded").await;
    assert_eq!(condition(&status, "Initialized"), "True");
    let log = world.log(LogRequest { container: "main".into(), ..LogRequest::default() }).await;
    assert_eq!(log, "one\nside\ntwo\nmain\n");
    world.until("the side container ended", |status| status["initContainerStatuses"][1]["state"]["terminated"]["exitCode"] == 0).await;
    assert!(std::fs::read_to_string(world.pod_folder().join("volumes/v/order")).unwrap().ends_with("bye\n"));
}

#[tokio::test]
async fn a_failed_init_container_fails_a_pod_that_never_restarts() {
    let step = |name: &str, text: &str| json!({"name": name, "image": "shell", "args": [text]});
    let world =
        World::start(pod(json!({"restartPolicy": "Never", "initContainers": [step("i", "exit 1")], "containers": [step("c", "exit 0")]})));
    let status = world.until_phase("Failed").await;
    assert!(status["containerStatuses"][0]["state"]["waiting"].is_object(), "the main container never started: {status:#}");
}

#[tokio::test]
async fn environment_comes_from_all_its_sources_and_is_expanded() {
    let cluster = Memory::default();
    cluster.config_maps.lock().unwrap().push(serde_json::from_value(json!({"metadata": {"name": "m"}, "data": {"color": "red"}})).unwrap());
    cluster.secrets.lock().unwrap().push(serde_json::from_value(json!({"metadata": {"name": "s"}, "data": {"key": "c2VjcmV0"}})).unwrap());
    let more = json!({
        "envFrom": [{"prefix": "P_", "configMapRef": {"name": "m"}}, {"secretRef": {"name": "none", "optional": true}}],
        "env": [
            {"name": "A", "value": "$(P_color)-$$(A)-$(NONE)"}, {"name": "S", "valueFrom": {"secretKeyRef": {"name": "s", "key": "key"}}},
            {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}, {"name": "L", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['app']"}}},
            {"name": "O", "valueFrom": {"configMapKeyRef": {"name": "m", "key": "none", "optional": true}}},
        ],
        "args": ["echo $A $S $IP $L ${O-unset} $(IP)"],
    });
    let world = World::start_in(Arc::new(Folder::new()), Arc::new(cluster), shell("Never", "", more), plain_launcher());
    world.until_phase("Succeeded").await;
    assert_eq!(world.log(LogRequest::default()).await, "red-$(A)-$(NONE) secret 127.7.7.7 x unset 127.7.7.7\n");
}

#[tokio::test]
async fn what_is_missing_is_named_and_may_come_later() {
    let more = json!({"env": [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "late", "key": "k"}}}], "args": ["echo $A"]});
    let world = World::start(shell("Never", "", more));
    let waiting = |status: &Value| status["containerStatuses"][0]["state"]["waiting"].clone();
    let status = world.until("CreateContainerConfigError", |status| waiting(status)["reason"] == "CreateContainerConfigError").await;
    assert_eq!(waiting(&status)["message"], "configmap \"late\" not found");
    world
        .cluster
        .config_maps
        .lock()
        .unwrap()
        .push(serde_json::from_value(json!({"metadata": {"name": "late"}, "data": {"k": "v"}})).unwrap());
    world.until_phase("Succeeded").await;
    assert_eq!(world.log(LogRequest::default()).await, "v\n");
}

#[tokio::test]
async fn volumes_are_folders_with_the_right_files_and_modes() {
    let cluster = Memory::default();
    cluster
        .config_maps
        .lock()
        .unwrap()
        .push(serde_json::from_value(json!({"metadata": {"name": "m"}, "data": {"a": "1", "b": "2"}})).unwrap());
    cluster.secrets.lock().unwrap().push(serde_json::from_value(json!({"metadata": {"name": "s"}, "data": {"key": "c2VjcmV0"}})).unwrap());
    let mount = |name: &str| json!({"name": name, "mountPath": format!("/{name}")});
    let mut one = mount("map");
    one["mountPath"] = json!("/etc/one.txt");
    one["subPath"] = json!("sub/b");
    let mut spec = shell(
        "Never",
        "cat /map/sub/b /etc/one.txt /secret/key /all/name /all/token; echo kept > /claim/file",
        json!({
            "volumeMounts": [mount("map"), one, mount("secret"), mount("all"), mount("claim")],
        }),
    );
    spec["spec"]["volumes"] = json!([
        {"name": "map", "configMap": {"name": "m", "items": [{"key": "b", "path": "sub/b"}]}}, {"name": "secret", "secret": {"secretName": "s", "defaultMode": 0o644}},
        {"name": "all", "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}, {"downwardAPI": {"items": [{"path": "name", "fieldRef": {"fieldPath": "metadata.name"}}]}}]}},
        {"name": "claim", "persistentVolumeClaim": {"claimName": "c"}},
    ]);
    let mut world = World::start_in(Arc::new(Folder::new()), Arc::new(cluster), spec, plain_launcher());
    world.until_phase("Succeeded").await;
    assert_eq!(world.log(LogRequest::default()).await, "22secretptoken");
    let secret = std::fs::metadata(world.pod_folder().join("volumes/secret/key")).unwrap();
    assert_eq!(secret.permissions().mode() & 0o777, 0o600, "a secret is nobody else's");
    world.delete(0);
    world.until_removed().await;
    assert!(!world.pod_folder().exists(), "the pod's folder goes with it");
    assert_eq!(std::fs::read_to_string(world.folder.path().join("claims/claim-c/file")).unwrap(), "kept\n", "a claim stays");
}

#[tokio::test]
async fn an_unmapped_image_and_a_missing_program_say_what_to_do() {
    let world = World::start(shell("Always", "", json!({"image": "nothing:2"})));
    let status = world.until("ErrImagePull", |status| status["containerStatuses"][0]["state"]["waiting"]["reason"] == "ErrImagePull").await;
    let message = status["containerStatuses"][0]["state"]["waiting"]["message"].as_str().unwrap().to_owned();
    assert!(message.contains("mapped images are shell"), "{message}");
    let world = World::start(shell("Never", "", json!({"command": ["no-such-program"]})));
    let status = world.until_phase("Failed").await;
    let ended = &status["containerStatuses"][0]["state"]["terminated"];
    assert_eq!((&ended["reason"], &ended["exitCode"]), (&json!("StartError"), &json!(128)));
    assert!(ended["message"].as_str().unwrap().contains("\"no-such-program\""), "{ended}");
}

#[tokio::test]
async fn readiness_follows_its_probe_and_liveness_restarts() {
    let text = "mkdir -p /v; touch /v/alive /v/ready; while :; do sleep 0.05; done";
    // One failure counts, so the time limit must not be what fails where the machine is busy.
    let exec =
        |file: &str| json!({"exec": {"command": ["test", "-e", file]}, "periodSeconds": 1, "failureThreshold": 1, "timeoutSeconds": 20});
    let mut spec = shell(
        "Always",
        text,
        json!({
            "volumeMounts": [{"name": "v", "mountPath": "/v"}], "readinessProbe": exec("/v/ready"), "livenessProbe": exec("/v/alive"),
            "startupProbe": {"exec": {"command": ["test", "-e", "/v/alive"]}, "periodSeconds": 1, "timeoutSeconds": 20},
        }),
    );
    spec["spec"]["volumes"] = json!([{"name": "v", "emptyDir": {}}]);
    let world = World::start(spec);
    world.until_ready().await;
    let volume = world.pod_folder().join("volumes/v");
    std::fs::remove_file(volume.join("ready")).unwrap();
    let status = world.until("not ready", |status| condition(status, "Ready") == "False").await;
    assert_eq!(status["containerStatuses"][0]["restartCount"], 0);
    std::fs::remove_file(volume.join("alive")).unwrap();
    let status = world.until("restarted", |status| status["containerStatuses"][0]["restartCount"] == 1).await;
    assert_eq!(status["containerStatuses"][0]["lastState"]["terminated"]["signal"], 15);
    world.until_ready().await;
    let reasons = world.reasons();
    assert!(reasons.contains(&"Unhealthy") && reasons.contains(&"Killing"), "{reasons:?}");
}

#[tokio::test]
async fn http_and_tcp_probes_reach_the_pod_at_its_address() {
    let serve = json!({
        "command": ["python3", "-m", "http.server", "18123", "--bind", "$(IP)"], "args": [],
        "env": [{"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}], "ports": [{"name": "web", "containerPort": 18123}],
        "startupProbe": {"tcpSocket": {"port": "web"}, "periodSeconds": 1, "failureThreshold": 20},
        "readinessProbe": {"httpGet": {"path": "/", "port": "web"}, "periodSeconds": 1},
    });
    let mut world = World::start(shell("Always", "", serve.clone()));
    world.until_ready().await;
    world.delete(5);
    world.until_removed().await;
    let mut bad = serve;
    bad["readinessProbe"]["httpGet"]["path"] = json!("/none");
    let world = World::start(shell("Always", "", bad));
    let unhealthy = async {
        while !world
            .cluster
            .notes
            .lock()
            .unwrap()
            .iter()
            .any(|note| note.message == "Readiness probe failed: HTTP probe failed with statuscode: 404")
        {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), unhealthy).await.unwrap();
    world.shutdown.cancel();
    world.task.await.unwrap();
}

#[tokio::test]
async fn deletion_asks_then_insists_and_leaves_no_descendant() {
    let text = "trap '' TERM; setsid sleep 1000 & echo $!; echo ready; while :; do sleep 0.05; done";
    let mut world = World::start(shell("Always", text, json!({"readinessProbe": {"exec": {"command": ["true"]}, "periodSeconds": 1}})));
    world.until_ready().await;
    let descendant: i32 = {
        let log = async {
            loop {
                let log = world.log(LogRequest::default()).await;
                if log.contains("ready") {
                    break log.lines().next().unwrap().parse().unwrap();
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(10), log).await.unwrap()
    };
    assert!(alive(descendant));
    world.delete(1);
    let status = world.until("killed", |status| status["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 137).await;
    assert_eq!(status["containerStatuses"][0]["state"]["terminated"]["signal"], 9);
    world.until_removed().await;
    until_dead(descendant).await;
}

#[tokio::test]
async fn shutdown_writes_nothing_and_the_next_agent_goes_on_with_the_same_address() {
    let (folder, cluster) = (Arc::new(Folder::new()), Arc::new(Memory::default()));
    let mut pod = shell("Always", "while :; do sleep 0.05; done", json!({}));
    let world = World::start_in(Arc::clone(&folder), Arc::clone(&cluster), pod.clone(), plain_launcher());
    let status = world.until_ready().await;
    let writes = cluster.writes.lock().unwrap().len();
    world.shutdown.cancel();
    world.task.await.unwrap();
    assert_eq!(cluster.writes.lock().unwrap().len(), writes);
    pod["status"] = status;
    let world = World::start_in(folder, cluster, pod, plain_launcher());
    let status = world.until("restarted", |status| status["containerStatuses"][0]["restartCount"] == 1).await;
    assert_eq!(status["containerStatuses"][0]["lastState"]["terminated"]["reason"], "ContainerStatusUnknown");
    assert_eq!(status["podIP"], "127.7.7.7");
    world.until_ready().await;
    world.shutdown.cancel();
    world.task.await.unwrap();
}

#[tokio::test]
async fn a_pod_past_its_deadline_fails_and_its_processes_end() {
    let mut pod = shell("Always", "while :; do sleep 0.05; done", json!({}));
    pod["spec"]["activeDeadlineSeconds"] = json!(1);
    let world = World::start(pod);
    let status = world.until_phase("Failed").await;
    assert_eq!(status["reason"], "DeadlineExceeded");
    world.until("ended", |status| status["containerStatuses"][0]["state"]["terminated"].is_object()).await;
}

#[tokio::test]
async fn hooks_run_after_the_start_and_before_the_end() {
    let more = json!({
        "volumeMounts": [{"name": "v", "mountPath": "/v"}],
        "lifecycle": {
            "postStart": {"exec": {"command": ["sh", "-c", "echo hello > /v/hook"]}}, "preStop": {"exec": {"command": ["sh", "-c", "echo bye >> /host/hook"]}},
        },
    });
    let mut pod = shell("Always", "while :; do sleep 0.05; done", more);
    let outside = Folder::new();
    pod["spec"]["volumes"] =
        json!([{"name": "v", "hostPath": {"path": outside.path()}}, {"name": "h", "hostPath": {"path": outside.path()}}]);
    pod["spec"]["containers"][0]["volumeMounts"] = json!([{"name": "v", "mountPath": "/v"}, {"name": "h", "mountPath": "/host"}]);
    let mut world = World::start(pod);
    world.until_ready().await;
    assert_eq!(std::fs::read_to_string(outside.path().join("hook")).unwrap(), "hello\n");
    world.delete(5);
    world.until_removed().await;
    assert_eq!(std::fs::read_to_string(outside.path().join("hook")).unwrap(), "hello\nbye\n");
}

#[tokio::test]
async fn no_number_of_seconds_is_too_large() {
    let mut spec = shell("Never", "while :; do sleep 0.05; done", json!({}));
    spec["spec"]["activeDeadlineSeconds"] = json!(i64::MAX);
    spec["spec"]["terminationGracePeriodSeconds"] = json!(i64::MAX);
    let mut world = World::start(spec);
    world.until_ready().await;
    world.delete(i64::MAX);
    world.until_removed().await;
}
