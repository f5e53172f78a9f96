"""Tokens: the first one, and all that can be asked for."""

import hubs


def begin(ask):
    body = {"auth": {"username": "root", "password": hubs.PASSWORD}, "note": "first"}
    wrong = {"auth": {"username": "root", "password": "guessed"}}
    ask("token by a wrong password", "POST", "users/root/tokens", wrong, who="nobody")
    ask("token for nobody", "POST", "users/ghost/tokens", {"auth": {"username": "ghost", "password": "x"}}, who="nobody")
    answer = ask("token by name and password", "POST", "users/root/tokens", body, who="nobody")
    if answer.status != 201:
        raise RuntimeError(f"{ask.hub.kind}: root gets no token: {answer.status} {answer.body}\n{ask.hub.told()}")
    ask.tokens["root"] = answer.json["token"]
    # Lyceum makes a first administrator by itself.
    ask.quietly("DELETE", "users/admin")


def tokens(ask):
    ask("no tokens yet", "GET", "users/p2/tokens")
    first = ask("a plain token", "POST", "users/p2/tokens")
    ask("a noted token", "POST", "users/p2/tokens", {"note": "mine"})
    ask("a short token", "POST", "users/p2/tokens", {"expires_in": 3600})
    listed = ask("tokens", "GET", "users/p2/tokens")
    ids = {one["note"]: one["id"] for one in listed.json["api_tokens"]}
    ask("one token", "GET", f"users/p2/tokens/{ids['mine']}")
    ask("one token of another", "GET", f"users/ada/tokens/{ids['mine']}")
    for bad in ["a99999999", "x1", "1", "a", "ab", "", "a1%20", "a-1"]:
        ask(f"the token {bad!r}", "GET", f"users/p2/tokens/{bad}")
    ask("delete the token of another", "DELETE", f"users/ada/tokens/{ids['mine']}")
    ask("delete one token", "DELETE", f"users/p2/tokens/{ids['mine']}")
    ask("delete it again", "DELETE", f"users/p2/tokens/{ids['mine']}")
    ask("it is gone", "GET", f"users/p2/tokens/{ids['mine']}")
    if first.status == 201:
        ask.tokens["p2"] = first.json["token"]
    ask("p2 asks for a token", "POST", "users/p2/tokens", {"note": "own"}, who="p2")
    ask("p2 asks for a token without a note", "POST", "users/p2/tokens", who="p2")
    ask("p2 asks for ada's", "POST", "users/ada/tokens", who="p2")
    ask("p2 asks for nobody's", "POST", "users/ghost/tokens", who="p2")
    ask("p2 lists ada's", "GET", "users/ada/tokens", who="p2")
    ask("p2 lists nobody's", "GET", "users/ghost/tokens", who="p2")
    ask("root lists nobody's", "GET", "users/ghost/tokens")
    ask("root asks for nobody's", "POST", "users/ghost/tokens")
    ask("root deletes nobody's", "DELETE", "users/ghost/tokens/a1")
    ask("a token by nobody", "POST", "users/p2/tokens", who="nobody")
    ask("tokens by nobody", "GET", "users/p2/tokens", who="nobody")
    for name, body in {
        "a list": [],
        "a filled list": ["note"],
        "a word": "note",
        "a number": 5,
        "no JSON": b"note=x",
        "an unknown field": {"color": "blue"},
        "null for all": {"note": None, "expires_in": None, "scopes": None, "roles": None},
        "an empty note": {"note": ""},
        "a long note": {"note": "n" * 1000},
        "a number for note": {"note": 5},
        "a wrong expiry": {"expires_in": "3600"},
        "a fraction for expiry": {"expires_in": 1.5},
        "no time": {"expires_in": 0},
        "a time ago": {"expires_in": -5},
        "a long time": {"expires_in": 10**9},
        "too long a time": {"expires_in": 10**15},
        "no scopes": {"scopes": []},
        "a word for scopes": {"scopes": "self"},
        "numbers for scopes": {"scopes": [1]},
        "an object for scopes": {"scopes": {"self": 1}},
        "an unknown scope": {"scopes": ["fly"]},
        "an empty scope": {"scopes": [""]},
        "an unknown filter": {"scopes": ["users!planet=mars"]},
        "an empty filter": {"scopes": ["users!"]},
        "no value in a filter": {"scopes": ["users!user="]},
        "itself": {"scopes": ["self"]},
        "inherit": {"scopes": ["inherit"]},
        "all": {"scopes": ["all"]},
        "one's own": {"scopes": ["read:users!user"]},
        "one's own by name": {"scopes": ["read:users!user=p2"]},
        "another's": {"scopes": ["read:users!user=ada"]},
        "everybody's": {"scopes": ["read:users"]},
        "an administrator's": {"scopes": ["admin:users"]},
        "own access": {"scopes": ["access:servers!user"]},
        "own server": {"scopes": ["access:servers!server=p2/"]},
        "another's server": {"scopes": ["access:servers!server=ada/"]},
        "many scopes": {"scopes": ["read:users!user", "tokens!user", "servers!user"]},
        "scopes twice": {"scopes": ["read:users!user", "read:users!user"]},
        "no roles": {"roles": []},
        "a word for roles": {"roles": "user"},
        "numbers for roles": {"roles": [1]},
        "an unknown role": {"roles": ["pilot"]},
        "the role token": {"roles": ["token"]},
        "the role user": {"roles": ["user"]},
        "the role admin": {"roles": ["admin"]},
        "roles and scopes": {"roles": ["token"], "scopes": ["self"]},
        "no roles and scopes": {"roles": [], "scopes": ["self"]},
        "a password too": {"auth": {"username": "ada", "password": "guessed"}},
    }.items():
        ask(f"a token with {name}", "POST", "users/p2/tokens", body)
    for name, body in {
        "nothing": {},
        "a word": {"auth": "root"},
        "null": {"auth": None},
        "a list": {"auth": ["root", hubs.PASSWORD]},
        "no password": {"auth": {"username": "root"}},
        "no name": {"auth": {"password": hubs.PASSWORD}},
        "numbers": {"auth": {"username": 1, "password": 2}},
    }.items():
        ask(f"by name and password: {name}", "POST", "users/root/tokens", body, who="nobody")
    ask("by name and password for another", "POST", "users/ada/tokens", {"auth": {"username": "root", "password": hubs.PASSWORD}}, who="nobody")
    ask("by name and password for nobody", "POST", "users/ghost/tokens", {"auth": {"username": "root", "password": hubs.PASSWORD}}, who="nobody")
    # A token that may make tokens.
    ask.token("maker", "ada", ["tokens!user", "read:users!user"])
    ask("a maker makes less", "POST", "users/ada/tokens", {"scopes": ["read:users!user"]}, who="maker")
    ask("a maker makes more", "POST", "users/ada/tokens", {"scopes": ["servers!user"]}, who="maker")
    ask("a maker makes all", "POST", "users/ada/tokens", who="maker")
    ask("a maker lists", "GET", "users/ada/tokens", who="maker")
    ask.token("reader", "ada", ["read:tokens!user"])
    ask("a reader makes none", "POST", "users/ada/tokens", who="reader")
    ask("a reader deletes none", "DELETE", "users/ada/tokens/a1", who="reader")
    ask("a reader reads", "GET", "users/ada/tokens/a99999999", who="reader")
    # What is taken back opens nothing.
    lost = ask.token("lost", "ada")
    ask("a token before it is lost", "GET", "user", who="lost")
    ask("it deletes itself", "DELETE", f"users/ada/tokens/{lost}", who="lost")
    ask("a token that is lost", "GET", "user", who="lost")
