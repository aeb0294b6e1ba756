#!/usr/bin/env python3
"""Measures backups as transfers, in the profile of `make run`, and prints a report in Markdown.

  tools/transfer.py BINARY [--megabytes 1000] [--runs 3] [--systems 20] [--each 60] [--ports 19300]

Starts a bare control plane with its object store and an operator as two processes. Measures, in one run:

  rate    a simulated system of so many megabytes is backed up again and again; from the moment its archive is packed until its last part is in the
          store. In turns with it curl, as a plain S3 client, puts the very same parts into the same store, as many at a time
  memory  so many systems are backed up at once: the operator's memory (PSS) before, at most meanwhile, and after

Ends with 1 where the rate is below 90 % of the plain client's, or the operator's memory grows by more than 20 MB.
"""
import argparse, base64, glob, hashlib, json, os, re, shutil, statistics, subprocess, tempfile, threading, time
from load import ALL, GROUP, Operator, Plane

SIMULATION = "/apis/simulation.switchboard.dev/v1alpha1"
SPACE = "transfer"
AT_A_TIME = 4


class Fleet:
    """Systems in pods of the plane, and their backups."""

    def __init__(self, plane):
        self.plane = plane
        encode = lambda text: base64.b64encode(text.encode()).decode()
        self.key = open(os.path.join(plane.data, "object-store.key")).read().strip()
        self.authority = os.path.join(plane.data, "ca.crt")
        self.endpoint = f"https://127.0.0.1:{plane.port + 3}"
        self.post("/api/v1/namespaces", "v1", "Namespace", SPACE, {}, cluster=True)
        self.post(f"/api/v1/namespaces/{SPACE}/secrets", "v1", "Secret", "store",
                  {"data": {"accessKeyId": encode("switchboard"), "secretAccessKey": encode(self.key)}})
        self.post(f"/api/v1/namespaces/{SPACE}/secrets", "v1", "Secret", "passwords", {"data": {"password": encode("Correct-Horse-7")}})
        spec = {"endpoint": self.endpoint, "bucket": "switchboard", "certificateAuthority": open(self.authority).read(),
                "credentialsSecret": {"namespace": SPACE, "name": "store"}}
        self.post(f"{GROUP}/objectstores", "switchboard.dev/v1alpha1", "ObjectStore", "default", {"spec": spec}, cluster=True)
        self.ours("customers", "Customer", "acme", {"displayName": "Acme"})

    def post(self, path, version, kind, name, rest, cluster=False):
        metadata = {"name": name} if cluster else {"name": name, "namespace": SPACE}
        self.plane.ask("POST", path, json.dumps({"apiVersion": version, "kind": kind, "metadata": metadata, **rest}))

    def ours(self, plural, kind, name, spec):
        self.post(f"{GROUP}/namespaces/{SPACE}/{plural}", "switchboard.dev/v1alpha1", kind, name, {"spec": spec})

    def get(self, plural, name):
        return json.loads(self.plane.ask("GET", f"{GROUP}/namespaces/{SPACE}/{plural}/{name}"))

    def system(self, name, megabytes):
        self.ours("ipoffices", "IPOffice", name, {"customer": "acme", "serviceUser": {"passwordSecret": {"name": "passwords"}},
                                                  "remoteOperations": {"remoteUpgradeBackup": True}})
        causes = {"serviceUsers": [{"name": "COMAdmin", "passwordSecretKey": "password"}], "content": {"fillerMegabytes": megabytes}}
        self.post(f"{SIMULATION}/namespaces/{SPACE}/simulatedsystems", "simulation.switchboard.dev/v1alpha1", "SimulatedSystem", name,
                  {"spec": {"customer": "acme", "passwordsSecret": "passwords", "causes": causes}})

    def ready(self, name):
        conditions = self.get("ipoffices", name).get("status", {}).get("conditions", [])
        return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)

    def order(self, name, system):
        self.ours("backups", "Backup", name, {"ipOffice": system})

    def over(self, name):
        status = self.get("backups", name).get("status", {})
        if status.get("phase") == "Failed":
            raise SystemExit(f"a backup failed: {json.dumps(status)}")
        return status.get("phase") == "Completed"

    def await_(self, condition, seconds):
        began = time.monotonic()
        while not condition():
            if time.monotonic() - began > seconds:
                raise SystemExit(f"nothing came of it in {seconds} s")
            time.sleep(0.1)

    def log(self, system):
        return self.plane.ask("GET", f"/api/v1/namespaces/{SPACE}/pods/{system}/log").decode()

    def seconds_of_transfer(self, system):
        """From the last "packed" to the last "put", by the system's own clock in milliseconds."""
        log = self.log(system)
        packed = [int(found) for found in re.findall(r"^\s*(\d+)mS BKP: \d+ elements packed", log, re.M)]
        put = [int(found) for found in re.findall(r"^\s*(\d+)mS BKP: \d+ parts of .* put into the store", log, re.M)]
        return (put[-1] - packed[-1]) / 1000

    def plain(self, backup, checksums):
        """The same parts by curl, each an object of its own; then they are removed again."""
        folder = self.get("backups", backup)["status"]["folder"]
        stored = glob.glob(os.path.join(self.plane.data, "objects", "buckets", "switchboard", "objects", folder, "elements", "*", "part-*"))
        common = f'user = "switchboard:{self.key}"\naws-sigv4 = "aws:amz:us-east-1:s3"\ncacert = "{self.authority}"\n' \
                 'header = "x-amz-content-sha256: UNSIGNED-PAYLOAD"\nfail\nsilent\nshow-error\noutput = "/dev/null"\n'
        urls = [f"{self.endpoint}/switchboard/plain/{number}" for number, _ in enumerate(stored)]
        # As a client that has its checksums verified, as the AWS tools do with --checksum-algorithm SHA256; told beforehand, as a system tells them.
        digest = lambda path: base64.b64encode(hashlib.sha256(open(path, "rb").read()).digest()).decode()
        header = lambda path: f'header = "x-amz-checksum-sha256: {digest(path)}"\n' if checksums else ""
        put = "next\n".join(f'url = "{url}"\nupload-file = "{path}"\n{header(path)}{common}' for url, path in zip(urls, stored))
        os.sync()
        began = time.monotonic()
        subprocess.run(["curl", "--parallel", "--parallel-max", str(AT_A_TIME), "-K", "-"], input=put, text=True, check=True)
        seconds = time.monotonic() - began
        remove = "next\n".join(f'url = "{url}"\nrequest = "DELETE"\n{common}' for url in urls)
        subprocess.run(["curl", "-K", "-"], input=remove, text=True, check=True)
        return seconds, sum(os.path.getsize(path) for path in stored)


