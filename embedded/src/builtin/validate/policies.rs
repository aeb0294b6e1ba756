//! Admission policies and their bindings: their form, and whether their expressions compile.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::{faults, selectors, unsupported};
use crate::builtin::json::{is_set, items_at, text_at};
use crate::builtin::names;
use crate::policy;
use crate::schema::{Expression, Named, Names, RESERVED, Wanted};
use crate::status::FieldError;

type Errors = Vec<FieldError>;

/// Operations a rule may name.
const OPERATIONS: [&str; 5] = ["*", "CONNECT", "CREATE", "DELETE", "UPDATE"];
/// Most `matchConditions`.
const MOST_CONDITIONS: usize = 64;
/// Most `auditAnnotations`.
const MOST_ANNOTATIONS: usize = 20;
/// Longest expression of an audit annotation, in bytes.
const LONGEST_ANNOTATION: usize = 5 * 1024;

pub(super) fn validate(kind: &str, object: &Value, errors: &mut Errors) {
    match kind {
        policy::POLICY => validate_policy(object, errors),
        policy::BINDING => validate_binding(object, errors),
        _ => {}
    }
}

fn validate_policy(object: &Value, errors: &mut Errors) {
    let params = is_set(object, "/spec/paramKind");
    if params {
        validate_param_kind(&object["spec"]["paramKind"], errors);
    }
    match object.pointer("/spec/matchConstraints").filter(|constraints| constraints.is_object()) {
        None => errors.push(FieldError::required("spec.matchConstraints", "")),
        Some(constraints) => {
            validate_matches(constraints, "spec.matchConstraints", errors);
            if items_at(constraints, "/resourceRules").is_empty() {
                errors.push(FieldError::required("spec.matchConstraints.resourceRules", ""));
            }
        }
    }
    validate_conditions(object, params, errors);
    let variables = validate_variables(object, errors);
    let variables = (!items_at(object, "/spec/variables").is_empty()).then_some(variables.as_slice());
    let (validations, annotations) = (items_at(object, "/spec/validations"), items_at(object, "/spec/auditAnnotations"));
    if validations.is_empty() && annotations.is_empty() {
        let detail = "validations or auditAnnotations must contain at least one item";
        errors.extend(["spec.validations", "spec.auditAnnotations"].map(|field| FieldError::required(field, detail)));
    }
    for (index, validation) in validations.iter().enumerate() {
        validate_validation(validation, &format!("spec.validations[{index}]"), params, variables, errors);
    }
    validate_annotations(object, params, variables, errors);
}

fn validate_param_kind(kind: &Value, errors: &mut Errors) {
    let (field, given) = ("spec.paramKind.apiVersion", text_at(kind, "/apiVersion").unwrap_or_default());
    let (group, version) = given.split_once('/').unwrap_or(("", given));
    if given.is_empty() {
        errors.push(FieldError::required(field, ""));
    } else if version.contains('/') {
        errors.push(FieldError::invalid(field, &json!(given), format!("unexpected GroupVersion string: {given}")));
    } else {
        if !group.is_empty() {
            faults(errors, field, group, names::subdomain(group));
        }
        if version.is_empty() {
            errors.push(FieldError::invalid(field, &json!(given), "version must be specified"));
        } else {
            faults(errors, field, version, names::label_of_1035(version));
        }
    }
    match text_at(kind, "/kind") {
        None => errors.push(FieldError::required("spec.paramKind.kind", "")),
        Some(kind) => {
            let faults = names::label_of_1035(&kind.to_lowercase());
            let tell = |fault: String| {
                FieldError::invalid(
                    "spec.paramKind.kind",
                    &json!(kind),
                    format!("may have mixed case, but should otherwise match: {fault}"),
                )
            };
            errors.extend(faults.into_iter().map(tell));
        }
    }
}

