#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{lines, widget, with_spec};
use crate::schema::{Schema, check_rules, validate};

/// A schema of one field `x` with rules.
fn ruled(mut x: Value, rules: Value) -> Schema {
    x["x-kubernetes-validations"] = rules;
    Schema::parse(&json!({"type": "object", "properties": {"x": x}})).unwrap()
}

fn told(schema: &Schema, new: Value, old: Option<Value>) -> Vec<String> {
    let old = old.map(|old| json!({"x": old}));
    lines(&validate(schema, &json!({"x": new}), old.as_ref()))
}

/// Whether a rule over `x` holds for a value.
fn holds(x: Value, rule: &str, value: Value) -> bool {
    let schema = ruled(x, json!([{"rule": rule}]));
    assert_eq!(check_rules(&schema), [], "{rule}");
    let errors = told(&schema, value, None);
    assert!(errors.iter().all(|error| error.contains("failed rule")), "{rule}: {errors:?}");
    errors.is_empty()
}

fn text_fields(names: &[&str]) -> Value {
    let properties: serde_json::Map<String, Value> = names.iter().map(|name| ((*name).to_owned(), json!({"type": "string"}))).collect();
    json!({"type": "object", "properties": properties})
}

#[test]
fn a_broken_rule_gives_its_message() {
    let errors = lines(&validate(&widget(), &with_spec(json!({"mode": "fast", "replicas": 6})), None));
    assert_eq!(errors, ["FieldValueInvalid spec: Invalid value: replicas must be <= maxReplicas"]);
}

#[test]
fn rules_over_the_old_value_run_on_updates_only() {
    let old = with_spec(json!({"mode": "fast"}));
    let new = with_spec(json!({"mode": "slow"}));
    assert_eq!(lines(&validate(&widget(), &new, Some(&old))), ["FieldValueInvalid spec: Invalid value: mode is immutable"]);
    assert_eq!(lines(&validate(&widget(), &new, None)), Vec::<String>::new());
}

#[test]
fn message_expression_reason_and_field_path_shape_the_error() {
    let schema = ruled(
        json!({"type": "object", "properties": {"a": {"type": "integer"}}}),
        json!([
            {"rule": "self.a > 0", "message": "fallback", "messageExpression": "'a is ' + string(self.a)", "reason": "FieldValueForbidden", "fieldPath": ".a"},
            {"rule": "self.a > 1", "messageExpression": "self.a > 1 ? 'x' : ''"},
            {"rule": "self.a != 0", "reason": "FieldValueRequired"},
        ]),
    );
    assert_eq!(check_rules(&schema), []);
    assert_eq!(
        told(&schema, json!({"a": 0}), None),
        [
            "FieldValueForbidden x.a: Forbidden: a is 0",
            "FieldValueInvalid x: Invalid value: failed rule: self.a > 1",
            "FieldValueRequired x: Required value: failed rule: self.a != 0",
        ]
    );
}

#[test]
fn optional_old_self_runs_on_creation_too() {
    let schema = ruled(
        json!({"type": "string"}),
        json!([{"rule": "oldSelf.hasValue() ? oldSelf.value() == self : self == 'first'", "optionalOldSelf": true}]),
    );
    assert_eq!(check_rules(&schema), []);
    assert_eq!(told(&schema, json!("first"), None), Vec::<String>::new());
    assert_eq!(told(&schema, json!("other"), None).len(), 1);
    assert_eq!(told(&schema, json!("other"), Some(json!("first"))).len(), 1);
}

#[test]
fn items_of_map_lists_meet_their_old_selves_by_key() {
    let schema = Schema::parse(&json!({"type": "object", "properties": {"x": {
        "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"],
        "items": {"type": "object", "required": ["k"], "properties": {"k": {"type": "string"}, "v": {"type": "integer"}},
            "x-kubernetes-validations": [{"rule": "self.v >= oldSelf.v", "message": "may not shrink"}]}}}}))
    .unwrap();
    let old = json!([{"k": "a", "v": 1}, {"k": "b", "v": 5}]);
    assert_eq!(told(&schema, json!([{"k": "b", "v": 5}, {"k": "a", "v": 2}, {"k": "c", "v": 0}]), Some(old.clone())), Vec::<String>::new());
    let shrunk = told(&schema, json!([{"k": "b", "v": 4}, {"k": "a", "v": 1}]), Some(old));
    assert_eq!(shrunk, ["FieldValueInvalid x[0]: Invalid value: may not shrink"]);
}

