//! Admission policies, from the request to the answer.

use std::sync::Arc;

use super::*;
use crate::server::rbac::Rbac;

const GROUP: &str = "/apis/admissionregistration.k8s.io/v1";
const MAPS: &str = "/api/v1/namespaces/default/configmaps";

fn rule(operations: &[&str], group: &str, resources: &[&str]) -> Value {
    json!({"operations": operations, "apiGroups": [group], "apiVersions": ["v1"], "resources": resources})
}

impl Server {
    /// A policy with a binding `b-NAME`.
    async fn policy(&self, name: &str, spec: Value, binding: Value) {
        let policy = json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy", "metadata": {"name": name}, "spec": spec});
        self.post(&format!("{GROUP}/validatingadmissionpolicies"), policy).await.ok();
        let mut bound = json!({"policyName": name, "validationActions": ["Deny"]});
        crate::patch::merge_patch(&mut bound, &binding);
        let binding = json!({"metadata": {"name": format!("b-{name}")}, "spec": bound});
        self.post(&format!("{GROUP}/validatingadmissionpolicybindings"), binding).await.ok();
    }

    /// A policy about config maps with one validation.
    async fn about_maps(&self, operations: &[&str], validation: Value) {
        let spec = json!({"matchConstraints": {"resourceRules": [rule(operations, "", &["configmaps"])]}, "validations": [validation]});
        self.policy("maps", spec, json!({})).await;
    }
}

fn map(name: &str, data: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data})
}

#[tokio::test]
async fn a_refusal_is_worded_as_by_a_kubernetes_server() {
    let server = Server::new().await;
    server.about_maps(&["CREATE"], json!({"expression": "object.data.x == '1'", "message": "x must be 1"})).await;
    server.post(MAPS, map("good", json!({"x": "1"}))).await.ok();
    let refused = server.post(MAPS, map("bad", json!({"x": "2"}))).await;
    let text = "configmaps \"bad\" is forbidden: ValidatingAdmissionPolicy 'maps' with binding 'b-maps' denied request: x must be 1";
    assert_eq!(refused.body["message"], text);
    assert_eq!((refused.code, &refused.body["reason"]), (422, &json!("Invalid")));
    let cause = "ValidatingAdmissionPolicy 'maps' with binding 'b-maps' denied request: x must be 1";
    assert_eq!(refused.body["details"], json!({"name": "bad", "kind": "configmaps", "causes": [{"message": cause}]}));
    // Without `x` it cannot be told, and then nothing passes.
    let text = server.post(MAPS, map("none", json!({}))).await.error().1;
    assert!(text.ends_with("denied request: expression 'object.data.x == '1'' resulted in error: no such key: x"), "{text}");
    // The server makes the name up, and names what it is made of.
    let mut generated = map("", json!({"x": "2"}));
    generated["metadata"] = json!({"generateName": "made-"});
    let text = server.post(MAPS, generated).await.error().1;
    assert!(text.starts_with("configmaps \"made-"), "{text}");
}

#[tokio::test]
async fn reasons_and_messages_come_from_the_policy() {
    let server = Server::new().await;
    let validations = json!([
        {"expression": "object.data.a == '1'", "reason": "Forbidden", "messageExpression": "'a is ' + object.data.a"},
        {"expression": "object.data.b == '1'", "reason": "RequestEntityTooLarge", "messageExpression": "string(1 / 0)", "message": "b"},
        {"expression": " object.data.c == '1' "},
    ]);
    let spec = json!({"matchConstraints": {"resourceRules": [rule(&["CREATE"], "", &["configmaps"])]}, "validations": validations});
    server.policy("p", spec, json!({})).await;
    for (data, code, end) in [
        (json!({"a": "2", "b": "1", "c": "1"}), 403, "denied request: a is 2"),
        (json!({"a": "1", "b": "2", "c": "1"}), 413, "denied request: b"),
        (json!({"a": "1", "b": "1", "c": "2"}), 422, "denied request: failed expression: object.data.c == '1'"),
    ] {
        let refused = server.post(MAPS, map("m", data)).await.error();
        assert_eq!(refused.0, code);
        assert!(refused.1.ends_with(end), "{}", refused.1);
    }
}

