#!/usr/bin/env bash
# Format, clippy with warnings denied, licences and sources of dependencies.
set -euo pipefail
cd "$(dirname "$0")/.."
echo "== format"
cargo fmt --all --check
echo "== clippy"
cargo clippy --workspace --all-targets --locked -- -D warnings
echo "== licences, sources and duplicates of dependencies"
cargo deny --locked check licenses bans sources
echo "== advisories"
# The advisory database is on the internet: where it cannot be reached, that is said, and everything else still counts.
if ! cargo deny --locked check advisories 2> >(tee /tmp/deny.$$ >&2); then
  if grep -q -E "failed to fetch advisory database|failed to (resolve|connect)|unable to (fetch|clone)" /tmp/deny.$$; then
    echo "the advisory database could not be reached: advisories were NOT checked in this run"
  else
    rm -f /tmp/deny.$$
    exit 1
  fi
fi
rm -f /tmp/deny.$$
