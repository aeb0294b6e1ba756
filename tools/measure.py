#!/usr/bin/env python3
"""Measures the whole program in the profile of `make run`, and prints a report in Markdown.

  tools/measure.py BINARY [--rest SECONDS]

Starts `switchboard up` on free ports with a data folder of its own and measures: time to ready (first start and later starts), memory with
the operator idle, `kubectl apply` of a system to its condition Connected, and what a fleet at rest writes. Needs .tools/bin/kubectl.
"""
import argparse, json, os, re, shutil, signal, socket, statistics, subprocess, tempfile, time, urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
KUBECTL = os.environ.get("SWITCHBOARD_KUBECTL", os.path.join(ROOT, ".tools/bin/kubectl"))
WRITES = ("create", "update", "patch", "delete", "deletecollection")

SYSTEM = """
apiVersion: switchboard.dev/v1alpha1
kind: IPOffice
metadata: {{name: {name}, namespace: demo}}
spec: {{customer: acme, serviceUser: {{passwordSecret: {{name: service-user}}}}}}
---
apiVersion: simulation.switchboard.dev/v1alpha1
kind: SimulatedSystem
metadata: {{name: {name}, namespace: demo}}
spec: {{customer: acme, passwordsSecret: service-user, causes: {{serviceUsers: [{{name: COMAdmin, passwordSecretKey: password}}]}}}}
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Run:
    """One `switchboard up`."""

    def __init__(self, binary, data, *flags):
        self.data, self.metrics = data, free_port()
        ports = ["--api-port", str(free_port()), "--gateway-port", str(free_port()), "--metrics-port", str(self.metrics), "--store-port", str(free_port())]
        self.log = open(os.path.join(data, "..", "log"), "ab")
        self.process = subprocess.Popen([binary, "up", "--data", data, *ports, *flags], stdout=self.log, stderr=self.log)
        began = time.monotonic()
        while not os.path.exists(os.path.join(data, "ready")):
            if self.process.poll() is not None or time.monotonic() - began > 60:
                raise SystemExit(f"switchboard did not become ready; see {self.log.name}")
            time.sleep(0.002)
        self.ready = time.monotonic() - began

    def memory(self):
        """(proportional set size, anonymous part) in MB."""
        text = open(f"/proc/{self.process.pid}/smaps_rollup").read()
        return tuple(int(re.search(rf"^{key}:\s+(\d+)", text, re.M)[1]) / 1024 for key in ("Pss", "Pss_Anon"))

    def cpu(self):
        fields = open(f"/proc/{self.process.pid}/stat").read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def writes(self):
        """Answered writes by resource."""
        text = urllib.request.urlopen(f"http://127.0.0.1:{self.metrics}/metrics", timeout=10).read().decode()
        found = {}
        for code, resource, verb, count in re.findall(r'^switchboard_api_requests_total\{code="(\d+)",resource="([^"]*)",verb="(\w+)"\} (\d+)', text, re.M):
            if verb in WRITES and code.startswith("2"):
                found[resource] = found.get(resource, 0) + int(count)
        return found

    def kubectl(self, *arguments, text=None):
        return subprocess.run([KUBECTL, *arguments], input=text, text=True, check=True, capture_output=True,
                              env={**os.environ, "KUBECONFIG": os.path.join(self.data, "kubeconfig")}).stdout

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("binary")
    parser.add_argument("--rest", type=int, default=60)
    options = parser.parse_args()
    folder = tempfile.mkdtemp(prefix="switchboard-measure-")
    rows = []
    try:
        first, later = [], []
        for number in range(5):
            data = os.path.join(folder, str(number), "data")
            os.makedirs(data)
            run = Run(options.binary, data)
            first.append(run.ready)
            run.stop()
            run = Run(options.binary, data)
            later.append(run.ready)
            # Idle: nothing is declared. Waits until the memory has stopped growing.
            before, now = None, run.memory()
            while before != now:
                time.sleep(0.5)
                before, now = now, run.memory()
            memory = now
            run.stop()
        rows += [("first start to ready, ms (median, maximum of 5)", f"{statistics.median(first)*1000:.0f}, {max(first)*1000:.0f}"),
                 ("later start to ready, ms (median, maximum of 5)", f"{statistics.median(later)*1000:.0f}, {max(later)*1000:.0f}"),
                 ("memory, operator idle, MB (PSS; of it anonymous)", f"{memory[0]:.0f}; {memory[1]:.0f}")]
        data = os.path.join(folder, "demo", "data")
        os.makedirs(data)
        run = Run(options.binary, data, "--demo")
        run.kubectl("wait", "-n", "demo", "ipo/acme-hq", "--for=condition=Ready", "--timeout=60s")
        times = []
        for number in range(5):
            began = time.monotonic()
            run.kubectl("apply", "-f", "-", text=SYSTEM.format(name=f"measured-{number}"))
            run.kubectl("wait", "-n", "demo", f"ipo/measured-{number}", "--for=condition=Connected", "--timeout=60s")
            times.append(time.monotonic() - began)
        rows.append(("kubectl apply of a system to Connected, s (median, maximum of 5; two kubectl runs included)", f"{statistics.median(times):.2f}, {max(times):.2f}"))
        # At rest: 8 simulated systems are connected. The window is a measurement, not a wait for something.
        time.sleep(5)
        before, cpu = run.writes(), run.cpu()
        time.sleep(options.rest)
        after, spent = run.writes(), run.cpu() - cpu
        grown = {resource: after[resource] - before.get(resource, 0) for resource in after if after[resource] != before.get(resource, 0)}
        rows += [(f"writes in {options.rest} s at rest, by resource", json.dumps(grown) if grown else "none"),
                 ("processor at rest, % of a core", f"{100*spent/options.rest:.2f}"),
                 ("memory with 8 systems, MB (PSS; of it anonymous)", "{:.0f}; {:.0f}".format(*run.memory()))]
        run.stop()
        others = [resource for resource in grown if not resource.startswith("leases")]
        print("| figure | value |\n|---|---|")
        for name, value in rows:
            print(f"| {name} | {value} |")
        if others:
            raise SystemExit(f"a fleet at rest wrote {others}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


main()
