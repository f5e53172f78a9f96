"""Asks Lyceum for every operation of JupyterHub's own REST document and holds the answers against it.

Each operation is asked once in a way that works, and each answer has a status that the document names for it, the
shape it gives and every field it names; and once by nobody and once by somebody who may not, and is refused. The
document is JupyterHub's and not kept here: `cargo xtask setup` takes it from the source package of the version that
Lyceum follows. A real JupyterHub is asked the same, for the document is not always right about it: what stands below
as left out or otherwise is so there, too.

    python document.py --lyceum target/debug/lyceum --document .cache/jupyterhub-source/rest-api.yml
"""

import argparse
import concurrent.futures
import fnmatch
import json
import sys
from pathlib import Path

import jsonschema
import yaml

import hubs
from story import Story

# Operations that are not there yet. Who adds one takes its line out: one that is answered fails the check.
LATER = []

# Where the document is wrong about JupyterHub itself: it answers with this status, and so does Lyceum.
OTHERWISE = {
    "post-auth-token": (404, "gone since JupyterHub 2.0, as its own code says"),
    "get-oauth-authorize": (302, "a browser is sent on, to the log-in page or back to its server"),
    "post-oauth-token": (401, "a client without its secret; the whole flow is told with a real notebook server"),
}

# Fields that the document names and JupyterHub leaves out, by operation and field, with `*`.
LEFT_OUT = {
    "* Token.service": "the token of a person has no service",
    "* NewToken.service": "the token of a person has no service",
    "get-user-shared ShareCode.id": "the document says codes, what is listed are shares",
    "get-user-shared ShareCode.expires_at": "the document says codes, what is listed are shares",
}

# Lists in the document that JupyterHub answers as an object, by names.
BY_NAME = {"get-services"}

# How each operation is asked: path and body; bytes are a form.
ASKED = {
    "get-api": ("", None),
    "get-info": ("info", None),
    "get-current-user": ("user", None),
    "get-users": ("users", None),
    "post-users": ("users", {"usernames": ["many1", "many2"]}),
    "get-user": ("users/ada", None),
    "post-user": ("users/single", None),
    "delete-user": ("users/single", None),
    "patch-user": ("users/many1", {"name": "many3"}),
    "post-user-activity": ("users/ada/activity", {"last_activity": "2026-01-02T03:04:05Z"}),
    "post-user-server": ("users/ada/server", {}),
    "delete-user-server": ("users/ada/server", None),
    "get-user-server-name": ("users/ada/servers/one", None),
    "put-user-server-name": ("users/ada/servers/one", {"display_name": "One"}),
    "post-user-server-name": ("users/ada/servers/one", {}),
    "delete-user-server-name": ("users/ada/servers/one", None),
    "patch-user-server-name": ("users/ada/servers/one", {"display_name": "Uno"}),
    "get-user-tokens": ("users/ada/tokens", None),
    "post-user-tokens": ("users/ada/tokens", {"note": "one", "expires_in": 3600}),
    "get-user-token": ("users/ada/tokens/{token}", None),
    "delete-user-token": ("users/ada/tokens/{token}", None),
    "get-groups": ("groups", None),
    "get-group": ("groups/lab", None),
    "post-group": ("groups/lab", {"users": ["ada"]}),
    "delete-group": ("groups/lab", None),
    "post-group-users": ("groups/lab/users", {"users": ["many2"]}),
    "delete-group-users": ("groups/lab/users", {"users": ["many2"]}),
    "put-group-properties": ("groups/lab/properties", {"gpu": True}),
    "get-services": ("services", None),
    "get-service": ("services/grader", None),
    "get-proxy": ("proxy", None),
    "post-proxy": ("proxy", None),
    "patch-proxy": ("proxy", {}),
    "post-auth-token": ("authorizations/token", {}),
    "get-auth-token": ("authorizations/token/0123456789", None),
    "get-auth-cookie": ("authorizations/cookie/jupyterhub-hub-login/x", None),
    "get-oauth-authorize": ("oauth2/authorize?client_id=jupyterhub-user-ada&response_type=code&redirect_uri=/user/ada/oauth_callback", None),
    "post-oauth-token": ("oauth2/token", b"grant_type=authorization_code&client_id=x&client_secret=y&code=z"),
    "get-shares-owner": ("shares/ada", None),
    "get-shares-server": ("shares/ada/one", None),
    "post-shares-server": ("shares/ada/one", {"user": "many2"}),
    "patch-shares-server": ("shares/ada/one", {"user": "many2", "scopes": ["servers"]}),
    "delete-shares-server": ("shares/ada/one", None),
    "get-share-codes-owner": ("share-codes/ada", None),
    "get-share-codes-server": ("share-codes/ada/one", None),
    "post-share-code": ("share-codes/ada/one", {"expires_in": 3600}),
    "delete-share-code": ("share-codes/ada/one", None),
    "get-user-shared": ("users/many2/shared", None),
    "get-user-shared-server": ("users/many2/shared/ada/one", None),
    "delete-user-shared-server": ("users/many2/shared/ada/one", None),
    "get-group-shared": ("groups/lab/shared", None),
    "get-group-shared-server": ("groups/lab/shared/ada/one", None),
    "delete-group-shared-server": ("groups/lab/shared/ada/one", None),
    "post-shutdown": ("shutdown", {}),
}

