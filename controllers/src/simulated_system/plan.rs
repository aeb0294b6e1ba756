//! SimulatedSystem: what was observed to what to do. Pure.

use crds::conditions::{Finding, conditions};
use crds::{SimulatedSystem, SimulatedSystemStatus};
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::ResourceExt;

use super::build::{DIGEST, INPUTS, annotation};

/// What was observed of a simulated system.
#[derive(Debug)]
pub struct Observed<'a> {
    /// The object.
    pub system: &'a SimulatedSystem,
    /// Id it connects under; `None` while the IPOffice it connects as is missing.
    pub system_id: Option<String>,
    /// What it connects as.
    pub connects_as: ConnectsAs,
    /// Customer of the IPOffice it connects as.
    pub ip_office_customer: Option<String>,
    /// Another, older simulated system that connects as the same.
    pub taken_by: Option<String>,
    /// Whether the customer's subscription Secret is there.
    pub subscription: bool,
    /// The pod of that name.
    pub pod: Option<&'a Pod>,
    /// The ConfigMap of that name.
    pub configuration: Option<&'a ConfigMap>,
    /// The claim for the disk; looked at only while the pod is missing or not ready.
    pub disk: DiskState,
    /// The pod as it should be.
    pub wanted_pod: Option<&'a Pod>,
    /// The ConfigMap as it should be.
    pub wanted_configuration: Option<&'a ConfigMap>,
    /// Whether the object is set aside.
    pub paused: bool,
    /// Now.
    pub now: jiff::Timestamp,
}

/// What a simulated system connects as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConnectsAs {
    /// An IPOffice, by name.
    IPOffice(String),
    /// No IPOffice that is declared: a system id of its customer.
    Undeclared {
        /// Its customer, by name.
        customer: String,
        /// The id.
        system_id: String,
    },
}

impl ConnectsAs {
    /// As the spec says.
    pub fn of(system: &SimulatedSystem) -> Self {
        let spec = &system.spec;
        match &spec.undeclared {
            Some(undeclared) => Self::Undeclared { customer: spec.customer.clone(), system_id: undeclared.system_id.clone() },
            None => Self::IPOffice(spec.ip_office.clone().unwrap_or_else(|| system.name_any())),
        }
    }
}

/// The claim for the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskState {
    /// The pod is ready, so the disk is there.
    InUse,
    /// Not there.
    Missing,
    /// There, and ours.
    Ours,
    /// There, and being deleted.
    Ending,
    /// There, but somebody else's.
    Foreign,
}

/// One thing to do. One at a time: what it changes brings the next look.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing.
    None,
    /// Write the ConfigMap.
    WriteConfiguration,
    /// Make the disk.
    CreateDisk,
    /// Look again soon: claims are not watched.
    WaitForDisk,
    /// Make the pod.
    CreatePod,
    /// Tell the node that what is mounted changed.
    TouchPod,
    /// Delete the pod: it is not as it should be, and will be made anew.
    DeletePod,
}

/// What to do.
#[derive(Debug, PartialEq)]
pub struct Plan {
    /// Status to write.
    pub status: SimulatedSystemStatus,
    /// The next step.
    pub step: Step,
}

/// Makes the plan.
pub fn plan(observed: &Observed) -> Plan {
    let system = observed.system;
    let previous = system.status.clone().unwrap_or_default();
    let generation = system.metadata.generation;
    if observed.paused {
        let finding = Finding::new("Paused", true, "Annotated", crate::customer::PAUSED);
        let mut status = previous.clone();
        status.conditions.retain(|condition| condition.type_ != "Paused");
        status.conditions.extend(conditions(&previous.conditions, &[finding], generation, observed.now));
        return Plan { status, step: Step::None };
    }
    let (ready, step) = next(observed);
    let status = SimulatedSystemStatus {
        observed_generation: generation,
        conditions: conditions(&previous.conditions, &[ready], generation, observed.now),
        pod: observed.pod.filter(|pod| owned(*pod, system)).map(ResourceExt::name_any),
        system_id: observed.system_id.clone(),
    };
    Plan { status, step }
}

/// Whether an object belongs to this simulated system.
pub fn owned<K: kube::Resource>(child: &K, parent: &SimulatedSystem) -> bool {
    let uid = parent.uid().unwrap_or_default();
    child.owner_references().iter().any(|owner| owner.uid == uid)
}