def rate(fleet, options):
    fleet.system("large", options.megabytes)
    fleet.await_(lambda: fleet.ready("large"), 300)
    ours, plain, bare, size = [], [], [], 0
    for run in range(options.runs):
        fleet.order(f"large{run}", "large")
        fleet.await_(lambda: fleet.over(f"large{run}"), 1200)
        ours.append(fleet.seconds_of_transfer("large"))
        seconds, size = fleet.plain(f"large{run}", True)
        plain.append(seconds)
        bare.append(fleet.plain(f"large{run}", False)[0])
    return ours, plain, bare, size


def memory(fleet, operator, options):
    names = [f"small{number}" for number in range(options.systems)]
    for name in names:
        fleet.system(name, options.each)
    fleet.await_(lambda: all(fleet.ready(name) for name in names), 600)
    before, highest, done = operator.process.memory()[0], 0, threading.Event()

    def watch():
        nonlocal highest
        while not done.wait(0.1):
            highest = max(highest, operator.process.memory()[0])

    watcher = threading.Thread(target=watch)
    watcher.start()
    began = time.monotonic()
    for name in names:
        fleet.order(name, name)
    fleet.await_(lambda: all(fleet.over(name) for name in names), 1800)
    seconds = time.monotonic() - began
    done.set()
    watcher.join()
    return before, max(highest, before), operator.process.memory()[0], seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary")
    for name, value in (("megabytes", 1000), ("runs", 3), ("systems", 20), ("each", 60), ("ports", 19300)):
        parser.add_argument(f"--{name}", type=int, default=value)
    options = parser.parse_args()
    folder = tempfile.mkdtemp(prefix="switchboard-transfer-")
    try:
        # Somebody may build while this runs.
        binary = os.path.join(folder, "switchboard")
        shutil.copy2(options.binary, binary)
        plane = Plane(binary, folder, options.ports)
        operator = Operator(binary, folder, plane, options.ports + 1, options.ports + 2)
        fleet = Fleet(plane)
        ours, plain, bare, size = rate(fleet, options)
        before, highest, after, seconds = memory(fleet, operator, options)
        megabytes = size / 1e6
        rates = lambda all_seconds: ", ".join(f"{megabytes / s:.0f}" for s in all_seconds)
        ratio = statistics.median(plain) / statistics.median(ours)
        print(f"| measured | figure |\n|---|---|")
        print(f"| backup of {megabytes:.0f} MB: MB/s from packed to stored, each run | {rates(ours)} |")
        print(f"| curl, the same parts with their SHA-256, {AT_A_TIME} at a time: MB/s, each run | {rates(plain)} |")
        print(f"| the same without checksums | {rates(bare)} |")
        print(f"| backup against curl, medians (target: at least 90 %) | {100 * ratio:.0f} % |")
        print(f"| {options.systems} backups of {options.each} MB at once, s | {seconds:.1f} |")
        print(f"| memory of the operator before, at most, after, MB PSS (target: flat) | {before:.0f}, {highest:.0f}, {after:.0f} |")
        missed = ratio < 0.9 or highest - before > 20
    finally:
        for process in ALL:
            process.stop()
        shutil.rmtree(folder, ignore_errors=True)
    raise SystemExit(1 if missed else 0)


if __name__ == "__main__":
    main()
