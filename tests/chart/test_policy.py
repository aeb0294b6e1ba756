"""What the project asks of everything it puts into a cluster."""

import re
import unittest

import rendering
from rendering import CASES, case, of_kind, one

DANGEROUS_VERBS = {"*", "escalate", "bind", "impersonate"}


def pods(rendered):
    return [(entry["metadata"]["name"], entry["spec"]["template"]) for entry in of_kind(rendered, "Deployment")]


def roles(rendered):
    return of_kind(rendered, "ClusterRole") + of_kind(rendered, "Role")


def reads_secrets(role):
    """Rules that reach the content of Secrets of any name."""
    return [rule for rule in role["rules"] if "secrets" in rule.get("resources", []) and not rule.get("resourceNames")
            and set(rule["verbs"]) & {"get", "list", "watch"}]


def selects(selector, labels):
    return all(labels.get(key) == value for key, value in selector.items())


class Pods(unittest.TestCase):
    def each(self):
        for name in CASES:
            for deployment, template in pods(case(name)):
                with self.subTest(case=name, deployment=deployment):
                    yield template["spec"], template["metadata"]

    def test_fulfil_the_pod_security_standard_restricted(self):
        for spec, _ in self.each():
            self.assertFalse({"hostNetwork", "hostPID", "hostIPC"} & set(spec))
            self.assertTrue(spec["securityContext"]["runAsNonRoot"])
            self.assertEqual(spec["securityContext"]["seccompProfile"], {"type": "RuntimeDefault"})
            allowed = {"emptyDir", "secret", "configMap", "persistentVolumeClaim", "projected", "downwardAPI"}
            for volume in spec["volumes"]:
                self.assertLessEqual(set(volume) - {"name"}, allowed)
            for container in spec["containers"]:
                context = container["securityContext"]
                self.assertEqual(context["capabilities"], {"drop": ["ALL"]})
                self.assertIs(context["allowPrivilegeEscalation"], False)
                self.assertIs(context["privileged"], False)
                self.assertFalse([port for port in container["ports"] if "hostPort" in port])

    def test_run_as_nobody_on_a_file_system_that_cannot_be_written(self):
        for spec, _ in self.each():
            self.assertGreater(spec["securityContext"]["runAsUser"], 1000)
            for container in spec["containers"]:
                self.assertIs(container["securityContext"]["readOnlyRootFilesystem"], True)

    def test_say_what_they_need_and_answer_probes(self):
        for spec, _ in self.each():
            for container in spec["containers"]:
                self.assertLessEqual({"cpu", "memory"}, set(container["resources"]["requests"]))
                self.assertIn("memory", container["resources"]["limits"])
                ports = {port["name"] for port in container["ports"]}
                for probe, path in [("startupProbe", "/healthz"), ("livenessProbe", "/healthz"), ("readinessProbe", "/readyz")]:
                    self.assertEqual(container[probe]["httpGet"]["path"], path)
                    self.assertIn(container[probe]["httpGet"]["port"], ports)

    def test_name_a_version_of_their_image(self):
        for spec, _ in self.each():
            for container in spec["containers"]:
                self.assertRegex(container["image"], r"(:[A-Za-z0-9_][A-Za-z0-9_.-]*|@sha256:[0-9a-f]{64})$")
                self.assertFalse(container["image"].endswith(":latest"))

    def test_have_an_account_of_their_own_and_a_token_only_where_it_is_used(self):
        for spec, _ in self.each():
            self.assertNotEqual(spec["serviceAccountName"], "default")
            operator = spec["containers"][0]["name"] == "operator"
            self.assertIs(spec["automountServiceAccountToken"], operator)
        for name in CASES:
            for account in of_kind(case(name), "ServiceAccount"):
                self.assertIs(account["automountServiceAccountToken"], False)

    def test_are_spread_and_replaced_without_a_gap(self):
        for name in CASES:
            for deployment in of_kind(case(name), "Deployment"):
                if deployment["spec"]["strategy"]["type"] != "RollingUpdate":
                    continue
                self.assertEqual(deployment["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"], 0)
                labels = deployment["spec"]["template"]["metadata"]["labels"]
                for constraint in deployment["spec"]["template"]["spec"]["topologySpreadConstraints"]:
                    self.assertTrue(selects(constraint["labelSelector"]["matchLabels"], labels))

    def test_keys_in_volumes_are_not_readable_by_others(self):
        for spec, _ in self.each():
            for volume in spec["volumes"]:
                if "secret" in volume:
                    self.assertEqual(volume["secret"]["defaultMode"] & 0o007, 0)


