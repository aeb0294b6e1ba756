"""Values that contradict each other, or are unsafe, are refused with the reason; values of an unknown name always."""

import json
import re
import unittest

import rendering
from rendering import CHART, refusal

STORE = {"endpoint": "https://s3.example.com", "bucket": "backups", "credentials": {"existingSecret": "keys"}}


def tls(mode, **more):
    return {"gateway": {"host": "com.example.com", "tls": {"mode": mode, **more}}}


# Values, and what the reason says.
REFUSED = {
    "an image that changes under its name": ({"image": {"tag": "latest"}}, "name a version, or a digest"),
    "a load balancer that nobody outside is told of": ({"gateway": {"service": {"type": "LoadBalancer"}}}, "set gateway.host to what they dial"),
    "a certificate without a name": ({"gateway": {"tls": {"mode": "secret", "secretName": "x"}}}, "needs the name that systems dial"),
    "a node port nobody chose": ({"gateway": {"host": "a.example", "service": {"type": "NodePort"}}}, "could not be told what to dial"),
    "a node port of no node port": ({"gateway": {"service": {"nodePort": 30443}}}, "set the type to NodePort"),
    "limits of a load balancer that is none": ({"gateway": {"service": {"loadBalancerSourceRanges": ["192.0.2.0/24"]}}}, "limit nothing"),
    "a secret without a name": (tls("secret"), "name the Secret with tls.crt"),
    "a secret that is not used": (tls("operator", secretName="x"), "would not be used"),
    "cert-manager without an issuer": (tls("certManager"), "name the issuer"),
    "one port twice": ({"metrics": {"port": 8443}}, "a number of its own"),
    "a budget of both kinds": ({"podDisruptionBudget": {"minAvailable": 1}}, "set the other to null"),
    "a budget of neither kind": ({"podDisruptionBudget": {"maxUnavailable": None}}, "would protect nothing"),
    "a budget that blocks every drain": ({"podDisruptionBudget": {"maxUnavailable": 0}}, "no node could ever be drained"),
    "a budget of no share": ({"podDisruptionBudget": {"maxUnavailable": "0%"}}, "no node could ever be drained"),
    "a budget that wants all": ({"podDisruptionBudget": {"maxUnavailable": None, "minAvailable": 2}}, "asks for all of 2 replicas"),
    "a budget whose share is all": (
        {"replicas": 3, "podDisruptionBudget": {"maxUnavailable": None, "minAvailable": "70%"}}, "asks for all of 3 replicas"),
    "two stores": ({"store": {"enabled": True}, "objectStore": STORE}, "choose one"),
    "keys for a store that makes its own": (
        {"store": {"enabled": True}, "objectStore": {"credentials": {"existingSecret": "keys"}}}, "would not be used"),
    "a store outside without a name": ({"store": {"enabled": True, "service": {"type": "LoadBalancer"}}}, "store.host is empty"),
    "a store without a bucket": ({"objectStore": {**STORE, "bucket": ""}}, "name the bucket"),
    "a store without keys": ({"objectStore": {**STORE, "credentials": {}}}, "without credentials"),
    "a store with half a key": ({"objectStore": {**STORE, "credentials": {"accessKeyId": "a"}}}, "without credentials"),
    "keys twice": (
        {"objectStore": {**STORE, "credentials": {"existingSecret": "keys", "accessKeyId": "a", "secretAccessKey": "b"}}}, "only one can be used"),
    "backups in the clear": ({"objectStore": {**STORE, "endpoint": "http://s3.example.com"}}, "set objectStore.allowPlainHttp=true"),
    "backups in the clear for systems": ({"objectStore": {**STORE, "systemEndpoint": "http://s3.example.com"}}, "whoever listens"),
    "a store without an endpoint": ({"objectStore": {"bucket": "backups"}}, "set objectStore.endpoint"),
    "a private key for everybody": ({"objectStore": {**STORE, "certificateAuthority": "-----BEGIN PRIVATE KEY-----"}}, "holds a private key"),
    "a Prometheus that is kept out": ({"networkPolicy": {"enabled": True}, "metrics": {"serviceMonitor": {"enabled": True}}}, "say in metricsFrom"),
    "limits of networks that are off": ({"networkPolicy": {"gatewayFrom": [{"ipBlock": {"cidr": "192.0.2.0/24"}}]}}, "would limit nothing"),
    "an operator cut off from the API server": ({"networkPolicy": {"enabled": True, "egress": {"enabled": True}}}, "cuts the operator off"),
    "no time to end": ({"operator": {"drainSeconds": 20}}, "leaves less than 15"),
    "a privileged operator": ({"securityContext": {"privileged": True}}, "nothing in it needs that"),
    "an operator that may become more": ({"securityContext": {"allowPrivilegeEscalation": True}}, "nothing in it needs that"),
    "an operator that is root": ({"podSecurityContext": {"runAsUser": 0}}, "needs root"),
    "rights for the namespace's default account": ({"serviceAccount": {"create": False}}, "name the account"),
    "simulated systems without their kind": ({"crds": {"install": False}, "simulator": {"enabled": True}}, "set crds.install=true"),
    "an argument behind the chart's back": ({"operator": {"extraArgs": ["--namespace=other"]}}, "change it there"),
    "a tenancy behind the chart's back": ({"operator": {"extraArgs": ["--tenancy=other"]}}, "operator.tenancies"),
}
# Values, and where the schema says they are wrong.
WRONG = {
    "more than one store on one disk": ({"store": {"replicas": 2}}, "/store"),
    "no replica": ({"replicas": 0}, "/replicas"),
    "an address with a scheme": ({"gateway": {"host": "https://com.example.com"}}, "/gateway/host"),
    "an address with a path": ({"objectStore": {"endpoint": "https://s3.example.com/bucket"}}, "/objectStore/endpoint"),
    "a user who may be root": ({"podSecurityContext": {"runAsNonRoot": False}}, "/podSecurityContext/runAsNonRoot"),
    "a log level that is none": ({"operator": {"logLevel": "VERBOSE"}}, "/operator/logLevel"),
    "a number in quotes": ({"replicas": "2"}, "/replicas"),
    "a digest that is none": ({"image": {"digest": "sha256:abc"}}, "/image/digest"),
    "a lock of no length": ({"objectStore": {**STORE, "objectLock": {"mode": "Governance"}}}, "/objectStore/objectLock"),
    "two tenancies of one name": ({"operator": {"tenancies": ["a", "a"]}}, "/operator/tenancies"),
}