#[test]
fn a_rule_does_not_judge_what_did_not_change() {
    let schema = Schema::parse(&json!({"type": "object", "properties": {
        "x": {"type": "string", "x-kubernetes-validations": [{"rule": "self == 'new'"}]}, "y": {"type": "integer"}}}))
    .unwrap();
    let old = json!({"x": "old", "y": 1});
    assert_eq!(lines(&validate(&schema, &json!({"x": "old", "y": 2}), Some(&old))), Vec::<String>::new());
    assert_eq!(validate(&schema, &json!({"x": "other", "y": 2}), Some(&old)).len(), 1);
}

#[test]
fn values_have_the_types_their_schema_says() {
    assert!(holds(json!({"type": "number"}), "self > 0.5 && self / 2.0 == 1.0", json!(2)));
    assert!(holds(
        json!({"type": "string", "format": "date-time"}),
        "self > timestamp('2024-01-01T00:00:00Z')",
        json!("2024-06-01T00:00:00Z")
    ));
    assert!(holds(json!({"type": "string", "format": "duration"}), "self == duration('90m')", json!("1h30m")));
    assert!(holds(json!({"type": "string", "format": "byte"}), "size(self) == 5", json!("aGVsbG8=")));
    assert!(holds(json!({"x-kubernetes-int-or-string": true}), "self == 5 || self == '5%'", json!("5%")));
    assert!(holds(json!({"type": "string"}), "size(self) == 3 && self.size() == 3", json!("äöü")));
    assert!(holds(
        json!({"type": "object", "additionalProperties": {"type": "integer"}}),
        "self['a-b'] == 1 && self.all(k, self[k] > 0)",
        json!({"a-b": 1})
    ));
}

#[test]
fn field_names_are_escaped_as_kubernetes_does() {
    let fields = text_fields(&["snake_case", "with-dash", "with.dot", "with/slash", "namespace", "two__under"]);
    let rule = "self.snake_case == 'a' && self.with__dash__dash == 'b' && self.with__dot__dot == 'c' && self.with__slash__slash == 'd' \
        && self.__namespace__ == 'e' && self.two__underscores__under == 'f'";
    let value = json!({"snake_case": "a", "with-dash": "b", "with.dot": "c", "with/slash": "d", "namespace": "e", "two__under": "f"});
    assert!(holds(fields, rule, value));
}

#[test]
fn optional_fields_and_bindings_work() {
    let fields = text_fields(&["a", "b"]);
    assert!(holds(fields.clone(), "self.?a.orValue('none') == 'none'", json!({})));
    assert!(holds(fields.clone(), "self.?a.orValue('none') == 'x'", json!({"a": "x"})));
    assert!(holds(fields.clone(), "has(self.a) == self.?a.hasValue()", json!({"b": "x"})));
    assert!(holds(
        fields.clone(),
        "cel.bind(both, self.a + self.b, both + both == 'xyxy' && size(both) == 2)",
        json!({"a": "x", "b": "y"})
    ));
    assert!(!holds(fields, "!has(self.a)", json!({"a": "x"})));
}

#[test]
fn the_function_library_of_kubernetes_is_there() {
    let text = || json!({"type": "string"});
    assert!(holds(text(), "quantity(self).isGreaterThan(quantity('500Mi'))", json!("1Gi")));
    assert!(holds(text(), "isURL(self) && url(self).getHost() == 'example.com'", json!("https://example.com/x")));
    assert!(holds(text(), "self.matches('^[a-z]+$') && self.startsWith('a') && self.upperAscii() == 'ABC'", json!("abc")));
    assert!(holds(text(), "!format.dns1123Label().validate(self).hasValue()", json!("a-b")));
    assert!(holds(text(), "isIP(self) && ip(self).family() == 4 && cidr('10.0.0.0/8').containsIP(self)", json!("10.1.1.1")));
    let list = json!({"type": "array", "items": {"type": "integer"}});
    assert!(holds(
        list.clone(),
        "self.sum() == 6 && self.isSorted() && self.map(i, i * 2) == [2, 4, 6] && sets.contains(self, [1])",
        json!([1, 2, 3])
    ));
    assert!(holds(list, "self.filter(i, i > 1).size() == 2 && self.exists_one(i, i == 1) && !self.exists(i, i > 3)", json!([1, 2, 3])));
}

#[test]
fn a_rule_that_cannot_be_evaluated_is_an_error_with_its_text() {
    let schema = ruled(text_fields(&["a", "b"]), json!([{"rule": "self.a == 'x'"}]));
    assert_eq!(
        told(&schema, json!({"b": "1"}), None),
        ["FieldValueInvalid x: Invalid value: no such key: a evaluating rule: self.a == 'x'"]
    );
    let schema = ruled(json!({"type": "integer"}), json!([{"rule": "1 / self > 0", "message": "positive please"}]));
    assert_eq!(told(&schema, json!(0), None), ["FieldValueInvalid x: Invalid value: division by zero evaluating rule: positive please"]);
}

