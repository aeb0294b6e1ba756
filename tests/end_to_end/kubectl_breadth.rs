//! Every way in which kubectl makes and changes objects without a file, with no flag that a cluster would not need; and what was stored of it.

use harness::folder::Folder;
use harness::kubectl::Kubectl;
use harness::switchboard::Switchboard;
use harness::wait;
use serde_json::{Value, json};

/// A namespace of a plane.
struct Place {
    kubectl: Kubectl,
    namespace: &'static str,
}

impl Place {
    fn new(plane: &Switchboard, namespace: &'static str) -> Self {
        let kubectl = plane.kubectl();
        assert_eq!(kubectl.ok(&["create", "namespace", namespace]), format!("namespace/{namespace} created\n"));
        Self { kubectl, namespace }
    }

    /// Runs a line of words, quoted where a word holds blanks, and must succeed.
    fn ok(&self, line: &str) -> String {
        let words = words(line);
        let mut words: Vec<&str> = words.iter().map(String::as_str).collect();
        let end = words.iter().position(|word| *word == "--").unwrap_or(words.len());
        words.splice(end..end, ["-n", self.namespace]);
        self.kubectl.ok(&words)
    }

    /// What is stored of an object at a JSON pointer.
    fn stored(&self, name: &str, pointer: &str) -> Value {
        let object = self.kubectl.object(self.namespace, name);
        object.pointer(pointer).cloned().unwrap_or_else(|| panic!("{name} has no {pointer}: {object:#}"))
    }

    #[track_caller]
    fn assert_stored(&self, name: &str, pointer: &str, wanted: Value) {
        assert_eq!(self.stored(name, pointer), wanted, "{name} {pointer}");
    }
}

fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    for letter in line.chars() {
        match letter {
            '\'' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            other => words.last_mut().unwrap().push(other),
        }
    }
    words
}

#[test]
fn everything_that_kubectl_creates_is_stored_as_asked() {
    let plane = Switchboard::start(&["--bare"]);
    let place = Place::new(&plane, "breadth");
    configuration(&place);
    rights(&place);
    workloads(&place);
    services(&place);
    policies(&place);
    // Nothing of it is shared between names, and a dry run stores nothing.
    let taken = place.kubectl.refused(&["create", "configmap", "cm", "-n", "breadth"], "");
    assert_eq!(taken, "error: failed to create configmap: configmaps \"cm\" already exists\n");
    place.ok("create configmap dry --dry-run=server");
    assert!(place.kubectl.refused(&["get", "configmap", "dry", "-n", "breadth"], "").contains("NotFound"));
}

fn configuration(place: &Place) {
    let folder = Folder::new();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (plain, binary) = (file("plain", "text\n"), folder.path().join("binary"));
    std::fs::write(&binary, [0xff, 0xfe]).unwrap();
    place.ok(&format!("create configmap cm --from-literal=a=b --from-file={plain} --from-file={}", binary.display()));
    place.assert_stored("cm/cm", "/data", json!({"a": "b", "plain": "text\n"}));
    place.assert_stored("cm/cm", "/binaryData", json!({"binary": "//4="}));
    place.ok("create secret generic generic --from-literal=p=x --type=example.org/own");
    place.assert_stored("secret/generic", "/data/p", json!("eA=="));
    place.assert_stored("secret/generic", "/type", json!("example.org/own"));
    let made = rcgen::generate_simple_self_signed(vec!["x".to_owned()]).unwrap();
    let (certificate, key) = (file("tls.crt", &made.cert.pem()), file("tls.key", &made.signing_key.serialize_pem()));
    place.ok(&format!("create secret tls tls --cert={certificate} --key={key}"));
    place.assert_stored("secret/tls", "/type", json!("kubernetes.io/tls"));
    place.ok("create secret docker-registry registry --docker-server=reg.example --docker-username=u --docker-password=p");
    place.assert_stored("secret/registry", "/type", json!("kubernetes.io/dockerconfigjson"));
    place.ok("create serviceaccount account");
    let token = place.ok("create token account --duration=20m");
    let who = place.kubectl.ok(&["auth", "whoami", "--token", token.trim(), "-o", "jsonpath={.status.userInfo.username}"]);
    assert_eq!(who, "system:serviceaccount:breadth:account");
    place.ok("create quota quota --hard=pods=10,requests.cpu=1500m --scopes=BestEffort");
    place.assert_stored("quota/quota", "/spec", json!({"hard": {"pods": "10", "requests.cpu": "1500m"}, "scopes": ["BestEffort"]}));
}

