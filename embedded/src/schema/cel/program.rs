//! One rule, compiled.
//!
//! The parsed expression is rewritten before use: every loop pays for its steps, every `+` for the size of its result, and what the
//! interpreter lacks (`cel.bind`, optional selection of an absent field) is expressed by what it has.

use std::collections::BTreeSet;
use std::mem::take;

use kube_cel::cel::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedExpr, ListExpr, LiteralValue, operators};
use kube_cel::cel::parser::Parser;

use super::functions;
use crate::schema::Rule;

/// Longest rule that is compiled, in bytes.
const MAX_LENGTH: usize = 16 * 1024;

/// Deepest nesting of brackets that is parsed.
const MAX_BRACKETS: usize = 64;

/// Deepest tree that is evaluated.
pub(super) const MAX_DEPTH: usize = 100;

/// Up to this depth an expression is evaluated on the stack of whoever asks. A level takes some 20 KB of it in an unoptimised build.
pub(super) const SHALLOW: usize = 20;

/// Deeper ones, and the parser, get a stack of this many bytes; only what they use of it becomes memory.
pub(super) const STACK: usize = 128 * 1024 * 1024;

/// A rule ready to run.
#[derive(Debug)]
pub(in crate::schema) struct Program {
    /// The rule, or why it does not compile.
    pub(super) expression: Result<Expression, String>,
    /// The expression for the message, where there is one that compiles.
    pub(super) message: Option<Result<Expression, String>>,
    /// Whether it names `oldSelf`.
    pub(super) transition: bool,
    /// The fields of `self` and `oldSelf` that it names; `None` where it may look at any.
    pub(super) fields: Option<BTreeSet<String>>,
}

/// An expression ready to run.
#[derive(Debug)]
pub(super) struct Expression {
    pub(super) root: IdedExpr,
    /// How many parts it has: what one evaluation costs, loops aside.
    pub(super) cost: u64,
    /// Whether it may need more stack than is left where it is asked for.
    pub(super) deep: bool,
}

impl Program {
    /// Compiles a rule and its message expression.
    pub(in crate::schema) fn compile(rule: &Rule) -> Self {
        let expression = compile(&rule.rule);
        let transition = expression.as_ref().is_ok_and(|expression| names(&expression.root, "oldSelf"));
        let message = Some(rule.message_expression.trim()).filter(|text| !text.is_empty()).map(compile);
        let mut fields = Some(BTreeSet::new());
        for expression in [Some(&expression), message.as_ref()].into_iter().flatten().flatten() {
            if let Some(names) = &mut fields
                && !named_fields(&expression.root, names)
            {
                fields = None;
            }
        }
        // What is inside an optional has no fields that could be told apart here.
        let fields = fields.filter(|_| !rule.optional_old_self);
        Self { expression, message, transition, fields }
    }
}

/// Parses and rewrites one expression.
pub(super) fn compile(text: &str) -> Result<Expression, String> {
    let mut root = parse(text)?;
    rewrite(&mut root);
    let (cost, deep) = (size(&root), depth(&root) > SHALLOW);
    Ok(Expression { root, cost, deep })
}

/// Parses one expression as it stands.
///
/// The parser recurses, more deeply than the result does, and a stack that overflows ends the whole process: so brackets are
/// counted first, it gets a stack of its own, and what comes out may not be deeper than an evaluation can go.
pub(super) fn parse(text: &str) -> Result<IdedExpr, String> {
    if text.len() > MAX_LENGTH {
        return Err(format!("the expression has {} bytes, more than the {MAX_LENGTH} that are allowed", text.len()));
    }
    if brackets(text) > MAX_BRACKETS {
        return Err(format!("brackets are nested deeper than the {MAX_BRACKETS} levels that are allowed"));
    }
    let parser = std::thread::Builder::new().name("cel-parser".to_owned()).stack_size(STACK);
    let parsed = std::thread::scope(|scope| {
        let thread = parser.spawn_scoped(scope, || parse_here(text)).map_err(|error| format!("no thread to parse it: {error}"))?;
        thread.join().map_err(|_| "the parser gave up on it".to_owned())?
    })?;
    match unsupported(&parsed) {
        Some(what) => Err(format!("{what} is not supported in rules")),
        None => Ok(parsed),
    }
}

