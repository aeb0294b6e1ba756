#!/usr/bin/env bash
# Makes the fixtures of one version of Switchboard, with the program of that version: tools/make-fixtures.sh PROGRAM tests/fixtures/vX.Y
# Run it once for a version, before its formats change, and commit what it wrote; later versions must read it. tests/fixtures/README.md says what is in it.
# Needs kubectl (make tools), python3, openssl, tar. Uses the ports from FIRST_PORT (25000) on.
set -euo pipefail
cd "$(dirname "$0")/.."
program=$(realpath "${1:?which program}")
target=${2:?which folder}
first=${FIRST_PORT:-25000}
[ ! -e "$target" ] || { echo "$target is there already; fixtures are made once" >&2; exit 1; }
work=$(mktemp -d)
data=$work/data
kubectl() { KUBECONFIG=$data/kubeconfig HOME=$work "$PWD/.tools/bin/kubectl" --cache-dir "$work/cache" "$@"; }
pids=()
finish() { for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done; }
trap finish EXIT
until_true() { # what, command…
  local what=$1 deadline=$((SECONDS + 90))
  shift
  until "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt $deadline ] || { echo "$what did not come about; see $work" >&2; exit 1; }
    sleep 0.1
  done
}

"$program" up --data "$data" --api-port "$first" --gateway-port $((first + 1)) --metrics-port $((first + 2)) --store-port $((first + 3)) >"$work/up.log" 2>&1 &
up=$!
pids+=("$up")
until_true "the plane" test -f "$data/ready"

mkdir -p "$work/recorder" "$work/given" "$work/passwords"
cat >"$work/causes.yaml" <<CAUSES
profile: Server Edition
systemName: Branch
address: 192.0.2.20
serviceUsers: [{name: COMAdmin, passwordSecretKey: password}]
servers:
- {name: branch, role: Primary}
- {name: branch-shop, role: Expansion}
content: {extensions: 2, mailboxes: 1, messagesPerMailbox: 1, messageKilobytes: 1, prompts: 1, promptKilobytes: 1}
restore: {outageSeconds: 1}
logging: {linesPerMinute: 0}
CAUSES
printf 'Correct-Horse-7' >"$work/passwords/password"

store_key=$(cat "$data/object-store.key")
authority=$(sed 's/^/      /' "$data/ca.crt")
kubectl apply -f - <<MANIFESTS
apiVersion: v1
kind: Namespace
metadata: {name: north}
---
apiVersion: v1
kind: Secret
metadata: {name: service-user, namespace: north}
stringData: {password: Correct-Horse-7}
---
apiVersion: v1
kind: Secret
metadata: {name: archive-store, namespace: north}
stringData: {accessKeyId: switchboard, secretAccessKey: "$store_key"}
---
apiVersion: switchboard.dev/v1alpha1
kind: ObjectStore
metadata: {name: archive}
spec:
  endpoint: https://127.0.0.1:$((first + 3))
  bucket: switchboard
  prefix: archive/
  credentialsSecret: {namespace: north, name: archive-store}
  certificateAuthority: |
$authority
---
apiVersion: switchboard.dev/v1alpha1
kind: Customer
metadata: {name: acme, namespace: north}
spec:
  displayName: Acme Foods
  customerId: acme
  provider: Northern Telephony
  reseller: Fells Communications
  tags: [food]
  contact: {phone: "+44 20 7946 0200", email: office@acme.example}
  technicalContact: {name: Kim Ward, phone: "+44 20 7946 0201", email: kim.ward@acme.example}
  address: 12 Dock Road, Hull
  notes: Deliveries at the back door.
  assignedUsers: [kward]
  registration: Manual
---
apiVersion: switchboard.dev/v1alpha1
kind: IPOffice
metadata: {name: hq, namespace: north}
spec:
  customer: acme
  systemId: hq
  profile: IP500 V2
  servers: [{name: hq, role: Primary}]
  serviceUser: {name: COMAdmin, passwordSecret: {name: service-user, key: password}}
  timeZone: Europe/London
  remoteOperations: {centralizedManagement: true, remoteUpgradeBackup: true}
  certificates: {automaticCertificateManagement: true, automaticPhoneProvisioning: true}
  tunnels: [{name: file-server, application: SSH, through: hq, serverAddress: 192.168.50.20, port: 2222}]
---
apiVersion: simulation.switchboard.dev/v1alpha1
kind: SimulatedSystem
metadata: {name: hq, namespace: north}
spec:
  customer: acme
  ipOffice: hq
  passwordsSecret: service-user
  causes:
    systemName: Head Office
    serviceUsers: [{name: COMAdmin, passwordSecretKey: password}]
    servers: [{name: hq, role: Primary}]
    restore: {outageSeconds: 1}
    content: {extensions: 2}
---
apiVersion: simulation.switchboard.dev/v1alpha1
kind: SimulatedSystem
metadata: {name: yard, namespace: north}
spec:
  customer: acme
  undeclared: {systemId: yard}
  passwordsSecret: service-user
  causes:
    systemName: Container Yard
    serviceUsers: [{name: COMAdmin, passwordSecretKey: password}]
