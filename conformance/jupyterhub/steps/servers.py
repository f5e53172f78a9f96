"""Servers of one person, in all their states, and what they report."""

PAGED = {"Accept": "application/jupyterhub-pagination+json"}


def servers(ask):
    ask("a server that never was", "GET", "users/ada/servers/")
    ask("a server that never was, by its short path", "GET", "users/ada/server")
    ask("its progress", "GET", "users/ada/server/progress")
    ask("stop what never was", "DELETE", "users/ada/server")
    ask("start for nobody", "POST", "users/ghost/server")
    ask("stop for nobody", "DELETE", "users/ghost/server")
    ask("start by nobody", "POST", "users/ada/server", who="nobody")
    for name, body in {
        "a filled list": ["x"],
        "a word": "x",
        "a number": 1,
        "no JSON": b"{",
        "a wrong display_name": {"display_name": 5},
        "null for display_name": {"display_name": None},
        "wrong options": {"user_options": "x"},
        "a list of options": {"user_options": []},
    }.items():
        ask(f"start with {name}", "POST", "users/ada/server", body)
    ask("start", "POST", "users/ada/server", {})
    ask("start again", "POST", "users/ada/server")
    ask("who has a server", "GET", "users/ada")
    ask("the server", "GET", "users/ada/servers/")
    ask("the server by its short path", "GET", "users/ada/server")
    ask("the server, seen by its owner", "GET", "users/ada/servers/", who="ada")
    ask("progress of what is ready", "GET", "users/ada/server/progress")
    ask("progress by its long path", "GET", "users/ada/servers//progress")
    ask("active ones", "GET", "users?state=active", headers=PAGED)
    ask("ready ones", "GET", "users?state=ready", headers=PAGED)
    ask("inactive ones", "GET", "users?state=inactive&name_filter=ad&sort=name", headers=PAGED)
    ask("routes", "GET", "proxy")
    ask("change a running server", "PATCH", "users/ada/servers/", {"user_options": {}})
    ask("make a default server", "PUT", "users/ada/servers/")
    ask("remove the default server", "DELETE", "users/ada/server", {"remove": True})
    ask("another stops ada's", "DELETE", "users/ada/server", who="student")
    ask("another sees ada's", "GET", "users/ada/servers/", who="student")
    ask("another watches ada's", "GET", "users/ada/server/progress", who="student")
    ask("stop with a list", "DELETE", "users/ada/server", ["remove"])
    ask("stop with no JSON", "DELETE", "users/ada/server", b"{")
    ask("stop", "DELETE", "users/ada/server")
    ask.settled("ada", "", stopped=True)
    ask("stop again", "DELETE", "users/ada/server")
    ask("who has no server", "GET", "users/ada")
    ask("who has a stopped server", "GET", "users/ada?include_stopped_servers=1")
    ask("the stopped server", "GET", "users/ada/servers/")
    ask("progress of what is stopped", "GET", "users/ada/server/progress")
    ask("options", "PATCH", "users/ada/servers/", {"user_options": {"a": 1}})
    ask("options are kept", "GET", "users/ada/servers/")
    ask("start with the kept options", "POST", "users/ada/server")
    ask.settled("ada", "", stopped=False)
    ask("options of the start before", "GET", "users/ada/servers/")
    ask("stop with the kept options", "DELETE", "users/ada/server")
    ask.settled("ada", "", stopped=True)
    ask("start with options that nobody knows", "POST", "users/ada/server", {"b": [2]})
    ask.settled("ada", "", stopped=False)
    ask("options that nobody knows", "GET", "users/ada/servers/")
    ask("stop with options that nobody knows", "DELETE", "users/ada/server")
    ask.settled("ada", "", stopped=True)
    ask("no options again", "PATCH", "users/ada/servers/", {"user_options": {}})
    # One that does not come up.
    ask("make broken", "POST", "users/broken")
    ask("start what is broken", "POST", "users/broken/server")
    ask.settled("broken", "", stopped=True)
    ask("progress of what failed", "GET", "users/broken/server/progress")
    ask("who is broken", "GET", "users/broken")
    ask("start what is broken again", "POST", "users/broken/server")


