"""The chart as a package: lint, size of the Secret that Helm keeps of a release, and that nothing changes by itself."""

import base64
import gzip
import json
import re
import unittest

import rendering
from rendering import CASES, CHART

MEBIBYTE = 1 << 20


class Release(unittest.TestCase):
    def test_lint_finds_nothing(self):
        for name in CASES:
            report = rendering.helm_python.lint(str(CHART), rendering.values_of(name), strict=True, namespace=rendering.NAMESPACE,
                                                kube_version="v1.37.0")
            findings = [message for message in report["messages"] if message["severity"] > 1]
            self.assertEqual((findings, report["errors"]), ([], []), name)

    def test_the_secret_of_a_release_stays_below_a_mebibyte(self):
        # What Helm keeps: the chart with all its files in base64, values, notes and manifest, compressed, in base64 in a Secret.
        held = [path for path in CHART.rglob("*") if path.is_file() and "ci" not in path.relative_to(CHART).parts]
        chart = [{"name": str(path.relative_to(CHART)), "data": base64.b64encode(path.read_bytes()).decode()} for path in held]
        for name in CASES:
            release = {"chart": chart, "values": rendering.values_of(name), "manifest": rendering.files(rendering.values_of(name))}
            size = len(base64.b64encode(base64.b64encode(gzip.compress(json.dumps(release).encode(), 9))))
            print(f"release Secret of {name}: {size // 1024} KiB")
            self.assertLess(size, MEBIBYTE * 3 // 4, "too near to the bound of 1 MiB: what of files/ is needed?")

    def test_rendering_twice_gives_the_same(self):
        for name in CASES:
            values = rendering.values_of(name)
            if not values.get("store", {}).get("enabled"):
                self.assertEqual(rendering.files(values), rendering.files(values), name)

    def test_keys_are_made_only_for_the_store_for_trials(self):
        for name in CASES:
            made = [entry for entry in rendering.of_kind(rendering.case(name), "Secret") if "tls.key" in entry.get("data", {})]
            self.assertEqual(len(made), 1 if rendering.values_of(name).get("store", {}).get("enabled") else 0, name)

    def test_versions_are_those_of_the_program(self):
        chart = rendering.yaml.safe_load((CHART / "Chart.yaml").read_text())
        cargo = (rendering.ROOT / "Cargo.toml").read_text()
        version = next(line.split('"')[1] for line in cargo.splitlines() if line.startswith("version = "))
        self.assertEqual((chart["version"], chart["appVersion"]), (version, version))

    def test_what_the_pages_tell_people_to_install_renders(self):
        tried = 0
        for page in [*rendering.ROOT.glob("docs/*.md"), CHART / "README.md", rendering.ROOT / "README.md", rendering.ROOT / "kind-config.yaml"]:
            text = page.read_text()
            blocks = [rendering.yaml.safe_load(block) for block in re.findall(r"^```yaml\n(.*?)^```", text, re.S | re.M) if "\ngateway:" in block]
            commands = re.findall(r"helm\S* (?:install|upgrade) switchboard charts/switchboard((?:.*\\\n)*.*)", text)
            for settings in [re.findall(r"--set[ =]([^\s`]+)", command) for command in commands] + [re.findall(r"^ +# .*--set (\S+)$", text, re.M)]:
                if settings:
                    values = {}
                    for setting in settings:
                        values = rendering.merged(values, rendering.helm_python.parse_set_string(setting))
                    blocks.append(values)
            for values in blocks:
                with self.subTest(page=page.name, values=values):
                    self.assertTrue(rendering.objects(values))
                    tried += 1
        self.assertGreaterEqual(tried, 4)

    def test_notes_say_what_stays_and_what_is_missing(self):
        notes = rendering.files({})["NOTES.txt"]
        for text in ("switchboard-authority", "CustomResourceDefinitions", "gateway.host is empty", "no ObjectStore yet"):
            self.assertIn(text, notes)
        notes = rendering.files(rendering.values_of("everything"))["NOTES.txt"]
        for text in ("192.0.2.10:30443", "simulator is on", "PersistentVolumeClaim", "need a network that enforces them"):
            self.assertIn(text, notes)
        self.assertNotIn("gateway.host is empty", notes)


if __name__ == "__main__":
    unittest.main()
