"""Servers that are shared, and codes for them."""

from .people import PAGED


def shares(ask):
    ask("shares: make an owner", "POST", "users/owner")
    ask("shares: make a guest", "POST", "users/guest")
    ask("shares: make another", "POST", "users/other")
    ask("shares: make a group", "POST", "groups/party", {"users": ["other"]})
    ask("shares: make a server", "PUT", "users/owner/servers/one", {})
    ask("shares: make a second server", "PUT", "users/owner/servers/two", {})
    ask.token("share owner", "owner")
    ask.token("share guest", "guest")
    ask.token("share other", "other")
    ask.token("share keeper", "root", ["shares!user=owner", "read:users:name", "read:groups:name"])
    ask.token("share keeper of one", "root", ["shares!server=owner/one"])
    ask.token("share reader", "root", ["read:shares!server=owner/one"])
    who_may(ask)
    given(ask)
    wrong(ask)
    what_it_does(ask)
    codes(ask)


def who_may(ask):
    """Each operation by those who may not, or may not here."""
    for who in ["nobody", "share guest", "share owner", "share reader", "share keeper of one"]:
        for method, path, body in [
            ("GET", "shares/owner", None),
            ("GET", "shares/owner/one", None),
            ("GET", "shares/owner/two", None),
            ("GET", "shares/owner/none", None),
            ("GET", "shares/strange", None),
            ("GET", "shares/strange/one", None),
            ("POST", "shares/owner/two", {"user": "guest"}),
            ("POST", "shares/owner/none", {"user": "guest"}),
            ("POST", "shares/strange/one", {"user": "guest"}),
            ("PATCH", "shares/owner/two", {"user": "guest"}),
            ("DELETE", "shares/owner/two", None),
            ("GET", "share-codes/owner", None),
            ("GET", "share-codes/owner/one", None),
            ("GET", "share-codes/owner/two", None),
            ("POST", "share-codes/owner/two", {}),
            ("DELETE", "share-codes/owner/two", None),
            ("GET", "users/owner/shared", None),
            ("GET", "users/other/shared", None),
            ("GET", "users/other/shared/owner/two", None),
            ("DELETE", "users/other/shared/owner/two", None),
            ("GET", "groups/party/shared", None),
            ("GET", "groups/strange/shared", None),
            ("GET", "groups/party/shared/owner/two", None),
            ("DELETE", "groups/party/shared/owner/two", None),
        ]:
            ask(f"shares: {method} {path} by {who}", method, path, body, who=who)
    ask("shares: names nobody may know", "POST", "shares/owner/one", {"user": "guest"}, who="share keeper of one")
    ask("shares: a group nobody may know", "POST", "shares/owner/one", {"group": "party"}, who="share keeper of one")
    ask("shares: names nobody has", "POST", "shares/owner/one", {"user": "strange"}, who="share keeper of one")


def given(ask):
    ask("shares: none yet", "GET", "shares/owner")
    ask("shares: give", "POST", "shares/owner/one", {"user": "guest"}, who="share keeper")
    ask("shares: give again", "POST", "shares/owner/one", {"user": "guest"})
    ask("shares: give more", "POST", "shares/owner/one", {"user": "guest", "scopes": ["read:servers!server=owner/one", "access:servers"]})
    ask("shares: give to a group", "POST", "shares/owner/one", {"group": "party"}, who="share keeper")
    ask("shares: give the second", "POST", "shares/owner/two", {"user": "guest", "scopes": []})
    ask("shares: give to the owner", "POST", "shares/owner/two", {"user": "owner"})
    for name, path in {
        "all": "shares/owner",
        "of one": "shares/owner/one",
        "first page": "shares/owner?limit=1",
        "later page": "shares/owner?limit=2&offset=2",
        "beyond": "shares/owner?offset=40",
        "bad page": "shares/owner?limit=x",
        "with the guest": "users/guest/shared",
        "with another": "users/other/shared",
        "with the group": "groups/party/shared",
        "one with the guest": "users/guest/shared/owner/one",
        "one with another": "users/other/shared/owner/one",
        "one with the group": "groups/party/shared/owner/one",
        "none with the guest": "users/guest/shared/owner/none",
        "none of nobody": "users/guest/shared/strange/one",
        "none with nobody": "users/strange/shared",
        "none with no group": "groups/strange/shared",
    }.items():
        ask(f"shares: list {name}", "GET", path)
    ask("shares: list in pages", "GET", "shares/owner", headers=PAGED)
    ask("shares: the guest lists", "GET", "users/guest/shared", who="share guest")
    ask("shares: the owner lists", "GET", "shares/owner", who="share owner")
    ask("shares: the reader lists", "GET", "shares/owner/one", who="share reader")