#[tokio::test]
async fn every_way_of_writing_is_looked_at() {
    let server = Server::new().await;
    let fixed = json!({"expression": "oldObject == null || object == null || object.data == oldObject.data", "message": "fixed"});
    server.about_maps(&["*"], fixed).await;
    let path = format!("{MAPS}/m");
    server.apply(&format!("{path}?fieldManager=m"), &map("m", json!({"x": "1"})).to_string()).await.ok();
    let changed = map("m", json!({"x": "2"}));
    assert_eq!(server.put(&path, changed.clone()).await.error().0, 422);
    assert_eq!(server.merge(&path, json!({"data": {"x": "2"}})).await.error().0, 422);
    assert_eq!(server.apply(&format!("{path}?fieldManager=m"), &changed.to_string()).await.error().0, 422);
    assert_eq!(server.merge(&format!("{path}?dryRun=All"), json!({"data": {"x": "2"}})).await.error().0, 422);
    server.merge(&path, json!({"metadata": {"labels": {"a": "b"}}})).await.ok();
    assert_eq!(server.get(&path).await.ok()["data"], json!({"x": "1"}));
}

#[tokio::test]
async fn deletions_are_looked_at_one_by_one() {
    let server = Server::new().await;
    let kept = json!({"expression": "!('kept' in oldObject.data)", "messageExpression": "oldObject.metadata.name + ' is kept'"});
    let spec = json!({"matchConstraints": {"resourceRules": [rule(&["DELETE"], "", &["configmaps"])]}, "validations": [kept]});
    server.policy("p", spec, json!({})).await;
    server.post(MAPS, map("a", json!({"kept": "1"}))).await.ok();
    server.post(MAPS, map("b", json!({"x": "1"}))).await.ok();
    let refused = server.delete(&format!("{MAPS}/a"), json!({})).await.error().1;
    assert_eq!(refused, "configmaps \"a\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b-p' denied request: a is kept");
    // The request names no object, and so its refusal names none.
    let refused = server.delete(MAPS, json!({})).await.error().1;
    assert!(refused.starts_with("configmaps \"Unknown\" is forbidden:"), "{refused}");
    assert_eq!(server.delete(&format!("{MAPS}/a?dryRun=All"), json!({})).await.code, 422);
    server.delete(&format!("{MAPS}/b"), json!({})).await.ok();
    server.delete(&format!("{GROUP}/validatingadmissionpolicybindings/b-p"), json!({})).await.ok();
    server.delete(&format!("{MAPS}/a"), json!({})).await.ok();
}

#[tokio::test]
async fn subresources_are_meant_only_where_they_are_named() {
    let server = Server::new().await;
    server.define_lamps().await;
    let lamps = json!({"operations": ["UPDATE"], "apiGroups": ["light.example.org"], "apiVersions": ["v1"], "resources": ["lamps/status"]});
    let spec = json!({"matchConstraints": {"resourceRules": [lamps]}, "validations": [{"expression": "request.subResource != 'status'"}]});
    server.policy("p", spec, json!({})).await;
    server.post(LAMPS, lamp("a")).await.ok();
    server.merge(&format!("{LAMPS}/a"), json!({"metadata": {"labels": {"a": "b"}}})).await.ok();
    assert_eq!(server.merge(&format!("{LAMPS}/a/status"), json!({"status": {"x": 1}})).await.code, 422);
}

#[tokio::test]
async fn replicas_are_shown_as_a_scale() {
    let server = Server::new().await;
    let validation = json!({"expression": "object.spec.replicas <= 3 && oldObject.kind == 'Scale' && request.kind.kind == 'Scale'", "message": "too many"});
    let spec =
        json!({"matchConstraints": {"resourceRules": [rule(&["UPDATE"], "apps", &["deployments/scale"])]}, "validations": [validation]});
    server.policy("p", spec, json!({})).await;
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"},
        "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}}
    });
    let path = "/apis/apps/v1/namespaces/default/deployments";
    server.post(path, deployment).await.ok();
    server.merge(&format!("{path}/d/scale"), json!({"spec": {"replicas": 3}})).await.ok();
    assert!(server.merge(&format!("{path}/d/scale"), json!({"spec": {"replicas": 4}})).await.error().1.ends_with("too many"));
    server.merge(&format!("{path}/d"), json!({"spec": {"replicas": 4}})).await.ok();
}

