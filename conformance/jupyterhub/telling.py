"""Compares what a real JupyterHub and Lyceum tell of themselves: metrics and the event log.

The same happens at both: a sign-in, a token, a server that starts and stops, a report of a browser, a log-out. Each of
JupyterHub's metrics is there under its name, with its type and its labels, unless docs/developer/differences.md knows
why not, and none has a name that looks like JupyterHub's and is not; and each line of its event log is told in the same
words, and is good by the schema that JupyterHub has in its package. Our own events are good by ours.

    python telling.py --lyceum target/debug/lyceum
"""

import argparse
import json
import re
import sys
import urllib.parse
from pathlib import Path

import jsonschema
import jupyterhub
import yaml

import hubs
from differences import Known
from story import Story

SCHEMA = "https://schema.jupyter.org/jupyterhub/events/server-action"
THEIRS = Path(jupyterhub.__file__).parent / "event-schemas/server-actions/v1.yaml"
OURS = Path(__file__).resolve().parent.parent.parent / "docs/admin/event-schemas"

# Names that are Lyceum's own.
OWN = "lyceum_"

# Events of ours that nothing here makes: no server is ended by rule. The hub's own tests hold them against their schemas
# (`event_log.rs`) and make them (`culling.rs`).
ELSEWHERE = {"urn:lyceum:events:server-culled"}

TYPE = re.compile(r"^# TYPE (\S+) (\S+)$")
SERIES = re.compile(r"^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? \S+")
LABEL = re.compile(r'(\w+)="(?:[^"\\]|\\.)*"')
# Of a histogram or a counter the name stands with one of these.
ENDS = re.compile(r"_(bucket|count|sum|total|created)$")


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--lyceum", type=Path, required=True)
    options = arguments.parse_args()
    program = options.lyceum.resolve()
    theirs, ours = hubs.Hub("jupyterhub"), hubs.Hub("lyceum")
    try:
        hubs.start_jupyterhub(theirs, program, EVENTS)
        hubs.start_lyceum(ours, program, {"events": {"file": "events.jsonl"}})
        for hub in (theirs, ours):
            hub.until("it answers", hub.answers)
        told = [tell(hub) for hub in (theirs, ours)]
    except Exception:
        print(theirs.told(), ours.told(), sep="\n", file=sys.stderr)
        raise
    finally:
        theirs.end()
        ours.end()
    metrics, events, statuses = zip(*told)
    faults = compare_metrics(*metrics) + compare_events(*events)
    if statuses[0] != statuses[1]:
        faults.append(f"beside the API JupyterHub answers {statuses[0]}, Lyceum {statuses[1]}")
    print("\n".join(faults) or f"{len(metrics[0])} metrics and {len(events[0])} events compared")
    sys.exit(1 if faults else 0)


EVENTS = f"""
import logging
c.EventLogger.handlers = [logging.FileHandler('events.jsonl')]
c.EventLogger.allowed_schemas = {{{SCHEMA!r}: {{'allowed_categories': ['all']}}}}
"""


def tell(hub):
    """What happens, and what is told of it then."""
    ask = Story(hub)
    body = {"auth": {"username": "root", "password": hubs.PASSWORD}}
    ask.tokens["root"] = ask("begin", "POST", "users/root/tokens", body, who="nobody").json["token"]
    ask("somebody", "POST", "users/ada")
    for name, path in (("", "users/ada/server"), ("gpu", "users/ada/servers/gpu")):
        ask(f"start {path}", "POST", path, {})
        ask.settled("ada", name, stopped=False)
        ask(f"stop {path}", "DELETE", path)
        ask.settled("ada", name, stopped=True)
    statuses = sign_in_and_out(hub)
    for path in ("/hub/error/404", "/hub/error/503", "/hub/error/x"):
        statuses[path] = hub.ask("GET", path).status
    token = {"Authorization": f"token {ask.tokens['root']}"}
    statuses["metrics by nobody"] = hub.ask("GET", "/hub/api/metrics").status
    statuses["metrics below the API"] = hub.ask("GET", "/hub/api/metrics", headers=token).status
    statuses["a report by a token"] = report(hub, token)
    answer = hub.ask("GET", "/hub/metrics", headers=token)
    assert answer.status == 200, answer.body
    statuses["reports counted"] = [float(value) for value in re.findall(rb"^jupyterhub_csp_reports_total (\S+)$", answer.body, re.M)]
    log = hub.folder / "events.jsonl"
    hub.until("all starts and stops are told", lambda: log.exists() and sum(SCHEMA in line for line in log.read_text().splitlines()) >= 4)
    return metrics(answer.body.decode()), [json.loads(line) for line in log.read_text().splitlines()], statuses


