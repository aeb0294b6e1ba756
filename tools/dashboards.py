#!/usr/bin/env python3
"""Writes the Grafana dashboards in charts/switchboard/files/dashboards/ from the descriptions below.

    tools/dashboards.py            writes them
    tools/dashboards.py --check    says whether what is there is what would be written

A panel is one line here and fifty in JSON; what all panels have in common is written once. No plugin is needed, and the data source is chosen in
the dashboard. Every expression keeps to the job and namespace that are chosen, so that several installations stay apart.
"""

import json
import pathlib
import sys

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "charts/switchboard/files/dashboards"
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
# Whatever runs: where Prometheus sets no namespace, ".*" fits the label that is not there.
CHOSEN = 'job=~"$job",namespace=~"$namespace"'
OF_CUSTOMER = CHOSEN + ',tenancy=~"$tenancy",customer=~"$customer"'

GREEN, AMBER, RED, BLUE, GREY = "green", "orange", "red", "blue", "text"
COLOURS = {"green": GREEN, "amber": AMBER, "red": RED}
AGES = {"day": GREEN, "week": "semi-dark-green", "month": "yellow", "older": AMBER, "missing": RED}


def series(metric, chosen=CHOSEN, **labels):
    """A selector. A label's value may begin with ~ (fits), ! (is not), or !~ (does not fit)."""
    operators = {"!~": "!~", "~": "=~", "!": "!="}
    parts = [chosen]
    for label, value in labels.items():
        sign = next((sign for sign in operators if value.startswith(sign)), "")
        parts.append(f'{label}{operators.get(sign, "=")}"{value[len(sign):]}"')
    return f"{metric}{{{','.join(parts)}}}"


def steps(*bounds):
    """Colours from these values on; the first holds from the beginning."""
    return {"mode": "absolute", "steps": [{"color": colour, "value": value} for value, colour in bounds]}


ALWAYS = steps((None, BLUE))
SOME_IS_BAD = steps((None, GREEN), (1, RED))
SOME_IS_ODD = steps((None, GREEN), (1, AMBER))


def target(number, expression, legend, instant, table=False):
    return {
        "datasource": SOURCE,
        "editorMode": "code",
        "expr": expression,
        "legendFormat": legend,
        "range": not instant,
        "instant": instant,
        "format": "table" if table else "time_series",
        "refId": chr(ord("A") + number),
    }


def panel(kind, title, description, unit, queries, *, width, height, thresholds=ALWAYS, colours=None, defaults=None, options=None, instant=False, table=False):
    """`queries`: pairs of expression and legend. `colours`: fixed colours of series, by legend."""
    overrides = [
        {"matcher": {"id": "byName", "options": name}, "properties": [{"id": "color", "value": {"mode": "fixed", "fixedColor": colour}}]}
        for name, colour in (colours or {}).items()
    ]
    return {
        "type": kind,
        "title": title,
        "description": description,
        "datasource": SOURCE,
        "fieldConfig": {"defaults": {"unit": unit, "thresholds": thresholds, **(defaults or {})}, "overrides": overrides},
        "options": options or {},
        "targets": [target(number, expression, legend, instant, table) for number, (expression, legend) in enumerate(queries)],
        "_size": (width, height),
    }


def stat(title, description, expression, unit="none", thresholds=ALWAYS, width=4, legend="", decimals=None):
    options = {
        "colorMode": "value",
        "graphMode": "none" if legend else "area",
        "justifyMode": "auto",
        "orientation": "auto",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "textMode": "auto",
    }
    defaults = {"color": {"mode": "thresholds"}, **({} if decimals is None else {"decimals": decimals})}
    return panel("stat", title, description, unit, [(expression, legend)], width=width, height=4, thresholds=thresholds, defaults=defaults, options=options)


