"""What is rendered is what Kubernetes 1.33 to 1.37 takes, and what our own kinds take."""

import unittest
from functools import lru_cache

import rendering
import jsonschema
import kubernetes_validate.utils
from rendering import CASES, CHART, case, of_kind

VERSIONS = ["1.33.0", "1.34.0", "1.35.0", "1.36.0", "1.37.0"]
# Kinds of other projects, of which kubernetes-validate has no schema; tests of what is in them are in test_policy.py.
FOREIGN = {"ServiceMonitor", "PrometheusRule", "Certificate"}
OURS = "switchboard.dev/"

# It reads its files anew for each object otherwise.
kubernetes_validate.utils.schema_contents = lru_cache(None)(kubernetes_validate.utils.schema_contents)


def openapi_to_json_schema(schema):
    """What of a structural schema JSON Schema has too; fields that are not declared are refused, as kubectl's strict validation does."""
    if not isinstance(schema, dict):
        return schema
    translated = {key: value for key, value in schema.items() if not key.startswith("x-") and key not in ("default", "format", "nullable")}
    if "properties" in schema:
        translated["properties"] = {name: openapi_to_json_schema(child) for name, child in schema["properties"].items()}
        translated.setdefault("additionalProperties", False)
    for key in ("items", "additionalProperties"):
        if isinstance(translated.get(key), dict):
            translated[key] = openapi_to_json_schema(translated[key])
    return translated


class Validity(unittest.TestCase):
    def test_every_object_is_valid_for_every_version(self):
        for name in CASES:
            for version in VERSIONS:
                for entry in case(name):
                    if entry["kind"] in FOREIGN or entry["apiVersion"].startswith(OURS):
                        continue
                    with self.subTest(case=name, version=version, kind=entry["kind"], name=entry["metadata"]["name"]):
                        used = kubernetes_validate.utils.validate(entry, version, strict=True)
                        self.assertEqual(used, version.rsplit(".", 1)[0], "the schema of another version was used")

    def test_a_field_that_is_not_there_would_be_found(self):
        broken = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "x"}, "spec": {"portz": []}}
        for version in VERSIONS:
            with self.assertRaises(kubernetes_validate.utils.ValidationError):
                kubernetes_validate.utils.validate(broken, version, strict=True)

    def test_objects_of_our_kinds_are_valid(self):
        seen = 0
        for name in CASES:
            for entry in case(name):
                if not entry["apiVersion"].startswith(OURS):
                    continue
                seen += 1
                definition = rendering.yaml.safe_load((CHART / "files" / "crds" / f"{entry['kind'].lower()}s.yaml").read_text())
                schema = openapi_to_json_schema(definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"])
                with self.subTest(case=name, kind=entry["kind"]):
                    jsonschema.Draft202012Validator(schema).validate(entry["spec"])
        self.assertGreaterEqual(seen, 3)

    def test_foreign_kinds_are_only_those_that_are_known(self):
        kinds = {entry["kind"] for name in CASES for entry in case(name) if "." in entry["apiVersion"].split("/")[0]
                 and not entry["apiVersion"].split("/")[0].endswith(".k8s.io") and not entry["apiVersion"].startswith(OURS)}
        self.assertEqual(kinds, FOREIGN)

    def test_names_and_labels_fit(self):
        for name in CASES:
            for entry in case(name):
                metadata = entry["metadata"]
                self.assertLessEqual(len(metadata["name"]), 63, metadata["name"])
                for key, value in metadata.get("labels", {}).items():
                    self.assertRegex(value, r"^[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$", f"{metadata['name']} {key}")

    def test_a_long_name_of_a_release_leaves_room_for_every_suffix(self):
        for entry in rendering.objects({"store": {"enabled": True}}, name="a" * 53):
            self.assertLessEqual(len(entry["metadata"]["name"]), 63, entry["metadata"]["name"])

    def test_two_releases_share_no_name_but_those_of_the_whole_cluster(self):
        def names(release):
            return {(entry["kind"], entry["metadata"]["name"]) for entry in rendering.objects({}, name=release)}

        # Kinds, roles of people and admission policies are the cluster's: a second release sets crds and roles off, both of them admissionPolicies.
        shared = {kind for kind, _ in names("one") & names("two")}
        self.assertLessEqual(shared, {"CustomResourceDefinition", "ClusterRole", "ValidatingAdmissionPolicy",
                                      "ValidatingAdmissionPolicyBinding"})
        bare = [{"crds": {"install": False}, "roles": {"create": False}, "admissionPolicies": {"enabled": False}}] * 2
        kept = [{(entry["kind"], entry["metadata"]["name"]) for entry in rendering.objects(values, name=release)}
                for values, release in zip(bare, ["one", "two"])]
        self.assertFalse(kept[0] & kept[1])

    def test_kinds_are_what_the_project_says_and_stay(self):
        for name, simulated in [("default", False), ("everything", True)]:
            kinds = {entry["spec"]["names"]["plural"]: entry for entry in of_kind(case(name), "CustomResourceDefinition")}
            expected = {path.stem for path in (rendering.ROOT / "crds").glob("*.yaml")}
            self.assertEqual(set(kinds), expected if simulated else expected - {"simulatedsystems"})
            for plural, entry in kinds.items():
                source = rendering.yaml.safe_load((rendering.ROOT / "crds" / f"{plural}.yaml").read_text())
                self.assertEqual(entry["spec"], source["spec"], plural)
                self.assertEqual(entry["metadata"]["annotations"]["helm.sh/resource-policy"], "keep", plural)


if __name__ == "__main__":
    unittest.main()
