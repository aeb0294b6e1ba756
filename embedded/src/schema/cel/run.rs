//! Evaluates the rules of an object.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use kube_cel::cel::objects::OptionalValue;
use kube_cel::cel::{Context, ExecutionError, Value as Cel};
use serde_json::Value;

use super::budget::{self, OBJECT_LIMIT, RULE_LIMIT, TIME_LIMIT};
use super::convert::to_cel_in_part;
use super::functions::FUNCTIONS;
use super::program::{Expression, Program, STACK};
use crate::schema::validate::OldItems;
use crate::schema::{Rule, Schema};
use crate::status::FieldError;

/// The rules that `object` breaks. Rules over `oldSelf` run where there is an old value; the others do not judge what did not change.
pub(in crate::schema) fn validate(schema: &Schema, object: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let mut run = Run { path: String::new(), errors: Vec::new(), left: OBJECT_LIMIT, started: Instant::now() };
    run.node(schema, object, old);
    run.errors
}

struct Run {
    path: String,
    errors: Vec<FieldError>,
    /// Cost units left for this object; nothing more runs at 0.
    left: u64,
    /// For the limit in time of all rules together.
    started: Instant,
}

impl Run {
    fn node(&mut self, schema: &Schema, value: &Value, old: Option<&Value>) {
        // Rules judge values; whoever allows null judges it from outside.
        if self.left == 0 || value.is_null() || !schema.compiled.has_rules(schema) {
            return;
        }
        if !schema.rules.is_empty() {
            self.rules(schema, value, old.filter(|old| !old.is_null()));
        }
        for branch in &schema.all_of {
            self.node(branch, value, old);
        }
        let length = self.path.len();
        match value {
            Value::Object(members) => {
                for (name, value) in members {
                    let Some(child) = schema.field(name) else { continue };
                    if length > 0 {
                        self.path.push('.');
                    }
                    self.path.push_str(name);
                    self.node(child, value, old.and_then(|old| old.get(name)));
                    self.path.truncate(length);
                }
            }
            Value::Array(items) => {
                let Some(child) = &schema.items else { return };
                let previous = OldItems::of(schema, old);
                for (index, item) in items.iter().enumerate() {
                    self.path.push_str(&format!("[{index}]"));
                    self.node(child, item, previous.find(item));
                    self.path.truncate(length);
                }
            }
            _ => {}
        }
    }

    fn rules(&mut self, schema: &Schema, value: &Value, old: Option<&Value>) {
        let unchanged = old == Some(value);
        let runs = |rule: &Rule, program: &Program| match program.transition {
            true => old.is_some() || rule.optional_old_self,
            false => !unchanged,
        };
        let due: Vec<_> = schema.rules.iter().zip(schema.compiled.rules(schema)).filter(|(rule, program)| runs(rule, program)).collect();
        if due.is_empty() {
            return;
        }
        // Converting costs more than evaluating, and most rules look at a field or two of large objects.
        let mut needed = Some(BTreeSet::new());
        for (_, program) in &due {
            match (&mut needed, &program.fields) {
                (Some(all), Some(fields)) => all.extend(fields.iter().map(String::as_str)),
                (needed, _) => *needed = None,
            }
        }
        let needed = |name: &str| needed.as_ref().is_none_or(|names| names.contains(name));
        let mut context = FUNCTIONS.new_inner_scope();
        context.add_variable_from_value("self", to_cel_in_part(schema, value, &needed));
        let old = old.map(|old| to_cel_in_part(schema, old, &needed));
        for (rule, program) in due {
            if program.transition {
                match (&old, rule.optional_old_self) {
                    (Some(old), false) => context.add_variable_from_value("oldSelf", old.clone()),
                    (old, _) => {
                        let old = old.clone().map_or_else(OptionalValue::none, OptionalValue::of);
                        context.add_variable_from_value("oldSelf", Cel::Opaque(Arc::new(old)));
                    }
                }
            }
            self.rule(rule, program, &context);
            if self.left == 0 {
                return;
            }
        }
    }

    fn rule(&mut self, rule: &Rule, program: &Program, context: &Context) {
        let text = rule_text(rule);
        let expression = match &program.expression {
            Ok(expression) => expression,
            Err(error) => return self.fail(&format!("rule compile error: {error}")),
        };
        match self.evaluate(expression, context) {
            Outcome::TooExpensive => {
                self.left = 0;
                self.fail(&format!(
                    "'{}': no further validation rules will be run due to call cost exceeds limit for rule: {text}",
                    super::functions::TOO_EXPENSIVE
                ));
            }
            Outcome::Value(Ok(Cel::Bool(true))) => {}
            Outcome::Value(Ok(Cel::Bool(false))) => {
                let message = self.message(rule, program, context);
                self.errors.push(broken(rule, &self.path, message));
            }
            Outcome::Value(Ok(_)) => self.fail(&format!("rule must evaluate to a bool: {text}")),
            Outcome::Value(Err(error)) => {
                let error = describe(&error);
                if error.starts_with("no such overload") {
                    self.fail(&format!(
                        "'{error}': call arguments did not match a supported operator, function or macro signature for rule: {text}"
                    ));
                } else {
                    self.fail(&format!("{error} evaluating rule: {text}"));
                }
            }
        }
    }

