#!/usr/bin/env python3
"""Rewrites the conformance script and its answers with other names.

variant.py SCRIPT GOLDEN SCRIPT_OUT GOLDEN_OUT

Group, kind, namespace, objects, managers, field names and values change; what the server must answer changes with them and in nothing else.
"""
import base64
import hashlib
import json
import re
import sys

WORDS = {
    "difft.example.com": "vari.sample.org",
    "wrong.difft.example.com": "wrong.vari.sample.org",
    "x.example.com": "q.sample.org",
    "y.example.com": "r.sample.org",
    ".example.com": ".sample.org",
    "difft": "vari",
    "Widget": "Gadget",
    "WidgetList": "GadgetList",
    "widget": "gadget",
    "widgets": "gadgets",
    "dw": "gdg",
    "mode": "pace",
    "maxReplicas": "mostCopies",
    "ratio": "share",
    "opt": "maybe",
    "tags": "marks",
    "args": "words",
    "sel": "pick",
    "extra": "rest",
    "when": "moment",
    "proto": "carrier",
    "fast": "quick",
    "slow": "lazy",
    "Mode": "Pace",
    "phase": "stage",
}
# `phase` is a field of namespaces too, and `when` a word of the description of every table's first column.
KEEP = {"ns-create": {"phase"}, "ns-delete": {"phase"}, "cr-table": {"when"}}
START, END = r"(?:(?<![\w-])|(?<=%3D))", r"(?![\w-])"
PATTERN = re.compile("|".join((START + re.escape(word) + END) if word[0] != "." else re.escape(word) for word in sorted(WORDS, key=len, reverse=True)))


def rename(text, keep):
    # `f:mode` and `v:"a"` are field paths: the colon is no part of the word.
    return PATTERN.sub(lambda found: found[0] if found[0] in keep else WORDS[found[0]], text)


def walk(value, keep):
    if isinstance(value, dict):
        out = {rename(key, keep): walk(member, keep) for key, member in value.items()}
        if isinstance(out.get("causes"), list):
            out["causes"].sort(key=lambda cause: json.dumps(cause, sort_keys=True))
        return out
    if isinstance(value, list):
        return [walk(item, keep) for item in value]
    if isinstance(value, str):
        text = rename(value, keep)
        if text.startswith("Apply failed: "):
            text = "Apply failed: " + " ".join(sorted(set(text[len("Apply failed: "):].split())))
        return text
    return value


def rehash(value, old, new):
    if isinstance(value, dict):
        return {key: rehash(member, old, new) for key, member in value.items()}
    if isinstance(value, list):
        return [rehash(item, old, new) for item in value]
    return new if value == old else value


def storage_hash(kind):
    return base64.b64encode(hashlib.sha256(kind.encode()).digest()[:8]).decode()


script, golden, script_out, golden_out = sys.argv[1:5]
with open(script) as lines, open(script_out, "w") as out:
    for line in lines:
        step = json.loads(line)
        keep = KEEP.get(step["id"], set())
        changed = {key: (step[key] if key in ("id", "save", "ignore", "ct", "h", "token") else walk(step[key], keep)) for key in step}
        out.write(json.dumps(changed) + "\n")
with open(golden) as text:
    answers = json.load(text)
answers = [{**answer, **{key: walk(answer[key], KEEP.get(answer["id"], set())) for key in ("body", "warning") if key in answer}} for answer in answers]
answers = rehash(answers, storage_hash("difft.example.com/v1/Widget"), storage_hash("vari.sample.org/v1/Gadget"))
with open(golden_out, "w") as out:
    json.dump(answers, out, indent=1)