/// Parses without a stack of its own: for short texts that are ours.
pub(super) fn parse_here(text: &str) -> Result<IdedExpr, String> {
    let expression = Parser::new().enable_optional_syntax(true).parse(text).map_err(|errors| errors.to_string())?;
    if depth(&expression) > MAX_DEPTH {
        return Err(format!(
            "the expression is nested deeper than the {MAX_DEPTH} levels that are allowed; use lists and macros, or several rules"
        ));
    }
    Ok(expression)
}

/// How deeply brackets are nested. What is quoted counts too, which errs to the safe side.
fn brackets(text: &str) -> usize {
    let (mut level, mut deepest) = (0_usize, 0);
    for byte in text.bytes() {
        match byte {
            b'(' | b'[' | b'{' => level += 1,
            b')' | b']' | b'}' => level = level.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(level);
    }
    deepest
}

/// How deep the tree is.
pub(super) fn depth(expression: &IdedExpr) -> usize {
    let mut deepest = 0;
    each_child(expression, &mut |child| deepest = deepest.max(depth(child)));
    deepest + 1
}

/// What the interpreter cannot run.
fn unsupported(expression: &IdedExpr) -> Option<&'static str> {
    let mut found = match &expression.expr {
        Expr::Struct(_) => Some("constructing a message"),
        Expr::Unspecified => Some("an empty expression"),
        Expr::Map(map) if map.entries.iter().any(|entry| matches!(entry.expr, EntryExpr::StructField(_))) => Some("a message field"),
        _ => None,
    };
    each_child(expression, &mut |child| found = found.or_else(|| unsupported(child)));
    found
}

/// Collects the fields that are selected of `self` and `oldSelf`. Returns whether these are all: false where one of the two is used whole.
fn named_fields(expression: &IdedExpr, names: &mut BTreeSet<String>) -> bool {
    match &expression.expr {
        Expr::Ident(name) if name == "self" || name == "oldSelf" => return false,
        Expr::Select(select) if matches!(&select.operand.expr, Expr::Ident(name) if name == "self" || name == "oldSelf") => {
            names.insert(select.field.clone());
            return true;
        }
        _ => {}
    }
    let mut all = true;
    each_child(expression, &mut |child| all = all && named_fields(child, names));
    all
}

/// Whether an identifier occurs.
pub(super) fn names(expression: &IdedExpr, name: &str) -> bool {
    let mut found = matches!(&expression.expr, Expr::Ident(ident) if ident == name);
    each_child(expression, &mut |child| found = found || names(child, name));
    found
}

/// Calls `visit` with each direct part of an expression.
pub(super) fn each_child<'e>(expression: &'e IdedExpr, visit: &mut dyn FnMut(&'e IdedExpr)) {
    match &expression.expr {
        Expr::Call(call) => call.target.as_deref().into_iter().chain(&call.args).for_each(visit),
        Expr::Comprehension(loops) => {
            [&loops.iter_range, &loops.accu_init, &loops.loop_cond, &loops.loop_step, &loops.result].into_iter().for_each(visit);
        }
        Expr::List(list) => list.elements.iter().for_each(visit),
        Expr::Select(select) => visit(&select.operand),
        Expr::Map(map) => {
            for entry in &map.entries {
                match &entry.expr {
                    EntryExpr::MapEntry(entry) => {
                        visit(&entry.key);
                        visit(&entry.value);
                    }
                    EntryExpr::StructField(field) => visit(&field.value),
                }
            }
        }
        Expr::Struct(_) | Expr::Ident(_) | Expr::Literal(_) | Expr::Unspecified => {}
    }
}

/// The same for changing the parts.
pub(super) fn each_child_mut(expression: &mut IdedExpr, visit: &mut dyn FnMut(&mut IdedExpr)) {
    match &mut expression.expr {
        Expr::Call(call) => call.target.as_deref_mut().into_iter().chain(&mut call.args).for_each(visit),
        Expr::Comprehension(loops) => {
            let loops = loops.as_mut();
            for part in [&mut loops.iter_range, &mut loops.accu_init, &mut loops.loop_cond, &mut loops.loop_step, &mut loops.result] {
                visit(part);
            }
        }
        Expr::List(list) => list.elements.iter_mut().for_each(visit),
        Expr::Select(select) => visit(&mut select.operand),
        Expr::Map(map) => {
            for entry in &mut map.entries {
                if let EntryExpr::MapEntry(entry) = &mut entry.expr {
                    visit(&mut entry.key);
                    visit(&mut entry.value);
                }
            }
        }
        Expr::Struct(_) | Expr::Ident(_) | Expr::Literal(_) | Expr::Unspecified => {}
    }
}

