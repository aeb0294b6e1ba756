#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

//! Expressions of admission policies.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::schema::{Authority, Budget, Expression, Failure, Inputs, Named, Names, Question, Schema, Scope, Wanted};

const ALL: Names = Names { params: true, authorizer: true, variables: None };

fn compile(text: &str) -> Expression {
    Expression::compile(text, &ALL, Wanted::Anything).unwrap()
}

fn refused(text: &str, wanted: Wanted) -> String {
    Expression::compile(text, &ALL, wanted).unwrap_err()
}

/// An authority that allows one verb and remembers what it was asked.
#[derive(Default)]
struct OnlyGet(Mutex<Vec<Question>>);

impl Authority for OnlyGet {
    fn decide(&self, question: &Question) -> (bool, String) {
        self.0.lock().unwrap().push(question.clone());
        (question.verb == "get", "because".to_owned())
    }
}

fn evaluate_with(
    expression: &Expression,
    named: Vec<Named>,
    object: Option<&Value>,
    authority: &Arc<dyn Authority>,
) -> Result<Value, Failure> {
    let request = json!({"operation": "CREATE", "userInfo": {"username": "ann"}});
    let about = Question { resource: "pods".to_owned(), ..Question::default() };
    let inputs =
        Inputs { object, old_object: None, request: &request, params: None, namespace_object: None, authorizer: Some((authority, &about)) };
    let named = Arc::new(named);
    let scope = Scope::new(&inputs, &named, [expression]);
    scope.evaluate(expression, &mut Budget::default())
}

fn evaluate(text: &str, object: &Value) -> Result<Value, Failure> {
    let authority: Arc<dyn Authority> = Arc::new(OnlyGet::default());
    evaluate_with(&compile(text), Vec::new(), Some(object), &authority)
}

fn failure(text: &str) -> Result<Value, Failure> {
    Err(Failure::Error(text.to_owned()))
}

#[test]
fn fields_are_found_by_their_own_names() {
    let object = json!({"metadata": {"namespace": "x", "labels": {"a-b": "x", "c.d/e": "y"}}, "spec": {"n": 2, "list": [{"k": 1}]}});
    for text in [
        "object.spec.n > 1 && oldObject == null",
        "object.metadata.namespace == 'x'",
        "object.metadata.labels['c.d/e'] == 'y'",
        "object.spec.list[0].k == 1",
        "object.spec.list.all(item, item.k < object.spec.n)",
        "has(object.spec.n) && !has(object.spec.m)",
        "'n is ' + string(object.spec.n) == 'n is 2' && string(true) == 'true' && string(1.5) == '1.5'",
        "object.metadata.labels.exists(k, k == 'a-b')",
        "object.?spec.?m.orValue(3) == 3",
        "object.?spec.n.orValue(3) == 2",
        "!object.?status.phase.hasValue()",
        "request.operation == 'CREATE' && request.userInfo.username == 'ann'",
        "{'a': [1, 2]}.a.size() == 2",
        "params == null",
        "namespaceObject == null",
    ] {
        assert_eq!(evaluate(text, &object), Ok(json!(true)), "{text}");
    }
}

#[test]
fn what_is_not_there_is_an_error_and_not_false() {
    let object = json!({"metadata": {"name": "x"}, "spec": null});
    assert_eq!(evaluate("object.spec.m == 1", &object), failure("no such key: m"));
    assert_eq!(evaluate("oldObject.spec.m == 1", &object), failure("no such key: spec"));
    assert_eq!(evaluate("object.metadata.name.first == 1", &object), failure("no such key: first"));
    assert_eq!(evaluate("request.namespace == 'x'", &object), failure("no such key: namespace"));
    assert_eq!(evaluate("int(object.spec.m) == 1", &object), failure("no such key: m"));
    assert_eq!(evaluate("int(object.metadata.name) == 1", &object), failure("type conversion error from 'string' to 'int'"));
    // The presence of what has no fields is false, as on a real server.
    assert_eq!(evaluate("has(oldObject.spec)", &object), Ok(json!(false)));
    // An error does not matter where the other side decides.
    assert_eq!(evaluate("object.spec.m == 1 || object.metadata.name == 'x'", &object), Ok(json!(true)));
}