def named_servers(ask):
    base = "users/ada/servers"
    ask("named: none there", "GET", f"{base}/one")
    ask("named: stop what is not there", "DELETE", f"{base}/one")
    ask("named: progress of what is not there", "GET", f"{base}/one/progress")
    ask("named: change what is not there", "PATCH", f"{base}/one", {"display_name": "One"})
    for name in ["1a", "a-", "-a", "a--b", "A", "a.b", "a_b", "%C3%A4", "a%20b", "x" * 31, "a%2Fb"]:
        for method in ["PUT", "POST", "GET", "PATCH", "DELETE"]:
            body = {"display_name": "x"} if method == "PATCH" else None
            ask(f"named: {method} {name[:8]} {len(name)}", method, f"{base}/{name}", body)
    for name, body in {
        "a filled list": ["x"],
        "a word": "x",
        "a number": 5,
        "no JSON": b"{",
        "a wrong display_name": {"display_name": 5},
        "null for display_name": {"display_name": None},
        "wrong options": {"user_options": "x"},
        "two spaces": {"display_name": "a  b"},
        "a space in front": {"display_name": " a"},
        "a control character": {"display_name": "a\u0007b"},
        "too many characters": {"display_name": "n" * 256},
    }.items():
        ask(f"named: make with {name}", "PUT", f"{base}/one", body)
    ask("named: make", "PUT", f"{base}/one", {"display_name": "Größe 1", "user_options": {}})
    ask("named: make again", "PUT", f"{base}/one")
    ask("named: there it is", "GET", f"{base}/one")
    ask("named: by nobody", "GET", f"{base}/one", who="nobody")
    ask("named: make by nobody", "PUT", f"{base}/two", who="nobody")
    ask("named: another makes", "PUT", f"{base}/two", who="student")
    ask("named: for nobody", "PUT", "users/ghost/servers/one")
    ask("named: change for nobody", "PATCH", "users/ghost/servers/one", {"name": "two"})
    ask("named: get of nobody", "GET", "users/ghost/servers/one")
    ask("named: start", "POST", f"{base}/one", {"display_name": "First"})
    ask("named: who has it", "GET", "users/ada")
    ask("named: change while it runs", "PATCH", f"{base}/one", {"name": "uno"})
    ask("named: routes", "GET", "proxy")
    ask("named: stop", "DELETE", f"{base}/one")
    ask.settled("ada", "one", stopped=True)
    for name, body in {
        "nothing": None,
        "an empty object": {},
        "a filled list": ["name"],
        "a word": "name",
        "an unknown field": {"color": "blue"},
        "a bad name": {"name": "A"},
        "an empty name": {"name": ""},
        "a number for name": {"name": 5},
        "its own name": {"name": "one"},
        "a wrong display_name": {"display_name": 5},
        "an empty display_name": {"display_name": ""},
        "wrong options": {"user_options": "x"},
        "null for options": {"user_options": None},
    }.items():
        ask(f"named: change with {name}", "PATCH", f"{base}/one", body)
    ask("named: second", "PUT", f"{base}/two")
    ask("named: too many", "PUT", f"{base}/three")
    ask("named: start too many", "POST", f"{base}/three")
    ask("named: rename to one that is there", "PATCH", f"{base}/two", {"name": "one"})
    ask("named: rename", "PATCH", f"{base}/two", {"name": "zwei", "display_name": "Zwei"})
    ask("named: the old name", "GET", f"{base}/two")
    ask("named: the new name", "GET", f"{base}/zwei")
    ask("named: display name alone", "PATCH", f"{base}/zwei", {"display_name": "Nummer 2"})
    ask("named: display name of the default", "PATCH", f"{base}/", {"display_name": "Home"})
    ask("named: remove with a wrong word", "DELETE", f"{base}/zwei", {"remove": False})
    ask("named: still there", "GET", f"{base}/zwei")
    ask("named: remove", "DELETE", f"{base}/zwei", {"remove": True})
    ask("named: it is gone", "GET", f"{base}/zwei")
    ask("named: remove again", "DELETE", f"{base}/zwei", {"remove": True})
    ask("named: start one to be removed", "POST", f"{base}/zwei")
    ask("named: remove while it runs", "DELETE", f"{base}/zwei", {"remove": True})
    ask.settled("ada", "zwei", stopped="gone")
    ask("named: rename the default", "PATCH", f"{base}/", {"name": "home"})
    ask("named: all of them", "GET", "users/ada?include_stopped_servers=1")
    ask("named: rename it back", "PATCH", f"{base}/home", {"name": ""})
    ask("named: remove it", "DELETE", f"{base}/home", {"remove": True})


