//! CEL expressions of admission policies: over an object, its old state and the request, with named parts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};
use std::time::Instant;

use kube_cel::cel::objects::{Key, OptionalValue};
use kube_cel::cel::{Context, Value as Cel};
use serde_json::{Map, Value, json};

use super::authority::{Asking, Authority, Question};
use super::budget::{OBJECT_LIMIT, RULE_LIMIT, TIME_LIMIT};
use super::check::Checker;
use super::convert::to_cel;
use super::functions::{POLICY_FUNCTIONS, TOO_EXPENSIVE};
use super::result::{self, Kinds};
use super::{lazy, position, program, run};
use crate::schema::{Kind, Schema};

/// Variables every expression knows.
const ALWAYS: [&str; 4] = ["object", "oldObject", "request", "namespaceObject"];

/// Named expressions may use earlier ones: deeper than this together, they are refused.
const DEEPEST: usize = 1000;

/// A compiled expression. Compile once, evaluate often. Differences to a real server: types are checked only where they show without
/// a type checker.
#[derive(Debug)]
pub struct Expression {
    /// As it was written.
    pub text: String,
    pub(super) inner: program::Expression,
    /// Variables it looks at, those of the named expressions it uses included.
    uses: BTreeSet<&'static str>,
    depth: usize,
    kind: Option<&'static str>,
}

/// An expression with a name, which later ones call `variables.<name>`.
#[derive(Debug)]
pub struct Named {
    /// The name.
    pub name: String,
    /// The expression.
    pub expression: Expression,
}

/// What an expression must make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// A condition.
    Bool,
    /// A text.
    Text,
    /// A text or null.
    TextOrNull,
    /// Anything.
    Anything,
}

/// What an expression may name besides the object and the request.
#[derive(Debug, Clone, Copy, Default)]
pub struct Names<'a> {
    /// `params`.
    pub params: bool,
    /// `authorizer`.
    pub authorizer: bool,
    /// `variables`, where the policy has any: those that were there before.
    pub variables: Option<&'a [Named]>,
}

/// The variables of one evaluation; what is absent is `null`.
#[derive(Clone, Copy)]
pub struct Inputs<'a> {
    /// The object as it shall be.
    pub object: Option<&'a Value>,
    /// The object as it was.
    pub old_object: Option<&'a Value>,
    /// The request.
    pub request: &'a Value,
    /// The parameter object.
    pub params: Option<&'a Value>,
    /// The namespace of the object.
    pub namespace_object: Option<&'a Value>,
    /// Who answers questions to `authorizer`, and what `authorizer.requestResource` is about.
    pub authorizer: Option<(&'a Arc<dyn Authority>, &'a Question)>,
}

/// Variables in the form that expressions are evaluated with. Named expressions are evaluated at most once for each.
pub struct Scope(Context<'static>);

/// What is left of the cost of all expressions of a request.
#[derive(Debug)]
pub struct Budget {
    left: u64,
    started: Instant,
}

/// Why there is no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The expression failed, such as by `no such key: a`.
    Error(String),
    /// All expressions together cost too much; no further one is evaluated.
    OutOfBudget,
}

impl Default for Budget {
    fn default() -> Self {
        Self { left: OBJECT_LIMIT, started: Instant::now() }
    }
}

impl Expression {
    /// Compiles an expression.
    ///
    /// # Errors
    /// What is wrong with it, in the words of a Kubernetes server: with line and column, or `must evaluate to bool but got string`.
    pub fn compile(text: &str, names: &Names, wanted: Wanted) -> Result<Self, String> {
        let mut root = program::parse(text).map_err(|error| format!("compilation failed: {error}"))?;
        check(&root, names).map_err(|problems| {
            let lines: Vec<String> = problems.iter().map(|problem| position::shown(text, problem)).collect();
            format!("compilation failed: {}", lines.join("\n"))
        })?;
        let kind = result::kind(&root, &Kinds::new(names));
        wanted.check(kind)?;
        let named: Vec<&Named> = names.variables.unwrap_or_default().iter().filter(|named| uses_variable(&root, &named.name)).collect();
        let mut uses: BTreeSet<&'static str> =
            ALWAYS.into_iter().chain(["params"]).filter(|variable| program::names(&root, variable)).collect();
        uses.extend(named.iter().flat_map(|named| &named.expression.uses));
        let depth = program::depth(&root) + named.iter().map(|named| named.expression.depth).max().unwrap_or(0);
        if depth > DEEPEST {
            return Err("compilation failed: variables are nested too deeply; use fewer that use each other".to_owned());
        }
        lazy::rewrite(&mut root);
        program::rewrite(&mut root);
        let inner = program::Expression { cost: program::size(&root), deep: depth > program::SHALLOW, root };
        Ok(Self { text: text.to_owned(), inner, uses, depth, kind })
    }

