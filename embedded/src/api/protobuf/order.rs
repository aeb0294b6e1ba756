//! Objects as text in the order of Kubernetes' Go structs: `messages.txt` lists the fields of a message in that order.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::table::{self, Kind, Message};

/// The text that a Kubernetes server has of a built-in object after a patch: where the patch reached, members stand in alphabetical order,
/// everywhere else in that of the Go structs. `touched` is a tree of the members that it reached. Kinds that are not built in have maps only.
pub(in crate::api) fn after_patch(version: &str, kind: &str, object: &Value, touched: &Value) -> String {
    let mut out = String::new();
    write(&mut out, object, table::of_kind(version, kind), Some(touched));
    // As Go writes JSON that may end up in a page.
    let escapes = [("&", "\\u0026"), ("<", "\\u003c"), (">", "\\u003e"), ("\u{2028}", "\\u2028"), ("\u{2029}", "\\u2029")];
    escapes.iter().fold(out, |text, (from, to)| text.replace(from, to))
}

/// The members that a merge patch, or the operations of a JSON patch, reach.
pub(in crate::api) fn touched(patch: &Value) -> Value {
    let Value::Array(operations) = patch else { return patch.clone() };
    let mut tree = json!({});
    let paths = operations.iter().flat_map(|operation| [&operation["path"], &operation["from"]]);
    for path in paths.filter_map(Value::as_str) {
        let mut steps: Vec<String> = path.split('/').skip(1).map(|step| step.replace("~1", "/").replace("~0", "~")).collect();
        // What is added or replaced is taken as it is: only the objects on the way to it are written anew.
        steps.pop();
        let mut place = &mut tree;
        for step in steps {
            place = &mut place[step];
            if !place.is_object() {
                *place = json!({});
            }
        }
    }
    tree
}

fn write(out: &mut String, value: &Value, message: Option<&Message>, touched: Option<&Value>) {
    let touched = touched.filter(|touched| touched.is_object());
    let below = |key: &str| touched.and_then(|touched| touched.get(key));
    match value {
        Value::Object(members) => {
            let keys = match touched {
                Some(_) => members.keys().map(String::as_str).collect(),
                None => in_order(members, message),
            };
            out.push('{');
            for (index, key) in keys.into_iter().enumerate() {
                let comma = if index == 0 { "" } else { "," };
                let _ = write!(out, "{comma}{}:", json!(key));
                write(out, &members[key], message.and_then(|message| inner(message, key)), below(key));
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write(out, item, message, below(&index.to_string()));
            }
            out.push(']');
        }
        other => {
            let _ = write!(out, "{other}");
        }
    }
}

/// The keys that the message knows, then the others.
fn in_order<'a>(members: &'a Map<String, Value>, message: Option<&Message>) -> Vec<&'a str> {
    let mut known = Vec::new();
    if let Some(message) = message {
        fields(message, &mut known);
    }
    let place = |key: &str| known.iter().position(|name| *name == key).unwrap_or(known.len());
    let mut keys: Vec<&str> = members.keys().map(String::as_str).collect();
    keys.sort_by_key(|key| place(key));
    keys
}

fn fields(message: &Message, into: &mut Vec<&'static str>) {
    for field in message.fields() {
        match (field.inline, field.kind) {
            (true, Kind::Message(name)) => table::message(name).into_iter().for_each(|inner| fields(inner, into)),
            _ => into.push(field.name),
        }
    }
}

/// The message of a member; of a map it is that of its values, which are reached through a key of their own.
fn inner(message: &Message, key: &str) -> Option<&'static Message> {
    message.fields().iter().find_map(|field| match field.kind {
        Kind::Message(name) if field.inline => table::message(name).and_then(|within| inner(within, key)),
        Kind::Message(name) if field.name == key && !field.map => table::message(name),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_patch_did_not_reach_stands_in_the_order_of_the_structs() {
        let object = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"labels": {"b": "1", "a": "2"}, "name": "p"},
            "spec": {"bogus": 1, "dnsPolicy": "Default", "containers": [{"image": "i<2", "name": "c", "command": ["x"]}], "restartPolicy": "Always"}
        });
        let reached = touched(&json!({"spec": {"bogus": 1}}));
        let text = after_patch("v1", "Pod", &object, &reached);
        let wanted = concat!(
            r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p","labels":{"a":"2","b":"1"}},"#,
            r#""spec":{"bogus":1,"containers":[{"name":"c","image":"i\u003c2","command":["x"]}],"dnsPolicy":"Default","restartPolicy":"Always"}}"#
        );
        assert_eq!(text, wanted);
        let reached = touched(&json!([{"op": "add", "path": "/metadata/labels", "value": {}}]));
        let text = after_patch("v1", "Pod", &object, &reached);
        assert!(text.contains(r#""metadata":{"labels":{"a":"2","b":"1"},"name":"p"}"#), "{text}");
        assert!(
            text.contains(r#""spec":{"containers""#) && text.contains(r#""restartPolicy":"Always","dnsPolicy":"Default","bogus":1}"#),
            "{text}"
        );
    }
}