fn rights(place: &Place) {
    let kubectl = &place.kubectl;
    place.ok("create role role --verb=get,list --resource=pods,deployments.apps --resource-name=one");
    let rules = place.stored("role/role", "/rules");
    assert_eq!(rules.as_array().unwrap().len(), 2, "{rules}");
    place.ok("create rolebinding binding --role=role --serviceaccount=breadth:account --user=jane --group=them");
    place.assert_stored("rolebinding/binding", "/roleRef/name", json!("role"));
    assert_eq!(place.stored("rolebinding/binding", "/subjects").as_array().unwrap().len(), 3);
    kubectl.ok(&["create", "clusterrole", "breadth-nodes", "--verb=get", "--resource=nodes,pods/log"]);
    kubectl.ok(&["create", "clusterrole", "breadth-paths", "--verb=get", "--non-resource-url=/metrics"]);
    kubectl.ok(&["create", "clusterrole", "breadth-sum", "--aggregation-rule=breadth=yes"]);
    kubectl.ok(&["create", "clusterrolebinding", "breadth", "--clusterrole=breadth-nodes", "--user=jane"]);
    place.assert_stored("clusterrole/breadth-paths", "/rules/0/nonResourceURLs", json!(["/metrics"]));
    place.assert_stored("clusterrole/breadth-sum", "/aggregationRule/clusterRoleSelectors/0/matchLabels/breadth", json!("yes"));
    let may = |line: &str| kubectl.run(&[&["auth", "can-i", "-n", "breadth"][..], &line.split(' ').collect::<Vec<_>>()].concat());
    for (line, answer) in [
        ("get nodes --as=jane", "yes"),
        ("get pods/one --as=jane", "yes"),
        ("get pods/other --as=jane", "no"),
        ("get pods --subresource=log --as=jane", "yes"),
        ("get /metrics --as=jane", "no"),
        ("create pods", "yes"),
    ] {
        let outcome = may(line);
        assert_eq!((outcome.out.trim(), outcome.code), (answer, i32::from(answer == "no")), "{line}: {outcome:?}");
    }
    place.ok("set subject rolebinding binding --user=john");
    assert_eq!(place.stored("rolebinding/binding", "/subjects").as_array().unwrap().len(), 4);
    assert!(may("--list --as=jane").out.contains("nodes"));
    let reconciled = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "role", "namespace": "breadth"}, "rules": [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}]});
    kubectl.ok_with(&["auth", "reconcile", "-f", "-"], &reconciled.to_string(), &[]);
    assert_eq!(place.stored("role/role", "/rules").as_array().unwrap().len(), 3);
    kubectl.ok(&["delete", "clusterrole", "breadth-nodes", "breadth-paths", "breadth-sum"]);
    kubectl.ok(&["delete", "clusterrolebinding", "breadth"]);
}

