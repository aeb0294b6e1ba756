#!/usr/bin/env bash
# `make test-deep`: what takes longer than `make test` should. Writes docs/reports/*.md, to be committed.
set -euo pipefail
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-target}
report=docs/reports/deep.md
# Shorter for a first look: REST_SECONDS=60 ROUNDS=3 make test-deep. The report says which.
rest=${REST_SECONDS:-600}
rounds=${ROUNDS:-20}
mkdir -p docs/reports
cargo build -p operator
cargo build -p embedded --example load
{
  echo "# Deep test report"
  echo
  echo "Made by \`make test-deep\` on $(date -u +%Y-%m-%d), $(nproc) cores, profile \`dev\` (the one of \`make run\`), $(rustc --version | cut -d' ' -f1-2)."
  echo "Shared machine: compare figures of one run only. Load while it ran: $(cut -d' ' -f1-3 /proc/loadavg)."
  echo
  echo "## The whole program"
  echo
  tools/measure.py "$target/debug/switchboard" --rest "$rest"
  echo
  echo "## The control plane over TLS, with fsync"
  echo
  echo '```'
  "$target/debug/examples/load" --seconds 10
  echo '```'
  echo
  echo "## Crashes"
  echo
  echo "SIGKILL under writes, $rounds rounds of the store's kill test:"
  echo
  echo '```'
  for round in $(seq "$rounds"); do
    cargo nextest run -p embedded --locked -E 'binary(store_survives_kill)' 2>&1 | grep -E "Summary" | sed "s/^ */round $round: /"
  done
  echo '```'
} | tee "$report"
load=docs/reports/load.md
{
  echo "# Load report"
  echo
  echo "Made by \`make test-deep\` on $(date -u +%Y-%m-%d), $(nproc) cores, profile \`dev\`: \`tools/load.py $target/debug/switchboard --rest $rest\`."
  echo "What the figures mean and what bounds them is in [scaling.md](../scaling.md). Load before it ran: $(cut -d' ' -f1-3 /proc/loadavg)."
  echo
  tools/scaling.py --check > /dev/null
  tools/load.py "$target/debug/switchboard" --rest "$rest"
} | tee "$load" || load_missed=yes
transfer=docs/reports/transfer.md
{
  echo "# Transfer report"
  echo
  echo "Made by \`make test-deep\` on $(date -u +%Y-%m-%d), $(nproc) cores, profile \`dev\`: \`tools/transfer.py $target/debug/switchboard --runs 5\`, embedded store."
  echo "Load before it ran: $(cut -d' ' -f1-3 /proc/loadavg)."
  echo
  tools/transfer.py "$target/debug/switchboard" --runs 5 2> /dev/null
} | tee "$transfer" || transfer_missed=yes
sweep=docs/reports/sweep.md
{
  echo "# Crash sweep report"
  echo
  echo "Made by \`make test-deep\` on $(date -u +%Y-%m-%d), $(nproc) cores. A backup of a Server Edition system with three elements, a change on the system, a restore"
  echo "of the backup, and the deletion of both. In each run the operator gets SIGKILL before, or after, one of its requests that change something (or one of the system's to the store),"
  echo "is started again, and must end as the run without harm did; \`tests/sweep/end_state.rs\` says what is compared."
  echo
  echo '```'
  SWEEP_POINTS=all cargo nextest run -P deep -p tests --locked --no-capture -E 'binary(sweep) & test(every_point)' 2>&1 |
    grep -E "^(same|OTHER|requests|points| +(PASS|FAIL)|  [a-z])"
  echo '```'
} | tee "$sweep"
# A target that was missed fails the whole, once all else has run.
if [ -n "${load_missed:-}${transfer_missed:-}" ]; then
  echo "a target was missed:${load_missed:+ $load}${transfer_missed:+ $transfer}" >&2
  exit 1
fi