def report(hub, headers):
    """What a browser sends when a page tried what its policy forbids."""
    body = {"csp-report": {"document-uri": "http://x/lab", "blocked-uri": "inline", "violated-directive": "script-src"}}
    kind = {"Content-Type": "application/csp-report"}
    return hub.ask("POST", "/hub/security/csp-report", body=json.dumps(body).encode(), headers=kind | headers).status


def sign_in_and_out(hub):
    form = hub.ask("GET", "/hub/login")
    cookies = cookies_of(form)
    token = urllib.parse.quote(cookies["_xsrf"])
    fields = f"username=root&password={urllib.parse.quote(hubs.PASSWORD)}&_xsrf={token}".encode()
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = hub.ask("POST", "/hub/login", body=fields, headers=headers | {"Cookie": joined(cookies)})
    assert answer.status == 302, (hub.kind, answer.status, answer.body[:300])
    cookies |= cookies_of(answer)
    cookies |= cookies_of(hub.ask("GET", "/hub/token", headers={"Cookie": joined(cookies)}))
    here = {"Cookie": joined(cookies)}
    statuses = {
        "a report by nobody": report(hub, {}),
        "a report without a form token": report(hub, here),
        "a report as browsers send it": report(hub, here | {"Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Site": "same-origin"}),
        "a report with a form token": report(hub, here | {"X-XSRFToken": urllib.parse.unquote(cookies["_xsrf"])}),
    }
    assert hub.ask("GET", "/hub/logout", headers={"Cookie": joined(cookies)}).status in (200, 302)
    return statuses


def cookies_of(answer):
    pairs = [line.split(";")[0].split("=", 1) for line in answer.headers.get_all("Set-Cookie", [])]
    return {name: value.strip('"') for name, value in pairs}


def joined(cookies):
    return "; ".join(f"{name}={value}" for name, value in cookies.items())


def metrics(text):
    """Type and labels of each metric, by its name."""
    types, labels = {}, {}
    for line in text.splitlines():
        if found := TYPE.match(line):
            name, kind = found.groups()
            # The older text form tells of counters with their ending, and of when each series began apart.
            types[name.removesuffix("_total")] = kind
        elif found := SERIES.match(line):
            name, inner = found.groups()
            base = name if name in types else ENDS.sub("", name)
            labels.setdefault(base, set()).update(set(LABEL.findall(inner or "")) - {"le"})
    return {name: (kind, labels.get(name, set())) for name, kind in types.items() if not name.endswith("_created")}


def compare_metrics(theirs, ours):
    faults = []
    known = Known("Metrics")
    for name, (kind, labels) in theirs.items():
        if ours.get(name) == (kind, labels) or known.covers(name):
            continue
        if name not in ours:
            faults.append(f"{name} ({kind}) is not there")
        else:
            faults.append(f"{name}: {ours[name]} and not {(kind, labels)}")
    faults += [f"{name} is no metric of JupyterHub's" for name in ours if name not in theirs and not name.startswith(OWN)]
    faults += known.unseen()
    if len(theirs) < 15:
        faults.append(f"JupyterHub told of {len(theirs)} metrics only: {sorted(theirs)}")
    return faults


def compare_events(theirs, ours):
    faults = []
    schemas = {SCHEMA: yaml.safe_load(THEIRS.read_text())}
    for file in OURS.glob("*.json"):
        schema = json.loads(file.read_text())
        schemas[schema["$id"]] = schema
    for event in ours:
        if event["__schema__"] not in schemas:
            faults.append(f"no schema {event['__schema__']} in {OURS}")
            continue
        errors = jsonschema.Draft202012Validator(schemas[event["__schema__"]]).iter_errors(event)
        faults += [f"{event}: {error.message}" for error in errors]
    seen = {event["__schema__"] for event in ours}
    faults += [f"nothing was told under {name}" for name in schemas if name not in seen | ELSEWHERE]
    same = [[normalised(event) for event in events if event["__schema__"] == SCHEMA] for events in (theirs, ours)]
    if same[0] != same[1]:
        faults.append(f"JupyterHub told\n{same[0]}\nLyceum\n{same[1]}")
    return faults


def normalised(event):
    # JupyterHub's ends with two zones, `+00:00Z`.
    assert re.match(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(\+00:00)?Z$", event["__timestamp__"]), event
    return event | {"__timestamp__": "<time>"}


main()
