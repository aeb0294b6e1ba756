#!/usr/bin/env python3
"""The commands of Helm that this project's tests and documentation use, for machines without helm.

It drives the real Helm (the SDK of Helm 4, from the package helm-python-sdk that `tools/install.sh` puts into .tools/helm) and
takes the options helm takes, so that `alias helm=tools/helm.py` follows the documentation.
"""

import argparse
import copy
import json
import logging
import os
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = Path(os.environ.get("SWITCHBOARD_HELM", ROOT / ".tools" / "helm"))


def load_helm():
    """The package, or an end with what to do."""
    sys.path.insert(0, str(PACKAGE))
    try:
        import helm_python
    except ImportError:
        sys.exit(f"helm.py: {PACKAGE} holds no helm_python; run `make tools`, or set SWITCHBOARD_HELM to where it is")
    return helm_python


def seconds(text):
    """A duration as Go writes it (5m, 1m30s, 90s), or seconds."""
    if text.isdigit():
        return int(text)
    parts = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?", text)
    if not text or not parts:
        raise argparse.ArgumentTypeError(f"{text} is no duration; write it as 5m or 90s")
    hours, minutes, rest = (int(part or 0) for part in parts.groups())
    return hours * 3600 + minutes * 60 + rest


def merge(base, over):
    """`over` over `base`, maps into maps, as Helm merges values."""
    merged = copy.deepcopy(base)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = merge(merged[key], value) if both else copy.deepcopy(value)
    return merged


def values_of(helm, arguments):
    """What the user gave: files first, then single values, each over what stands before it."""
    values = {}
    for name in arguments.values:
        text = sys.stdin.read() if name == "-" else Path(name).read_text()
        values = merge(values, helm.values_from_yaml(text))
    for expression in arguments.set:
        values = merge(values, helm.parse_set_string(expression))
    for expression in arguments.set_string:
        values = merge(values, helm.parse_set_string_values(expression))
    for expression in arguments.set_file:
        values = merge(values, helm.parse_set_file(expression))
    return values


def connect(helm, arguments):
    return helm.Config(
        namespace=arguments.namespace,
        kubeconfig_path=arguments.kubeconfig,
        kube_context=arguments.kube_context,
        storage_driver=os.environ.get("HELM_DRIVER"),
    )


def waiting(arguments):
    """How Helm waits: for hooks only, or until all it made is ready."""
    return "watcher" if arguments.wait else "hookOnly"


def show(release):
    """A release as `helm status` prints it."""
    for title, key in [("NAME", "name"), ("LAST DEPLOYED", "deployed_at"), ("NAMESPACE", "namespace"), ("STATUS", "status"),
                       ("REVISION", "revision")]:
        if release.get(key) is not None:
            print(f"{title}: {release[key]}")
    if release.get("notes"):
        print(f"NOTES:\n{release['notes']}")


def template(helm, arguments):
    values = values_of(helm, arguments)
    with helm.Chart.load(arguments.chart) as chart:
        if not arguments.skip_schema_validation:
            chart.validate_schema(values)
        files = chart.render(values, name=arguments.name, namespace=arguments.namespace, is_install=not arguments.is_upgrade,
                             is_upgrade=arguments.is_upgrade)
    for path, text in sorted(files.items()):
        if path.endswith("NOTES.txt"):
            if arguments.notes:
                print(text.rstrip())
        elif text.strip() and not arguments.notes and (not arguments.show_only or any(path.endswith(name) for name in arguments.show_only)):
            print(f"---\n# Source: {path}\n{text.strip()}")


def lint(helm, arguments):
    report = helm.lint(arguments.chart, values_of(helm, arguments), strict=arguments.strict, namespace=arguments.namespace,
                       kube_version=arguments.kube_version)
    severities = {1: "INFO", 2: "WARNING", 3: "ERROR"}
    worst = 0
    for message in report["messages"]:
        worst = max(worst, message["severity"])
        print(f"[{severities.get(message['severity'], 'UNKNOWN')}] {message['path']}: {message['error']}")
    failed = report["errors"] or worst >= (2 if arguments.strict else 3)
    print(f"{report['total_charts_linted']} chart(s) linted, {'failed' if failed else 'no failure'}")
    return 1 if failed else 0


def install(helm, arguments):
    with connect(helm, arguments) as cluster:
        show(cluster.install(
            arguments.chart, arguments.name, values_of(helm, arguments), namespace=arguments.namespace, timeout=arguments.timeout,
            wait=waiting(arguments), dry_run=arguments.dry_run, create_namespace=arguments.create_namespace,
            rollback_on_failure=arguments.rollback_on_failure))


def upgrade(helm, arguments):
    with connect(helm, arguments) as cluster:
        if arguments.install:
            try:
                cluster.history(arguments.name, max_revisions=1)
            except helm.HelmNotFoundError:
                return install(helm, arguments)
        show(cluster.upgrade(
            arguments.chart, arguments.name, values_of(helm, arguments), namespace=arguments.namespace, timeout=arguments.timeout,
            wait=waiting(arguments), dry_run=arguments.dry_run, reuse_values=arguments.reuse_values,
            reset_values=arguments.reset_values, rollback_on_failure=arguments.rollback_on_failure))
    return 0


def rollback(helm, arguments):
    with connect(helm, arguments) as cluster:
        cluster.rollback(arguments.name, version=arguments.revision, timeout=arguments.timeout, wait=waiting(arguments))
    print("Rollback was a success! Happy Helming!")