/// How many parts an expression has.
pub(super) fn size(expression: &IdedExpr) -> u64 {
    let mut total = 1;
    each_child(expression, &mut |child| total += size(child));
    total
}

/// Puts prices in, and what the interpreter lacks.
pub(super) fn rewrite(expression: &mut IdedExpr) {
    each_child_mut(expression, &mut rewrite);
    match &mut expression.expr {
        Expr::Comprehension(loops) => pay_for_steps(loops),
        Expr::Call(call) => match call.func_name.as_str() {
            operators::ADD if call.args.len() == 2 && !is_accumulator(&call.args[0]) => functions::SUM.clone_into(&mut call.func_name),
            operators::OPT_SELECT if call.args.len() == 2 => functions::OPTIONAL_FIELD.clone_into(&mut call.func_name),
            "bind" if is_bind(call) => expression.expr = bind(call),
            name if CONVERSIONS.contains(&name) && call.target.is_none() && call.args.len() == 1 => {
                call.target = call.args.pop().map(Box::new);
            }
            _ => {}
        },
        _ => {}
    }
}

/// Functions of one value: called as methods they tell why there is no value, instead of that an argument is missing.
const CONVERSIONS: [&str; 6] = ["bytes", "double", "int", "size", "string", "uint"];

/// `map` and `filter` grow their result by `@result + [x]`; the loop itself pays for that.
fn is_accumulator(expression: &IdedExpr) -> bool {
    matches!(&expression.expr, Expr::Ident(name) if name.starts_with('@'))
}

/// Puts the price of a step before its loop condition.
fn pay_for_steps(loops: &mut ComprehensionExpr) {
    let step = size(&loops.loop_step) + size(&loops.loop_cond);
    let price = call(functions::STEP, vec![literal_int(step), ident(&loops.accu_var)]);
    let condition = take(&mut loops.loop_cond);
    loops.loop_cond = call(operators::CONDITIONAL, vec![price, condition, boolean(false)]);
}

/// `cel.bind(name, value, body)`
fn is_bind(call: &CallExpr) -> bool {
    let of_cel = call.target.as_ref().is_some_and(|target| matches!(&target.expr, Expr::Ident(name) if name == "cel"));
    of_cel && matches!(call.args.as_slice(), [IdedExpr { expr: Expr::Ident(_), .. }, _, _])
}

/// A variable is a loop of no steps whose accumulator has the name.
fn bind(call: &mut CallExpr) -> Expr {
    let mut args = take(&mut call.args).into_iter();
    let (name, value, body) = (args.next().unwrap_or_default(), args.next().unwrap_or_default(), args.next().unwrap_or_default());
    let name = if let Expr::Ident(name) = name.expr { name } else { String::new() };
    Expr::Comprehension(Box::new(ComprehensionExpr {
        iter_range: IdedExpr { id: 0, expr: Expr::List(ListExpr::new(Vec::new())) },
        iter_var: "@unused".to_owned(),
        iter_var2: None,
        accu_init: value,
        loop_cond: boolean(false),
        loop_step: ident(&name),
        result: body,
        accu_var: name,
    }))
}

pub(super) fn call(name: &str, args: Vec<IdedExpr>) -> IdedExpr {
    IdedExpr { id: 0, expr: Expr::Call(CallExpr { func_name: name.to_owned(), target: None, args }) }
}

pub(super) fn ident(name: &str) -> IdedExpr {
    IdedExpr { id: 0, expr: Expr::Ident(name.to_owned()) }
}

fn boolean(value: bool) -> IdedExpr {
    IdedExpr { id: 0, expr: Expr::Literal(LiteralValue::Boolean(value.into())) }
}

fn literal_int(value: u64) -> IdedExpr {
    IdedExpr { id: 0, expr: Expr::Literal(LiteralValue::Int(i64::try_from(value).unwrap_or(i64::MAX).into())) }
}