#[test]
fn what_is_wrong_is_shown_with_its_place() {
    assert_eq!(
        refused("object.spec.n > limit", Wanted::Bool),
        "compilation failed: ERROR: <input>:1:17: undeclared reference to 'limit' (in container '')\n | object.spec.n > limit\n | ................^"
    );
    assert_eq!(
        refused("request.user == 'x'", Wanted::Bool),
        "compilation failed: ERROR: <input>:1:8: undefined field 'user'\n | request.user == 'x'\n | .......^"
    );
    assert!(refused("object.", Wanted::Bool).starts_with("compilation failed: ERROR: <input>:1:"));
    assert!(refused("nothing(object)", Wanted::Bool).contains("<input>:1:8: undeclared reference to 'nothing'"));
    assert!(refused("object.x.nothing()", Wanted::Bool).contains("<input>:1:17: undeclared reference to 'nothing'"));
    assert!(refused("has(request.uid)", Wanted::Bool).contains("<input>:1:4: undefined field 'uid'"));
    assert!(refused("object.a.matches('[')", Wanted::Bool).contains("<input>:1:18: invalid matches argument\n"));
    assert!(refused("self.x == 1", Wanted::Bool).contains("undeclared reference to 'self'"));
    assert!(refused("[1].all(object, object > 0)", Wanted::Bool).contains("has the name of the variable 'object'"));
    let no_params = Names { params: false, authorizer: false, variables: None };
    for name in ["params", "authorizer", "variables"] {
        let error = Expression::compile(&format!("{name} == null"), &no_params, Wanted::Bool).unwrap_err();
        assert!(error.contains(&format!("undeclared reference to '{name}'")), "{error}");
    }
}

#[test]
fn a_condition_must_make_a_bool_and_a_message_a_text() {
    assert_eq!(refused("'yes'", Wanted::Bool), "must evaluate to bool but got string");
    assert_eq!(refused("1 + 2", Wanted::Bool), "must evaluate to bool but got int");
    assert_eq!(refused("object.spec.enabled", Wanted::Bool), "must evaluate to bool but got dyn");
    assert_eq!(refused("[true].map(x, x)", Wanted::Bool), "must evaluate to bool but got list(dyn)");
    assert_eq!(refused("object.metadata.name == 'x'", Wanted::Text), "must evaluate to string but got bool");
    assert_eq!(refused("1", Wanted::TextOrNull), "must evaluate to one of [string null_type] but got int");
    for text in
        ["true", "!object.spec.enabled", "request.dryRun", "object.a.exists(x, x > 1)", "object.a == 1 ? true : false", "has(object.a)"]
    {
        Expression::compile(text, &ALL, Wanted::Bool).unwrap();
    }
    for text in ["'a' + object.x", "request.userInfo.username", "'%s'.format([object.x])", "string(object.x)"] {
        Expression::compile(text, &ALL, Wanted::Text).unwrap();
    }
}

fn named(all: &[(&str, &str)]) -> Vec<Named> {
    let mut variables: Vec<Named> = Vec::new();
    for (name, text) in all {
        let expression = Expression::compile(text, &Names { variables: Some(&variables), ..ALL }, Wanted::Anything).unwrap();
        variables.push(Named { name: (*name).to_owned(), expression });
    }
    variables
}

fn with_variables(all: &[(&str, &str)], text: &str) -> Result<Value, Failure> {
    let variables = named(all);
    let expression = Expression::compile(text, &Names { variables: Some(&variables), ..ALL }, Wanted::Anything).unwrap();
    let authority: Arc<dyn Authority> = Arc::new(OnlyGet::default());
    evaluate_with(&expression, variables, Some(&json!({"spec": {"n": 2, "parts": {"a": 1}}})), &authority)
}

#[test]
fn variables_use_earlier_ones_and_are_evaluated_only_where_they_are_looked_at() {
    let all = [("n", "object.spec.n"), ("twice", "variables.n * 2"), ("parts", "object.spec.parts"), ("none", "object.spec.none")];
    assert_eq!(with_variables(&all, "variables.twice + variables.n == 6"), Ok(json!(true)));
    assert_eq!(with_variables(&all, "variables.parts.a == 1 && has(variables.parts.a) && has(variables.n)"), Ok(json!(true)));
    assert_eq!(with_variables(&all, "[1, 2].exists(n, n == variables.n)"), Ok(json!(true)));
    assert_eq!(with_variables(&all, "variables.n == 2 || variables.none == 1"), Ok(json!(true)));
    let failed = failure("composited variable \"none\" fails to evaluate: no such key: none");
    assert_eq!(with_variables(&all, "variables.none == 1"), failed);
    // Not even an expensive one costs anything where nobody asks for it.
    let costly = [("list", "lists.range(900000)"), ("more", "lists.range(900000)")];
    assert_eq!(with_variables(&costly, "true || variables.list.size() > 0"), Ok(json!(true)));
    let later =
        Expression::compile("variables.b == 1", &Names { variables: Some(&named(&[("a", "1")])), ..ALL }, Wanted::Bool).unwrap_err();
    assert!(later.contains("undefined field 'b'"), "{later}");
}