# In this order; whatever the document adds comes in between.
ORDER = ["post-user", "post-users", "post-group", "post-group-users", "put-user-server-name", "post-user-tokens", "post-user-server", "post-shares-server", "post-share-code"]
LAST = ["delete-user-shared-server", "delete-group-shared-server", "delete-shares-server", "delete-share-code", "delete-group", "delete-user-server", "patch-user-server-name", "post-user-server-name", "delete-user-server-name", "delete-user-token", "delete-user", "post-shutdown"]

# Open to anybody, each for its own reason.
OPEN = {"get-api", "get-oauth-authorize", "post-oauth-token"}


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--lyceum", type=Path, required=True)
    arguments.add_argument("--document", type=Path, required=True)
    options = arguments.parse_args()
    document = yaml.safe_load(options.document.read_text())
    lyceum = options.lyceum.resolve()
    both = [hubs.Hub("jupyterhub"), hubs.Hub("lyceum")]
    try:
        hubs.start_jupyterhub(both[0], lyceum)
        hubs.start_lyceum(both[1], lyceum)
        with concurrent.futures.ThreadPoolExecutor() as pool:
            checks = [Check(hub, document) for hub in both]
            for done in [pool.submit(check.run) for check in checks]:
                done.result()
    except Exception:
        for hub in both:
            print(f"--- {hub.kind}\n{hub.told()}", file=sys.stderr)
        raise
    finally:
        for hub in both:
            hub.end()
    theirs, ours = checks
    faults = ours.faults + compared(theirs, ours)
    for fault in faults:
        print(fault)
    sys.exit(1 if faults else 0)


def compared(theirs, ours):
    """What Lyceum leaves out stands above, and what stands above is so in the real one."""
    faults = []
    for missing in sorted(ours.absent):
        if not any(fnmatch.fnmatchcase(missing, pattern) for pattern in LEFT_OUT):
            faults.append(f"{missing} is not in the answer")
    for pattern in LEFT_OUT:
        if not fnmatch.filter(theirs.absent, pattern):
            faults.append(f"LEFT_OUT: JupyterHub does answer with {pattern}")
    for name, (status, _) in OTHERWISE.items():
        if theirs.statuses[name] != status:
            faults.append(f"OTHERWISE: JupyterHub answers {name} with {theirs.statuses[name]}")
    return faults


