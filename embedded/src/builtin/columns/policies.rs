//! Columns of kinds about access, admission, networks, storage and scheduling.

use serde_json::{Value, json};

use super::{AGE, Heading, NAME, Of, Text, bool_at, count_at, format, heading, int_at, items_at, str_at, text, wide};

pub(in crate::builtin) const LEASE: &[Heading] =
    &[NAME, heading("Holder", "string", Of("coordination.v1.LeaseSpec.holderIdentity"), |o| text(o, "/spec/holderIdentity", "")), AGE];

pub(in crate::builtin) const ROLE_BINDING: &[Heading] = &[
    NAME,
    heading("Role", "string", Of("rbac.v1.RoleBinding.roleRef"), |o| {
        let part = |pointer| str_at(o, pointer).unwrap_or_default();
        json!(format!("{}/{}", part("/roleRef/kind"), part("/roleRef/name")))
    }),
    AGE,
    wide("Users", "string", Text("Users in the roleBinding"), |o| json!(subjects(o, "User"))),
    wide("Groups", "string", Text("Groups in the roleBinding"), |o| json!(subjects(o, "Group"))),
    wide("ServiceAccounts", "string", Text("ServiceAccounts in the roleBinding"), |o| json!(subjects(o, "ServiceAccount"))),
];

fn subjects(binding: &Value, kind: &str) -> String {
    let subjects = items_at(binding, "/subjects").iter().filter(|subject| str_at(subject, "/kind") == Some(kind));
    let names = subjects.map(|subject| match (kind, str_at(subject, "/name").unwrap_or_default()) {
        ("ServiceAccount", name) => format!("{}/{name}", str_at(subject, "/namespace").unwrap_or_default()),
        (_, name) => name.to_owned(),
    });
    names.collect::<Vec<_>>().join(", ")
}

pub(in crate::builtin) const POD_DISRUPTION_BUDGET: &[Heading] = &[
    NAME,
    heading("Min Available", "string", Text("The minimum number of pods that must be available."), |o| {
        json!(format::int_or_text(o.pointer("/spec/minAvailable"), "N/A"))
    }),
    heading("Max Unavailable", "string", Text("The maximum number of pods that may be unavailable."), |o| {
        json!(format::int_or_text(o.pointer("/spec/maxUnavailable"), "N/A"))
    }),
    heading("Allowed Disruptions", "integer", Text("Calculated number of pods that may be disrupted at this time."), |o| {
        json!(int_at(o, "/status/disruptionsAllowed"))
    }),
    AGE,
];

pub(in crate::builtin) const NETWORK_POLICY: &[Heading] = &[
    NAME,
    heading("Pod-Selector", "string", Of("networking.v1.NetworkPolicySpec.podSelector"), |o| {
        json!(format::selector(o.pointer("/spec/podSelector")))
    }),
    AGE,
];

pub(in crate::builtin) const INGRESS: &[Heading] = &[
    NAME,
    heading("Class", "string", Text("The name of the IngressClass resource that should be used for additional configuration"), |o| {
        text(o, "/spec/ingressClassName", "<none>")
    }),
    heading("Hosts", "string", Text("Hosts that incoming requests are matched against before the ingress rule"), |o| {
        let hosts: Vec<String> = items_at(o, "/spec/rules").iter().filter_map(|rule| str_at(rule, "/host")).map(str::to_owned).collect();
        json!(if hosts.is_empty() { "*".to_owned() } else { format::first_of(&hosts, 3) })
    }),
    heading("Address", "string", Text("Address is a list containing ingress points for the load-balancer"), |o| {
        json!(format::load_balancer(o))
    }),
    heading("Ports", "string", Text("Ports of TLS configurations that open"), |o| {
        json!(if items_at(o, "/spec/tls").is_empty() { "80" } else { "80, 443" })
    }),
    AGE,
];

pub(in crate::builtin) const PRIORITY_CLASS: &[Heading] = &[
    NAME,
    heading("Value", "integer", Of("scheduling.v1.PriorityClass.value"), |o| json!(int_at(o, "/value"))),
    heading("Global-Default", "boolean", Of("scheduling.v1.PriorityClass.globalDefault"), |o| json!(bool_at(o, "/globalDefault"))),
    AGE,
    wide("PreemptionPolicy", "string", Of("scheduling.v1.PriorityClass.preemptionPolicy"), |o| text(o, "/preemptionPolicy", "")),
];

pub(in crate::builtin) const STORAGE_CLASS: &[Heading] = &[
    NAME,
    heading("Provisioner", "string", Of("storage.v1.StorageClass.provisioner"), |o| text(o, "/provisioner", "")),
    heading("ReclaimPolicy", "string", Of("storage.v1.StorageClass.reclaimPolicy"), |o| text(o, "/reclaimPolicy", "Delete")),
    heading("VolumeBindingMode", "string", Of("storage.v1.StorageClass.volumeBindingMode"), |o| text(o, "/volumeBindingMode", "Immediate")),
    heading("AllowVolumeExpansion", "string", Of("storage.v1.StorageClass.allowVolumeExpansion"), |o| {
        json!(bool_at(o, "/allowVolumeExpansion"))
    }),
    AGE,
];

pub(in crate::builtin) const ADMISSION_POLICY: &[Heading] = &[
    NAME,
    heading("Validations", "integer", Of("admissionregistration.v1.ValidatingAdmissionPolicySpec.validations"), |o| {
        json!(count_at(o, "/spec/validations"))
    }),
    heading("ParamKind", "string", Of("admissionregistration.v1.ValidatingAdmissionPolicySpec.paramKind"), |o| {
        let part = |pointer| str_at(o, pointer).unwrap_or_default();
        let named = o.pointer("/spec/paramKind").is_some_and(Value::is_object);
        json!(if named { format!("{}/{}", part("/spec/paramKind/apiVersion"), part("/spec/paramKind/kind")) } else { "<unset>".to_owned() })
    }),
    AGE,
];

pub(in crate::builtin) const ADMISSION_POLICY_BINDING: &[Heading] = &[
    NAME,
    heading("PolicyName", "string", Of("admissionregistration.v1.ValidatingAdmissionPolicyBindingSpec.policyName"), |o| {
        text(o, "/spec/policyName", "")
    }),
    heading("ParamRef", "string", Of("admissionregistration.v1.ValidatingAdmissionPolicyBindingSpec.paramRef"), |o| {
        let name = str_at(o, "/spec/paramRef/name");
        let namespace = str_at(o, "/spec/paramRef/namespace").map_or(String::new(), |namespace| format!("{namespace}/"));
        json!(match (name, o.pointer("/spec/paramRef/selector")) {
            (Some(name), _) => format!("{namespace}{name}"),
            (None, Some(selector)) => format!("{namespace}{}", format::selector(Some(selector))),
            (None, None) => "<unset>".to_owned(),
        })
    }),
    AGE,
];