/// `MatchResources`.
fn validate_matches(matches: &Value, field: &str, errors: &mut Errors) {
    for name in ["namespaceSelector", "objectSelector"] {
        if let Some(selector) = matches.get(name) {
            selectors::validate(selector, &format!("{field}.{name}"), errors);
        }
    }
    for name in ["resourceRules", "excludeResourceRules"] {
        for (index, rule) in items_at(matches, &format!("/{name}")).iter().enumerate() {
            validate_rule(rule, &format!("{field}.{name}[{index}]"), errors);
        }
    }
}

fn validate_rule(rule: &Value, field: &str, errors: &mut Errors) {
    let mut seen = HashSet::new();
    for (index, name) in items_at(rule, "/resourceNames").iter().filter_map(Value::as_str).enumerate() {
        let field = format!("{field}.resourceNames[{index}]");
        faults(errors, &field, name, names::path_segment(name));
        if !seen.insert(name) {
            errors.push(FieldError::duplicate(field, &json!(name)));
        }
    }
    for (name, others) in [("operations", "operations"), ("apiGroups", "API groups"), ("apiVersions", "API versions")] {
        let words = items_at(rule, &format!("/{name}"));
        if words.is_empty() {
            errors.push(FieldError::required(format!("{field}.{name}"), ""));
        }
        if words.len() > 1 && words.contains(&json!("*")) {
            let detail = format!("if '*' is present, must not specify other {others}");
            errors.push(FieldError::invalid(format!("{field}.{name}"), &json!(words), detail));
        }
        for (index, word) in words.iter().filter_map(Value::as_str).enumerate() {
            match name {
                "operations" if !OPERATIONS.contains(&word) => {
                    errors.push(unsupported(format!("{field}.operations[{index}]"), word, &OPERATIONS));
                }
                "apiVersions" if word.is_empty() => errors.push(FieldError::required(format!("{field}.apiVersions[{index}]"), "")),
                _ => {}
            }
        }
    }
    validate_resources(items_at(rule, "/resources"), &format!("{field}.resources"), errors);
}

/// `pods`, `pods/*`, `*/scale`, `*`, `*/*`; none may say what another says already.
fn validate_resources(resources: &[Value], field: &str, errors: &mut Errors) {
    if resources.is_empty() {
        errors.push(FieldError::required(field, ""));
    }
    let (mut whole, mut everywhere) = (HashSet::new(), HashSet::new());
    let words: Vec<&str> = resources.iter().filter_map(Value::as_str).collect();
    for (index, word) in words.iter().enumerate() {
        let field = format!("{field}[{index}]");
        if word.is_empty() {
            errors.push(FieldError::required(field, ""));
            continue;
        }
        let Some((resource, sub)) = word.split_once('/') else { continue };
        if whole.contains(resource) {
            let detail = format!("if '{resource}/*' is present, must not specify {word}");
            errors.push(FieldError::invalid(field.as_str(), &json!(word), detail));
        }
        if everywhere.contains(sub) {
            let detail = format!("if '*/{sub}' is present, must not specify {word}");
            errors.push(FieldError::invalid(field.as_str(), &json!(word), detail));
        }
        if sub == "*" {
            whole.insert(resource);
        }
        if resource == "*" {
            everywhere.insert(sub);
        }
    }
    if words.len() > 1 && words.contains(&"*/*") {
        errors.push(FieldError::invalid(field, &json!(resources), "if '*/*' is present, must not specify other resources"));
    }
    if words.contains(&"*") && words.iter().any(|word| *word != "*" && !word.contains('/')) {
        let detail = "if '*' is present, must not specify other resources without subresources";
        errors.push(FieldError::invalid(field, &json!(resources), detail));
    }
}

