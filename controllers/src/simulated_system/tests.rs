#![allow(clippy::unwrap_used, reason = "tests")]

use crds::SimulatedSystem;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use serde_json::json;

use super::build;
use super::plan::{ConnectsAs, DiskState, Observed, Plan, Step, plan};

fn system() -> SimulatedSystem {
    serde_json::from_value(json!({
        "apiVersion": "simulation.switchboard.dev/v1alpha1", "kind": "SimulatedSystem",
        "metadata": {"name": "hq", "namespace": "north", "uid": "u", "generation": 1},
        "spec": {"customer": "acme", "passwordsSecret": "pw", "causes": {"serviceUsers": [{"name": "COMAdmin", "passwordSecretKey": "password"}]}}
    }))
    .unwrap()
}

fn children(system: &SimulatedSystem) -> (ConfigMap, Pod) {
    let configuration = build::causes(system, "hq1").unwrap();
    let pod = build::pod(system, "switchboard", &build::inputs(&configuration, &[])).unwrap();
    (configuration, pod)
}

/// The plan for these children as observed, against those wanted.
fn plan_for(system: &SimulatedSystem, pod: Option<&Pod>, configuration: Option<&ConfigMap>, change: fn(&mut Observed)) -> Plan {
    let (wanted_configuration, wanted_pod) = children(system);
    let mut observed = Observed {
        system,
        system_id: Some("hq1".into()),
        connects_as: ConnectsAs::of(system),
        ip_office_customer: Some("acme".into()),
        taken_by: None,
        subscription: true,
        disk: DiskState::Ours,
        pod,
        configuration,
        wanted_pod: Some(&wanted_pod),
        wanted_configuration: Some(&wanted_configuration),
        paused: false,
        now: jiff::Timestamp::UNIX_EPOCH,
    };
    change(&mut observed);
    plan(&observed)
}

fn reason(plan: &Plan) -> &str {
    &plan.status.conditions.last().unwrap().reason
}

#[test]
fn it_is_made_step_by_step_and_then_left_alone() {
    let system = system();
    let (configuration, mut pod) = children(&system);
    assert_eq!(plan_for(&system, None, None, |_| ()).step, Step::WriteConfiguration);
    assert_eq!(plan_for(&system, None, Some(&configuration), |_| ()).step, Step::CreatePod);
    pod.status = serde_json::from_value(json!({"conditions": [{"type": "Ready", "status": "True"}]})).unwrap();
    let settled = plan_for(&system, Some(&pod), Some(&configuration), |_| ());
    assert_eq!(reason(&settled), "Booted");
    assert_eq!(settled.step, Step::None);
}

#[test]
fn it_waits_for_what_it_needs_and_says_what() {
    let system = system();
    let no_office = plan_for(&system, None, None, |o| (o.wanted_pod, o.system_id) = (None, None));
    assert_eq!((no_office.step == Step::None, reason(&no_office)), (true, "IPOfficeNotFound"));
    let mismatch = plan_for(&system, None, None, |o| o.ip_office_customer = Some("globex".into()));
    assert_eq!((mismatch.step == Step::None, reason(&mismatch)), (true, "CustomerMismatch"));
    let taken = plan_for(&system, None, None, |o| o.taken_by = Some("older".into()));
    assert_eq!((taken.step == Step::None, reason(&taken)), (true, "IPOfficeTaken"));
    let no_subscription = plan_for(&system, None, None, |o| o.subscription = false);
    assert_eq!((no_subscription.step == Step::None, reason(&no_subscription)), (true, "SubscriptionMissing"));
}

#[test]
fn an_undeclared_system_needs_no_ip_office_but_its_id_for_itself() {
    let mut system = system();
    system.spec.undeclared = Some(crds::simulated_system::Undeclared { system_id: "shop1".into() });
    let started = plan_for(&system, None, None, |o| o.ip_office_customer = None);
    assert_eq!(started.step, Step::WriteConfiguration);
    let taken = plan_for(&system, None, None, |o| o.taken_by = Some("older".into()));
    assert_eq!((taken.step == Step::None, reason(&taken)), (true, "SystemIdTaken"));
    let mut other = system.clone();
    other.spec.customer = "globex".into();
    assert_ne!(ConnectsAs::of(&system), ConnectsAs::of(&other), "an id is one customer's");
}

#[test]
fn changed_causes_reach_the_running_pod_and_a_changed_pod_is_made_anew() {
    let mut system = system();
    let (configuration, pod) = children(&system);
    system.spec.causes.network.connected = false;
    assert_eq!(plan_for(&system, Some(&pod), Some(&configuration), |_| ()).step, Step::WriteConfiguration);
    let (mut edited, _) = children(&system);
    edited.data = None;
    assert_eq!(plan_for(&system, Some(&pod), Some(&edited), |_| ()).step, Step::WriteConfiguration, "edited by hand");
    let (changed, _) = children(&system);
    assert_eq!(plan_for(&system, Some(&pod), Some(&changed), |_| ()).step, Step::TouchPod);
    system.spec.passwords_secret = None;
    assert_eq!(plan_for(&system, Some(&pod), Some(&changed), |_| ()).step, Step::DeletePod);
}

#[test]
fn somebody_elses_pod_of_the_name_is_never_touched() {
    let system = system();
    let (configuration, mut pod) = children(&system);
    pod.metadata.owner_references = None;
    let plan = plan_for(&system, Some(&pod), Some(&configuration), |_| ());
    assert_eq!((plan.step == Step::None, reason(&plan)), (true, "NameTaken"));
}

#[test]
fn a_lost_disk_is_made_anew_and_somebody_elses_is_left_alone() {
    let system = system();
    let (configuration, pod) = children(&system);
    let with = |change: fn(&mut Observed)| plan_for(&system, Some(&pod), Some(&configuration), change);
    assert_eq!(with(|o| o.disk = DiskState::Missing).step, Step::CreateDisk);
    assert_eq!(with(|o| o.disk = DiskState::Ending).step, Step::WaitForDisk);
    let foreign = with(|o| o.disk = DiskState::Foreign);
    assert_eq!((foreign.step == Step::None, reason(&foreign)), (true, "NameTaken"));
}

#[test]
fn what_the_node_says_is_passed_on() {
    let system = system();
    let (configuration, mut pod) = children(&system);
    pod.status = serde_json::from_value(json!({"containerStatuses": [{
        "name": "system", "image": "i", "imageID": "", "ready": false, "restartCount": 0,
        "state": {"waiting": {"reason": "ErrImagePull", "message": "image not mapped"}}
    }]}))
    .unwrap();
    let plan = plan_for(&system, Some(&pod), Some(&configuration), |_| ());
    assert_eq!(reason(&plan), "ErrImagePull");
}

#[test]
fn the_causes_say_as_what_the_system_connects() {
    let (configuration, pod) = children(&system());
    let text = &configuration.data.unwrap()["causes.yaml"];
    let causes: model::causes::Causes = serde_yaml::from_str(text).unwrap();
    assert_eq!((causes.system_id.as_deref(), causes.system_name.as_deref()), (Some("hq1"), Some("hq")));
    let spec = pod.spec.unwrap();
    assert_eq!(spec.security_context.unwrap().run_as_non_root, Some(true));
    assert!(!format!("{:?}", spec.containers[0].args).contains("password="), "no secret in arguments");
}