fn next(observed: &Observed) -> (Finding, Step) {
    let system = observed.system;
    let not = |reason: &str, message: String| Finding::new("Ready", false, reason, message);
    let name = system.name_any();
    if system.metadata.deletion_timestamp.is_some() {
        return (not("Deleting", "being deleted; its pod and disk go with it".into()), Step::None);
    }
    if let Some(in_the_way) = identity(observed) {
        return (in_the_way, Step::None);
    }
    if !observed.subscription {
        let customer = &system.spec.customer;
        return (
            not(
                "SubscriptionMissing",
                format!("the Customer {customer} has no subscription yet; create the Customer, or see its condition Ready"),
            ),
            Step::None,
        );
    }
    if let Some(foreign) = foreign(observed, &name) {
        return (foreign, Step::None);
    }
    let (Some(wanted_pod), Some(wanted_configuration)) = (observed.wanted_pod, observed.wanted_configuration) else {
        return (not("Starting", "its causes are not known yet".into()), Step::None);
    };
    if observed.configuration.is_none_or(|configuration| {
        configuration.data != wanted_configuration.data || annotation(configuration, DIGEST) != annotation(wanted_configuration, DIGEST)
    }) {
        let ready = observed.pod.map_or_else(|| not("Starting", "its causes are being written".into()), readiness);
        return (ready, Step::WriteConfiguration);
    }
    match observed.disk {
        DiskState::Missing => return (not("Starting", "its disk is being made".into()), Step::CreateDisk),
        DiskState::Ending => {
            return (not("Restarting", "its disk is being deleted and will be made anew, empty".into()), Step::WaitForDisk);
        }
        DiskState::InUse | DiskState::Ours | DiskState::Foreign => {}
    }
    let Some(pod) = observed.pod else {
        return (not("Starting", "its pod is being made".into()), Step::CreatePod);
    };
    if pod.metadata.deletion_timestamp.is_some() {
        return (not("Restarting", "its pod is ending and will be made anew".into()), Step::None);
    }
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default();
    if annotation(pod, DIGEST) != annotation(wanted_pod, DIGEST) || matches!(phase, "Failed" | "Succeeded") {
        return (not("Restarting", "its pod is not as it should be and is made anew".into()), Step::DeletePod);
    }
    let step = if annotation(pod, INPUTS) == annotation(wanted_pod, INPUTS) { Step::None } else { Step::TouchPod };
    (readiness(pod), step)
}

/// What is wrong with what it connects as.
fn identity(observed: &Observed) -> Option<Finding> {
    let not = |reason: &str, message: String| Some(Finding::new("Ready", false, reason, message));
    let customer = &observed.system.spec.customer;
    match (&observed.connects_as, &observed.system_id) {
        (ConnectsAs::IPOffice(ip_office), None) => {
            return not(
                "IPOfficeNotFound",
                format!("there is no IPOffice {ip_office} in this namespace yet; create it: the system connects as that one"),
            );
        }
        (ConnectsAs::IPOffice(ip_office), Some(_)) => {
            if let Some(other) = observed.ip_office_customer.as_ref().filter(|other| *other != customer) {
                return not(
                    "CustomerMismatch",
                    format!(
                        "the IPOffice {ip_office} belongs to the Customer {other}, and this object names {customer}: nothing could connect; create it again with the right spec.customer or spec.ipOffice"
                    ),
                );
            }
        }
        (ConnectsAs::Undeclared { .. }, _) => {}
    }
    let other = observed.taken_by.as_ref()?;
    match &observed.connects_as {
        ConnectsAs::IPOffice(ip_office) => not(
            "IPOfficeTaken",
            format!(
                "the older SimulatedSystem {other} connects as the IPOffice {ip_office} already; delete one of them, or create this one with another spec.ipOffice"
            ),
        ),
        ConnectsAs::Undeclared { system_id, .. } => not(
            "SystemIdTaken",
            format!(
                "the older SimulatedSystem {other} connects under the id {system_id} already; delete one of them, or create this one with another spec.undeclared.systemId"
            ),
        ),
    }
}

/// Somebody else's object under a name we need: never taken over.
fn foreign(observed: &Observed, name: &str) -> Option<Finding> {
    let taken = |kind: &str, name: &str| {
        Finding::new(
            "Ready",
            false,
            "NameTaken",
            format!("a {kind} {name} exists and does not belong to this object; delete or rename it: it stays untouched"),
        )
    };
    if observed.pod.is_some_and(|pod| !owned(pod, observed.system)) {
        return Some(taken("Pod", name));
    }
    if observed.configuration.is_some_and(|configuration| !owned(configuration, observed.system)) {
        return Some(taken("ConfigMap", &super::build::causes_name(name)));
    }
    if observed.disk == DiskState::Foreign {
        return Some(taken("PersistentVolumeClaim", &super::build::disk_name(name)));
    }
    None
}

/// Whether the pod runs and the system has booted.
pub fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.is_some_and(|all| all.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True"))
}

fn readiness(pod: &Pod) -> Finding {
    let status = pod.status.as_ref();
    if is_ready(pod) {
        return Finding::new("Ready", true, "Booted", "the pod runs and the system has booted");
    }
    let container = status.and_then(|status| status.container_statuses.as_ref()).and_then(|all| all.first());
    let waiting = container.and_then(|container| container.state.as_ref()).and_then(|state| state.waiting.as_ref());
    if let Some(waiting) = waiting.filter(|waiting| waiting.reason.as_deref() != Some("ContainerCreating")) {
        let reason = waiting.reason.clone().filter(|reason| !reason.is_empty()).unwrap_or_else(|| "Waiting".into());
        return Finding::new("Ready", false, reason, waiting.message.clone().unwrap_or_else(|| "the pod's container waits".into()));
    }
    Finding::new("Ready", false, "Starting", "the pod starts, or the system reboots")
}
