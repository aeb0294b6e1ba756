//! Named parts of an admission policy (`variables.x`): evaluated when they are first looked at, at most once for a request.
//!
//! [`rewrite`] makes of `variables.x` a call that finds the named expression in the evaluation's context. It also turns chains of
//! fields into one call: the interpreter copies every step of a chain, and takes a field of what has none for `false`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use kube_cel::cel::common::ast::{Expr, IdedExpr, LiteralValue};
use kube_cel::cel::common::types::CelString;
use kube_cel::cel::common::value::Val;
use kube_cel::cel::objects::{Opaque, OptionalValue};
use kube_cel::cel::{Context, ExecutionError, FunctionContext, Value};

use super::expression::Named;
use super::functions::pay;
use super::program::{call, each_child_mut, ident};
use super::run::describe;

/// Under this name a context holds the named expressions.
const ALL: &str = "@variables";
/// Under this one it holds what `authorizer.requestResource` is.
pub(super) const REQUEST_RESOURCE: &str = "@requestResource";
const VARIABLE: &str = "@variable";
const PATH: &str = "@path";

/// The named expressions of a policy during one evaluation.
struct Variables {
    named: Arc<Vec<Named>>,
    found: Mutex<HashMap<String, Result<Value, ExecutionError>>>,
}

impl PartialEq for Variables {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.named, &other.named)
    }
}
impl Eq for Variables {}

impl std::fmt::Debug for Variables {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Variables")
    }
}

impl Opaque for Variables {
    fn runtime_type_name(&self) -> &'static str {
        "kubernetes.variables"
    }
}

/// Makes the named expressions known to an evaluation.
pub(super) fn provide(context: &mut Context, named: &Arc<Vec<Named>>) {
    let variables = Variables { named: Arc::clone(named), found: Mutex::default() };
    context.add_variable_from_value(ALL, Value::Opaque(Arc::new(variables)));
}

/// Puts the functions in.
pub(super) fn register(context: &mut Context) {
    context.add_function(VARIABLE, variable);
    context.add_function(PATH, path);
}

/// Writes chains of fields as calls.
pub(super) fn rewrite(expression: &mut IdedExpr) {
    // A named expression that compiled is there.
    if let Expr::Select(select) = &expression.expr
        && matches!(&select.operand.expr, Expr::Ident(root) if root == "variables")
        && select.test
    {
        expression.expr = Expr::Literal(LiteralValue::Boolean(true.into()));
        return;
    }
    if let Some((mut root, fields)) = chain(expression) {
        rewrite(&mut root);
        let mut fields = fields.into_iter();
        if let Expr::Ident(name) = &root.expr {
            match name.as_str() {
                "variables" => root = call(VARIABLE, fields.next().map(|field| text(&field)).into_iter().collect()),
                "authorizer" => {
                    fields.next();
                    root = ident(REQUEST_RESOURCE);
                }
                _ => {}
            }
        }
        let args: Vec<IdedExpr> = fields.map(|field| text(&field)).collect();
        *expression = if args.is_empty() { root } else { call(PATH, std::iter::once(root).chain(args).collect()) };
        return;
    }
    each_child_mut(expression, &mut rewrite);
}

/// `a.b.c` as `a` with `b` and `c`; none where the expression is no such chain.
fn chain(expression: &IdedExpr) -> Option<(IdedExpr, Vec<String>)> {
    let (mut at, mut fields) = (expression, Vec::new());
    while let Expr::Select(select) = &at.expr
        && !select.test
    {
        fields.push(select.field.clone());
        at = &select.operand;
    }
    fields.reverse();
    (!fields.is_empty()).then(|| (at.clone(), fields))
}

fn text(text: &str) -> IdedExpr {
    IdedExpr { id: 0, expr: Expr::Literal(LiteralValue::String(text.into())) }
}

fn literal(expression: &IdedExpr) -> Result<&CelString, ExecutionError> {
    match &expression.expr {
        Expr::Literal(LiteralValue::String(text)) => Ok(text),
        _ => Err(ExecutionError::NoSuchOverload),
    }
}

/// The value of a named expression. It sees the variables of the evaluation, not those of a loop around the call.
fn variable(context: &FunctionContext) -> Result<Value, ExecutionError> {
    let [name] = context.args else { return Err(ExecutionError::NoSuchOverload) };
    let name = literal(name)?.inner();
    let mut base = context.ptx;
    while let Context::Child { parent, .. } = base
        && matches!(parent, Context::Child { .. })
    {
        base = parent;
    }
    let all = base.get_variable(ALL).ok_or_else(|| ExecutionError::NoSuchKey(Arc::new(name.to_owned())))?;
    let Value::Opaque(all) = Value::try_from(all.as_ref())? else { return Err(ExecutionError::NoSuchOverload) };
    let all = all.downcast_ref::<Variables>().ok_or(ExecutionError::NoSuchOverload)?;
    let known = all.found.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned();
    if let Some(known) = known {
        return known;
    }
    let named = all.named.iter().find(|named| named.name == name);
    let named = named.ok_or_else(|| ExecutionError::NoSuchKey(Arc::new(name.to_owned())))?;
    pay(context, named.expression.inner.cost)?;
    let value = Value::resolve(&named.expression.inner.root, base)
        .map_err(|error| context.error(format!("composited variable {name:?} fails to evaluate: {}", describe(&error))));
    all.found.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), value.clone());
    value
}

/// A field of a field of a value.
fn path(context: &FunctionContext) -> Result<Value, ExecutionError> {
    let [root, fields @ ..] = context.args else { return Err(ExecutionError::NoSuchOverload) };
    pay(context, fields.len() as u64)?;
    let root = Value::resolve_val(root, context.ptx)?;
    descend(root.as_ref(), fields)
}

fn descend(value: &dyn Val, fields: &[IdedExpr]) -> Result<Value, ExecutionError> {
    let Some((field, rest)) = fields.split_first() else { return Value::try_from(value) };
    let field = literal(field)?;
    if let Some(indexer) = value.as_indexer() {
        return descend(indexer.get(field)?.as_ref(), rest);
    }
    // Fields of what may be absent may be absent.
    if let Ok(value @ Value::Opaque(_)) = Value::try_from(value)
        && let Ok(optional) = <&OptionalValue>::try_from(&value)
    {
        let Some(inner) = optional.value() else { return Ok(value.clone()) };
        let inner: Box<dyn Val> = inner.clone().try_into()?;
        let found = descend(inner.as_ref(), fields).map_or_else(|_| OptionalValue::none(), OptionalValue::of);
        return Ok(Value::Opaque(Arc::new(found)));
    }
    Err(ExecutionError::NoSuchKey(Arc::new(field.inner().to_owned())))
}