class Refusals(unittest.TestCase):
    def test_contradictions_are_refused_with_the_reason(self):
        for name, (values, reason) in REFUSED.items():
            with self.subTest(name):
                self.assertIn(reason, refusal(values))

    def test_there_is_a_refusal_for_every_reason_in_the_chart(self):
        text = (CHART / "templates" / "_refusals.tpl").read_text()
        # Up to the first place that a value is put into.
        reasons = re.findall(r'- fail (?:\(printf )?"([^"%]+)', text)
        self.assertEqual(len(reasons), text.count("- fail "), "a refusal whose words are not found")
        said = [refusal(values) for values, _ in REFUSED.values()]
        for reason in reasons:
            with self.subTest(reason):
                self.assertTrue(any(reason in one for one in said), "a refusal in templates/_refusals.tpl has no case here")

    def test_what_is_simply_wrong_is_refused_with_the_place(self):
        for name, (values, place) in WRONG.items():
            with self.subTest(name):
                self.assertIn(f"'{place}'", refusal(values))


class Schema(unittest.TestCase):
    schema = json.loads((CHART / "values.schema.json").read_text())

    def resolve(self, schema):
        return self.schema["$defs"][schema["$ref"].rsplit("/", 1)[1]] if "$ref" in schema else schema

    def test_every_value_has_a_schema_and_every_schema_a_value(self):
        def walk(values, schema, path):
            schema = self.resolve(schema)
            properties = schema.get("properties")
            if not isinstance(values, dict) or properties is None or schema.get("additionalProperties") is not False:
                return
            missing = set(values) - set(properties)
            self.assertFalse(missing, f"{path} has values without a schema")
            free = {"encryption": "objectStore", "objectLock": "objectStore"}
            unset = set(properties) - set(values) - {"global"}
            if path.rsplit("/", 1)[-1] not in free and not path.endswith(("/affinity", "/requests", "/limits")):
                self.assertFalse(unset, f"{path} has a schema for what values.yaml does not name")
            for key, value in values.items():
                walk(value, properties[key], f"{path}/{key}")

        walk(rendering.yaml.safe_load((CHART / "values.yaml").read_text()), self.schema, "")

    def test_no_part_of_the_schema_is_open_but_what_is_kubernetes_own(self):
        opened = []

        def walk(schema, path):
            if isinstance(schema, dict):
                if "properties" in schema and schema.get("additionalProperties") is not False:
                    opened.append("/".join(path))
                for key, child in schema.items():
                    walk(child, [*path, key])

        walk(self.schema, [])
        self.assertEqual(opened, ["properties/operator/properties/extraEnv/items", "properties/podSecurityContext", "properties/securityContext"])

    def test_a_misspelt_name_is_refused_at_every_level(self):
        tried = []

        def walk(schema, path):
            schema = self.resolve(schema)
            if schema.get("type") != "object" or schema.get("additionalProperties") is not False:
                return
            values = {"misspelt": 1}
            for key in reversed(path):
                values = {key: values}
            self.assertIn("'misspelt' not allowed", refusal(values), path)
            tried.append(path)
            for key, child in schema["properties"].items():
                walk(child, [*path, key])

        walk(self.schema, [])
        self.assertGreater(len(tried), 30)

    def test_every_value_is_explained_or_kubernetes_own(self):
        """By a line above it, above the group of lines it stands in, or above the section it begins."""
        unexplained, sections, before = set(), [], ""
        for line in (CHART / "values.yaml").read_text().splitlines():
            found = re.match(r"^( *)([A-Za-z]+):(.*)$", line)
            if found:
                depth, sibling = len(found[1]), None
                while sections and sections[-1][0] >= depth:
                    sibling = sections.pop()
                in_group = sibling is not None and sibling[0] == depth and sibling[2] and before
                begins = sibling is None and bool(sections) and sections[-1][2]
                explained = bool(before.strip().startswith("#") or in_group or begins)
                sections.append((depth, found[2], explained))
                if found[3].strip() and not explained:
                    unexplained.add(".".join(name for _, name, _ in sections))
            before = line
        own = {"serviceAccount.create", "podDisruptionBudget.enabled", "podLabels", "podAnnotations", "deploymentAnnotations", "nodeSelector",
               "tolerations", "affinity", "resources.requests.cpu", "resources.requests.memory", "resources.limits.memory"}
        self.assertEqual(unexplained, own)


if __name__ == "__main__":
    unittest.main()