#[tokio::test]
async fn rules_selectors_and_conditions_say_what_a_policy_is_about() {
    let server = Server::new().await;
    let spec = |constraints: Value| json!({"matchConstraints": constraints, "matchConditions": [{"name": "not-ann", "expression": "request.userInfo.username != 'ann'"}], "validations": [{"expression": "false"}]});
    let constraints = json!({
        "resourceRules": [{"operations": ["CREATE"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["configmaps", "secrets"], "scope": "Namespaced"}],
        "excludeResourceRules": [rule(&["*"], "", &["secrets"])],
        "objectSelector": {"matchLabels": {"judged": "yes"}},
        "namespaceSelector": {"matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": ["kube-system"]}]}
    });
    server
        .policy(
            "p",
            spec(constraints),
            json!({"matchResources": {"objectSelector": {"matchExpressions": [{"key": "spared", "operator": "DoesNotExist"}]}}}),
        )
        .await;
    let labelled =
        |kind: &str, labels: Value| json!({"apiVersion": "v1", "kind": kind, "metadata": {"generateName": "m-", "labels": labels}});
    let judged = json!({"judged": "yes"});
    assert_eq!(server.post(MAPS, labelled("ConfigMap", judged.clone())).await.code, 422);
    server.post(MAPS, labelled("ConfigMap", json!({}))).await.ok();
    server.post(MAPS, labelled("ConfigMap", json!({"judged": "yes", "spared": "1"}))).await.ok();
    server.post("/api/v1/namespaces/default/secrets", labelled("Secret", judged.clone())).await.ok();
    server.post("/api/v1/namespaces/kube-system/configmaps", labelled("ConfigMap", judged.clone())).await.ok();
    let ann = User::new("ann", &[crate::user::MASTERS]);
    server.send(&ann, "POST", MAPS, &[], labelled("ConfigMap", judged).to_string()).await.ok();
}

#[tokio::test]
async fn a_rule_for_one_version_is_about_the_others_too_unless_it_is_exact() {
    let server = Server::new().await;
    let spec = |policy: &str| {
        json!({
            "matchConstraints": {"matchPolicy": policy, "resourceRules": [rule(&["CREATE"], "events.k8s.io", &["events"])]},
            "validations": [{"expression": "object.note != 'bad' || request.resource.group != 'events.k8s.io'"}]
        })
    };
    let event = json!({
        "apiVersion": "v1", "kind": "Event", "metadata": {"name": "e"}, "involvedObject": {"kind": "Pod", "namespace": "default"}, "message": "bad"
    });
    server.policy("exact", spec("Exact"), json!({})).await;
    server.post("/api/v1/namespaces/default/events?dryRun=All", event.clone()).await.ok();
    server.policy("wide", spec("Equivalent"), json!({})).await;
    assert_eq!(server.post("/api/v1/namespaces/default/events", event).await.code, 422);
}

