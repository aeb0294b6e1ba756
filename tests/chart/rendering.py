"""Renders the chart with the real Helm."""

import os
import sys
from functools import lru_cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ROOT / ".tools"
sys.path[:0] = [str(TOOLS / "chart-tests"), os.environ.get("SWITCHBOARD_HELM", str(TOOLS / "helm"))]

import helm_python  # noqa: E402
import yaml  # noqa: E402

CHART = ROOT / "charts" / "switchboard"
CASES = sorted(path.stem for path in (CHART / "ci").glob("*.yaml"))
NAMESPACE = "switchboard-system"


def values_of(case):
    return yaml.safe_load((CHART / "ci" / f"{case}.yaml").read_text()) or {}


@lru_cache(None)
def chart():
    return helm_python.Chart.load(str(CHART))


def files(values, name="switchboard", namespace=NAMESPACE):
    """Rendered text by template, NOTES.txt among them. Raises what Helm says."""
    chart().validate_schema(values)
    return {Path(path).name: text for path, text in chart().render(values, name=name, namespace=namespace).items()}


def objects(values, **where):
    """Rendered objects."""
    texts = [text for name, text in files(values, **where).items() if name != "NOTES.txt"]
    return [document for text in texts for document in yaml.safe_load_all(text) if document]


@lru_cache(None)
def case(name):
    """Objects of one of the files in ci/."""
    return objects(values_of(name))


def of_kind(rendered, kind):
    return [entry for entry in rendered if entry["kind"] == kind]


def one(rendered, kind, name):
    found = [entry for entry in of_kind(rendered, kind) if entry["metadata"]["name"] == name]
    assert len(found) == 1, f"{len(found)} {kind} called {name}"
    return found[0]


def refusal(values):
    """What Helm says to values it refuses."""
    try:
        files(values)
    except helm_python.HelmError as error:
        return str(error)
    raise AssertionError(f"not refused: {values}")


def merged(base, over):
    result = dict(base)
    for key, value in over.items():
        result[key] = merged(result[key], value) if isinstance(value, dict) and isinstance(result.get(key), dict) else value
    return result