class Check:
    def __init__(self, hub, document):
        self.hub = hub
        self.document = document
        self.faults = []
        self.token = None
        self.statuses = {}
        self.absent = set()
        """`operation Schema.field`"""

    def run(self):
        later = {path for _, _, paths in LATER for path in paths}
        known = set(self.document["paths"])
        self.faults += [f"LATER names {path}, which the document does not have" for path in sorted(later - known)]
        operations = {}
        for path, methods in self.document["paths"].items():
            for method, operation in methods.items():
                operations[operation["operationId"]] = (method.upper(), path, operation)
        self.ask = Story(self.hub)
        self.hub.until("it answers", self.hub.answers)
        self.begin()
        missing = 0
        for name in self.order(operations):
            method, path, operation = operations[name]
            if path in later:
                missing += 1
                self.look_for_what_is_missing(name, method, path)
            elif name in ASKED:
                self.check(name, method, operation)
            else:
                self.faults.append(f"{name}: {method} {path} is in the document, and nobody knows how to ask for it")
        status = self.hub.process.wait(hubs.PATIENCE)
        if status != 0:
            self.faults.append(f"post-shutdown: the hub has ended with status {status}")
        print(f"{self.hub.kind}: {len(operations)} operations, {missing} of them not there yet")

    def order(self, operations):
        rest = [name for name in operations if name not in ORDER + LAST]
        return [name for name in ORDER + rest + LAST if name in operations]

    def begin(self):
        body = {"auth": {"username": "root", "password": hubs.PASSWORD}}
        self.ask.tokens["root"] = self.ask("begin", "POST", "users/root/tokens", body, who="nobody").json["token"]
        self.ask("somebody", "POST", "users/ada")
        self.ask("a student", "POST", "users/eve")
        self.ask.token("student", "eve")

    def look_for_what_is_missing(self, name, method, path):
        path = path.strip("/").replace("{", "").replace("}", "")
        answer = self.ask(name, method, path)
        if answer.status not in (404, 405):
            self.faults.append(f"{name}: {method} {path} is answered ({answer.status}); take it out of LATER")

    def check(self, name, method, operation):
        path, body = ASKED[name]
        path = path.replace("{token}", self.token or "")
        if name not in OPEN:
            # First, since what works may take it away.
            for who, statuses in (("nobody", {403}), ("student", {403, 404})):
                if who == "student" and name == "get-current-user":
                    continue
                answer = self.ask(f"{name} by {who}", method, path, body, who=who)
                if answer.status not in statuses:
                    self.faults.append(f"{name} by {who}: {answer.status} {answer.body[:200]}")
        form = {"Content-Type": "application/x-www-form-urlencoded"} if isinstance(body, bytes) else None
        answer = self.ask(name, method, path, body, who="nobody" if name in OPEN else "root", headers=form)
        if name == "post-user-tokens" and answer.status == 201:
            self.token = answer.json["id"]
        if name == "post-shares-server":
            # The document asks for it once, and there are operations on both kinds.
            self.ask("a share with a group", method, path, {"group": "lab"})
        self.statuses[name] = answer.status
        meant = OTHERWISE.get(name)
        responses = {int(status): response for status, response in operation["responses"].items()}
        statuses = {meant[0]} if meant else set(responses)
        if answer.status not in statuses:
            self.faults.append(f"{name}: {answer.status} is none of {sorted(statuses)}: {answer.body[:300]}")
            return
        content = responses.get(answer.status, {}).get("content", {}).get("application/json")
        if content and "schema" in content:
            self.check_shape(name, answer, content["schema"])

    def check_shape(self, name, answer, schema):
        if name in BY_NAME:
            schema = {"type": "object", "additionalProperties": schema["items"]}
        answered = json.loads(answer.body)
        self.absent |= {f"{name} {field}" for field in absent(answered, schema, self.document["components"]["schemas"])}
        schema = {**strict(schema), "components": strict(self.document["components"])}
        validator = jsonschema.Draft202012Validator(schema)
        for error in list(validator.iter_errors(answered))[:5]:
            self.faults.append(f"{name}: {'.'.join(map(str, error.path))}: {error.message[:300]}")


def absent(value, schema, schemas, name="answer"):
    """The fields that the schema names and the value has not, as `Schema.field`."""
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[-1]
        schema = schemas[name]
    for part in schema.get("allOf", []):
        yield from absent(value, part, schemas, name)
    if mapping := schema.get("discriminator", {}).get("mapping"):
        yield from absent(value, {"$ref": mapping[value["kind"]]}, schemas, name)
    if isinstance(value, list):
        for one in value:
            yield from absent(one, schema.get("items", {}), schemas, name)
    if not isinstance(value, dict):
        return
    fields = schema.get("properties") or {}
    for field, inner in fields.items():
        if field not in value:
            yield f"{name}.{field}"
        else:
            yield from absent(value[field], inner, schemas, f"{name}.{field}")
    if isinstance(more := schema.get("additionalProperties"), dict):
        for field in value.keys() - fields.keys():
            yield from absent(value[field], more, schemas, name)


def strict(schema):
    """The schema, held against what JupyterHub means by it: what may be there may also be `null`."""
    if isinstance(schema, list):
        return [strict(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: strict(value) for key, value in schema.items() if key not in {"discriminator", "example", "examples"}}
    if isinstance(made.get("properties"), dict):
        made["properties"] = {
            key: {"anyOf": [{"type": "null"}, value]} if isinstance(value, dict) else value for key, value in made["properties"].items()
        }
    return made


main()
