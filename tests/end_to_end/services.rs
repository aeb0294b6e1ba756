//! Services as pods and people use them: addresses, node ports, who answers; and what a pod finds in its surroundings.

use std::net::TcpListener;
use std::process::Command;

use harness::kubectl::Kubectl;
use harness::switchboard::Switchboard;
use harness::wait;
use rustix::process::Signal;
use serde_json::{Value, json};

/// Answers with its name, at the address of its pod.
const SERVER: &str = r#"
import http.server, os, socketserver
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = os.environ["NAME"].encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args):
        pass
class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    allow_reuse_address = True
Server((os.environ["IP"], 8080), Handler).serve_forever()
"#;

/// A plane on which the images `python` and `shell` are programs of this machine.
fn plane() -> Switchboard {
    Switchboard::start(&["--bare", "--image=example.com/python=python3", "--image=shell=/bin/sh"])
}

fn server(name: &str) -> Value {
    let field = |path: &str| json!({"fieldRef": {"fieldPath": path}});
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": "web"}},
        "spec": {"terminationGracePeriodSeconds": 1, "containers": [{
            "name": "server", "image": "example.com/python:3", "args": ["-c", SERVER],
            "env": [{"name": "NAME", "valueFrom": field("metadata.name")}, {"name": "IP", "valueFrom": field("status.podIP")}],
            "ports": [{"name": "http", "containerPort": 8080}],
            // A server that is slow on a loaded machine is ready nevertheless.
            "readinessProbe": {"httpGet": {"path": "/", "port": "http"}, "periodSeconds": 1, "timeoutSeconds": 20, "failureThreshold": 1},
        }]},
    })
}

fn service(name: &str, spec: Value) -> Value {
    let mut spec = spec;
    spec["selector"] = json!({"app": "web"});
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec})
}

/// What curl gets from there; its exit code where that is nothing.
fn curl(url: &str) -> Result<String, i32> {
    let output = Command::new("curl").args(["-sS", "--max-time", "10", url]).output().unwrap();
    if output.status.success() { Ok(String::from_utf8(output.stdout).unwrap()) } else { Err(output.status.code().unwrap_or(-1)) }
}

/// Exit code of curl where nobody listens.
const REFUSED: Result<String, i32> = Err(7);

fn address(kubectl: &Kubectl, service: &str) -> String {
    kubectl.field("default", &format!("service/{service}"), "{.spec.clusterIP}")
}