def slow_servers(ask):
    for name in ["slow", "stubborn"]:
        ask(f"make {name}", "POST", f"users/{name}")
    ask("slow: start", "POST", "users/slow/server")
    ask("slow: start again", "POST", "users/slow/server")
    ask("slow: who is coming", "GET", "users/slow")
    ask("slow: the server", "GET", "users/slow/servers/")
    ask("slow: change", "PATCH", "users/slow/servers/", {"user_options": {}})
    ask("slow: progress", "GET", "users/slow/server/progress")
    ask("slow: it came", "GET", "users/slow")
    ask("slow: stop", "DELETE", "users/slow/server")
    ask.settled("slow", "", stopped=True)
    ask("stubborn: start", "POST", "users/stubborn/server")
    ask("stubborn: stop", "DELETE", "users/stubborn/server")
    ask("stubborn: stop again", "DELETE", "users/stubborn/server")
    ask("stubborn: start while it stops", "POST", "users/stubborn/server")
    ask("stubborn: who is going", "GET", "users/stubborn")
    ask("stubborn: progress while it stops", "GET", "users/stubborn/server/progress")
    ask("stubborn: delete while it stops", "DELETE", "users/stubborn")
    ask.settled("stubborn", "", stopped=True)


def activity(ask):
    path = "users/eve/activity"
    ask("activity", "POST", path, {"last_activity": "2026-01-02T03:04:05Z"})
    ask("activity is seen", "GET", "users/eve")
    ask("activity goes back", "POST", path, {"last_activity": "2020-01-02T03:04:05Z"})
    ask("activity with an offset", "POST", path, {"last_activity": "2026-01-02T05:04:05+02:00"})
    ask("activity without an offset", "POST", path, {"last_activity": "2026-01-02T05:04:05.123456"})
    ask("activity of a server", "POST", path, {"servers": {"": {"last_activity": "2026-01-02T03:04:05Z"}}})
    ask("activity of no server", "POST", path, {"servers": {"gpu": {"last_activity": "2026-01-02T03:04:05Z"}}})
    ask("activity of nobody", "POST", "users/ghost/activity", {"last_activity": "2026-01-02T03:04:05Z"})
    ask("activity by nobody", "POST", path, {"last_activity": "2026-01-02T03:04:05Z"}, who="nobody")
    ask("activity by another", "POST", path, {"last_activity": "2026-01-02T03:04:05Z"}, who="ada")
    for name, body in {
        "nothing": None,
        "an empty object": {},
        "a list": [],
        "a word": "now",
        "no JSON": b"{",
        "no time": {"last_activity": "yesterday"},
        "a number": {"last_activity": 5},
        "null": {"last_activity": None},
        "the future": {"last_activity": "2999-01-02T03:04:05Z"},
        "a list of servers": {"servers": []},
        "a word for servers": {"servers": "x"},
        "no server": {"servers": {}},
        "a server without time": {"servers": {"": {}}},
        "a server that is a word": {"servers": {"": "now"}},
        "a server without a good time": {"servers": {"": {"last_activity": "yesterday"}}},
        "a server in the future": {"servers": {"": {"last_activity": "2999-01-02T03:04:05Z"}}},
        "an unknown field": {"last_activity": "2026-01-02T03:04:05Z", "color": "blue"},
    }.items():
        ask(f"activity with {name}", "POST", path, body)