    fn evaluate(&mut self, expression: &Expression, context: &Context) -> Outcome {
        if self.started.elapsed() > TIME_LIMIT {
            return Outcome::TooExpensive;
        }
        let (result, used) = evaluate(expression, context, RULE_LIMIT.min(self.left));
        match used {
            Some(used) => {
                self.left = self.left.saturating_sub(used);
                Outcome::Value(result)
            }
            None => Outcome::TooExpensive,
        }
    }

    /// The text for a broken rule: of the message expression if it makes one, else the message, else the rule.
    fn message(&mut self, rule: &Rule, program: &Program, context: &Context) -> String {
        if let Some(Ok(expression)) = &program.message
            && let Outcome::Value(Ok(Cel::String(text))) = self.evaluate(expression, context)
        {
            let text = text.trim();
            if !text.is_empty() && !text.contains('\n') {
                return text.to_owned();
            }
        }
        let message = rule.message.trim();
        if message.is_empty() { format!("failed rule: {}", rule.rule.trim()) } else { message.to_owned() }
    }

    fn fail(&mut self, text: &str) {
        self.errors.push(FieldError { reason: "FieldValueInvalid", field: shown(&self.path), message: format!("Invalid value: {text}") });
    }
}

pub(super) type Evaluated = (Result<Cel, ExecutionError>, Option<u64>);

/// The result, and what it cost: `None` where that is more than `limit`, whatever the result says.
pub(super) fn evaluate(expression: &Expression, context: &Context, limit: u64) -> Evaluated {
    // Some of the library panics on odd arguments (a format with a huge precision); that is the rule's mistake, not the server's.
    let resolve = || catch_unwind(AssertUnwindSafe(|| Cel::resolve(&expression.root, context))).unwrap_or_else(|_| gave_up());
    let here = || budget::with_limit(limit.saturating_sub(expression.cost), resolve);
    let (result, used) = if expression.deep { elsewhere(here) } else { here() };
    (result, used.map(|used| used + expression.cost))
}

/// Evaluates on a stack that is large enough.
fn elsewhere(work: impl FnOnce() -> Evaluated + Send) -> Evaluated {
    let thread = std::thread::Builder::new().name("cel-rule".to_owned()).stack_size(STACK);
    std::thread::scope(|scope| match thread.spawn_scoped(scope, work) {
        Ok(thread) => thread.join().unwrap_or_else(|_| (gave_up(), Some(0))),
        Err(error) => (Err(ExecutionError::function_error("rule", format!("no thread to evaluate it: {error}"))), Some(0)),
    })
}

fn gave_up() -> Result<Cel, ExecutionError> {
    Err(ExecutionError::function_error("rule", "the interpreter gave up on it"))
}

enum Outcome {
    Value(Result<Cel, ExecutionError>),
    TooExpensive,
}

/// What an error calls a rule: its message where it has one.
fn rule_text(rule: &Rule) -> &str {
    let message = rule.message.trim();
    if message.is_empty() { rule.rule.trim() } else { message }
}

fn broken(rule: &Rule, path: &str, message: String) -> FieldError {
    let field = shown(&join(path, &rule.field_path));
    match rule.reason.as_str() {
        "FieldValueForbidden" => FieldError::forbidden(field, message),
        "FieldValueRequired" => FieldError::required(field, message),
        "FieldValueDuplicate" => FieldError { reason: "FieldValueDuplicate", field, message: format!("Duplicate value: {message}") },
        _ => FieldError { reason: "FieldValueInvalid", field, message: format!("Invalid value: {message}") },
    }
}

/// `fieldPath` below the node: `.a['b']` after `spec` is `spec.a[b]`.
fn join(path: &str, below: &str) -> String {
    let below = below.replace("['", "[").replace("']", "]");
    if path.is_empty() { below.trim_start_matches('.').to_owned() } else { format!("{path}{below}") }
}

/// The root of an object has no path of its own.
fn shown(path: &str) -> String {
    if path.is_empty() { "<nil>".to_owned() } else { path.to_owned() }
}

/// Interpreter errors in the words of Kubernetes' one.
pub(super) fn describe(error: &ExecutionError) -> String {
    match error {
        ExecutionError::NoSuchKey(key) => format!("no such key: {key}"),
        ExecutionError::NoSuchOverload | ExecutionError::UnsupportedBinaryOperator(..) | ExecutionError::ValuesNotComparable(..) => {
            "no such overload".to_owned()
        }
        ExecutionError::DivisionByZero(_) => "division by zero".to_owned(),
        ExecutionError::RemainderByZero(_) => "modulus by zero".to_owned(),
        ExecutionError::Overflow(..) => "integer overflow".to_owned(),
        ExecutionError::IndexOutOfBounds(index) => match index {
            Cel::Int(index) => format!("index out of bounds: {index}"),
            _ => "index out of bounds".to_owned(),
        },
        ExecutionError::FunctionError { function, message } if message.starts_with("string parse error") => {
            format!("type conversion error from 'string' to '{function}'")
        }
        ExecutionError::FunctionError { message, .. } => message.clone(),
        ExecutionError::UndeclaredReference(name) => format!("undeclared reference to '{name}'"),
        other => {
            // Some of the interpreter's texts print whole values; a bounded part says enough.
            other.to_string().chars().take(200).collect()
        }
    }
}
