"""Routes and the end, and what is wrong in itself: paths, methods, bodies."""

PAGED = {"Accept": "application/jupyterhub-pagination+json"}
DEEP = 20_000
"""Levels of brackets."""
HUGE = 3_000_000
"""Bytes."""


def proxy(ask):
    ask("routes plain", "GET", "proxy")
    ask("routes paged", "GET", "proxy", headers=PAGED)
    ask("routes paged by one", "GET", "proxy?limit=1", headers=PAGED)
    ask("routes wrongly paged", "GET", "proxy?limit=x")
    ask("routes by ada", "GET", "proxy", who="ada")
    ask("routes by nobody", "GET", "proxy", who="nobody")
    ask("look at the proxy", "POST", "proxy")
    ask("look at the proxy by ada", "POST", "proxy", who="ada")
    # Not with an address: the real one would lose its proxy.
    for name, body in {"nothing": None, "a list": [], "no JSON": b"{"}.items():
        ask(f"another proxy with {name}", "PATCH", "proxy", body)
    ask("another proxy by ada", "PATCH", "proxy", {}, who="ada")
    ask("shut down by ada", "POST", "shutdown", who="ada")
    ask("shut down by nobody", "POST", "shutdown", who="nobody")
    for name, body in {
        "no JSON": b"{",
        "a wrong proxy": {"proxy": "x"},
        "wrong servers": {"servers": "x"},
    }.items():
        ask(f"shut down with {name}", "POST", "shutdown", body)


def wrong(ask):
    for path in ["nothing", "users/ada/nothing", "users/ada/server/nothing", "users/", "users//", "user/", "proxy/x", "users/ada/"]:
        for who in ["root", "nobody"]:
            ask(f"no such page: {path} {who}", "GET", path, who=who)
    ask("no such page: post", "POST", "nothing", {})
    ask("admin access, long gone", "POST", "users/ada/admin-access")
    ask("a token told by the old way", "GET", f"authorizations/token/{ask.tokens['ada']}")
    ask("an unknown token told by the old way", "GET", "authorizations/token/0123456789")
    ask("the old way by nobody", "GET", f"authorizations/token/{ask.tokens['ada']}", who="nobody")
    ask("a token by the old way", "POST", "authorizations/token", {})
    ask("a cookie told by the old way", "GET", "authorizations/cookie/jupyterhub-hub-login/x")
    ask("a cookie told by the old way to nobody", "GET", "authorizations/cookie/jupyterhub-hub-login/x", who="nobody")
    for method, paths in {
        "PUT": ["user", "users", "users/ada", "users/ada/tokens", "users/ada/server/progress", "users/ada/activity", "info", "proxy", "shutdown"],
        "PATCH": ["user", "users", "users/ada/tokens", "users/ada/tokens/a1", "users/ada/activity", "info"],
        "DELETE": ["user", "users", "users/ada/tokens", "users/ada/activity", "info", "proxy"],
        "POST": ["user", "info", "users/ada/tokens/a1", "users/ada/server/progress"],
        "GET": ["users/ada/activity", "shutdown"],
    }.items():
        for path in paths:
            for who in ["root", "nobody"]:
                ask(f"{method} on {path} by {who}", method, path, who=who)
    ask("OPTIONS", "OPTIONS", "users/ada")
    ask("HEAD", "HEAD", "users/ada")
    deep = b'{"a":' * DEEP + b"1" + b"}" * DEEP
    brackets = b"[" * DEEP
    huge = b'{"note":"' + b"x" * HUGE + b'"}'
    for name, body in {"deep": deep, "brackets": brackets, "huge": huge}.items():
        ask(f"{name}: make", "POST", "users/monster", body)
        ask(f"{name}: make many", "POST", "users", body)
        ask(f"{name}: change", "PATCH", "users/eve", body)
        ask(f"{name}: token", "POST", "users/eve/tokens", body)
        ask(f"{name}: make a server", "PUT", "users/eve/servers/one", body)
        ask(f"{name}: change a server", "PATCH", "users/eve/servers/", body)
        ask(f"{name}: stop a server", "DELETE", "users/eve/server", body)
        ask(f"{name}: activity", "POST", "users/eve/activity", body)
        ask(f"{name}: activity by nobody", "POST", "users/eve/activity", body, who="nobody")
    ask("a long name", "GET", f"users/{'a' * 5000}")
    ask("a long filter", "GET", f"users?name_filter={'a' * 5000}")
    ask("bytes in a name", "GET", "users/%ff%fe")
    ask("a zero in a name", "GET", "users/a%00b")
    ask("a zero in a filter", "GET", "users?name_filter=%00")