#[test]
fn connections_go_to_pods_that_are_ready_and_addresses_last_as_long_as_their_services() {
    let mut plane = plane();
    let kubectl = plane.kubectl();
    kubectl.apply(&[service("web", json!({"ports": [{"port": 8000, "targetPort": "http"}]}))]);
    let before = address(&kubectl, "web");
    let url = format!("http://{before}:8000/");
    assert_eq!(curl(&url), REFUSED, "nobody is ready");
    kubectl.apply(&[server("one"), server("two")]);
    kubectl.wait("default", "pod/one", "condition=Ready");
    kubectl.wait("default", "pod/two", "condition=Ready");
    let mut seen = std::collections::BTreeSet::new();
    wait::until_true("answers of both pods", wait::SOON, || {
        seen.extend(curl(&url));
        seen.len() == 2
    });
    assert_eq!(seen, ["one".to_owned(), "two".to_owned()].into());

    // One goes: once it is not ready nobody gets to it, and from its very end on others answer in its place.
    kubectl.ok(&["delete", "pod", "one", "--timeout=60s"]);
    for _ in 0..10 {
        assert_eq!(curl(&url), Ok("two".to_owned()));
    }
    // Written beside what connections follow. Not by `kubectl wait`, which fails where there are two of them.
    wait::until_true("the endpoints to name the other alone", wait::SOON, || {
        kubectl.field("default", "endpoints/web", "{.subsets[*].addresses[*].targetRef.name}") == "two"
    });

    // The plane is killed: the address is the same, and the pod is back at it.
    plane.kill();
    plane.start_again();
    assert_eq!(address(&kubectl, "web"), before);
    wait::until_true("the pod to answer again", wait::SOON, || curl(&url) == Ok("two".to_owned()));
    let refused = kubectl.refused(&["patch", "service", "web", "--type=merge", "-p", r#"{"spec":{"clusterIP":"127.1.130.7"}}"#], "");
    assert!(refused.contains("may not change once set"), "{refused}");
    kubectl.ok(&["delete", "service", "web"]);
    wait::until_true("the address to be given up", wait::SOON, || curl(&url) == REFUSED);
    plane.stop(Signal::TERM);
}

#[test]
fn services_of_every_type_get_what_they_ask_for() {
    let plane = plane();
    let kubectl = plane.kubectl();
    kubectl.apply(&[server("one")]);
    kubectl.wait("default", "pod/one", "condition=Ready");
    // A port of the node that is free now.
    let port = (30_000..32_767).rev().find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).unwrap();
    let port = json!({"port": 80, "targetPort": 8080, "nodePort": port});
    kubectl.apply(&[
        service("node", json!({"type": "NodePort", "ports": [port]})),
        service("balanced", json!({"type": "LoadBalancer", "ports": [{"port": 8000, "targetPort": 8080}]})),
        service("headless", json!({"clusterIP": "None", "ports": [{"port": 8080}]})),
    ]);
    let url = format!("http://127.0.0.1:{}/", port["nodePort"]);
    wait::until_true("an answer at the node's port", wait::SOON, || curl(&url) == Ok("one".to_owned()));
    kubectl.wait_for_field("default", "service/balanced", "{.status.loadBalancer.ingress[0].ip}", &address(&kubectl, "balanced"));
    assert!(!kubectl.field("default", "service/balanced", "{.spec.ports[0].nodePort}").is_empty());
    assert_eq!(address(&kubectl, "headless"), "None");
    let pod = kubectl.field("default", "pod/one", "{.status.podIP}");
    let slice = "{.items[0].endpoints[0].addresses[0]}";
    let slices = ["get", "endpointslices", "-l", "kubernetes.io/service-name=headless", "-o", &format!("jsonpath={slice}")];
    wait::until_true("the slice of the headless service", wait::SOON, || kubectl.ok(&slices) == pod);

    // Server-side apply gives an address too, and the same again changes nothing.
    let text = service("applied", json!({"ports": [{"port": 80, "targetPort": 8080}]})).to_string();
    for _ in 0..2 {
        kubectl.ok_with(&["apply", "--server-side", "-f", "-"], &text, &[]);
    }
    let applied = address(&kubectl, "applied");
    wait::until_true("an answer", wait::SOON, || curl(&format!("http://{applied}/")) == Ok("one".to_owned()));
    let taken = service("other", json!({"clusterIP": applied, "ports": [{"port": 80}]})).to_string();
    assert!(kubectl.refused(&["create", "-f", "-"], &taken).contains("already allocated"));
    let outside = service("other", json!({"clusterIP": "10.1.2.3", "ports": [{"port": 80}]})).to_string();
    assert!(kubectl.refused(&["create", "-f", "-"], &outside).contains("not in the valid range"));
}

#[test]
fn a_pod_reaches_the_api_server_as_its_service_account_and_no_further() {
    let plane = plane();
    let kubectl = plane.kubectl();
    let rule = json!({"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list"]});
    kubectl.apply(&[
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "reader"}}),
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "reader"}, "rules": [rule]}),
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "reader"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"},
            "subjects": [{"kind": "ServiceAccount", "name": "reader", "namespace": "default"}]}),
        service("back-end", json!({"ports": [{"name": "web", "port": 8000}]})),
    ]);
    let program = std::path::PathBuf::from(kubectl.command(&[]).get_program()).canonicalize().unwrap();
    // kubectl is this machine's, also where it is below /tmp: quotes keep its path from being taken for one inside the mount.
    let program = program.display().to_string().replacen('/', "/''", 1);
    // The mount over /tmp must not lead the pod away from what the node gives it.
    let script = format!(
        "{kubectl} auth whoami -o jsonpath='{{.status.userInfo.username}}' && echo
         {kubectl} get configmap kube-root-ca.crt -o name
         {kubectl} get secrets 2>&1
         curl -sS --cacert /var/run/secrets/kubernetes.io/serviceaccount/ca.crt \
           -H \"Authorization: Bearer $(cat /var/run/secrets/kubernetes.io/serviceaccount/token)\" \
           https://$KUBERNETES_SERVICE_HOST:$KUBERNETES_SERVICE_PORT/api/v1/namespaces/$(cat /var/run/secrets/kubernetes.io/serviceaccount/namespace)/configmaps/kube-root-ca.crt \
           -o /tmp/answer -w 'through the service: %{{http_code}}\\n'
         test -s /tmp/answer && test -w $TMPDIR && echo kept
         echo \"$BACK_END_SERVICE_HOST:$BACK_END_SERVICE_PORT_WEB\"",
        kubectl = program
    );
    let pod = |name: &str, more: Value| {
        let container = json!({"name": "c", "image": "shell", "args": ["-c", script],
            "volumeMounts": [{"name": "scratch", "mountPath": "/tmp"}]});
        let mut spec = json!({"restartPolicy": "Never", "containers": [container], "volumes": [{"name": "scratch", "emptyDir": {}}]});
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec})
    };
    kubectl.apply(&[pod("reader", json!({"serviceAccountName": "reader"}))]);
    kubectl.wait_for_field("default", "pod/reader", "{.status.phase}", "Succeeded");
    let log = kubectl.ok(&["logs", "reader"]);
    let lines: Vec<&str> = log.lines().collect();
    assert_eq!(lines[0], "system:serviceaccount:default:reader", "{log}");
    assert_eq!(lines[1], "configmap/kube-root-ca.crt", "{log}");
    assert!(lines[2].contains("forbidden") && lines[2].contains("system:serviceaccount:default:reader"), "{log}");
    assert_eq!(lines[3], "through the service: 200", "{log}");
    assert_eq!(lines[4], "kept", "{log}");
    assert_eq!(lines[5], format!("{}:8000", address(&kubectl, "back-end")), "{log}");

    // One that wants no token has none.
    let bare = json!({"name": "c", "image": "shell", "args": ["-c", "echo \"[$KUBECONFIG][$KUBERNETES_SERVICE_PORT]\""]});
    let spec = json!({"restartPolicy": "Never", "automountServiceAccountToken": false, "enableServiceLinks": false, "containers": [bare]});
    kubectl.apply(&[json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "bare"}, "spec": spec})]);
    kubectl.wait_for_field("default", "pod/bare", "{.status.phase}", "Succeeded");
    assert!(kubectl.ok(&["logs", "bare"]).starts_with("[]["));
}

