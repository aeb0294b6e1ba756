//! What is wrong with the rules of a schema, found when it arrives and not when the first object does.

use kube_cel::cel::Context;
use kube_cel::cel::common::ast::{Expr, IdedExpr, LiteralValue, operators};
use serde_json::Value;

use super::convert::field_name;
use super::functions;
use super::program::{self, each_child};
use crate::schema::{Kind, Rule, Schema};
use crate::status::FieldError;

/// What a rule's `reason` may be.
const REASONS: [&str; 4] = ["FieldValueInvalid", "FieldValueForbidden", "FieldValueRequired", "FieldValueDuplicate"];

/// Rules that do not compile, name fields or functions that do not exist, or are otherwise malformed. Paths are below the schema's
/// root, such as `properties[spec].x-kubernetes-validations[0].rule`; see [`FieldError::below`].
pub fn check_rules(schema: &Schema) -> Vec<FieldError> {
    let mut errors = Vec::new();
    visit(schema, "", &mut errors);
    errors
}

fn visit(schema: &Schema, path: &str, errors: &mut Vec<FieldError>) {
    let at = |part: &str| if path.is_empty() { part.to_owned() } else { format!("{path}.{part}") };
    for (index, rule) in schema.rules.iter().enumerate() {
        check_rule(schema, rule, &at(&format!("x-kubernetes-validations[{index}]")), errors);
    }
    for (name, child) in &schema.properties {
        visit(child, &at(&format!("properties[{name}]")), errors);
    }
    if let Some(child) = &schema.additional {
        visit(child, &at("additionalProperties"), errors);
    }
    if let Some(child) = &schema.items {
        visit(child, &at("items"), errors);
    }
    for (index, child) in schema.all_of.iter().enumerate() {
        visit(child, &at(&format!("allOf[{index}]")), errors);
    }
}

fn check_rule(schema: &Schema, rule: &Rule, path: &str, errors: &mut Vec<FieldError>) {
    if rule.rule.trim().is_empty() {
        errors.push(FieldError::required(format!("{path}.rule"), "rule is not specified"));
    }
    if rule.message.contains('\n') || (!rule.message.is_empty() && rule.message.trim().is_empty()) {
        let detail =
            if rule.message.contains('\n') { "message must not contain line breaks" } else { "message must be non-empty if specified" };
        errors.push(FieldError::invalid(format!("{path}.message"), &Value::from(rule.message.as_str()), detail));
    }
    if !rule.reason.is_empty() && !REASONS.contains(&rule.reason.as_str()) {
        let supported: Vec<Value> = REASONS.into_iter().map(Value::from).collect();
        errors.push(FieldError::not_supported(format!("{path}.reason"), &Value::from(rule.reason.as_str()), &supported));
    }
    if !rule.field_path.is_empty() && !field_path_exists(schema, &rule.field_path) {
        let detail = "fieldPath must be a valid path: it must start with \".\" or \"['\" and name fields of the schema at the rule";
        errors.push(FieldError::invalid(format!("{path}.fieldPath"), &Value::from(rule.field_path.as_str()), detail));
    }
    if rule.rule.trim().is_empty() {
        return;
    }
    let transition = check_expression(schema, rule, &rule.rule, &format!("{path}.rule"), errors);
    if rule.optional_old_self && !transition {
        let detail = "may not be set if oldSelf is not used in rule";
        errors.push(FieldError::invalid(format!("{path}.optionalOldSelf"), &Value::from(true), detail));
    }
    if !rule.message_expression.trim().is_empty() {
        check_expression(schema, rule, &rule.message_expression, &format!("{path}.messageExpression"), errors);
    }
}

/// Adds what is wrong with an expression; says whether it uses `oldSelf`.
fn check_expression(schema: &Schema, rule: &Rule, text: &str, path: &str, errors: &mut Vec<FieldError>) -> bool {
    let mut problems = Vec::new();
    let mut transition = false;
    match program::parse(text) {
        Ok(expression) => {
            transition = program::names(&expression, "oldSelf");
            let mut scope = vec!["self", "oldSelf"];
            let mut roots = vec![("self", schema)];
            roots.extend((!rule.optional_old_self).then_some(("oldSelf", schema)));
            let mut checker = Checker { roots, escaped: true, functions: &functions::FUNCTIONS, problems: &mut problems };
            checker.visit(&expression, &mut scope);
        }
        Err(error) => problems.push(error),
    }
    problems.dedup();
    for problem in problems {
        errors.push(FieldError::invalid(path, &Value::from(text), format!("compilation failed: {problem}")));
    }
    transition
}

/// Resolves names: variables, functions, and fields of variables whose schema is known.
pub(super) struct Checker<'a> {
    /// Variables whose fields are known.
    pub roots: Vec<(&'a str, &'a Schema)>,
    /// Whether fields are written the way rules write them (`a__dash__b`).
    pub escaped: bool,
    /// What can be called.
    pub functions: &'a Context<'static>,
    /// What was found.
    pub problems: &'a mut Vec<String>,
}