fn workloads(place: &Place) {
    place.ok("create deployment web --image=switchboard --replicas=2 --port=80 -- sleep 1000");
    place.assert_stored("deployment/web", "/spec/replicas", json!(2));
    place.assert_stored("deployment/web", "/spec/template/spec/containers/0/command", json!(["sleep", "1000"]));
    place.assert_stored("deployment/web", "/spec/template/spec/containers/0/ports/0/containerPort", json!(80));
    place.ok("create job once --image=switchboard -- sh -c true");
    place.assert_stored("job/once", "/spec/template/spec/restartPolicy", json!("Never"));
    place.ok("create cronjob nightly --image=switchboard --schedule='5 0 * * *' -- sh -c true");
    place.assert_stored("cronjob/nightly", "/spec/schedule", json!("5 0 * * *"));
    place.ok("create job now --from=cronjob/nightly");
    place.assert_stored("job/now", "/metadata/ownerReferences/0/name", json!("nightly"));
    place.ok("run one --image=switchboard --labels=a=b --env=X=y --command -- sleep 1000");
    place.assert_stored("pod/one", "/spec/containers/0/env", json!([{"name": "X", "value": "y"}]));
    place.ok("run two --image=switchboard --port=80 --expose --command -- sleep 1000");
    place.assert_stored("service/two", "/spec/ports/0/port", json!(80));

    place.ok("scale deployment web --replicas=1");
    place.assert_stored("deployment/web", "/spec/replicas", json!(1));
    place.ok("rollout pause deployment web");
    place.assert_stored("deployment/web", "/spec/paused", json!(true));
    place.ok("set image deployment/web *=switchboard:2");
    place.ok("set env deployment/web A=b");
    place.ok("set resources deployment/web --limits=cpu=1");
    place.ok("set serviceaccount deployment/web account");
    place.ok("rollout resume deployment web");
    let template = place.stored("deployment/web", "/spec/template/spec");
    let container = &template["containers"][0];
    assert_eq!(container["image"], "switchboard:2");
    assert_eq!(container["env"], json!([{"name": "A", "value": "b"}]));
    assert_eq!(container["resources"]["limits"], json!({"cpu": "1"}));
    assert_eq!(template["serviceAccountName"], "account");
    place.ok("autoscale deployment web --min=1 --max=3 --cpu=50%");
    place.assert_stored("hpa/web", "/spec/maxReplicas", json!(3));

    place.ok("label pod one x=y");
    place.ok("label pod one x-");
    place.ok("annotate pod one note=kept");
    place.assert_stored("pod/one", "/metadata/labels", json!({"a": "b"}));
    place.assert_stored("pod/one", "/metadata/annotations/note", json!("kept"));
    place.ok("patch pod one --subresource=status --type=merge -p '{\"status\":{\"message\":\"x\"}}'");
    place.ok("delete pod one --grace-period=1");
    place.ok("delete pod two --now");
    place.ok("delete deployment web --cascade=orphan");
    place.ok("delete job once now --cascade=background");
    place.ok("delete cronjob nightly --cascade=foreground");
}

fn services(place: &Place) {
    place.ok("create service clusterip inner --tcp=80:8080 --tcp=81:http");
    place.assert_stored("service/inner", "/spec/ports/1/targetPort", json!("http"));
    assert!(place.stored("service/inner", "/spec/clusterIP").as_str().unwrap().starts_with("127."));
    place.ok("create service clusterip headless --clusterip=None");
    place.assert_stored("service/headless", "/spec/clusterIP", json!("None"));
    place.ok("create service nodeport outer --tcp=80:8080");
    place.assert_stored("service/outer", "/spec/type", json!("NodePort"));
    place.ok("create service loadbalancer balanced --tcp=80:8080");
    place.assert_stored("service/balanced", "/spec/type", json!("LoadBalancer"));
    place.ok("create service externalname elsewhere --external-name=example.org");
    place.assert_stored("service/elsewhere", "/spec/externalName", json!("example.org"));
    place.ok("create deployment shown --image=switchboard --replicas=0 -- sleep 1000");
    place.ok("expose deployment shown --port=80 --target-port=8080 --name=exposed");
    place.assert_stored("service/exposed", "/spec/selector", json!({"app": "shown"}));
    place.ok("set selector service inner a=b");
    place.assert_stored("service/inner", "/spec/selector", json!({"a": "b"}));
    place.ok("create ingress ingress --rule='a.example/x*=inner:80,tls=tls' --class=c --annotation=note=kept");
    place.assert_stored("ingress/ingress", "/spec/tls", json!([{"hosts": ["a.example"], "secretName": "tls"}]));
    place.assert_stored("ingress/ingress", "/spec/rules/0/http/paths/0/pathType", json!("Prefix"));
}

fn policies(place: &Place) {
    place.ok("create poddisruptionbudget budget --selector=app=web --min-available=50%");
    place.assert_stored("pdb/budget", "/spec/minAvailable", json!("50%"));
    place.kubectl.ok(&["create", "priorityclass", "breadth", "--value=1000", "--description=for tests", "--preemption-policy=Never"]);
    place.assert_stored("priorityclass/breadth", "/value", json!(1000));
    place.assert_stored("priorityclass/breadth", "/preemptionPolicy", json!("Never"));
    place.kubectl.ok(&["delete", "priorityclass", "breadth"]);
}