#[test]
fn an_image_is_this_program_or_a_mapped_one_or_says_how_to_map_it() {
    let plane = plane();
    let kubectl = plane.kubectl();
    let pod = |name: &str, image: &str, container: Value| {
        let mut all = json!({"name": "c", "image": image});
        all.as_object_mut().unwrap().extend(container.as_object().unwrap().clone());
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {"restartPolicy": "Never", "containers": [all]}})
    };
    kubectl.apply(&[
        pod(
            "own",
            "registry.example.com:5000/tools/switchboard:9.9@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
            json!({"args": ["--version"]}),
        ),
        pod("replaced", "shell:2", json!({"command": ["/entrypoint/of/the/image", "-c", "echo from here"]})),
        pod("missing", "nginx:1", json!({})),
    ]);
    kubectl.wait_for_field("default", "pod/own", "{.status.phase}", "Succeeded");
    assert!(kubectl.ok(&["logs", "own"]).starts_with("switchboard "));
    kubectl.wait_for_field("default", "pod/replaced", "{.status.phase}", "Succeeded");
    assert_eq!(kubectl.ok(&["logs", "replaced"]), "from here\n");
    kubectl.wait_for_field("default", "pod/missing", "{.status.containerStatuses[0].state.waiting.reason}", "ErrImagePull");
    let why = kubectl.field("default", "pod/missing", "{.status.containerStatuses[0].state.waiting.message}");
    assert!(why.contains("\"nginx:1\"") && why.ends_with("start switchboard up with --image NAME=PROGRAM"), "{why}");

    // A claim that names no class gets the one there is.
    let claim = json!({"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}});
    kubectl.apply(&[json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "disk"}, "spec": claim})]);
    kubectl.wait_for_field("default", "pvc/disk", "{.status.phase}", "Bound");
    assert_eq!(kubectl.field("default", "pvc/disk", "{.spec.storageClassName}"), "standard");

    // The service of the API server comes back when it is deleted.
    kubectl.ok(&["delete", "service", "kubernetes"]);
    wait::until_true("the service kubernetes", wait::SOON, || kubectl.run(&["get", "service", "kubernetes"]).code == 0);
}