#[test]
fn null_is_not_asked() {
    let schema = ruled(json!({"type": "string", "nullable": true}), json!([{"rule": "self == 'x'"}]));
    assert_eq!(told(&schema, Value::Null, None), Vec::<String>::new());
}

#[test]
fn mistakes_in_rules_are_found_when_the_schema_arrives() {
    let found = |rule: Value| {
        let schema = ruled(
            json!({"type": "object", "properties": {"a": {"type": "object", "properties": {"b": {"type": "string"}}}}}),
            json!([rule]),
        );
        check_rules(&schema).iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let at = "properties[x].x-kubernetes-validations[0]";
    assert!(
        found(json!({"rule": "self.a.b >"}))[0]
            .starts_with(&format!("{at}.rule: Invalid value: \"self.a.b >\": compilation failed: ERROR: <input>:1:"))
    );
    assert_eq!(
        found(json!({"rule": "self.c == 1"})),
        [format!("{at}.rule: Invalid value: \"self.c == 1\": compilation failed: undefined field 'c'")]
    );
    assert_eq!(
        found(json!({"rule": "self.a.c == ''"})),
        [format!("{at}.rule: Invalid value: \"self.a.c == ''\": compilation failed: undefined field 'c'")]
    );
    assert_eq!(
        found(json!({"rule": "object.a == 1"})),
        [format!("{at}.rule: Invalid value: \"object.a == 1\": compilation failed: undeclared reference to 'object' (in container '')")]
    );
    assert_eq!(
        found(json!({"rule": "frobnicate(self)"})),
        [format!(
            "{at}.rule: Invalid value: \"frobnicate(self)\": compilation failed: undeclared reference to 'frobnicate' (in container '')"
        )]
    );
    assert_eq!(found(json!({"rule": " "})), [format!("{at}.rule: Required value: rule is not specified")]);
    assert_eq!(found(json!({"rule": "true", "fieldPath": ".zz"})).len(), 1);
    assert_eq!(found(json!({"rule": "true", "reason": "Whim"})).len(), 1);
    assert_eq!(found(json!({"rule": "true", "optionalOldSelf": true})).len(), 1);
    assert_eq!(found(json!({"rule": "true", "message": "two\nlines"})).len(), 1);
    assert_eq!(
        found(json!({"rule": "has(self.a.b) && self.a.b.size() > 0 && [1].all(i, i > 0)", "fieldPath": ".a.b"})),
        Vec::<String>::new()
    );
    assert!(found(json!({"rule": "Foo{a: 1} == self"}))[0].contains("constructing a message is not supported"));
}

#[test]
fn an_expensive_rule_ends() {
    let list = json!({"type": "array", "items": {"type": "integer"}});
    let items: Vec<u32> = (0..2000).collect();
    let rules = [
        "self.all(a, self.all(b, self.all(c, a + b + c >= 0)))",
        "self.map(a, self.map(b, [a, b])).size() > 0",
        "[[0]].map(a, a+a+a+a+a+a+a+a).map(a, a+a+a+a+a+a+a+a).map(a, a+a+a+a+a+a+a+a).map(a, a+a+a+a+a+a+a+a).map(a, a+a+a+a+a+a+a+a).map(a, a+a+a+a+a+a+a+a).map(a, a+a+a+a+a+a+a+a).map(a, a+a+a+a+a+a+a+a).size() > 0",
        // The error of the limit may not be swallowed.
        "self.exists(a, self.all(b, self.all(c, false && true || a >= 0))) || true",
        "lists.range(1000000000).size() > 0",
        "self.distinct().size() > 0",
        "self.all(a, sets.contains(self, self))",
        "self.map(a, string(a)).all(a, 'x'.matches(a + '{900}'))",
    ];
    for rule in rules {
        let schema = ruled(list.clone(), json!([{"rule": rule}, {"rule": "false"}]));
        let start = Instant::now();
        let errors = told(&schema, json!(items), None);
        assert!(start.elapsed() < Duration::from_secs(30), "{rule} took {:?}", start.elapsed());
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert!(errors[0].starts_with(
            "FieldValueInvalid x: Invalid value: 'operation cancelled: actual cost limit exceeded': no further validation rules will be run"
        ));
    }
}

#[test]
fn a_loop_over_large_values_ends_by_the_clock() {
    let object = json!({"type": "object", "properties": {"list": {"type": "array", "items": {"type": "string"}}}});
    let schema = ruled(object, json!([{"rule": "self.list.all(a, self.list.size() > 0)"}]));
    let list: Vec<String> = (0..20_000).map(|n| format!("item {n}")).collect();
    let start = Instant::now();
    let errors = told(&schema, json!({"list": list}), None);
    assert!(start.elapsed() < Duration::from_secs(30), "took {:?}", start.elapsed());
    assert!(errors[0].contains("actual cost limit exceeded"), "{errors:?}");
}

#[test]
fn a_panic_in_the_library_is_an_error_of_the_rule() {
    let schema = ruled(json!({"type": "number"}), json!([{"rule": "'%.99999999f'.format([self]) != ''"}]));
    assert_eq!(told(&schema, json!(1.5), None).len(), 1);
}

#[test]
fn a_rule_over_a_large_list_that_is_linear_passes() {
    let list = json!({"type": "array", "items": {"type": "object", "properties": {"n": {"type": "integer"}}}});
    let items: Vec<Value> = (0..5000).map(|n| json!({"n": n})).collect();
    assert!(holds(list, "self.all(i, i.n >= 0 && i.n < 10000)", json!(items)));
}

#[test]
fn deep_nesting_in_a_rule_is_refused_not_followed() {
    let rules = [
        format!("{}true{}", "(".repeat(5000), ")".repeat(5000)),
        format!("{}true", "!".repeat(15_000)),
        format!("{}1 > 0", "-".repeat(15_000)),
        vec!["true"; 2300].join(" && "),
        vec!["1"; 8000].join("+"),
        format!("self{}", ".a".repeat(8000)),
        format!("self{}", "[0]".repeat(5000)),
        format!("{}true", "true?true:".repeat(1600)),
        vec!["1"; 8000].join("<"),
    ];
    for rule in rules {
        // It must come back at all; most are refused.
        let schema = ruled(json!({"type": "string"}), json!([{"rule": rule}]));
        check_rules(&schema);
        told(&schema, json!("x"), None);
    }
}

#[test]
fn the_deepest_rule_that_is_allowed_can_be_evaluated() {
    let conditions: Vec<String> = (0..90).map(|n| format!("self != 'a{n}'")).collect();
    assert!(holds(json!({"type": "string"}), &conditions.join(" && "), json!("x")));
    let nested = format!("{}self{}.size() > 0", "[".repeat(60), "]".repeat(60));
    assert!(holds(json!({"type": "string"}), &nested, json!("x")));
    let chain = format!("{}self == 'x'", "self == 'y' ? false : ".repeat(45));
    assert!(holds(json!({"type": "string"}), &chain, json!("x")));
    let sum = vec!["1"; 80].join("+");
    assert!(holds(json!({"type": "string"}), &format!("{sum} == 80"), json!("x")));
}

#[test]
fn times_and_overflows_behave_as_in_cel() {
    assert!(holds(
        json!({"type": "string", "format": "date-time"}),
        "self + duration('1h') == timestamp('2024-06-01T01:00:00Z')",
        json!("2024-06-01T00:00:00Z")
    ));
    let schema = ruled(json!({"type": "integer"}), json!([{"rule": "self + self > 0"}]));
    assert_eq!(
        told(&schema, json!(i64::MAX), None),
        ["FieldValueInvalid x: Invalid value: integer overflow evaluating rule: self + self > 0"]
    );
    let schema = ruled(json!({"x-kubernetes-int-or-string": true}), json!([{"rule": "self + 1 > 0"}]));
    let error = told(&schema, json!("a"), None);
    let expected = "FieldValueInvalid x: Invalid value: 'no such overload': call arguments did not match a supported operator, function or macro signature for rule: self + 1 > 0";
    assert_eq!(error, [expected]);
}

#[test]
fn a_rule_sees_every_field_it_can_look_at_however_it_names_it() {
    let fields = text_fields(&["a", "b", "c-d", "namespace"]);
    let value = json!({"a": "1", "b": "2", "c-d": "3", "namespace": "4"});
    for rule in [
        "self.a == '1'",
        "has(self.b) && self.b == '2'",
        "self.c__dash__d == '3' && self.__namespace__ == '4'",
        "['1'].exists(one, self.a == one)",
        "[self].all(one, one.b == '2')",
        "self == self && 'b' in self",
        "cel.bind(all, self, all.a + all.b == '12')",
        "self.?b.orValue('none') == '2'",
    ] {
        assert!(holds(fields.clone(), rule, value.clone()), "{rule}");
    }
    // One rule names a field that another does not, and the message another still.
    let rules = json!([{"rule": "self.a == '1'"}, {"rule": "self.b == '1'", "messageExpression": "'a namespace ' + self.__namespace__"}]);
    let errors = told(&ruled(fields, rules), value, None);
    assert!(errors.len() == 1 && errors[0].contains("a namespace 4"), "{errors:?}");
}