#[test]
fn what_kubectl_shows_of_cluster_nodes_and_objects_is_there() {
    let plane = Switchboard::start(&["--bare"]);
    let place = Place::new(&plane, "shown");
    let kubectl = &place.kubectl;
    place.ok("create deployment web --image=switchboard -- sleep 1000");
    place.ok("expose deployment web --port=80");
    place.ok("run one --image=switchboard --command -- sleep 1000");
    kubectl.wait("shown", "pod/one", "condition=Ready");
    let node = kubectl.ok(&["get", "nodes", "-o", "jsonpath={.items[0].metadata.name}"]);
    for (line, wanted) in [
        ("api-resources", "deployments"),
        ("api-versions", "apps/v1"),
        ("cluster-info", "Kubernetes control plane"),
        ("version", "Server Version: v1."),
        ("get all", "deployment.apps/web"),
        ("get events", "Successfully assigned shown/one"),
        ("events", "Started container"),
        ("describe pod one", "Successfully assigned shown/one"),
        ("describe deployment web", "StrategyType:"),
        ("describe service web", "TargetPort:"),
        ("describe namespace shown", "Active"),
        (&format!("describe node {node}"), "Non-terminated Pods:"),
        ("get --raw /readyz?verbose", "[+]ping ok"),
        ("get --raw /livez?verbose", "livez check passed"),
        ("get --raw /api/v1/namespaces/shown", "\"kind\":\"Namespace\""),
        ("explain deployment.spec.strategy", "RollingUpdate"),
        ("wait --for=jsonpath={.status.phase}=Running pod/one", "condition met"),
        ("wait --for=create deployment/web", "condition met"),
        ("get pods -o wide --sort-by=.metadata.name --show-labels", "run=one"),
        ("get pods --field-selector=spec.nodeName!=,status.phase=Running -o custom-columns=N:.metadata.name", "one"),
    ] {
        let line: Vec<&str> = line.split(' ').chain(["-n", "shown"]).collect();
        // Events are written beside what they tell of, and may come a moment later.
        wait::until_ok(wait::SOON, || {
            let shown = kubectl.ok(&line);
            if shown.contains(wanted) { Ok(()) } else { Err(format!("kubectl {} does not show {wanted:?}:\n{shown}", line.join(" "))) }
        });
    }
    // What is not there says so in words that lead further.
    assert_eq!(kubectl.refused(&["top", "nodes"], ""), "error: Metrics API not available\n");
    let address = kubectl.field("shown", "pod/one", "{.status.podIP}");
    let forward = kubectl.refused(&["port-forward", "-n", "shown", "pod/one", ":80"], "");
    assert!(forward.contains(&format!("connect to {address}")), "{forward}");
}

#[test]
fn a_node_that_is_cordoned_takes_no_pods_and_a_drained_one_has_none() {
    let plane = Switchboard::start(&["--bare"]);
    let place = Place::new(&plane, "drained");
    let kubectl = &place.kubectl;
    let node = kubectl.ok(&["get", "nodes", "-o", "jsonpath={.items[0].metadata.name}"]);
    kubectl.ok(&["label", "node", &node, "example.org/row=3"]);
    kubectl.ok(&["taint", "node", &node, "example.org/old=yes:PreferNoSchedule"]);
    place.assert_stored(&format!("node/{node}"), "/spec/taints/0/key", json!("example.org/old"));
    kubectl.ok(&["taint", "node", &node, "example.org/old-"]);
    place.ok("run one --image=switchboard --command -- sleep 1000");
    kubectl.wait("drained", "pod/one", "condition=Ready");
    let drained = kubectl.ok(&["drain", &node, "--force", "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=60s"]);
    assert!(drained.contains("evicted") && drained.contains(&format!("node/{node} drained")), "{drained}");
    place.ok("run two --image=switchboard --command -- sleep 1000");
    kubectl.wait("drained", "pod/two", "condition=PodScheduled=false");
    assert_eq!(place.stored("pod/two", "/status/conditions/0/reason"), json!("Unschedulable"));
    kubectl.ok(&["uncordon", &node]);
    kubectl.wait("drained", "pod/two", "condition=Ready");
}