class Rights(unittest.TestCase):
    def test_nothing_is_given_by_wildcard_and_nobody_may_raise_himself(self):
        for name in CASES:
            for role in roles(case(name)):
                for rule in role["rules"]:
                    words = rule.get("apiGroups", []) + rule.get("resources", []) + rule["verbs"]
                    self.assertNotIn("*", words, role["metadata"]["name"])
                    self.assertFalse(DANGEROUS_VERBS & set(rule["verbs"]), role["metadata"]["name"])
                    self.assertNotIn("nonResourceURLs", rule)

    def test_with_tenancies_no_secret_is_read_in_the_whole_cluster(self):
        rendered = case("hardened")
        bound = {binding["roleRef"]["name"] for binding in of_kind(rendered, "ClusterRoleBinding")}
        for role in of_kind(rendered, "ClusterRole"):
            if role["metadata"]["name"] in bound:
                self.assertEqual(reads_secrets(role), [], role["metadata"]["name"])
        tenancies = {binding["metadata"]["namespace"] for binding in of_kind(rendered, "RoleBinding")
                     if binding["roleRef"]["name"] == "switchboard-tenancy"}
        self.assertEqual(tenancies, {"north", "south"})

    def test_without_tenancies_one_role_reads_secrets_in_the_whole_cluster(self):
        # Customers, and the passwords of their systems, can be in any namespace: docs/installation.md says it, and how to do without.
        reading = [role["metadata"]["name"] for role in of_kind(case("default"), "ClusterRole") if reads_secrets(role)]
        self.assertEqual(reading, ["switchboard-tenancy"])

    def test_in_its_own_namespace_the_operator_reads_only_what_is_named(self):
        for name in ("default", "hardened", "everything"):
            for role in of_kind(case(name), "Role"):
                self.assertEqual(reads_secrets(role), [])
        names = [rule.get("resourceNames") for role in of_kind(case("hardened"), "Role") for rule in role["rules"]
                 if rule["resources"] == ["secrets"]]
        self.assertEqual(names, [None, ["switchboard-authority"], ["object-store"]])

    def test_pods_are_made_by_the_simulator_alone(self):
        for name in CASES:
            simulated = rendering.values_of(name).get("simulator", {}).get("enabled", False)
            making = [role["metadata"]["name"] for role in roles(case(name)) for rule in role["rules"]
                      if "pods" in rule.get("resources", []) and "create" in rule["verbs"]]
            self.assertEqual(bool(making), simulated, name)

    def test_roles_of_people_are_five_and_reach_no_secret(self):
        people = [role for role in of_kind(case("default"), "ClusterRole") if role["metadata"]["name"].startswith("switchboard:")]
        self.assertEqual(sorted(role["metadata"]["name"] for role in people),
                         sorted(f"switchboard:{name}" for name in ("administrator", "support", "supervisor", "operator", "read-only")))
        for role in people:
            for rule in role["rules"]:
                self.assertFalse({"secrets", "pods", "pods/exec", "serviceaccounts", "roles", "rolebindings"} & set(rule["resources"]))
        self.assertTrue([role for role in people if any("aggregate-to" in label for label in role["metadata"]["labels"])])
        hardened = [role for role in of_kind(case("hardened"), "ClusterRole") if role["metadata"]["name"].startswith("switchboard:")]
        self.assertFalse([label for role in hardened for label in role["metadata"]["labels"] if "aggregate-to" in label])

    def test_every_binding_names_a_role_that_is_there_and_the_operators_account(self):
        for name in CASES:
            rendered = case(name)
            there = {(role["kind"], role["metadata"]["name"]) for role in roles(rendered)}
            for binding in of_kind(rendered, "ClusterRoleBinding") + of_kind(rendered, "RoleBinding"):
                self.assertIn((binding["roleRef"]["kind"], binding["roleRef"]["name"]), there)
                account = pods(rendered)[0][1]["spec"]["serviceAccountName"]
                self.assertEqual(binding["subjects"], [{"kind": "ServiceAccount", "name": account, "namespace": rendering.NAMESPACE}])