def uninstall(helm, arguments):
    with connect(helm, arguments) as cluster:
        answer = cluster.uninstall(arguments.name, timeout=arguments.timeout, wait=waiting(arguments),
                                   keep_history=arguments.keep_history, ignore_not_found=arguments.ignore_not_found)
    if isinstance(answer.get("info"), str) and answer["info"].strip():
        print(answer["info"].strip())
    print(f'release "{arguments.name}" uninstalled')


def history(helm, arguments):
    with connect(helm, arguments) as cluster:
        revisions = cluster.history(arguments.name)
    if arguments.output == "json":
        print(json.dumps(revisions))
        return
    for release in revisions:
        chart = f"{release.get('chart_name')}-{release.get('chart_version')}"
        print(release["revision"], release.get("deployed_at"), release.get("status"), chart, sep="\t")


def status(helm, arguments):
    with connect(helm, arguments) as cluster:
        release = cluster.status(arguments.name, revision=arguments.revision)
    if arguments.output == "json":
        print(json.dumps(release))
    else:
        show(release)


def get_manifest(helm, arguments):
    with connect(helm, arguments) as cluster:
        print(cluster.status(arguments.name, revision=arguments.revision)["manifest"])


def get_values(helm, arguments):
    with connect(helm, arguments) as cluster:
        print(json.dumps(cluster.get_values(arguments.name, all_values=arguments.all), indent=2))


def list_releases(helm, arguments):
    with connect(helm, arguments) as cluster:
        for release in cluster.list(all_namespaces=arguments.all_namespaces, all_states=True):
            chart = f"{release.get('chart_name')}-{release.get('chart_version')}"
            print(release["name"], release["namespace"], release["revision"], release["status"], chart, sep="\t")


def package(helm, arguments):
    print(helm.package(arguments.chart, destination=arguments.destination, version=arguments.version, app_version=arguments.app_version))


def parser():
    cluster = argparse.ArgumentParser(add_help=False)
    cluster.add_argument("-n", "--namespace", default=os.environ.get("HELM_NAMESPACE", "default"))
    cluster.add_argument("--kubeconfig", default=os.environ.get("KUBECONFIG"))
    cluster.add_argument("--kube-context")
    cluster.add_argument("--debug", action="store_true", help="print what Helm does")
    given = argparse.ArgumentParser(add_help=False)
    given.add_argument("-f", "--values", action="append", default=[], metavar="FILE")
    given.add_argument("--set", action="append", default=[], metavar="A.B=C")
    given.add_argument("--set-string", action="append", default=[], metavar="A.B=C")
    given.add_argument("--set-file", action="append", default=[], metavar="A.B=FILE")
    waits = argparse.ArgumentParser(add_help=False)
    waits.add_argument("--wait", action="store_true", help="until everything is ready")
    waits.add_argument("--timeout", type=seconds, default=300)
    applies = argparse.ArgumentParser(add_help=False)
    applies.add_argument("--create-namespace", action="store_true")
    applies.add_argument("--dry-run", choices=["client", "server", "none"])
    applies.add_argument("--rollback-on-failure", "--atomic", action="store_true")

    main = argparse.ArgumentParser(prog="helm.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = main.add_subparsers(dest="command", required=True)

    def command(name, function, *parents, positional=(), aliases=()):
        added = commands.add_parser(name, parents=[cluster, *parents], aliases=list(aliases))
        added.set_defaults(function=function)
        for argument in positional:
            added.add_argument(argument)
        return added

    rendering = command("template", template, given, positional=["name", "chart"])
    rendering.add_argument("-s", "--show-only", action="append", default=[], metavar="TEMPLATE")
    rendering.add_argument("--is-upgrade", action="store_true")
    rendering.add_argument("--notes", action="store_true", help="print the notes instead of the manifests")
    rendering.add_argument("--skip-schema-validation", action="store_true")
    linting = command("lint", lint, given, positional=["chart"])
    linting.add_argument("--strict", action="store_true")
    linting.add_argument("--kube-version", metavar="v1.37.0")
    command("install", install, given, waits, applies, positional=["name", "chart"])
    upgrading = command("upgrade", upgrade, given, waits, applies, positional=["name", "chart"])
    upgrading.add_argument("-i", "--install", action="store_true")
    upgrading.add_argument("--reuse-values", action="store_true")
    upgrading.add_argument("--reset-values", action="store_true")
    rolling = command("rollback", rollback, waits, positional=["name"])
    rolling.add_argument("revision", type=int, nargs="?")
    removing = command("uninstall", uninstall, waits, positional=["name"])
    removing.add_argument("--keep-history", action="store_true")
    removing.add_argument("--ignore-not-found", action="store_true")
    command("history", history, positional=["name"]).add_argument("-o", "--output", choices=["table", "json"], default="table")
    for name, function in [("status", status), ("get-manifest", get_manifest)]:
        reading = command(name, function, positional=["name"])
        reading.add_argument("--revision", type=int)
        reading.add_argument("-o", "--output", choices=["table", "json"], default="table")
    command("get-values", get_values, positional=["name"]).add_argument("-a", "--all", action="store_true")
    command("list", list_releases, aliases=["ls"]).add_argument("-A", "--all-namespaces", action="store_true")
    packing = command("package", package, positional=["chart"])
    packing.add_argument("-d", "--destination", default=".")
    packing.add_argument("--version")
    packing.add_argument("--app-version")
    return main


def main():
    arguments = parser().parse_args()
    helm = load_helm()
    if arguments.debug:
        logging.basicConfig(level=logging.DEBUG, stream=sys.stderr, format="%(message)s")
        helm.enable_logging(logging.DEBUG)
    try:
        return arguments.function(helm, arguments) or 0
    except helm.HelmError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    except (OSError, ValueError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