fn validate_conditions(object: &Value, params: bool, errors: &mut Errors) {
    let conditions = items_at(object, "/spec/matchConditions");
    if conditions.len() > MOST_CONDITIONS {
        errors.push(FieldError::too_many("spec.matchConditions", conditions.len(), MOST_CONDITIONS as u64));
    }
    let mut seen = HashSet::new();
    for (index, condition) in conditions.iter().enumerate() {
        let field = format!("spec.matchConditions[{index}]");
        let expression = text_at(condition, "/expression").unwrap_or_default().trim();
        if expression.is_empty() {
            errors.push(FieldError::required(format!("{field}.expression"), ""));
        } else {
            let names = Names { params, authorizer: true, variables: None };
            compile(expression, &names, Wanted::Bool, &format!("{field}.expression"), errors);
        }
        let name = text_at(condition, "/name").unwrap_or_default();
        if name.is_empty() {
            errors.push(FieldError::required(format!("{field}.name"), ""));
        } else {
            faults(errors, &format!("{field}.name"), name, names::qualified(name));
            if !seen.insert(name) {
                errors.push(FieldError::duplicate(format!("{field}.name"), &json!(name)));
            }
        }
    }
}

/// The variables that compile.
fn validate_variables(object: &Value, errors: &mut Errors) -> Vec<Named> {
    for (index, variable) in items_at(object, "/spec/variables").iter().enumerate() {
        let field = format!("spec.variables[{index}]");
        match text_at(variable, "/name").map(str::trim).unwrap_or_default() {
            "" => errors.push(FieldError::required(format!("{field}.name"), "name is not specified")),
            name if !is_identifier(name) => {
                errors.push(FieldError::invalid(format!("{field}.name"), &json!(name), "must be a valid CEL identifier"));
            }
            _ => {}
        }
        if text_at(variable, "/expression").is_none_or(|text| text.trim().is_empty()) {
            errors.push(FieldError::required(format!("{field}.expression"), "expression is not specified"));
        }
    }
    let (variables, failure) = policy::variables(&object["spec"]);
    if let Some((index, error)) = failure {
        let text = &object["spec"]["variables"][index]["expression"];
        if text.as_str().is_some_and(|text| !text.trim().is_empty()) {
            errors.push(FieldError::invalid(format!("spec.variables[{index}].expression"), text, error));
        }
    }
    variables
}

fn is_identifier(name: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    !name.starts_with(|c: char| c.is_ascii_digit()) && name.chars().all(word) && !RESERVED.contains(&name)
}

fn validate_validation(validation: &Value, field: &str, params: bool, variables: Option<&[Named]>, errors: &mut Errors) {
    let text = |key: &str| validation[key].as_str().unwrap_or_default();
    let (expression, message_expression, message) = (text("expression"), text("messageExpression"), text("message"));
    if expression.trim().is_empty() {
        errors.push(FieldError::required(format!("{field}.expression"), "expression is not specified"));
    } else {
        let names = Names { params, authorizer: true, variables };
        compile(expression, &names, Wanted::Bool, &format!("{field}.expression"), errors);
    }
    let empty = |key: &str| FieldError::invalid(format!("{field}.{key}"), &json!(text(key)), "must be non-empty if specified");
    if !message_expression.is_empty() && message_expression.trim().is_empty() {
        errors.push(empty("messageExpression"));
    } else if !message_expression.is_empty() {
        let names = Names { params, authorizer: false, variables };
        compile(message_expression, &names, Wanted::Text, &format!("{field}.messageExpression"), errors);
    }
    if !message.is_empty() && message.trim().is_empty() {
        errors.push(empty("message"));
    } else if message.trim().contains(['\n', '\r']) {
        errors.push(FieldError::invalid(format!("{field}.message"), &json!(message), "must not contain line breaks"));
    }
    let reasons = ["Forbidden", "Invalid", "RequestEntityTooLarge"];
    if let Some(reason) = validation["reason"].as_str().filter(|reason| !reasons.contains(reason)) {
        errors.push(unsupported(format!("{field}.reason"), reason, &reasons));
    }
}