#[tokio::test]
async fn parameters_come_from_objects() {
    let server = Server::new().await;
    let spec = |on_failure: &str| {
        json!({
            "failurePolicy": on_failure,
            "paramKind": {"apiVersion": "v1", "kind": "ConfigMap"},
            "matchConstraints": {"resourceRules": [rule(&["CREATE"], "", &["secrets"])]},
            "validations": [{"expression": "params == null || object.metadata.name.size() <= int(params.data.longest)",
                "messageExpression": "'longer than ' + params.data.longest + ' of ' + params.kind"}]
        })
    };
    let secrets = "/api/v1/namespaces/default/secrets";
    let secret = |name: &str| json!({"metadata": {"name": name}});
    server.policy("named", spec("Fail"), json!({"paramRef": {"name": "limits", "parameterNotFoundAction": "Deny"}})).await;
    let missing = server.post(secrets, secret("a")).await.error().1;
    let wanted = "secrets \"a\" is forbidden: ValidatingAdmissionPolicy 'named' with binding 'b-named' denied request: failed to configure binding: no params found for policy binding with `Deny` parameterNotFoundAction";
    assert_eq!(missing, wanted);
    server.post(MAPS, map("limits", json!({"longest": "3"}))).await.ok();
    server.post(secrets, secret("abc")).await.ok();
    assert!(server.post(secrets, secret("abcd")).await.error().1.ends_with("longer than 3 of ConfigMap"));
    server.delete(&format!("{GROUP}/validatingadmissionpolicybindings/b-named"), json!({})).await.ok();
    let reference = json!({"paramRef": {"namespace": "kube-system", "selector": {"matchLabels": {"limits": "yes"}}, "parameterNotFoundAction": "Allow"}});
    server.policy("selected", spec("Fail"), reference).await;
    server.post(secrets, secret("abcdef")).await.ok();
    for (name, longest) in [("wide", "10"), ("narrow", "5")] {
        let mut limits = map(name, json!({"longest": longest}));
        limits["metadata"]["labels"] = json!({"limits": "yes"});
        server.post("/api/v1/namespaces/kube-system/configmaps", limits).await.ok();
    }
    assert!(server.post(secrets, secret("abcdefg")).await.error().1.ends_with("longer than 5 of ConfigMap"));
    server.post(secrets, secret("short")).await.ok();
}

#[tokio::test]
async fn a_param_kind_that_is_not_served_refuses_or_is_passed_over() {
    for (on_failure, code) in [("Fail", 422), ("Ignore", 201)] {
        let server = Server::new().await;
        let spec = json!({
            "failurePolicy": on_failure, "paramKind": {"apiVersion": "example.com/v1", "kind": "Limit"},
            "matchConstraints": {"resourceRules": [rule(&["CREATE"], "", &["configmaps"])]}, "validations": [{"expression": "false"}]
        });
        server.policy("p", spec, json!({"paramRef": {"name": "x", "parameterNotFoundAction": "Deny"}})).await;
        let reply = server.post(MAPS, map("m", json!({}))).await;
        assert_eq!(reply.code, code, "{}", reply.body);
        if code == 422 {
            let text = reply.error().1;
            assert!(text.ends_with("'p' denied request: failed to configure policy: failed to find resource referenced by paramKind: 'example.com/v1, Kind=Limit'"), "{text}");
        }
    }
}

#[tokio::test]
async fn what_cannot_be_evaluated_is_ignored_where_the_policy_says_so() {
    let server = Server::new().await;
    let spec = json!({
        "failurePolicy": "Ignore", "matchConstraints": {"resourceRules": [rule(&["CREATE"], "", &["configmaps"])]},
        "validations": [{"expression": "object.data.none == '1'"}, {"expression": "!has(object.data.bad)"}]
    });
    server.policy("p", spec, json!({})).await;
    server.post(MAPS, map("a", json!({"x": "1"}))).await.ok();
    assert_eq!(server.post(MAPS, map("b", json!({"bad": "1"}))).await.code, 422);
}

#[tokio::test]
async fn warnings_reach_the_client_and_stop_nothing() {
    let server = Server::new().await;
    let spec = json!({"matchConstraints": {"resourceRules": [rule(&["CREATE"], "", &["configmaps"])]}, "validations": [{"expression": "false", "message": "mind \"this\""}]});
    server.policy("p", spec, json!({"validationActions": ["Warn", "Audit"]})).await;
    let reply = server.post(MAPS, map("a", json!({}))).await;
    assert_eq!(reply.code, 201);
    let told = r#"299 - "Validation failed for ValidatingAdmissionPolicy 'p' with binding 'b-p': mind \"this\"""#;
    assert_eq!(reply.headers.get_all("warning").iter().collect::<Vec<_>>(), [told]);
}