def graph(title, description, unit, *queries, width=12, stacked=False, colours=None, thresholds=ALWAYS, least=0):
    custom = {"drawStyle": "line", "lineWidth": 1, "fillOpacity": 40 if stacked else 10, "showPoints": "never", "spanNulls": False}
    custom["stacking"] = {"mode": "normal" if stacked else "none", "group": "A"}
    defaults = {"color": {"mode": "palette-classic"}, "custom": custom, **({} if least is None else {"min": least})}
    options = {
        "legend": {"displayMode": "table", "placement": "right", "calcs": ["lastNotNull", "max"], "showLegend": True},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    return panel("timeseries", title, description, unit, list(queries), width=width, height=8, thresholds=thresholds, colours=colours, defaults=defaults, options=options)


def bars(title, description, unit, expression, legend, width=12, colours=None):
    options = {
        "displayMode": "basic",
        "orientation": "horizontal",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "showUnfilled": True,
        "valueMode": "color",
    }
    defaults = {"color": {"mode": "thresholds"}, "min": 0}
    return panel("bargauge", title, description, unit, [(expression, legend)], width=width, height=8, colours=colours, defaults=defaults, options=options, instant=True)


def table(title, description, unit, expression, link=None, width=12):
    """`link`: where a click on the row's customer leads."""
    made = panel("table", title, description, unit, [(expression, "")], width=width, height=8, defaults={"color": {"mode": "thresholds"}}, instant=True, table=True)
    made["options"] = {"showHeader": True, "cellHeight": "sm", "footer": {"show": False, "countRows": False, "fields": "", "reducer": ["sum"]}}
    made["transformations"] = [{"id": "organize", "options": {"excludeByName": {"Time": True}, "renameByName": {"Value": "systems"}, "indexByName": {}}}]
    if link:
        made["fieldConfig"]["overrides"].append(
            {"matcher": {"id": "byName", "options": "customer"}, "properties": [{"id": "links", "value": [{"title": "Show ${__value.text}", "url": link}]}]}
        )
    return made


def row(title):
    return {"type": "row", "title": title, "collapsed": False, "panels": [], "_size": (24, 1)}


def query_variable(name, label, expression, everything):
    return {
        "type": "query",
        "name": name,
        "label": label,
        "datasource": SOURCE,
        "definition": expression,
        "query": {"query": expression, "refId": f"variable-{name}"},
        "refresh": 2,
        "regex": "",
        "sort": 1,
        "multi": False,
        "includeAll": everything,
        **({"allValue": ".*", "current": {"text": "All", "value": "$__all"}} if everything else {"current": {}}),
        "options": [],
        "hide": 0,
        "skipUrlSync": False,
    }


def placed(panels):
    """Side by side from the left, a new line where there is no room."""
    x = y = line = 0
    for number, made in enumerate(panels, 1):
        width, height = made.pop("_size")
        if x + width > 24:
            x, y, line = 0, y + line, 0
        made["id"], made["gridPos"] = number, {"x": x, "y": y, "w": width, "h": height}
        x, line = x + width, max(line, height)
    return panels


def dashboard(uid, title, description, variables, panels):
    common = [
        {"type": "datasource", "name": "datasource", "label": "Data source", "query": "prometheus", "current": {}, "options": [], "regex": "",
         "refresh": 1, "hide": 0, "includeAll": False, "multi": False, "skipUrlSync": False},
        query_variable("job", "Job", "label_values(switchboard_build_info, job)", everything=False),
        query_variable("namespace", "Namespace", 'label_values(switchboard_build_info{job=~"$job"}, namespace)', everything=True),
    ]
    return {
        "uid": uid,
        "title": title,
        "description": description,
        "tags": ["switchboard"],
        "schemaVersion": 41,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "timezone": "",
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "timepicker": {},
        "fiscalYearStartMonth": 0,
        "annotations": {"list": []},
        "links": [{"type": "dashboards", "title": "Switchboard", "tags": ["switchboard"], "asDropdown": True, "includeVars": True, "keepTime": True,
                   "icon": "external link", "targetBlank": False, "tooltip": "", "url": ""}],
        "templating": {"list": common + variables},
        "panels": placed(panels),
    }


def colours_of(metric, chosen=CHOSEN):
    return [(f'sum by (colour) ({series(metric, chosen=chosen)})', "{{colour}}")]


FLEET = dashboard(
    "switchboard-fleet",
    "Switchboard / Fleet",
    "How the telephone systems are, and what is being done to them.",
    [],
    [
        stat("Customers", "Customers in all namespaces.", f"sum({series('switchboard_customers')})"),
        stat("Systems", "Systems with a status; one that was just made has none for a moment.", f"sum({series('switchboard_systems')})"),
        stat("Green", "Share of systems that are connected and well.",
             f"sum({series('switchboard_systems', colour='green')}) / sum({series('switchboard_systems')})", "percentunit",
             steps((None, RED), (0.9, AMBER), (0.98, GREEN)), decimals=1),
        stat("Lost", "Systems that were connected before and are not now. More than a fifth of all is an alert that wakes somebody.",
             f"sum({series('job:switchboard_systems_lost:sum')})", thresholds=SOME_IS_BAD),
        stat("In progress", "Backups and restores that work on a system now.", f"sum({series('switchboard_actions', phase='InProgress')})"),
        stat("Alerts", "Alerts of Switchboard that fire; their annotation runbook_url says what to do.",
             'count(ALERTS{alertname=~"Switchboard.*",alertstate="firing"}) or vector(0)', thresholds=SOME_IS_BAD),
        row("Systems"),
        graph("Systems by colour", "Red: no connection. Amber: connected, but not signed in or not complete. Green: connected and well.", "none",
              *colours_of("switchboard_systems"), stacked=True, colours=COLOURS),
        bars("Connectivity messages", "Systems by connectivity message, as in the reason of the condition Ready. What to do about each is in the operations guide.", "none",
             f"sort_desc(sum by (message) ({series('switchboard_system_connectivity')}) > 0)", "{{message}}"),
        graph("Messages other than success", "When systems got which message: many at one moment have one cause.", "none",
              (f"sum by (message) ({series('switchboard_system_connectivity', message='!~ConnectionSuccessful|Legacy')}) > 0", "{{message}}")),
        table("Customers with systems that are red", "The twenty with the most; a click leads to the customer. Systems that never connected count too.", "none",
              f"topk(20, sum by (tenancy, customer) ({series('switchboard_customer_systems', colour='red')}) > 0)",
              link="/d/switchboard-customer?var-tenancy=${__data.fields.tenancy}&var-customer=${__data.fields.customer}&${datasource:queryparam}&${job:queryparam}&${namespace:queryparam}"),
        row("Backups and other actions"),
        bars("Last good backup", "Systems by age of their last good backup, as far as there are Backup objects: at most a day, a week, 31 days, older, none.", "none",
             f"sum by (age) ({series('switchboard_system_backups')})", "{{age}}", width=8, colours=AGES),
        graph("Actions under way", "Backups and restores in progress, and those that wait: for their time, for the system, for the store, or only for their turn.", "none",
              (f"sum by (kind) ({series('switchboard_actions', phase='InProgress')})", "{{kind}} in progress"),
              (f"sum by (kind) ({series('switchboard_actions', phase='~Waiting|Scheduled')})", "{{kind}} waiting"),
              (f"sum by (kind) ({series('switchboard_actions_waiting_for_turn')})", "{{kind}} waiting for its turn"), width=8),
        graph("Longest action in progress", "How long ago the oldest began; 0 where none is in progress. After six hours it is an alert.", "s",
              (f"time() - min by (kind) ({series('switchboard_action_oldest_start_timestamp_seconds')})"
               f" or 0 * sum by (kind) ({series('switchboard_actions_waiting_for_turn')})", "{{kind}}"), width=8),
        graph("Actions that ended, an hour", "How many ended in the hour before, and how.", "none",
              (f"sum by (kind, phase) (increase({series('switchboard_actions_ended_total')}[1h]))", "{{kind}} {{phase}}")),
        graph("Object stores", "Object stores, by whether they can be used.", "none",
              (f"sum by (ready) ({series('switchboard_object_stores')})", "ready: {{ready}}"), colours={"ready: true": GREEN, "ready: false": RED}),
        row("New systems"),
        graph("Registrations", "Systems that nobody declared, by what was decided about them.", "none",
              (f"sum by (decision) ({series('switchboard_registrations')})", "{{decision}}")),
        graph("Enrolments, an hour", "Certificates asked for in the hour before, by what came of it.", "none",
              (f"sum by (result) (increase({series('switchboard_gateway_enrolments_total')}[1h])) > 0 or on() vector(0)", "{{result}}")),
    ],
)

CUSTOMER = dashboard(
    "switchboard-customer",
    "Switchboard / Customer",
    "The systems of one customer. Which system it is, kubectl says: metrics carry no names of systems.",
    [
        query_variable("tenancy", "Tenancy", f"label_values({series('switchboard_customer_systems')}, tenancy)", everything=False),
        query_variable("customer", "Customer", f"label_values({series('switchboard_customer_systems', tenancy='~$tenancy')}, customer)", everything=False),
    ],
    [
        stat("Systems", "Systems of the customer that have a status.", f"sum({series('switchboard_customer_systems', chosen=OF_CUSTOMER)})"),
        stat("Green", "Connected and well.", f"sum({series('switchboard_customer_systems', colour='green', chosen=OF_CUSTOMER)})", thresholds=steps((None, GREEN))),
        stat("Amber", "Connected, but not signed in or not complete.", f"sum({series('switchboard_customer_systems', colour='amber', chosen=OF_CUSTOMER)})", thresholds=SOME_IS_ODD),
        stat("Red", "Without a connection, or never connected yet.", f"sum({series('switchboard_customer_systems', colour='red', chosen=OF_CUSTOMER)})", thresholds=SOME_IS_BAD),
        stat("Without a backup of the last week", "Systems whose last good backup is older than 7 days or missing, as far as there are Backup objects.",
             f"sum({series('switchboard_customer_system_backups', age='~month|older|missing', chosen=OF_CUSTOMER)}) or vector(0)", thresholds=SOME_IS_ODD),
        stat("Failed", "Backups and restores that failed and whose object is still there.",
             f"sum({series('switchboard_customer_actions', phase='Failed', chosen=OF_CUSTOMER)}) or vector(0)", thresholds=SOME_IS_BAD),
        graph("Systems by colour", "Red: no connection. Amber: connected, but not signed in or not complete. Green: connected and well.", "none",
              *colours_of("switchboard_customer_systems", OF_CUSTOMER), stacked=True, colours=COLOURS),
        graph("Connectivity messages", "Systems by connectivity message. What to do about each is in the operations guide; which system it is, says: kubectl get ipo -n TENANCY.", "none",
              (f"sum by (message) ({series('switchboard_customer_system_connectivity', chosen=OF_CUSTOMER)})", "{{message}}"), stacked=True),
        bars("Last good backup", "Systems by age of their last good backup, as far as there are Backup objects: at most a day, a week, 31 days, older, none.", "none",
             f"sum by (age) ({series('switchboard_customer_system_backups', chosen=OF_CUSTOMER)})", "{{age}}", colours=AGES),
        graph("Backups and restores", "By where they stand; finished ones count as long as their object is there. 0 where there are none.", "none",
              (f"sum by (kind, phase) ({series('switchboard_customer_actions', chosen=OF_CUSTOMER)}) or on() vector(0)", "{{kind}} {{phase}}")),
    ],
)


def rate(metric, **labels):
    return f"rate({series(metric, **labels)}[$__rate_interval])"


def quantile(share, metric, by):
    return f"histogram_quantile({share}, sum by (le, {by}) ({rate(metric + '_bucket')}))"


OPERATOR = dashboard(
    "switchboard-operator",
    "Switchboard / Operator",
    "How Switchboard itself is: its replicas, controllers, gateway and process.",
    [],
    [
        stat("Ready", "Replicas that are ready.", f"sum({series('switchboard_ready')})", thresholds=steps((None, RED), (1, GREEN)), width=3),
        stat("Replicas", "Replicas that Prometheus reaches.", 'sum(up{job=~"$job",namespace=~"$namespace"})', thresholds=steps((None, RED), (1, GREEN)), width=3),
        stat("Leaders", "Replicas that lead: always one, but for the moment between two scrapes.", f"sum({series('switchboard_leader')})",
             thresholds=steps((None, RED), (1, GREEN), (2, RED)), width=3),
        stat("Version", "Version of the program, and how many replicas have it: two versions stand here during an upgrade only.",
             f"count by (version) ({series('switchboard_build_info')})", legend="{{version}}", width=3),
        stat("Running for", "Since the youngest replica started.", f"time() - max({series('process_start_time_seconds')})", "s", width=3),
        stat("Server certificate", "Until the first certificate of a gateway ends. Switchboard renews its own 30 days before.",
             f"min({series('switchboard_gateway_certificate_expiry_timestamp_seconds', certificate='server')}) - time()", "s",
             steps((None, RED), (14 * 86400, AMBER), (28 * 86400, GREEN)), width=3),
        stat("Authority", "Until the authority ends that systems trust.",
             f"min({series('switchboard_gateway_certificate_expiry_timestamp_seconds', certificate='authority')}) - time()", "s",
             steps((None, RED), (180 * 86400, AMBER), (365 * 86400, GREEN)), width=3),
        stat("Sessions", "Systems that are connected, signed in or not.", f"sum({series('switchboard_gateway_sessions')})", width=3),
        row("Controllers"),
        graph("Reconciliations", "How often objects are looked at. A fleet at rest looks at its object stores only.", "ops",
              (f"sum by (kind) ({rate('switchboard_reconciliations_total')})", "{{kind}}"), stacked=True),
        graph("Reconciliations that did not succeed", "Transient ones are tried again, so are overtaken ones, which are no fault; invalid ones wait for a change of the object.", "ops",
              (f"sum by (kind, result) ({rate('switchboard_reconciliations_total', result='!success')})", "{{kind}} {{result}}")),
        graph("Time of a reconciliation, 99 %", "99 of 100 took at most so long. That of an ObjectStore is the answer of its store. Nothing where none ran.", "s",
              (quantile(0.99, "switchboard_reconciliation_seconds", "kind"), "{{kind}}")),
        graph("Time of a reconciliation, mean", "Nothing where none ran.", "s",
              (f"sum by (kind) ({rate('switchboard_reconciliation_seconds_sum')}) / sum by (kind) ({rate('switchboard_reconciliation_seconds_count')})", "{{kind}}")),
        graph("Running reconciliations", "At most 16 of a kind run at a time on a replica; at 16, others wait.", "none",
              (f"max by (kind) ({series('switchboard_reconciliations_running')})", "{{kind}}"), thresholds=steps((None, GREEN), (16, RED))),
        graph("Since the last success", "How long ago a reconciliation of the kind last succeeded. At rest that is long; it matters where some fail.", "s",
              (f"time() - max by (kind) ({series('switchboard_reconciliation_last_success_timestamp_seconds')})", "{{kind}}")),
        row("Kubernetes API"),
        graph("Requests of the operator", "Requests to the Kubernetes API, by method. Constant writes of a fleet at rest are Leases.", "reqps",
              (f"sum by (method) ({rate('switchboard_kubernetes_requests_total')})", "{{method}}")),
        graph("Requests of the operator that failed", "By answer: 409 is an overtaken write, 429 and 5.. an API server that is overloaded or ill; failed: no answer at all.", "reqps",
              (f"sum by (code) ({rate('switchboard_kubernetes_requests_total', code='~[45]..|failed')})", "{{code}}")),
        graph("Time of an answer, 99 %", "99 of 100 answers of the Kubernetes API began within so long. Nothing where nothing was asked.", "s",
              (quantile(0.99, "switchboard_kubernetes_request_seconds", "method"), "{{method}}")),
        graph("Requests that write", "By verb, at the embedded API server of `switchboard up`. Nothing in a cluster, whose API server has metrics of its own.", "reqps",
              (f"sum by (verb) ({rate('switchboard_api_requests_total', verb='~create|update|patch|delete|deletecollection')})", "{{verb}}")),
        graph("Requests that failed", "By answer, at the embedded API server of `switchboard up`: 409 is an overtaken write, 404 often a look whether there is one.", "reqps",
              (f"sum by (code) ({rate('switchboard_api_requests_total', code='~[45]..')})", "{{code}}")),
        row("Replicas"),
        graph("Leader", "1 for the replica that leads. A change takes up to 15 seconds, in which nobody does.", "none", (series("switchboard_leader"), "{{instance}}")),
        graph("Changes of the leader, an hour", "How often in the hour before a replica began to lead, or ceased to. One each for a restart or an upgrade.", "none",
              (f"sum by (to) (increase({series('switchboard_leader_transitions_total')}[1h]))", "{{to}}")),
        graph("Other replicas", "As each replica sees the others: those whose sessions it follows, and lost ones, whose systems are not known elsewhere yet.", "none",
              (f"max by (state) ({series('switchboard_replicas')})", "{{state}}")),
        graph("Requests through other replicas", "What the leader asked of systems that are connected to another replica, by what came of it.", "reqps",
              (f"sum by (result) ({rate('switchboard_replica_requests_total')})", "{{result}}")),
        row("Gateway"),
        graph("Sessions", "Connected only, or signed in too; connections also count peers that have proved nothing yet.", "none",
              (f"sum by (state) ({series('switchboard_gateway_sessions')})", "{{state}}"),
              (f"sum({series('switchboard_gateway_connections')})", "connections")),
        graph("Sessions that ended, an hour", "How many ended in the hour before, by why. Many `silent` or `disconnected` at once: the line; `superseded`: a cloned disk.", "none",
              (f"sum by (reason) (increase({series('switchboard_gateway_session_ends_total')}[1h])) > 0 or on() vector(0)", "{{reason}}")),
        graph("Sign-ins, an hour", "Sign-ins to systems in the hour before, by what the system decided.", "none",
              (f"sum by (outcome) (increase({series('switchboard_gateway_sign_ins_total')}[1h])) > 0 or on() vector(0)", "{{outcome}}")),
        graph("Messages", "Messages from systems. A system at rest sends none; keepalives are not counted.", "ops",
              (f"sum by (type) ({rate('switchboard_gateway_messages_total')})", "{{type}}")),
        graph("Refusals", "Connections and requests that were refused.", "ops",
              (f"sum by (reason) ({rate('switchboard_gateway_refusals_total')})", "{{reason}}")),
        graph("Peers that proved nothing", "Peers of the last day that tried to enrol, by why they failed; at most 200 are remembered.", "none",
              (f"sum by (reason) ({series('switchboard_gateway_unproved_peers')})", "{{reason}}")),
        row("Process"),
        graph("Memory", "Resident memory of each replica.", "bytes", (series("process_resident_memory_bytes"), "{{instance}}")),
        graph("CPU", "CPU seconds a second: 1 is one core.", "none", (rate("process_cpu_seconds_total"), "{{instance}}")),
        graph("Open files", "Share of the files that may be open; every session is one.", "percentunit",
              (f"{series('process_open_fds')} / {series('process_max_fds')}", "{{instance}}"), thresholds=steps((None, GREEN), (0.8, RED))),
        graph("Threads", "Threads of each replica.", "none", (series("process_threads"), "{{instance}}")),
    ],
)


def main():
    wanted = {f"{name}.json": json.dumps(made, indent=2) + "\n" for name, made in [("fleet", FLEET), ("customer", CUSTOMER), ("operator", OPERATOR)]}
    there = {path.name: path.read_text() for path in FOLDER.glob("*.json")} if FOLDER.is_dir() else {}
    if sys.argv[1:] == ["--check"]:
        different = sorted(name for name in wanted.keys() | there.keys() if wanted.get(name) != there.get(name))
        if different:
            sys.exit(f"{', '.join(different)} in {FOLDER} differ from tools/dashboards.py; run it, and commit what it writes")
        return
    if sys.argv[1:]:
        sys.exit(__doc__)
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name in there.keys() - wanted.keys():
        (FOLDER / name).unlink()
    for name, text in wanted.items():
        (FOLDER / name).write_text(text)


if __name__ == "__main__":
    main()