    /// The type of its value, where it shows: `bool`, `string`, `dyn`, …
    pub(super) fn kind(&self) -> Option<&'static str> {
        self.kind
    }

    /// Whether it looks at the variable of that name, such as `object`.
    pub fn uses(&self, variable: &str) -> bool {
        self.uses.contains(variable)
    }

    /// Fields that the expression takes of `object` or `oldObject` and that `schema` does not know, each as a Kubernetes server shows it.
    pub fn unknown_fields(&self, schema: &Schema) -> Vec<String> {
        let Ok(root) = program::parse(&self.text) else { return Vec::new() };
        let mut problems = Vec::new();
        let roots = vec![("object", schema), ("oldObject", schema)];
        let mut scope = vec!["object", "oldObject", "request", "namespaceObject", "params", "authorizer", "variables"];
        Checker { roots, escaped: false, functions: &POLICY_FUNCTIONS, problems: &mut problems }.visit(&root, &mut scope);
        problems.iter().map(|problem| position::shown(&self.text, problem)).collect()
    }
}

impl Wanted {
    fn check(self, kind: Option<&str>) -> Result<(), String> {
        let Some(kind) = kind else { return Ok(()) };
        match self {
            Self::Bool if kind != "bool" => Err(format!("must evaluate to bool but got {kind}")),
            Self::Text if kind != "string" => Err(format!("must evaluate to string but got {kind}")),
            Self::TextOrNull if kind != "string" && kind != "null_type" => {
                Err(format!("must evaluate to one of [string null_type] but got {kind}"))
            }
            _ => Ok(()),
        }
    }
}

impl Scope {
    /// Makes the variables known to expressions. Only those that `expressions` use are converted: converting costs more than evaluating.
    pub fn new<'e>(inputs: &Inputs, named: &Arc<Vec<Named>>, expressions: impl IntoIterator<Item = &'e Expression>) -> Self {
        let mut uses: BTreeSet<&str> = BTreeSet::new();
        for expression in expressions {
            uses.extend(&expression.uses);
        }
        let mut context = POLICY_FUNCTIONS.new_inner_scope();
        let variables = [
            ("object", inputs.object),
            ("oldObject", inputs.old_object),
            ("request", Some(inputs.request)),
            ("params", inputs.params),
            ("namespaceObject", inputs.namespace_object),
        ];
        let untyped = Schema::default();
        for (name, value) in variables {
            let value = value.filter(|_| uses.contains(name));
            context.add_variable_from_value(name, value.map_or(Cel::Null, |value| to_cel(&untyped, value)));
        }
        if let Some((authority, question)) = inputs.authorizer {
            context.add_variable_from_value("authorizer", Asking::new(Arc::clone(authority)).value());
            context.add_variable_from_value(lazy::REQUEST_RESOURCE, Asking::about(Arc::clone(authority), question.clone()).value());
        }
        lazy::provide(&mut context, named);
        Self(context)
    }

    /// The value of an expression, as JSON.
    ///
    /// # Errors
    /// Why there is none.
    pub fn evaluate(&self, expression: &Expression, budget: &mut Budget) -> Result<Value, Failure> {
        if budget.left == 0 || budget.started.elapsed() > TIME_LIMIT {
            return Err(Failure::OutOfBudget);
        }
        let allowed = RULE_LIMIT.min(budget.left);
        match run::evaluate(&expression.inner, &self.0, allowed) {
            (_, None) => {
                budget.left -= allowed;
                Err(if budget.left == 0 { Failure::OutOfBudget } else { Failure::Error(TOO_EXPENSIVE.to_owned()) })
            }
            (result, Some(used)) => {
                budget.left = budget.left.saturating_sub(used);
                result.map(|value| to_json(&value)).map_err(|error| Failure::Error(run::describe(&error)))
            }
        }
    }
}