#[tokio::test]
async fn no_policy_keeps_anyone_from_taking_policies_back() {
    let server = Server::new().await;
    let everything = json!({"operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*/*"]});
    let spec = json!({"matchConstraints": {"resourceRules": [everything]}, "validations": [{"expression": "false", "message": "no"}]});
    server.policy("p", spec, json!({})).await;
    assert_eq!(server.post(MAPS, map("a", json!({}))).await.code, 422);
    let binding = format!("{GROUP}/validatingadmissionpolicybindings/b-p");
    server.merge(&binding, json!({"metadata": {"labels": {"a": "b"}}})).await.ok();
    // What the server does of itself at its start is not for policies to judge.
    server
        .api
        .bootstrap(
            vec![map("own", json!({}))]
                .into_iter()
                .map(|mut map| {
                    map["metadata"]["namespace"] = json!("default");
                    map
                })
                .collect(),
        )
        .await
        .unwrap();
    // Nor are questions.
    let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
    server.post("/apis/authentication.k8s.io/v1/selfsubjectreviews", review).await.ok();
    server.delete(&binding, json!({})).await.ok();
    server.post(MAPS, map("a", json!({}))).await.ok();
}

#[tokio::test]
async fn the_authorizer_answers_for_the_user_of_the_request() {
    let server = Server::new().await;
    server.api.set_authorizer(Arc::new(Rbac::new(server.api.store().clone())));
    let rules = json!([
        {"verbs": ["create"], "apiGroups": [""], "resources": ["configmaps"]},
        {"verbs": ["use"], "apiGroups": ["example.com"], "resources": ["colours"], "resourceNames": ["red"]},
    ]);
    let rbac = "/apis/rbac.authorization.k8s.io/v1";
    server.post(&format!("{rbac}/clusterroles"), json!({"metadata": {"name": "r"}, "rules": rules})).await.ok();
    let binding = json!({
        "metadata": {"name": "r"}, "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "r"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "ann"}]
    });
    server.post(&format!("{rbac}/clusterrolebindings"), binding).await.ok();
    let may = "authorizer.group('example.com').resource('colours').name(object.data.colour).check('use').allowed()";
    server.about_maps(&["CREATE"], json!({"expression": may, "reason": "Forbidden", "message": "not your colour"})).await;
    let ann = User::new("ann", &[]);
    let post = |colour: &str| (map("m", json!({"colour": colour}))).to_string();
    assert_eq!(server.send(&ann, "POST", MAPS, &[], post("green")).await.error().0, 403);
    server.send(&ann, "POST", MAPS, &[], post("red")).await.ok();
}

#[tokio::test]
async fn namespaces_are_shown_to_policies() {
    let server = Server::new().await;
    let validation = json!({"expression": "namespaceObject.metadata.name == 'default' && namespaceObject.status.phase == 'Active' && request.namespace == 'default'"});
    server.about_maps(&["CREATE"], validation).await;
    server.post(MAPS, map("m", json!({}))).await.ok();
    assert_eq!(server.post("/api/v1/namespaces/kube-system/configmaps", map("m", json!({}))).await.code, 422);
}