fn validate_annotations(object: &Value, params: bool, variables: Option<&[Named]>, errors: &mut Errors) {
    let annotations = items_at(object, "/spec/auditAnnotations");
    if annotations.len() > MOST_ANNOTATIONS {
        let detail = format!("must not have more than {MOST_ANNOTATIONS} auditAnnotations");
        errors.push(FieldError::invalid("spec.auditAnnotations", &json!(annotations), detail));
    }
    let own = text_at(object, "/metadata/name").unwrap_or_default();
    let mut seen = HashSet::new();
    for (index, annotation) in annotations.iter().enumerate() {
        let field = format!("spec.auditAnnotations[{index}]");
        let (key, text) = (annotation["key"].as_str().unwrap_or_default(), annotation["valueExpression"].as_str().unwrap_or_default());
        let full = format!("{own}/{key}");
        faults(errors, &format!("{field}.key"), &full, names::qualified(&full));
        if !seen.insert(key) {
            errors.push(FieldError::duplicate(format!("{field}.key"), &json!(key)));
        }
        let field = format!("{field}.valueExpression");
        match text.trim() {
            "" => errors.push(FieldError::required(field, "valueExpression is not specified")),
            long if long.len() > LONGEST_ANNOTATION => {
                errors.push(FieldError::required(field, format!("must not exceed {LONGEST_ANNOTATION} bytes in length")));
            }
            text => compile(text, &Names { params, authorizer: true, variables }, Wanted::TextOrNull, &field, errors),
        }
    }
}

fn compile(text: &str, names: &Names, wanted: Wanted, field: &str, errors: &mut Errors) {
    if let Err(error) = Expression::compile(text, names, wanted) {
        errors.push(FieldError::invalid(field, &json!(text), error));
    }
}

fn validate_binding(object: &Value, errors: &mut Errors) {
    // That it is there the schema says.
    match object.pointer("/spec/policyName").and_then(Value::as_str) {
        Some("") => errors.push(FieldError::required("spec.policyName", "")),
        Some(name) => faults(errors, "spec.policyName", name, names::subdomain(name)),
        None => {}
    }
    if let Some(reference) = object.pointer("/spec/paramRef").filter(|reference| reference.is_object()) {
        validate_param_reference(reference, errors);
    }
    if let Some(matches) = object.pointer("/spec/matchResources") {
        validate_matches(matches, "spec.matchResources", errors);
    }
    let actions = items_at(object, "/spec/validationActions");
    let mut seen = HashSet::new();
    for (index, action) in actions.iter().filter_map(Value::as_str).enumerate() {
        let field = format!("spec.validationActions[{index}]");
        if !matches!(action, "Audit" | "Deny" | "Warn") {
            errors.push(unsupported(field.as_str(), action, &["Audit", "Deny", "Warn"]));
        }
        if !seen.insert(action) {
            errors.push(FieldError::duplicate(field, &json!(action)));
        }
    }
    if seen.contains("Deny") && seen.contains("Warn") {
        let detail = "must not contain both Deny and Warn (repeating the same validation failure information in the API response and headers serves no purpose)";
        errors.push(FieldError::invalid("spec.validationActions", &json!(actions), detail));
    }
    if actions.is_empty() && is_set(object, "/spec/validationActions") {
        errors.push(FieldError::required("spec.validationActions", "at least one validation action is required"));
    }
}

fn validate_param_reference(reference: &Value, errors: &mut Errors) {
    let name = text_at(reference, "/name").unwrap_or_default();
    let selector = reference.get("selector").filter(|selector| selector.is_object());
    if !name.is_empty() {
        faults(errors, "spec.paramRef.name", name, names::path_segment(name));
    }
    if let Some(selector) = selector {
        selectors::validate(selector, "spec.paramRef.selector", errors);
    }
    match (name.is_empty(), selector.is_some()) {
        (false, true) => {
            let detail = "name and selector are mutually exclusive";
            errors.extend(["name", "selector"].map(|field| FieldError::forbidden(format!("spec.paramRef.{field}"), detail)));
        }
        (true, false) => errors.push(FieldError::required("spec.paramRef", "one of name or selector must be specified")),
        _ => {}
    }
    if text_at(reference, "/parameterNotFoundAction").is_none() {
        errors.push(FieldError::required("spec.paramRef.parameterNotFoundAction", ""));
    }
}