fn check(root: &kube_cel::cel::IdedExpr, names: &Names) -> Result<(), Vec<String>> {
    let mut problems = Vec::new();
    // One that nobody can name makes it a list of all, also where there are none yet.
    let known = names.variables.unwrap_or_default().iter().map(|named| named.name.as_str()).chain([""]);
    let properties = known.map(|name| (name.to_owned(), Arc::new(Schema::default()))).collect();
    let variables = Schema { kind: Kind::Object, properties, ..Schema::default() };
    let mut scope = ALWAYS.to_vec();
    scope.extend(names.params.then_some("params"));
    scope.extend(names.authorizer.then_some("authorizer"));
    scope.extend(names.variables.is_some().then_some("variables"));
    let roots = vec![("request", &*REQUEST), ("namespaceObject", &*NAMESPACE), ("variables", &variables)];
    let hidden = hides(root, &scope);
    Checker { roots, escaped: false, functions: &POLICY_FUNCTIONS, problems: &mut problems }.visit(root, &mut scope);
    problems.extend(hidden.map(|name| format!("a loop's variable has the name of the variable '{name}'; choose another")));
    problems.dedup();
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}

/// A loop whose variable hides another would be told apart here only with a table of scopes; nobody needs it.
fn hides<'s>(expression: &kube_cel::cel::IdedExpr, names: &[&'s str]) -> Option<&'s str> {
    let mut found = None;
    if let kube_cel::cel::common::ast::Expr::Comprehension(loops) = &expression.expr {
        found = names.iter().copied().find(|name| loops.iter_var == *name || loops.iter_var2.as_deref() == Some(name));
    }
    program::each_child(expression, &mut |child| found = found.or_else(|| hides(child, names)));
    found
}

/// Whether `variables.<name>` occurs.
fn uses_variable(expression: &kube_cel::cel::IdedExpr, name: &str) -> bool {
    use kube_cel::cel::common::ast::Expr;
    let own = matches!(&expression.expr, Expr::Select(select)
        if select.field == name && matches!(&select.operand.expr, Expr::Ident(root) if root == "variables"));
    let mut found = own;
    program::each_child(expression, &mut |child| found = found || uses_variable(child, name));
    found
}

/// What a request tells of itself: fields beyond these do not exist.
static REQUEST: LazyLock<Schema> = LazyLock::new(|| {
    let kind = json!({"group": "string", "version": "string", "kind": "string"});
    let resource = json!({"group": "string", "version": "string", "resource": "string"});
    described(&json!({
        "kind": kind, "resource": resource, "subResource": "string", "requestKind": kind, "requestResource": resource,
        "requestSubResource": "string", "name": "string", "namespace": "string", "operation": "string", "dryRun": "bool", "options": "any",
        "userInfo": {"username": "string", "uid": "string", "groups": "any", "extra": "any"}
    }))
});

/// The same for a namespace.
static NAMESPACE: LazyLock<Schema> = LazyLock::new(|| {
    described(&json!({
        "metadata": {
            "name": "string", "generateName": "string", "namespace": "string", "labels": "any", "annotations": "any", "UID": "string",
            "creationTimestamp": "any", "deletionGracePeriodSeconds": "any", "deletionTimestamp": "any", "generation": "any",
            "resourceVersion": "string", "finalizers": "any"
        },
        "spec": {"finalizers": "any"}, "status": {"conditions": "any", "phase": "string"}
    }))
});

/// A schema from an outline of it.
fn described(outline: &Value) -> Schema {
    let kind = match outline.as_str() {
        None => Kind::Object,
        Some("string") => Kind::String,
        Some("bool") => Kind::Boolean,
        Some(_) => Kind::Any,
    };
    let fields = outline.as_object().into_iter().flatten();
    let properties: BTreeMap<String, Arc<Schema>> = fields.map(|(name, outline)| (name.clone(), Arc::new(described(outline)))).collect();
    Schema { kind, properties, ..Schema::default() }
}

/// The schema of a request, for whoever wants to know the types of its fields.
pub(super) fn request_schema() -> &'static Schema {
    &REQUEST
}

/// A CEL value as JSON; what JSON does not know becomes text, an absent optional `null`.
fn to_json(value: &Cel) -> Value {
    match value {
        Cel::Bool(value) => Value::from(*value),
        Cel::Int(value) => Value::from(*value),
        Cel::UInt(value) => Value::from(*value),
        Cel::Float(value) => Value::from(*value),
        Cel::String(value) => Value::from(value.as_str()),
        Cel::List(items) => items.iter().map(to_json).collect(),
        Cel::Map(map) => {
            let member = |(key, value): (&Key, &Cel)| (key.to_string(), to_json(value));
            Value::Object(map.map.iter().map(member).collect::<Map<_, _>>())
        }
        Cel::Timestamp(time) => Value::from(time.to_rfc3339()),
        Cel::Opaque(_) => <&OptionalValue>::try_from(value).ok().and_then(OptionalValue::value).map_or(Value::Null, to_json),
        Cel::Duration(duration) => Value::from(duration.to_string()),
        Cel::Bytes(_) | Cel::Function(..) | Cel::Null => Value::Null,
    }
}
