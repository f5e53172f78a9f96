"""Holds what Lyceum answers against its own OpenAPI document, with requests that schemathesis makes up from it.

Twice: as an administrator and as a student, each with a token that may do all that its owner may. No answer is a 5xx,
has a status, a kind of content or a field that the document does not name, or another shape than it says. The requests
are the same in each run.

    python schema.py --lyceum target/debug/lyceum --schemathesis .cache/schemathesis-env/bin/schemathesis
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

import hubs
from story import Story

CHECKS = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
]

# What is not asked at all, and why.
LEFT_OUT = {
    "shut_down": "ends the hub; document.py asks for it, at its end",
}

# What stands for the parts of a path, so that it is not "no such thing" that is told each time.
PARTS = {
    "user": ["ada", "eve", "nobody-of-this-name", "Ada Lovelace"],
    "owner": ["ada", "eve", "nobody-of-this-name"],
    "server": ["one", "two", "never"],
    "group": ["lab", "other", "never"],
    "service": ["grader", "never"],
    "name": ["jupyterhub-hub-login"],
    "session": ["never"],
    "sitting": ["never"],
    "place": ["1", "never"],
    "course": ["bio", "never"],
    "assignment": ["ps1", "never"],
    "version": ["newest", "1", "7", "never"],
}

# What takes things away, or gives them other names, has things of its own, so that the rest stays.
OWN = {
    ("delete_user", "user"): ["single", "root", "never"],
    ("change_user", "user"): ["double", "never"],
    ("block_user", "user"): ["double", "never"],
    ("delete_group", "group"): ["spare", "never"],
    ("delete_service", "service"): ["spare", "grader", "never"],
    ("delete_named_server", "server"): ["spare", "never"],
    ("change_named_server", "server"): ["spare", "never"],
    ("withdraw_assignment", "assignment"): ["ps2", "never"],
}

# Bodies that nobody would make up, sent as they stand.
BODIES = {
    "create_users": {"usernames": ["ada", "eve"]},
    "create_groups": {"groups": ["lab"]},
    "add_members": {"users": ["ada"]},
    "remove_members": {"users": ["ada"]},
    "update_activity": {"servers": {"one": {"last_activity": "2026-01-02T03:04:05Z"}}},
    "create_token": {"scopes": ["read:users!user=ada"], "expires_in": 3600},
}

# Who asks, and in which ways: of what is at the edges of the schemas it is the administrator who gets furthest.
ROUNDS = {"root": "examples,coverage,fuzzing", "eve": "examples,fuzzing"}

MOST = 6
"""Requests made up by chance for each operation; those at the edges of the schemas come besides."""


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--lyceum", type=Path, required=True)
    arguments.add_argument("--schemathesis", type=Path, required=True)
    options = arguments.parse_args()
    hub = hubs.Hub("lyceum")
    try:
        hubs.start_lyceum(hub, options.lyceum.resolve())
        tokens = seed(hub)
        document = hub.ask("GET", "/hub/api/openapi.json").json
        bad = [who for who in ROUNDS if not hold(hub, options.schemathesis.resolve(), prepared(document, tokens), who, tokens)]
    except Exception:
        print(hub.told(), file=sys.stderr)
        raise
    finally:
        hub.end()
    sys.exit(f"schemathesis found faults as {' and '.join(bad)}" if bad else 0)


def seed(hub):
    """People, groups, servers and tokens; gives the tokens to ask with, and ids of others."""
    ask = Story(hub)
    body = {"auth": {"username": "root", "password": hubs.PASSWORD}}
    ask.tokens["root"] = ask("begin", "POST", "users/root/tokens", body, who="nobody").json["token"]
    steps = [
        ("POST", "users", {"usernames": ["ada", "eve", "single", "double"]}, 201),
        ("POST", "groups", {"groups": ["lab", "other", "spare"], "users": ["ada"]}, 201),
        ("POST", "services/spare", {"display": True}, 201),
        ("PUT", "users/ada/servers/one", {"display_name": "One"}, 201),
        ("PUT", "users/ada/servers/spare", {}, 201),
        ("PUT", "users/eve/servers/one", {}, 201),
        ("POST", "users/ada/server", {}, 201),
    ]
    for method, path, body, status in steps:
        answer = ask(f"{method} {path}", method, path, body)
        if answer.status != status:
            raise RuntimeError(f"{method} {path}: {answer.status} {answer.body}")
    ask.token("eve", "eve")
    ids = [ask.token(f"another {number}", user) for number, user in enumerate(["ada", "ada", "eve"])]
    tokens = {"root": ask.tokens["root"], "eve": ask.tokens["eve"], "ids": ids}
    return tokens | {"submissions": seed_exchange(hub, tokens)}


EXCHANGE = "/hub/api/lyceum/exchange/"


def seed_exchange(hub, tokens):
    """A course that eve takes, with two assignments that she handed in and got back; gives the ids of that."""
    courses = hub.folder / "data" / "courses"
    courses.mkdir(exist_ok=True)
    courses.joinpath("bio.yaml").write_text(
        "title: Biology\npeople: {students: [eve, ada]}\n"
        "assignments: {ps1: {due: 2026-01-01 12:00, late: {costs: 10% per day}}}\n"
    )

    def send(who, method, path, status):
        body = b'--b\r\nContent-Disposition: form-data; name="a.ipynb"\r\n\r\n{}\r\n--b--\r\n'
        kind = "multipart/form-data; boundary=b"
        headers = {"Authorization": f"token {tokens[who]}", "Content-Type": kind}
        answer = hub.ask(method, EXCHANGE + path, body=body, headers=headers)
        if answer.status != status:
            raise RuntimeError(f"{method} {path}: {answer.status} {answer.body}")
        return json.loads(answer.body) if answer.body else None

    headers = {"Authorization": f"token {tokens['eve']}"}
    hub.until("the course is there", lambda: hub.ask("GET", EXCHANGE + "courses/bio", headers=headers).status == 200)
    made = []
    for name in ("ps1", "ps2"):
        send("root", "POST", f"courses/bio/assignments/{name}/versions", 201)
        made.append(send("eve", "POST", f"courses/bio/assignments/{name}/submissions", 201)["id"])
        send("root", "PUT", f"courses/bio/submissions/{made[-1]}/feedback", 204)
    return made


def prepared(document, tokens):
    """The document, stricter than it is for its readers, and with things that are there."""
    parts = PARTS | {"id": [*tokens["ids"], "a-never"], "submission": [*tokens["submissions"], "never"]}
    strange = []
    for path, operations in document["paths"].items():
        for operation in operations.values():
            for parameter in operation.get("parameters", []):
                if parameter["in"] != "path":
                    continue
                name = parameter["name"]
                values = OWN.get((operation["operationId"], name)) or parts.get(name)
                if values:
                    parameter["schema"] = {"enum": values}
                elif name not in {"token", "value"}:
                    strange.append(f"{path}: add {name!r} to PARTS in conformance/jupyterhub/schema.py")
            if body := BODIES.get(operation["operationId"]):
                operation["requestBody"]["content"]["application/json"]["example"] = body
            close(operation["responses"])
    if strange:
        raise RuntimeError("\n".join(strange))
    close(document["components"])
    return document


def close(schema):
    """In what is answered there is no field without a name in the document."""
    if isinstance(schema, list):
        for one in schema:
            close(one)
    elif isinstance(schema, dict):
        for one in list(schema.values()):
            close(one)
        if isinstance(schema.get("properties"), dict) and schema.get("type") == "object":
            schema.setdefault("additionalProperties", False)


def hold(hub, schemathesis, document, who, tokens):
    place = hub.folder / f"openapi-{who}.json"
    place.write_text(json.dumps(document))
    command = [schemathesis, "run", place, "--url", f"http://127.0.0.1:{hub.port}"]
    command += ["--header", f"Authorization: token {tokens[who]}", "--checks", ",".join(CHECKS)]
    for name in LEFT_OUT:
        command += ["--exclude-operation-id", name]
    command += ["--phases", ROUNDS[who], "--max-examples", str(MOST), "--workers", "1"]
    command += ["--seed", "1", "--generation-deterministic"]
    command += ["--continue-on-failure", "--no-shrink", "--warnings", "off", "--no-color"]
    command += ["--suppress-health-check", "all", "--request-timeout", str(hubs.PATIENCE)]
    # Nothing of this run stays behind.
    done = subprocess.run(command, cwd=hub.folder, capture_output=True, text=True, env=os.environ | {"COLUMNS": "160"})
    if done.returncode != 0:
        print(f"as {who}:\n{done.stdout[-20000:]}\n{done.stderr[-4000:]}")
    elif " tested" not in done.stdout and "passed" not in done.stdout:
        raise RuntimeError(f"schemathesis did not test anything as {who}:\n{done.stdout}")
    return done.returncode == 0


main()
