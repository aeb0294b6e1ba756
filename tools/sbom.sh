#!/usr/bin/env bash
# A software bill of materials of the program, in CycloneDX JSON: tools/sbom.sh [FILE]; target/switchboard.cdx.json where absent.
# Made by the CycloneDX project's own tool from Cargo.lock, for the target the program is built for, and checked against the schema. What is
# used to build only, and what tests need, is not in it.
set -euo pipefail
cd "$(dirname "$0")/.."

cyclonedx_version=0.5.9
validator_version=11.12.0
output=${1:-target/switchboard.cdx.json}

if [ "$(cargo cyclonedx --version 2>/dev/null)" != "cargo-cyclonedx-cyclonedx $cyclonedx_version" ]; then
  echo "== installing cargo-cyclonedx $cyclonedx_version (some minutes)"
  cargo install --locked "cargo-cyclonedx@$cyclonedx_version"
fi
if [ ! -x .tools/sbom/bin/python ] || [ "$(cat .tools/sbom/version 2>/dev/null)" != "$validator_version" ]; then
  rm -rf .tools/sbom && mkdir -p .tools
  python3 -m venv .tools/sbom
  .tools/sbom/bin/pip install --quiet --disable-pip-version-check "cyclonedx-python-lib[json-validation]==$validator_version"
  echo "$validator_version" >.tools/sbom/version
fi

# It writes a file beside the manifest of every member of the workspace; only the program's is kept.
name=switchboard-sbom
trap 'rm -f -- */"$name".json' EXIT
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-0} cargo cyclonedx --quiet --manifest-path operator/Cargo.toml --format json --spec-version 1.5 \
  --target "$(rustc -vV | sed -n 's/^host: //p')" --no-build-deps --override-filename "$name"
mkdir -p "$(dirname "$output")"
.tools/sbom/bin/python tools/sbom.py "operator/$name.json" "$output"