#[test]
fn a_variable_is_evaluated_once() {
    let authority = Arc::new(OnlyGet::default());
    let variables = named(&[("may", "authorizer.group('apps').resource('deployments').check('get').allowed()")]);
    let names = Names { variables: Some(&variables), ..ALL };
    let expression = Expression::compile("variables.may && variables.may && [1, 2].all(x, variables.may)", &names, Wanted::Bool).unwrap();
    let asked: Arc<dyn Authority> = authority.clone();
    assert_eq!(evaluate_with(&expression, variables, Some(&json!({})), &asked), Ok(json!(true)));
    assert_eq!(authority.0.lock().unwrap().len(), 1);
}

#[test]
fn the_authorizer_is_asked_exactly_what_the_expression_says() {
    let authority = Arc::new(OnlyGet::default());
    let asked: Arc<dyn Authority> = authority.clone();
    let ask = |text: &str| evaluate_with(&compile(text), Vec::new(), Some(&json!({})), &asked);
    let whole = "authorizer.group('apps').resource('deployments').subresource('scale').namespace('x').name('y').check('get').allowed()";
    assert_eq!(ask(whole), Ok(json!(true)));
    assert_eq!(ask("authorizer.requestResource.check('update').allowed()"), Ok(json!(false)));
    assert_eq!(ask("authorizer.path('/healthz').check('get').reason()"), Ok(json!("because")));
    assert_eq!(ask("authorizer.serviceAccount('a', 'b').group('').resource('pods').check('get').errored()"), Ok(json!(false)));
    assert_eq!(ask("authorizer.group('').resource(' ').check('get').allowed()"), failure("resource must not be empty"));
    assert_eq!(ask("authorizer.resource('pods').check('get').allowed()"), failure("no such overload"));
    let questions = authority.0.lock().unwrap();
    let wanted = Question {
        group: "apps".into(),
        resource: "deployments".into(),
        subresource: "scale".into(),
        namespace: "x".into(),
        name: "y".into(),
        verb: "get".into(),
        ..Question::default()
    };
    assert_eq!(questions[0], wanted);
    assert_eq!((questions[1].resource.as_str(), questions[1].verb.as_str()), ("pods", "update"));
    assert_eq!(questions[2].path.as_deref(), Some("/healthz"));
    assert_eq!(questions[3].service_account, Some(("a".to_owned(), "b".to_owned())));
    assert_eq!(questions.len(), 4);
}

#[test]
fn costly_expressions_end() {
    let list: Vec<i64> = (0..3000).collect();
    let object = json!({"list": list});
    let costly = "object.list.all(a, object.list.all(b, a + b >= 0))";
    assert_eq!(evaluate(costly, &object), failure("operation cancelled: actual cost limit exceeded"));
    let authority: Arc<dyn Authority> = Arc::new(OnlyGet::default());
    let request = json!({});
    let about = Question::default();
    let inputs = Inputs {
        object: Some(&object),
        old_object: None,
        request: &request,
        params: None,
        namespace_object: None,
        authorizer: Some((&authority, &about)),
    };
    let expression = compile("object.list.all(a, a >= 0) && lists.range(900000).size() > 0");
    let scope = Scope::new(&inputs, &Arc::default(), [&expression]);
    let mut budget = Budget::default();
    let results: Vec<_> = (0..6).map(|_| scope.evaluate(&expression, &mut budget)).collect();
    assert_eq!(results[0], Ok(json!(true)));
    assert_eq!(results[5], Err(Failure::OutOfBudget));
}

#[test]
fn unknown_fields_of_an_object_are_found_by_its_schema() {
    let schema = Schema::parse(&json!({
        "type": "object", "properties": {"spec": {"type": "object", "properties": {"n": {"type": "integer"}}}}
    }))
    .unwrap();
    assert_eq!(compile("object.spec.n > 1").unknown_fields(&schema), Vec::<String>::new());
    let told = compile("object.spec.m > 1 && oldObject.spec.n == 1").unknown_fields(&schema);
    assert_eq!(told, ["ERROR: <input>:1:12: undefined field 'm'\n | object.spec.m > 1 && oldObject.spec.n == 1\n | ...........^"]);
}