class Wiring(unittest.TestCase):
    def test_services_and_budgets_select_the_pods_they_mean(self):
        for name in CASES:
            rendered = case(name)
            templates = {template["spec"]["containers"][0]["name"]: template for _, template in pods(rendered)}
            for service in of_kind(rendered, "Service"):
                meant = "store" if service["metadata"]["name"].endswith("-store") else "operator"
                for container, template in templates.items():
                    self.assertEqual(selects(service["spec"]["selector"], template["metadata"]["labels"]), container == meant)
                named = {port["name"] for port in templates[meant]["spec"]["containers"][0]["ports"]}
                self.assertLessEqual({port["targetPort"] for port in service["spec"]["ports"]}, named)
            for budget in of_kind(rendered, "PodDisruptionBudget"):
                for container, template in templates.items():
                    chosen = selects(budget["spec"]["selector"]["matchLabels"], template["metadata"]["labels"])
                    self.assertEqual(chosen, container == "operator")

    def test_the_operator_listens_where_the_chart_says(self):
        for name in CASES:
            rendered = case(name)
            container = next(template["spec"]["containers"][0] for _, template in pods(rendered)
                             if template["spec"]["containers"][0]["name"] == "operator")
            arguments = dict(argument[2:].split("=", 1) for argument in container["args"][1:])
            ports = {port["name"]: str(port["containerPort"]) for port in container["ports"]}
            self.assertEqual([arguments[f"{name}-port"] for name in ("gateway", "metrics", "peer")],
                             [ports[name] for name in ("gateway", "metrics", "peers")])
            gateway = next(service for service in of_kind(rendered, "Service") if service["metadata"]["name"].endswith("-gateway"))
            port = gateway["spec"]["ports"][0]
            # Systems are told the port that leads to the operator from where they are.
            self.assertEqual(arguments.get("gateway-public-port", arguments["gateway-port"]), str(port.get("nodePort", port["port"])))
            self.assertEqual(arguments["simulated-systems"], str(rendering.values_of(name).get("simulator", {}).get("enabled", False)).lower())

    def test_without_a_name_systems_are_told_the_address_of_the_service(self):
        arguments = pods(case("default"))[0][1]["spec"]["containers"][0]["args"]
        self.assertIn("--gateway-host=$(SWITCHBOARD_GATEWAY_SERVICE_HOST)", arguments)
        one(case("default"), "Service", "switchboard-gateway")
        other = rendering.objects({"fullnameOverride": "my.com"[:2]})
        self.assertIn("--gateway-host=$(MY_GATEWAY_SERVICE_HOST)", pods(other)[0][1]["spec"]["containers"][0]["args"])

    def test_network_policies_open_only_ports_that_are_served_and_peers_only_to_replicas(self):
        for name in ("hardened", "everything"):
            rendered = case(name)
            for policy in of_kind(rendered, "NetworkPolicy"):
                template = next(template for _, template in pods(rendered)
                                if selects(policy["spec"]["podSelector"]["matchLabels"], template["metadata"]["labels"]))
                served = {port["name"] for port in template["spec"]["containers"][0]["ports"]}
                for rule in policy["spec"]["ingress"]:
                    opened = {port["port"] for port in rule["ports"]}
                    self.assertLessEqual(opened, served)
                    if "peers" in opened:
                        self.assertEqual(rule["from"], [{"podSelector": policy["spec"]["podSelector"]}])
                    if "metrics" in opened:
                        self.assertTrue(rule["from"])
        operator = one(case("hardened"), "NetworkPolicy", "switchboard")
        self.assertEqual(operator["spec"]["policyTypes"], ["Ingress", "Egress"])
        self.assertEqual(len(operator["spec"]["egress"]), 4)

    def test_prometheus_finds_the_metrics_and_nothing_else(self):
        for name in ("hardened", "everything"):
            monitor = of_kind(case(name), "ServiceMonitor")[0]
            wanted = monitor["spec"]["selector"]["matchLabels"]
            found = [service["metadata"]["name"] for service in of_kind(case(name), "Service") if selects(wanted, service["metadata"]["labels"])]
            self.assertEqual(len(found), 1)
            self.assertTrue(found[0].endswith("-metrics"))
            service = one(case(name), "Service", found[0])
            self.assertEqual(monitor["spec"]["endpoints"][0]["port"], service["spec"]["ports"][0]["name"])
            self.assertEqual(service["metadata"]["labels"][monitor["spec"]["jobLabel"]], "switchboard")

    def test_rules_and_dashboards_arrive_as_they_are(self):
        folder = rendering.CHART / "files"
        rules = of_kind(case("everything"), "PrometheusRule")[0]["spec"]
        self.assertEqual(rules, rendering.yaml.safe_load((folder / "alerts.yaml").read_text()))
        self.assertTrue(rules["groups"])
        boards = {name: text for board in of_kind(case("everything"), "ConfigMap") for name, text in board["data"].items()}
        expected = {path.name: path.read_text().strip() for path in (folder / "dashboards").glob("*.json")}
        self.assertTrue(expected)
        self.assertEqual(boards, expected)

    def test_the_certificate_is_for_what_systems_dial(self):
        certificate = of_kind(case("everything"), "Certificate")[0]["spec"]
        self.assertEqual(certificate["ipAddresses"], ["192.0.2.10"])
        mounted = pods(case("everything"))[0][1]["spec"]["volumes"][-1]["secret"]["secretName"]
        self.assertEqual(mounted, certificate["secretName"])
        named = rendering.merged(rendering.values_of("everything"), {"gateway": {"host": "com.example.com"}})
        self.assertEqual(of_kind(rendering.objects(named), "Certificate")[0]["spec"]["dnsNames"], ["com.example.com"])

    def test_the_store_for_trials_and_its_object_say_the_same(self):
        rendered = case("everything")
        secret = next(entry for entry in of_kind(rendered, "Secret"))
        store = of_kind(rendered, "ObjectStore")[0]
        self.assertEqual(store["spec"]["credentialsSecret"], {"namespace": rendering.NAMESPACE, "name": secret["metadata"]["name"]})
        authority = rendering.yaml.safe_load(f"text: !!binary {secret['data']['ca.crt']}")["text"].decode()
        self.assertEqual(store["spec"]["certificateAuthority"].strip(), authority.strip())
        service = next(entry for entry in of_kind(rendered, "Service") if entry["metadata"]["name"].endswith("-store"))
        expected = f"https://{service['metadata']['name']}.{rendering.NAMESPACE}.svc:{service['spec']['ports'][0]['port']}"
        self.assertEqual(store["spec"]["endpoint"], expected)
        self.assertEqual(store["spec"]["systemEndpoint"], "https://store.example.com:9000")
        self.assertEqual(one(rendered, "PersistentVolumeClaim", service["metadata"]["name"])["metadata"]["annotations"]["helm.sh/resource-policy"], "keep")

    def test_policies_name_the_operators_user(self):
        texts = {name: text for name, text in rendering.files({}, namespace="elsewhere").items() if name == "policies.yaml"}
        text = texts["policies.yaml"]
        self.assertNotIn("${", text)
        if "ValidatingAdmissionPolicy" in text:
            self.assertIn("system:serviceaccount:elsewhere:switchboard", text)
            self.assertFalse(re.search("system:serviceaccount:switchboard-system", text))

    def test_every_object_says_whose_it_is(self):
        for name in CASES:
            for entry in case(name):
                labels = entry["metadata"]["labels"]
                for label in ("name", "instance", "component", "version", "managed-by", "part-of"):
                    self.assertTrue(labels.get(f"app.kubernetes.io/{label}"), entry["metadata"]["name"])
                if name == "everything":
                    self.assertEqual(labels["team"], "telephony", entry["metadata"]["name"])
                    self.assertEqual(entry["metadata"]["annotations"]["example.com/owner"], "telephony", entry["metadata"]["name"])


if __name__ == "__main__":
    unittest.main()
