//! Policies and bindings, read from their objects and compiled.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::matching::Matches;
use crate::schema::{Expression, Named, Names, Wanted};

/// What follows when a policy cannot be evaluated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OnFailure {
    /// The request is refused.
    Fail,
    /// The policy is passed over.
    Ignore,
}

/// What follows when something does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// The request is refused.
    Deny,
    /// The client is warned.
    Warn,
    /// It is noted.
    Audit,
}

/// An expression of a policy: compiled, or with its text and why it does not compile.
pub(super) type Compiled = Result<Expression, (String, String)>;

/// Something that must hold.
pub(super) struct Validation {
    /// The condition.
    pub condition: Compiled,
    /// Makes the text where it does not hold.
    pub message_expression: Option<Expression>,
    /// The text where nothing else makes one.
    pub message: String,
    /// Reason of the refusal.
    pub reason: &'static str,
}

/// The kind of parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ParamKind {
    /// `group/version`.
    pub api_version: String,
    /// Kind.
    pub kind: String,
}

/// A policy.
pub(super) struct Policy {
    /// Its name.
    pub name: String,
    /// Which requests it is about.
    pub matches: Matches,
    /// Which of these in particular.
    pub conditions: Vec<Compiled>,
    /// Named parts of its expressions.
    pub variables: Arc<Vec<Named>>,
    /// What must hold.
    pub validations: Vec<Validation>,
    /// What if it cannot be told.
    pub on_failure: OnFailure,
    /// The kind of its parameters.
    pub param_kind: Option<ParamKind>,
    /// Where it applies.
    pub bindings: Vec<Binding>,
}

/// A binding.
pub(super) struct Binding {
    /// Its name.
    pub name: String,
    /// Which of the policy's requests it is about.
    pub matches: Matches,
    /// What follows.
    pub actions: Vec<Action>,
    /// `paramRef`.
    pub param: Option<Value>,
}

/// The variables of a policy up to the first that does not compile: those after it may use it.
pub(crate) fn variables(spec: &Value) -> (Vec<Named>, Option<(usize, String)>) {
    let params = spec["paramKind"].is_object();
    let mut named: Vec<Named> = Vec::new();
    for (index, variable) in items(&spec["variables"]).iter().enumerate() {
        let names = Names { params, authorizer: true, variables: Some(&named) };
        match Expression::compile(text(&variable["expression"]), &names, Wanted::Anything) {
            Ok(expression) => named.push(Named { name: text(&variable["name"]).to_owned(), expression }),
            Err(error) => return (named, Some((index, error))),
        }
    }
    (named, None)
}

impl Policy {
    /// Reads a policy from its object, and its bindings from theirs.
    pub fn read(policy: &Value, bindings: &[Value]) -> Self {
        let spec = &policy["spec"];
        let params = spec["paramKind"].is_object();
        let (named, _) = variables(spec);
        let compiled = |value: &Value, variables: Option<&[Named]>| {
            let names = Names { params, authorizer: true, variables };
            let text = text(value);
            Expression::compile(text, &names, Wanted::Bool).map_err(|error| (text.to_owned(), error))
        };
        let known = spec["variables"].is_array().then_some(named.as_slice());
        let conditions = items(&spec["matchConditions"]).iter().map(|condition| compiled(&condition["expression"], None)).collect();
        let validations = items(&spec["validations"]).iter().map(|validation| {
            let message = text(&validation["messageExpression"]);
            let names = Names { params, authorizer: false, variables: known };
            Validation {
                condition: compiled(&validation["expression"], known),
                message_expression: Some(message)
                    .filter(|message| !message.trim().is_empty())
                    .and_then(|message| Expression::compile(message, &names, Wanted::Text).ok()),
                message: text(&validation["message"]).trim().to_owned(),
                reason: reason(text(&validation["reason"])),
            }
        });
        Self {
            name: text(&policy["metadata"]["name"]).to_owned(),
            matches: Matches::read(&spec["matchConstraints"]),
            conditions,
            validations: validations.collect(),
            on_failure: if spec["failurePolicy"] == "Ignore" { OnFailure::Ignore } else { OnFailure::Fail },
            param_kind: params.then(|| ParamKind {
                api_version: text(&spec["paramKind"]["apiVersion"]).to_owned(),
                kind: text(&spec["paramKind"]["kind"]).to_owned(),
            }),
            bindings: bindings
                .iter()
                .filter(|binding| binding["spec"]["policyName"] == policy["metadata"]["name"])
                .map(Binding::read)
                .collect(),
            variables: Arc::new(named),
        }
    }

    /// Expressions that are evaluated once the conditions hold.
    pub fn expressions(&self) -> impl Iterator<Item = &Expression> {
        self.validations.iter().flat_map(|validation| validation.condition.as_ref().ok().into_iter().chain(&validation.message_expression))
    }
}

impl Binding {
    fn read(binding: &Value) -> Self {
        let spec = &binding["spec"];
        let action = |action: &Value| match action.as_str() {
            Some("Warn") => Some(Action::Warn),
            Some("Audit") => Some(Action::Audit),
            Some("Deny") => Some(Action::Deny),
            _ => None,
        };
        Self {
            name: text(&binding["metadata"]["name"]).to_owned(),
            matches: Matches::read(&spec["matchResources"]),
            actions: items(&spec["validationActions"]).iter().filter_map(action).collect(),
            param: Some(spec["paramRef"].clone()).filter(Value::is_object),
        }
    }
}

/// Reasons of refusals, with `Invalid` where none is given.
fn reason(reason: &str) -> &'static str {
    match reason {
        "Forbidden" => "Forbidden",
        "Unauthorized" => "Unauthorized",
        "RequestEntityTooLarge" => "RequestEntityTooLarge",
        _ => "Invalid",
    }
}

/// A text, empty where there is none.
pub(super) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// The items of a list, none where there is none.
pub(super) fn items(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// The labels of an object.
pub(super) fn labels(object: &Value) -> Map<String, Value> {
    object["metadata"]["labels"].as_object().cloned().unwrap_or_default()
}