#[tokio::test]
async fn a_policy_that_does_not_compile_is_refused() {
    let server = Server::new().await;
    let policy = |spec: Value| json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy", "metadata": {"name": "p"}, "spec": spec});
    let with = |key: &str, value: Value| {
        let mut spec = json!({"matchConstraints": {"resourceRules": [rule(&["CREATE"], "", &["configmaps"])]}, "validations": [{"expression": "true"}]});
        spec[key] = value;
        policy(spec)
    };
    let path = format!("{GROUP}/validatingadmissionpolicies");
    for (bad, wanted) in [
        (
            with("validations", json!([{"expression": "object.x >"}])),
            "spec.validations[0].expression: Invalid value: \"object.x >\": compilation failed: ERROR: <input>:1:11: Syntax error",
        ),
        (
            with("validations", json!([{"expression": "foo == 1"}])),
            "spec.validations[0].expression: Invalid value: \"foo == 1\": compilation failed: ERROR: <input>:1:1: undeclared reference to 'foo' (in container '')",
        ),
        (with("validations", json!([{"expression": "params.x == 1"}])), "undeclared reference to 'params'"),
        (
            with("validations", json!([{"expression": "'x'"}])),
            "spec.validations[0].expression: Invalid value: \"'x'\": must evaluate to bool but got string",
        ),
        (
            with("validations", json!([{"expression": "true", "messageExpression": "authorizer.path('/').check('get').reason()"}])),
            "undeclared reference to 'authorizer'",
        ),
        (
            with("validations", json!([{"expression": "true", "reason": "Unauthorized"}])),
            "spec.validations[0].reason: Unsupported value: \"Unauthorized\": supported values: \"Forbidden\", \"Invalid\", \"RequestEntityTooLarge\"",
        ),
        (
            with("validations", json!([])),
            "spec.validations: Required value: validations or auditAnnotations must contain at least one item",
        ),
        (
            with("variables", json!([{"name": "namespace", "expression": "1"}])),
            "spec.variables[0].name: Invalid value: \"namespace\": must be a valid CEL identifier",
        ),
        (
            with("variables", json!([{"name": "a", "expression": "variables.b"}, {"name": "b", "expression": "1"}])),
            "spec.variables[0].expression: Invalid value: \"variables.b\": compilation failed",
        ),
        (
            with("matchConditions", json!([{"name": "a", "expression": "variables.a == 1"}])),
            "spec.matchConditions[0].expression: Invalid value",
        ),
        (
            with("matchConstraints", json!({"resourceRules": [rule(&["CREATE", "*"], "", &["pods"])]})),
            "if '*' is present, must not specify other operations",
        ),
        (
            with("matchConstraints", json!({"resourceRules": [rule(&["MAKE"], "", &["pods"])]})),
            "Unsupported value: \"MAKE\": supported values: \"*\", \"CONNECT\", \"CREATE\", \"DELETE\", \"UPDATE\"",
        ),
    ] {
        let refused = server.post(&path, bad).await.error();
        assert_eq!(refused.0, 422, "{}", refused.1);
        assert!(refused.1.contains(wanted), "{}\n{wanted}", refused.1);
    }
    let binding = |spec: Value| json!({"metadata": {"name": "b"}, "spec": spec});
    for (bad, wanted) in [
        (json!({"policyName": "p", "validationActions": ["Deny", "Warn"]}), "must not contain both Deny and Warn"),
        (
            json!({"policyName": "p", "validationActions": ["Deny"], "paramRef": {"parameterNotFoundAction": "Deny"}}),
            "spec.paramRef: Required value: one of name or selector must be specified",
        ),
        (
            json!({"policyName": "p", "validationActions": ["Deny"], "paramRef": {"name": "x"}}),
            "spec.paramRef.parameterNotFoundAction: Required value",
        ),
    ] {
        let refused = server.post(&format!("{GROUP}/validatingadmissionpolicybindings"), binding(bad)).await.error();
        assert!(refused.1.contains(wanted), "{}", refused.1);
    }
}

#[tokio::test]
async fn the_status_says_what_was_seen_and_which_fields_do_not_exist() {
    let server = Server::new().await;
    let spec = json!({"matchConstraints": {"resourceRules": [rule(&["CREATE"], "apps", &["deployments"])]}, "validations": [{"expression": "object.spec.replica < 3"}]});
    server.policy("p", spec, json!({})).await;
    let path = format!("{GROUP}/validatingadmissionpolicies/p");
    let policy = server.get(&path).await.ok();
    assert_eq!(policy["status"]["observedGeneration"], 1);
    let warning = &policy["status"]["typeChecking"]["expressionWarnings"][0];
    assert_eq!(warning["fieldRef"], "spec.validations[0].expression");
    assert!(
        warning["warning"].as_str().unwrap().starts_with("apps/v1, Kind=Deployment: ERROR: <input>:1:12: undefined field 'replica'"),
        "{warning}"
    );
    let changed = server.merge(&path, json!({"spec": {"validations": [{"expression": "object.spec.replicas < 3"}]}})).await.ok();
    assert_eq!(changed["status"], json!({"observedGeneration": 2, "typeChecking": {}}));
}