impl<'a> Checker<'a> {
    /// Looks at an expression and its parts; `scope` is what variables there are.
    pub fn visit<'e>(&mut self, expression: &'e IdedExpr, scope: &mut Vec<&'e str>) {
        match &expression.expr {
            Expr::Ident(name) if !name.starts_with('@') && !scope.contains(&name.as_str()) && !is_type(name) => {
                self.problems.push(format!("undeclared reference to '{name}' (in container '')"));
            }
            Expr::Select(select) => {
                self.visit(&select.operand, scope);
                if let Some(parent) = self.schema_of(&select.operand)
                    && closed(parent)
                    && !parent.properties.keys().any(|name| self.writes(name, &select.field))
                {
                    self.problems.push(format!("undefined field '{}'", select.field));
                }
            }
            Expr::Comprehension(loops) => {
                self.visit(&loops.iter_range, scope);
                self.visit(&loops.accu_init, scope);
                let length = scope.len();
                scope.push(&loops.iter_var);
                scope.extend(loops.iter_var2.as_deref());
                self.visit(&loops.loop_cond, scope);
                self.visit(&loops.loop_step, scope);
                scope.truncate(length);
            }
            Expr::Call(call) => {
                let prefix = call.target.as_ref().and_then(|target| if let Expr::Ident(name) = &target.expr { Some(name) } else { None });
                if let (Some("cel"), "bind", [name, value, body]) =
                    (prefix.map(String::as_str), call.func_name.as_str(), call.args.as_slice())
                {
                    self.visit(value, scope);
                    let length = scope.len();
                    scope.extend(if let Expr::Ident(name) = &name.expr { Some(name.as_str()) } else { None });
                    self.visit(body, scope);
                    scope.truncate(length);
                    return;
                }
                let qualified = prefix.filter(|name| !scope.contains(&name.as_str())).map(|name| format!("{name}.{}", call.func_name));
                if qualified.as_deref().is_some_and(|name| functions::exists(self.functions, name)) {
                    call.args.iter().for_each(|part| self.visit(part, scope));
                    return;
                }
                if !is_operator(&call.func_name) && !functions::exists(self.functions, &call.func_name) {
                    self.problems.push(format!("undeclared reference to '{}' (in container '')", call.func_name));
                }
                if call.func_name == "matches" && call.args.last().is_some_and(is_bad_pattern) {
                    self.problems.push(BAD_PATTERN.to_owned());
                }
                each_child(expression, &mut |part| self.visit(part, scope));
            }
            _ => each_child(expression, &mut |part| self.visit(part, scope)),
        }
    }

    /// Whether an expression writes the field `name` as `written`.
    fn writes(&self, name: &str, written: &str) -> bool {
        if self.escaped { field_name(name) == written } else { name == written }
    }

    /// The schema of a chain such as `self.spec.ports`, where it can be told.
    fn schema_of(&self, expression: &IdedExpr) -> Option<&'a Schema> {
        match &expression.expr {
            Expr::Ident(name) => self.roots.iter().find(|(root, _)| root == name).map(|(_, schema)| *schema),
            Expr::Select(select) if !select.test => {
                let parent = self.schema_of(&select.operand)?;
                let declared = parent.properties.iter().find(|(name, _)| self.writes(name, &select.field));
                declared.map(|(_, child)| child.as_ref()).or(parent.additional.as_deref())
            }
            Expr::Call(call) if call.func_name == operators::INDEX => {
                let parent = self.schema_of(call.args.first()?)?;
                parent.items.as_deref().or(parent.additional.as_deref())
            }
            _ => None,
        }
    }
}

/// Whether a node says all its fields: then one it does not say is a mistake.
fn closed(schema: &Schema) -> bool {
    schema.kind == Kind::Object && schema.additional.is_none() && !schema.properties.is_empty()
}

fn is_type(name: &str) -> bool {
    ["sets", "lists", "math", "strings", "optional", "format", "base64", "ip", "cidr", "cel", "jsonpatch"].contains(&name)
}

/// What a constant is that should be a regular expression and is none.
pub(super) const BAD_PATTERN: &str = "invalid matches argument";

fn is_bad_pattern(expression: &IdedExpr) -> bool {
    matches!(&expression.expr, Expr::Literal(LiteralValue::String(text)) if regex::Regex::new(text.inner()).is_err())
}

/// Operators have names such as `_+_` and are known to the interpreter.
fn is_operator(name: &str) -> bool {
    name.starts_with(['_', '-', '!', '@'])
}

/// Whether `.a['b-c']` names a field below the node.
fn field_path_exists(schema: &Schema, path: &str) -> bool {
    let mut rest = path;
    let mut node = schema;
    while !rest.is_empty() {
        let name;
        if let Some(quoted) = rest.strip_prefix("['") {
            let Some((inner, after)) = quoted.split_once("']") else { return false };
            name = inner;
            rest = after;
        } else if let Some(after) = rest.strip_prefix('.') {
            let end = after.find(['.', '[']).unwrap_or(after.len());
            name = &after[..end];
            rest = &after[end..];
        } else {
            return false;
        }
        match node.field(name) {
            Some(child) => node = child,
            None => return false,
        }
    }
    true
}
