"""Takes this machine's paths and the day out of a bill of materials, checks it against its schema and Cargo.lock, and writes it: sbom.py FROM TO."""
import json
import pathlib
import re
import sys
import uuid

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

ROOT = pathlib.Path(__file__).resolve().parent.parent


def locked():
    """Names and versions of all packages that Cargo.lock knows."""
    text = (ROOT / "Cargo.lock").read_text()
    return set(re.findall(r'^name = "(.+)"\nversion = "(.+)"$', text, re.MULTILINE))


def main():
    source, target = map(pathlib.Path, sys.argv[1:])
    text = source.read_text().replace(f"path+file://{ROOT}", "path+file:///switchboard")
    # Packages of ours name the folder they were built in.
    text = re.sub(r"(\?download_url=file:)//[^\"#&]*", r"\1//.", text)
    bill = json.loads(text)
    bill["metadata"].pop("timestamp", None)
    # The same parts, the same number.
    bill["serialNumber"] = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(bill["components"], sort_keys=True)).urn
    found = JsonStrictValidator(SchemaVersion.V1_5).validate_str(json.dumps(bill))
    if found is not None:
        sys.exit(f"the bill of materials does not follow its schema: {found}")
    parts = {(part["name"], part["version"]) for part in bill["components"]}
    if strangers := parts - locked():
        sys.exit(f"parts that Cargo.lock does not know: {sorted(strangers)}")
    if str(ROOT) in json.dumps(bill):
        sys.exit("the bill of materials names a folder of this machine")
    target.write_text(json.dumps(bill, indent=1) + "\n")
    print(f"{target}: {len(parts)} parts, CycloneDX {bill['specVersion']}")


if __name__ == "__main__":
    main()
