#!/usr/bin/env bash
# `make test`: installs what is missing, then lints, builds once and runs every test. Says what ran and how long it took.
set -euo pipefail
cd "$(dirname "$0")/.."
started=$SECONDS
report=""
step() { # name, command…
  local name=$1 began=$SECONDS
  shift
  printf '\n==== %s\n' "$name"
  "$@"
  report+=$(printf '\n  %4d s  %s' $((SECONDS - began)) "$name")
}
step "tools" tools/install.sh
step "format, clippy, licences" tools/lint.sh
step "chart: validity for Kubernetes 1.33 to 1.37, policies, refusals" python3 -m unittest discover -s tests/chart
step "build" cargo build --workspace --all-targets --locked
step "unit, integration, conformance and end-to-end tests" cargo nextest run --workspace --locked --no-fail-fast
printf '\nWhat ran:%s\n  %4d s  in all\n' "$report" $((SECONDS - started))
