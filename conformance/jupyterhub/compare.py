"""Asks a real JupyterHub and Lyceum the same and compares the answers.

Fails on each difference that docs/developer/differences.md does not know, and on each point there that has
no difference to show for it any more.

    python compare.py --lyceum target/debug/lyceum
"""

import argparse
import concurrent.futures
import json
import re
import sys
import urllib.parse
from pathlib import Path

import hubs
import story
from differences import PARTS, Known
from steps.browser import BACK, SECRET

TIME = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$")
ADDRESS = re.compile(r"^https?://[^/]+")
OPAQUE = {"id", "token_id", "session_id", "request_id"}
SORTED = {"scopes", "roles", "groups"}
# By which people use Lyceum's exchange.
EXCHANGE = "access:services!service=ngshare"
EVERYWHERE = Known("In many answers")
REDIRECTS = (301, 302, 303, 307, 308)
# Where somebody comes to who does not say where to: JupyterHub starts a server, Lyceum's home offers it.
BEGIN = ("/hub/spawn", "/hub/home")


def normalise(value, key=None, told_activity=False):
    """What may differ between two runs of one and the same hub is made the same."""
    if isinstance(value, dict):
        if "no longer running" in str(value.get("message")):
            return value | {"message": "<words>"}
        if isinstance(value.get("status"), int) and "message" in value:
            # The words are each hub's own; JupyterHub often has none.
            return value | {"message": "<words>"} | ({"request_id": "<id>"} if "request_id" in value else {})
        if key == "state":
            return "<state>"
        made = {name: normalise(one, name, told_activity) for name, one in value.items()}
        if made.get("kind") == "api_token":
            # One hub writes uses down at once, the other once a minute.
            made["last_activity"] = "<whenever>"
        if "accept_url" in made:
            # The code stands in the address, too.
            made["accept_url"] = made["accept_url"].replace(made["code"], "<secret>")
            made["code"] = "<secret>"
        for secret in ("token", "access_token"):
            if secret in made:
                made[secret] = "<secret>"
        if isinstance(made.get("scope"), str):
            made["scope"] = " ".join(sorted(made["scope"].split()))
        if isinstance(made.get("error"), str):
            # The words are each hub's own here, too.
            made.pop("error_description", None)
        if made.get("kind") == "user":
            # The same goes for people, whom the use of a token counts as coming by. Their reported activity
            # is compared in the section about it.
            if not told_activity:
                made.update({"last_activity": "<whenever>"} if "last_activity" in made else {})
            if "user_info" in made and made["user_info"] is None:
                EVERYWHERE.covers("user_info", "body")
                made["user_info"] = {}
        if "user_options" in made and made["user_options"] is None:
            EVERYWHERE.covers("user_options", "body")
            made["user_options"] = {}
        if set(made) == {"routespec", "target", "data"}:
            # The proxy's own addition to what the hub keeps there.
            made["data"].pop("last_activity", None)
        return made
    if isinstance(value, list):
        if EXCHANGE in value:
            EVERYWHERE.covers(EXCHANGE, "body")
        made = [normalise(one, None, told_activity) for one in value if one != EXCHANGE]
        return sorted(made) if key in SORTED else made
    if key == "state":
        return "<state>"
    if value is None:
        return None
    if key in OPAQUE:
        return f"<{key}>"
    if isinstance(value, str):
        if TIME.match(value):
            return "<time>"
        return ADDRESS.sub("<address>", value)
    return value


def view(step, answer):
    """The parts of an answer that are compared."""
    kind = (answer.headers.get("Content-Type") or "").split(";")[0]
    if kind == "text/event-stream":
        body = answer.body.decode()
        events = [json.loads(line[6:]) for line in body.splitlines() if line.startswith("data: ")]
        last = {k: v for k, v in events[-1].items() if k not in {"message", "words"}} if events else None
        body = {"first": events[0].get("progress") if events else None, "last": last}
    elif kind == "text/html" and answer.status not in REDIRECTS:
        body = "<page>"
    elif answer.status in REDIRECTS:
        body = None
    elif answer.body:
        try:
            body = normalise(json.loads(answer.body), told_activity=step.startswith("activity"))
        except ValueError:
            body = f"<{len(answer.body)} bytes that are no JSON>"
    else:
        body = None
    headers = {
        # Of what is empty the type tells nothing.
        "content-type": kind if answer.body and answer.status not in REDIRECTS else None,
        "version": answer.headers.get("X-JupyterHub-Version"),
        "retry-after": bool(answer.headers.get("Retry-After")),
        "location": place(answer.headers.get("Location")),
        "allow-origin": answer.headers.get("Access-Control-Allow-Origin"),
        "cache": answer.headers.get("Cache-Control") if kind == "text/event-stream" else None,
    }
    return {"status": answer.status, "headers": headers, "body": body, **cookies(answer)}


