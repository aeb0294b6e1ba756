//! `authorizer` in expressions of admission policies: may this user do that?
//!
//! `authorizer.group('apps').resource('deployments').namespace('x').check('create').allowed()`, as the library of Kubernetes has it.

use std::sync::Arc;

use kube_cel::cel::extractors::This;
use kube_cel::cel::objects::Opaque;
use kube_cel::cel::{Context, ExecutionError, FunctionContext, Value};

use super::functions::pay;

/// What one question costs, in units: the figure of Kubernetes, where it may leave the process.
const PRICE: u64 = 350_000;

/// What an expression asks about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Question {
    /// The service account that is asked about; the user of the request where there is none.
    pub service_account: Option<(String, String)>,
    /// A path that is about no resource.
    pub path: Option<String>,
    /// API group.
    pub group: String,
    /// Plural of the resource.
    pub resource: String,
    /// Subresource, or empty.
    pub subresource: String,
    /// Namespace, or empty.
    pub namespace: String,
    /// Object name, or empty.
    pub name: String,
    /// The verb, known last.
    pub verb: String,
}

/// Who answers.
pub trait Authority: Send + Sync {
    /// Whether it is allowed, and why (which may be empty).
    fn decide(&self, question: &Question) -> (bool, String);
}

/// How far a question has been put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Authorizer,
    Path,
    Group,
    Resource,
}

/// A question that is being put together.
#[derive(Clone)]
pub(super) struct Asking {
    authority: Arc<dyn Authority>,
    question: Question,
    stage: Stage,
}

impl Asking {
    /// `authorizer`.
    pub fn new(authority: Arc<dyn Authority>) -> Self {
        Self { authority, question: Question::default(), stage: Stage::Authorizer }
    }

    /// `authorizer.requestResource`.
    pub fn about(authority: Arc<dyn Authority>, question: Question) -> Self {
        Self { authority, question, stage: Stage::Resource }
    }

    /// As a value of an expression.
    pub fn value(self) -> Value {
        Value::Opaque(Arc::new(self))
    }
}

impl PartialEq for Asking {
    fn eq(&self, other: &Self) -> bool {
        (&self.question, self.stage) == (&other.question, other.stage)
    }
}
impl Eq for Asking {}

impl std::fmt::Debug for Asking {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} {:?}", self.stage, self.question)
    }
}

impl Opaque for Asking {
    fn runtime_type_name(&self) -> &str {
        match self.stage {
            Stage::Authorizer => "kubernetes.authorization.Authorizer",
            Stage::Path => "kubernetes.authorization.PathCheck",
            Stage::Group => "kubernetes.authorization.GroupCheck",
            Stage::Resource => "kubernetes.authorization.ResourceCheck",
        }
    }
}

/// The answer.
#[derive(Debug, PartialEq, Eq)]
struct Decision {
    allowed: bool,
    reason: String,
}

impl Opaque for Decision {
    fn runtime_type_name(&self) -> &'static str {
        "kubernetes.authorization.Decision"
    }
}

/// Puts the functions in.
pub(super) fn register(context: &mut Context) {
    context.add_function("path", path);
    context.add_function("group", group);
    context.add_function("serviceAccount", service_account);
    context.add_function("resource", resource);
    context
        .add_function("subresource", |this: This<Value>, text: Text| narrowed(&this.0, |asked| (*text).clone_into(&mut asked.subresource)));
    context.add_function("namespace", |this: This<Value>, text: Text| narrowed(&this.0, |asked| (*text).clone_into(&mut asked.namespace)));
    context.add_function("name", |this: This<Value>, text: Text| narrowed(&this.0, |asked| (*text).clone_into(&mut asked.name)));
    // Rights are never given by selector here: what holds for all holds for those selected.
    context.add_function("fieldSelector", |this: This<Value>, _: Text| narrowed(&this.0, |_| {}));
    context.add_function("labelSelector", |this: This<Value>, _: Text| narrowed(&this.0, |_| {}));
    context.add_function("check", check);
    context.add_function("allowed", |this: This<Value>| decision(&this.0).map(|decision| Value::Bool(decision.allowed)));
    context.add_function("reason", |this: This<Value>| decision(&this.0).map(|decision| text(&decision.reason)));
    context.add_function("errored", |this: This<Value>| decision(&this.0).map(|_| Value::Bool(false)));
    context.add_function("error", |this: This<Value>| decision(&this.0).map(|_| text("")));
}

type Text = Arc<String>;
type Outcome = Result<Value, ExecutionError>;

fn path(context: &FunctionContext, This(this): This<Value>, path: Text) -> Outcome {
    let mut asking = asking(&this, &[Stage::Authorizer])?;
    asking.stage = Stage::Path;
    asking.question.path = Some(filled(context, &path, "path must not be empty")?);
    Ok(asking.value())
}

fn group(This(this): This<Value>, group: Text) -> Outcome {
    let mut asking = asking(&this, &[Stage::Authorizer])?;
    asking.stage = Stage::Group;
    (*group).clone_into(&mut asking.question.group);
    Ok(asking.value())
}

fn service_account(context: &FunctionContext, This(this): This<Value>, namespace: Text, name: Text) -> Outcome {
    let mut asking = asking(&this, &[Stage::Authorizer])?;
    let account =
        (filled(context, &namespace, "Invalid service account namespace")?, filled(context, &name, "Invalid service account name")?);
    asking.question.service_account = Some(account);
    Ok(asking.value())
}

fn resource(context: &FunctionContext, This(this): This<Value>, resource: Text) -> Outcome {
    let mut asking = asking(&this, &[Stage::Group])?;
    asking.stage = Stage::Resource;
    asking.question.resource = filled(context, &resource, "resource must not be empty")?;
    Ok(asking.value())
}

fn narrowed(this: &Value, change: impl FnOnce(&mut Question)) -> Outcome {
    let mut asking = asking(this, &[Stage::Resource])?;
    change(&mut asking.question);
    Ok(asking.value())
}

fn check(context: &FunctionContext, This(this): This<Value>, verb: Text) -> Outcome {
    let mut asking = asking(&this, &[Stage::Path, Stage::Resource])?;
    pay(context, PRICE)?;
    (*verb).clone_into(&mut asking.question.verb);
    let (allowed, reason) = asking.authority.decide(&asking.question);
    Ok(Value::Opaque(Arc::new(Decision { allowed, reason })))
}

fn asking(value: &Value, stages: &[Stage]) -> Result<Asking, ExecutionError> {
    let Value::Opaque(opaque) = value else { return Err(ExecutionError::NoSuchOverload) };
    opaque.downcast_ref::<Asking>().filter(|asking| stages.contains(&asking.stage)).cloned().ok_or(ExecutionError::NoSuchOverload)
}

fn decision(value: &Value) -> Result<&Decision, ExecutionError> {
    let Value::Opaque(opaque) = value else { return Err(ExecutionError::NoSuchOverload) };
    opaque.downcast_ref::<Decision>().ok_or(ExecutionError::NoSuchOverload)
}

fn filled(context: &FunctionContext, text: &str, complaint: &str) -> Result<String, ExecutionError> {
    if text.trim().is_empty() { Err(context.error(complaint)) } else { Ok(text.to_owned()) }
}

fn text(text: &str) -> Value {
    Value::String(Arc::new(text.to_owned()))
}