def wrong(ask):
    for name, body in {
        "nothing": None,
        "an empty object": {},
        "a list": [1],
        "nobody": {"user": None},
        "both": {"user": "guest", "group": "party"},
        "a number": {"user": 5},
        "an unknown field": {"user": "guest", "expires_in": 60},
        "somebody who is not there": {"user": "strange"},
        "a group that is not there": {"group": "strange"},
        "scopes that are no list": {"user": "guest", "scopes": "access:servers"},
        "scopes that are no texts": {"user": "guest", "scopes": [1]},
        "another server's filter": {"user": "guest", "scopes": ["access:servers!server=owner/two"]},
        "a person's filter": {"user": "guest", "scopes": ["access:servers!user=owner"]},
        "an open filter": {"user": "guest", "scopes": ["access:servers!server"]},
        "a scope that is not there": {"user": "guest", "scopes": ["made:up"]},
        "a filter that is not there": {"user": "guest", "scopes": ["access:servers!share=x"]},
    }.items():
        ask(f"shares: give {name}", "POST", "shares/owner/one", body)
        if body is not None and name not in {"somebody who is not there", "a group that is not there"}:
            ask(f"shares: take {name}", "PATCH", "shares/owner/one", body)
    ask("shares: give more than one holds", "POST", "shares/owner/one", {"user": "guest", "scopes": ["servers"]}, who="share keeper")
    ask("shares: give what one holds", "POST", "shares/owner/one", {"user": "other", "scopes": ["read:shares"]}, who="share keeper")
    for method in ["POST", "PATCH", "DELETE", "PUT"]:
        ask(f"shares: {method} without a server", method, "shares/owner", {"user": "guest"})
        ask(f"share codes: {method} without a server", method, "share-codes/owner", {})
    ask("shares: take from somebody who is not there", "PATCH", "shares/owner/one", {"user": "strange"})
    ask("shares: take from a group that is not there", "PATCH", "shares/owner/one", {"group": "strange"})
    ask("shares: take what was not given", "PATCH", "shares/owner/two", {"user": "other"})


def what_it_does(ask):
    ask("shares: the guest is", "GET", "user", who="share guest")
    ask("shares: the guest looks", "GET", "users/owner/servers/one", who="share guest")
    ask("shares: the guest looks at the second", "GET", "users/owner/servers/two", who="share guest")
    ask("shares: the guest starts", "POST", "users/owner/servers/one", {}, who="share guest")
    ask("shares: the guest gives", "POST", "shares/owner/one", {"user": "other"}, who="share guest")
    ask("shares: take one scope", "PATCH", "shares/owner/one", {"user": "guest", "scopes": ["read:servers!server=owner/one"]})
    ask("shares: the guest looks no more", "GET", "users/owner/servers/one", who="share guest")
    ask("shares: the guest is less", "GET", "user", who="share guest")
    ask("shares: take a scope without its filter", "PATCH", "shares/owner/one", {"group": "party", "scopes": ["access:servers"]})
    ask("shares: the group gives up", "DELETE", "groups/party/shared/owner/one")
    ask("shares: the group gives up again", "DELETE", "groups/party/shared/owner/one")
    ask("shares: the guest leaves", "DELETE", "users/guest/shared/owner/two", who="share guest")
    ask("shares: the guest leaves again", "DELETE", "users/guest/shared/owner/two", who="share guest")
    ask("shares: take all of one", "PATCH", "shares/owner/one", {"user": "guest"}, who="share keeper")
    ask("shares: the guest is nobody there", "GET", "user", who="share guest")
    ask("shares: take everything", "DELETE", "shares/owner/one", who="share keeper")
    ask("shares: take everything again", "DELETE", "shares/owner/one", who="share keeper")
    ask("shares: what is left", "GET", "shares/owner")


def codes(ask):
    ask("share codes: none yet", "GET", "share-codes/owner")
    made = ask("share codes: make", "POST", "share-codes/owner/one", {}, who="share keeper")
    ask("share codes: make without a body", "POST", "share-codes/owner/one")
    ask("share codes: make with scopes", "POST", "share-codes/owner/one", {"scopes": ["servers", "access:servers!server=owner/one"]})
    for name, life in {
        "59": 59, "60": 60, "a text": "3600", "a fraction": 60.5, "a whole fraction": 61.0, "a year": 365 * 86400, "more": 365 * 86400 + 1,
        "below zero": -1, "null": None, "a list": [], "true": True,
    }.items():
        ask(f"share codes: make for {name}", "POST", "share-codes/owner/one", {"expires_in": life})
    for name, body in {
        "a name": {"user": "guest"},
        "another server's filter": {"scopes": ["access:servers!server=owner/two"]},
        "a scope that is not there": {"scopes": ["made:up"]},
        "a list": [1],
    }.items():
        ask(f"share codes: make with {name}", "POST", "share-codes/owner/one", body)
    ask("share codes: make with more than one holds", "POST", "share-codes/owner/one", {"scopes": ["servers"]}, who="share keeper")
    ask("share codes: list", "GET", "share-codes/owner/one")
    ask("share codes: list a page", "GET", "share-codes/owner?limit=2&offset=1")
    ask("share codes: the owner lists", "GET", "share-codes/owner", who="share owner")
    ask("share codes: take by code", "DELETE", f"share-codes/owner/one?code={made.json['code']}")
    ask("share codes: take by code again", "DELETE", f"share-codes/owner/one?code={made.json['code']}")
    one = ask.quietly("GET", "share-codes/owner/one").json["items"][0]["id"]
    ask("share codes: take by id at another server", "DELETE", f"share-codes/owner/two?id={one}")
    ask("share codes: take by id", "DELETE", f"share-codes/owner/one?id={one}")
    ask("share codes: take by id again", "DELETE", f"share-codes/owner/one?id={one}")
    ask("share codes: take by no id", "DELETE", "share-codes/owner/one?id=nonsense")
    ask("share codes: take an empty code", "DELETE", "share-codes/owner/two?code=")
    ask("share codes: take all", "DELETE", "share-codes/owner/one")
    ask("share codes: list none", "GET", "share-codes/owner")