def place(location):
    """Where a redirect leads. One hub writes the path alone, the other the whole address; one quotes more than the other."""
    if location is None:
        return None
    url = urllib.parse.urlsplit(location)
    if url.path in BEGIN and not url.query:
        return "<where people begin>"
    here = url.hostname == "127.0.0.1" and f"http://{url.netloc}/" != BACK.removesuffix("back")
    query = urllib.parse.parse_qsl(url.query, keep_blank_values=True)
    query = [(key, "<secret>" if key == "code" else one) for key, one in query if key != "error_description"]
    return {
        "to": ("" if here or not url.netloc else f"{url.scheme}://{url.netloc}") + url.path,
        "query": sorted(query),
        "fragment": url.fragment,
    }


def cookies(answer):
    """A part of its own for each thing that is said of a cookie, so that a known difference is about it alone."""
    parts = {}
    for line in answer.headers.get_all("Set-Cookie", []):
        name, _, said = hubs.cookie(line)
        lasts = "max-age" in said or "expires" in said
        life = "gone" if hubs.is_gone(said) else "kept" if lasts else "session"
        parts[f"cookie {name} at {said.get('path')}"] = life
        # Where one is taken away nothing else counts.
        for flag in ("httponly", "secure", "samesite", "domain") if life != "gone" else ():
            parts[f"cookie {name} {flag}"] = said.get(flag)
    return parts


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--lyceum", type=Path, required=True)
    arguments.add_argument("--all", action="store_true", help="print known differences too")
    options = arguments.parse_args()
    lyceum = options.lyceum.resolve()
    known = [Known("The API"), Known("What a browser is answered")]
    both = [hubs.Hub("jupyterhub"), hubs.Hub("lyceum")]
    try:
        hubs.start_jupyterhub(both[0], lyceum, SERVICES)
        hubs.start_lyceum(both[1], lyceum, services(both[1].folder))
        with concurrent.futures.ThreadPoolExecutor() as pool:
            told = [pool.submit(story.tell, hub) for hub in both]
            theirs, ours = [one.result() for one in told]
    except Exception:
        for hub in both:
            print(f"--- {hub.kind}\n{hub.told()}", file=sys.stderr)
        raise
    finally:
        for hub in both:
            hub.end()
    if list(theirs) != list(ours):
        sys.exit(f"the two stories have different steps: {set(theirs) ^ set(ours)}")
    failures = 0
    for step in theirs:
        here, there = view(step, ours[step]), view(step, theirs[step])
        for part in [*PARTS, *sorted((here.keys() | there.keys()) - set(PARTS))]:
            if here.get(part) == there.get(part):
                continue
            # Asked of both, so that each notes what it has seen.
            meant = [one.covers(step, part, there["status"], here["status"]) for one in known]
            if any(meant) and not options.all:
                continue
            failures += 1
            print(f"{step}: {part}")
            for path, one, other in list(differences(there.get(part), here.get(part)))[:8]:
                print(f"    {path or part}\n        jupyterhub {there['status']} {show(one)}\n        lyceum     {here['status']} {show(other)}")
    for line in [line for one in [*known, EVERYWHERE] for line in one.unseen()]:
        failures += 1
        print(line)
    print(f"{len(theirs)} requests, {failures} differences that nobody knows of")
    sys.exit(1 if failures else 0)


# Two clients of the OAuth provider; who signs in to the second is not asked. They have no pages behind the proxy.
SERVICES = f"""
c.JupyterHub.services += [
    {{
        'name': name,
        'api_token': {SECRET!r} if name == 'trusted' else {SECRET!r}[::-1],
        'oauth_client_id': f'service-{{name}}',
        'oauth_redirect_uri': {BACK!r},
        'oauth_no_confirm': name == 'trusted',
    }}
    for name in ('consent', 'trusted')
]
"""


def services(folder):
    """The same for Lyceum."""
    made = []
    for name in ("consent", "trusted"):
        file = folder / f"{name}.token"
        file.write_text(SECRET if name == "trusted" else SECRET[::-1])
        made.append(
            {
                "name": name,
                "api_token": f"file:{file}",
                "oauth_redirect_uri": BACK,
                "oauth_no_confirm": name == "trusted",
            }
        )
    return {"services": [*hubs.SERVICES, *made]}


def differences(theirs, ours, path=""):
    """The places in which two values differ."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        for key in sorted(set(theirs) | set(ours)):
            missing = "<nothing>"
            yield from differences(theirs.get(key, missing), ours.get(key, missing), f"{path}.{key}")
    elif isinstance(theirs, list) and isinstance(ours, list) and len(theirs) == len(ours):
        for number, (one, other) in enumerate(zip(theirs, ours)):
            yield from differences(one, other, f"{path}[{number}]")
    elif theirs != ours:
        yield path, theirs, ours


def show(value):
    return json.dumps(value, sort_keys=True, ensure_ascii=False)[:400]


main()