---
apiVersion: switchboard.dev/v1alpha1
kind: IPOffice
metadata: {name: branch, namespace: north}
spec:
  customer: acme
  systemId: branch
  profile: Server Edition
  serviceUser: {passwordSecret: {name: service-user}}
  servers: [{name: branch, role: Primary}, {name: branch-shop, role: Expansion}]
  remoteOperations: {centralizedManagement: true, remoteUpgradeBackup: true}
  voicemailBackup: {configuration: true, customPrompts: true, selectiveMailboxes: true, mailboxes: ["200"]}
MANIFESTS

order() { # kind, name, spec
  kubectl apply -f - <<ORDER
apiVersion: switchboard.dev/v1alpha1
kind: $1
metadata: {name: $2, namespace: north}
spec: $3
ORDER
}
kubectl wait -n north --for=condition=Ready customer/acme objectstore/archive ipo/hq --timeout=60s

# The system whose sessions are written down.
for key in gateway ca.crt customerId enrolmentCode; do
  kubectl get secret -n north acme-subscription -o json | python3 -c "
import base64, json, sys
sys.stdout.buffer.write(base64.b64decode(json.load(sys.stdin)['data'][sys.argv[1]]))" "$key" >"$work/given/$key"
done
python3 tools/record_session.py --subscription "$work/given" --port $((first + 4)) --work "$work/recorder" --output "$work/sessions.jsonl" &
pids+=("$!")
until_true "the recorder" bash -c "exec 3<>/dev/tcp/127.0.0.1/$((first + 4))"
printf branch >"$work/recorder/subscription/systemId"
"$program" simulate --causes "$work/causes.yaml" --subscription "$work/recorder/subscription" --passwords "$work/passwords" --data "$work/branch" >"$work/branch.log" 2>&1 &
branch=$!
pids+=("$branch")
kubectl wait -n north --for=condition=Ready ipo/branch --timeout=60s
until_true "settings on the system" bash -c "[ \"\$(KUBECONFIG=$data/kubeconfig .tools/bin/kubectl get ipo branch -n north -o jsonpath='{.status.remoteOperations.remoteUpgradeBackup}')\" = true ]"
order Backup branch-first '{ipOffice: branch, elements: [Configuration, VoicemailConfiguration, CustomPrompts, AllVoicemails]}'
kubectl wait -n north --for=condition=Complete backup/branch-first --timeout=60s
order Restore branch-look '{ipOffice: branch, source: {backup: branch-first}, dryRun: true}'
kubectl wait -n north --for=condition=Complete restore/branch-look --timeout=60s
order Restore branch-back '{ipOffice: branch, source: {backup: branch-first}}'
kubectl wait -n north --for=condition=Complete restore/branch-back --timeout=60s

order Backup before '{ipOffice: hq, objectStore: archive, displayName: Before the change}'
kubectl wait -n north --for=condition=Complete backup/before --timeout=60s
order Backup later '{ipOffice: hq, startTime: "2036-01-01T02:00:00Z", paused: true}'
order Restore back '{ipOffice: hq, objectStore: archive, source: {backup: before}}'
kubectl wait -n north --for=condition=Complete restore/back --timeout=60s
until_true "the registration" kubectl get registrations -n north -o "jsonpath={.items[0].metadata.name}" --no-headers
kubectl wait -n north --for=condition=Ready ipo/hq ipo/branch --timeout=60s

kill "$branch" && wait "$branch" || true
until_true "the system to be away" bash -c "grep -q goodbye $work/sessions.jsonl"
mkdir -p "$target/elements"
kubectl get customers,ipoffices,registrations,backups,restores,simulatedsystems,objectstores -A -o json >"$work/objects.json"
kill "$up" && wait "$up"

# What is only of that run: no log of pods, no lock.
rm -rf "$data"/node/pods "$data"/{lock,ready,objects.backup}
python3 - "$data" "$work" "$target" <<'PYTHON'
import hashlib, json, pathlib, sys
data, work, target = map(pathlib.Path, sys.argv[1:])
objects = json.loads((work / "objects.json").read_text())["items"]
for one in objects:
    one["metadata"].pop("managedFields", None)
(target / "objects.json").write_text(json.dumps(objects, indent=1, sort_keys=True) + "\n")
backup = next(o for o in objects if o["kind"] == "Backup" and o["metadata"]["name"] == "branch-first")
stored = data / "objects/buckets/switchboard/objects"
for number, element in enumerate(backup["status"]["elements"], 1):
    [folder] = stored.glob(f"backups/acme/branch/*/elements/{number:04}-*")
    content = b"".join(part.read_bytes() for part in sorted(folder.glob("part-*")))
    assert hashlib.sha256(content).hexdigest() == element["sha256"], element
    (target / "elements" / f"{number:02}.tar").write_bytes(content)
PYTHON
cp "$work/sessions.jsonl" "$work/causes.yaml" "$target/"
tar --sort=name --owner=0 --group=0 --numeric-owner -C "$work" -cJf "$target/data.tar.xz" data
echo "made with $("$program" --version), $(date -u +%Y-%m-%d)" >"$target/made-with"
rm -rf "$work"
du -sh "$target"
