"""Who is there: people made, listed, changed, deleted, and what nobody may."""

PAGED = {"Accept": "application/jupyterhub-pagination+json"}


def who_is_there(ask):
    ask("version", "GET", "", who="nobody")
    ask("version, by its longer name", "GET", "?x=1", who="nobody")
    ask("info", "GET", "info")
    ask("info by nobody", "GET", "info", who="nobody")
    ask("who am I", "GET", "user")
    ask("who is nobody", "GET", "user", who="nobody")
    for name, value in {
        "bearer": f"Bearer {ask.tokens['root']}",
        "in capitals": f"TOKEN {ask.tokens['root']}",
    }.items():
        ask(f"who am I, {name}", "GET", "user", who="nobody", headers={"Authorization": value})
    for name, value in {
        "basic": "Basic cm9vdDpyb290",
        "without a scheme": ask.tokens["root"],
        "forged": "token 0123456789abcdef0123456789abcdef",
        "empty": "token ",
        "only a word": "token",
    }.items():
        ask(f"who am I, {name}", "GET", "user", who="nobody", headers={"Authorization": value})
    ask("token in the query", "GET", f"user?token={ask.tokens['root']}", who="nobody")


def make_people(ask):
    ask("make ada", "POST", "users/ada")
    ask("make ada again", "POST", "users/ada")
    ask("make ada, an empty object", "POST", "users/adele", {})
    ask("make an administrator", "POST", "users/chief", {"admin": True})
    ask("make no administrator", "POST", "users/eve", {"admin": False})
    ask("make one by nobody", "POST", "users/mallory", who="nobody")
    for name, body in {
        "a list": [],
        "a word": "admin",
        "a number": 1,
        "a filled list": ["admin"],
        "an unknown field": {"color": "blue"},
        "a wrong admin": {"admin": "yes"},
        "a number for admin": {"admin": 1},
        "null for admin": {"admin": None},
        "roles": {"roles": ["admin"]},
        "groups": {"groups": ["staff"]},
        "wrong roles": {"roles": "admin"},
        "another name": {"name": "other"},
        "no JSON": b"{",
        "two values": b"{} {}",
        "no text": b"\xff\xfe",
        "spaces": b"   ",
    }.items():
        ask(f"make one with {name}", "POST", f"users/with-{name.replace(' ', '-').lower()}", body)
    for name in ["Upper", "with%20space", "%C3%A4", "a%2Fb", "..", "%2e%2e", ".", "a" * 129, "a" * 300, "-dash", "a%00b", "a%0ab", "a+b", "a@b.c", "%20trim"]:
        ask(f"make {name[:20]} {len(name)}", "POST", f"users/{name}")
        # One hub makes some that the other refuses; the lists that follow have the same people.
        ask.quietly("DELETE", f"users/{name}")
    ask("make many", "POST", "users", {"usernames": ["p1", "p2", "p3"]})
    ask("make many again", "POST", "users", {"usernames": ["p1", "p2", "p3"]})
    ask("make many, some there", "POST", "users", {"usernames": ["p3", "p4", "p4"]})
    ask("make many administrators", "POST", "users", {"usernames": ["boss1", "boss2"], "admin": True})
    ask("make many in capitals", "POST", "users", {"usernames": ["CARL"]})
    for name, body in {
        "nobody": {"usernames": []},
        "no list": {"usernames": "abc"},
        "an object": {"usernames": {"abc": 1}},
        "numbers": {"usernames": [1, 2]},
        "null": {"usernames": None},
        "a list within": {"usernames": [["x"]]},
        "a bad name": {"usernames": ["good1", "a/b"]},
        "bad names": {"usernames": ["a/b", "c/d", ""]},
        "an empty name": {"usernames": [""]},
        "an unknown field": {"usernames": ["x1"], "color": "blue"},
        "a wrong admin": {"usernames": ["x1"], "admin": "yes"},
        "no names": {"admin": True},
        "a list": ["x1"],
        "a word": "x1",
        "nothing": None,
        "no JSON": b"usernames=x1",
    }.items():
        ask(f"make many with {name}", "POST", "users", body)
    for name in ["a", "b", "c", "abc"]:
        ask.quietly("DELETE", f"users/{name}")
    ask("make many by nobody", "POST", "users", {"usernames": ["x1"]}, who="nobody")


def list_people(ask):
    ask("list", "GET", "users?sort=name")
    ask("list paged", "GET", "users?sort=name", headers=PAGED)
    ask("list paged, two types", "GET", "users?sort=name", headers={"Accept": "text/html, application/jupyterhub-pagination+json"})
    ask("list by nobody", "GET", "users", who="nobody")
    for query in [
        "limit=2",
        "limit=0",
        "limit=-2",
        "limit=1000",
        "limit=2&offset=3",
        "offset=-1&limit=2",
        "offset=5000",
        "offset=1e3",
        "limit=many",
        "limit=1.5",
        "limit=",
        "offset=",
        "limit=%201",
        "limit=%2B2",
        "offset=99999999999999999999",
        "limit=99999999999999999999",
        "limit=1&limit=2",
        "name_filter=A",
        "name_filter=zzz",
        "name_filter=",
        "name_filter=p_",
        "name_filter=%25",
        "state=active",
        "state=ready",
        "state=inactive",
        "state=gone",
        "state=",
        "include_stopped_servers=1&name_filter=adele",
        "include_stopped_servers=true&name_filter=adele",
        "include_stopped_servers=&name_filter=adele",
        "include_stopped_servers&name_filter=adele",
        "include_stopped_servers=false&name_filter=adele",
        "include_stopped_servers=0&name_filter=adele",
        "unknown=1&name_filter=adele",
    ]:
        ask(f"list {query}", "GET", f"users?sort=name&{query}", headers=PAGED)
        ask(f"list {query} plain", "GET", f"users?sort=name&{query}")
    for sort in ["name", "-name", "last_activity", "-last_activity", "id", "-id", "created", "", "-", "--name", "NAME"]:
        # Whoever came is one only, so that the order of the others is told by their names.
        ask(f"sorted {sort}", "GET", f"users?name_filter=p&limit=3&sort={sort}", headers=PAGED)
    ask("next keeps what was asked", "GET", "users?sort=-name&limit=1&name_filter=p&include_stopped_servers=1&odd=%26%3D", headers=PAGED)
    ask("get one", "GET", "users/ada")
    ask("get one with stopped servers", "GET", "users/adele?include_stopped_servers=1")
    ask("get nobody", "GET", "users/ghost")
    ask("get one in capitals", "GET", "users/ADA")
    ask("get one by nobody", "GET", "users/ada", who="nobody")
    ask("get nobody by nobody", "GET", "users/ghost", who="nobody")
    ask.token("ada", "ada")
    ask("who is ada", "GET", "user", who="ada")
    ask("ada sees herself", "GET", "users/ada", who="ada")
    ask("ada sees eve", "GET", "users/eve", who="ada")
    ask("ada sees nobody", "GET", "users/ghost", who="ada")
    ask("ada lists", "GET", "users", who="ada")
    ask("ada lists paged", "GET", "users", who="ada", headers=PAGED)
    ask("ada lists others", "GET", "users?name_filter=eve", who="ada", headers=PAGED)
    ask("ada makes one", "POST", "users/friend", who="ada")
    ask("ada makes herself", "POST", "users/ada", who="ada")
    ask("ada makes many", "POST", "users", {"usernames": ["friend"]}, who="ada")
    ask("ada deletes eve", "DELETE", "users/eve", who="ada")
    ask("ada deletes nobody", "DELETE", "users/ghost", who="ada")
    ask("ada deletes herself", "DELETE", "users/ada", who="ada")
    ask("ada renames herself", "PATCH", "users/ada", {"name": "lovelace"}, who="ada")
    ask("ada makes herself administrator", "PATCH", "users/ada", {"admin": True}, who="ada")
    ask("ada asks for info", "GET", "info", who="ada")
    fields = {
        "names": ["read:users:name"],
        "groups": ["read:users:groups"],
        "activity": ["read:users:activity"],
        "people": ["read:users"],
        "list": ["list:users"],
        "servers": ["read:servers"],
        "culler": ["list:users", "read:users:activity", "read:servers", "delete:servers"],
        "roles": ["read:roles:users"],
        "auth": ["admin:auth_state"],
        "state": ["admin:server_state"],
        "tokens": ["read:tokens"],
        "one": ["read:users!user=eve"],
        "one list": ["list:users!user=eve"],
        "two list": ["list:users!user=eve", "list:users!user=p1", "read:users!user=p1"],
        "by server": ["list:users!server=eve/"],
        "one server": ["read:servers!server=eve/"],
        "nothing": ["read:hub"],
    }
    for name, scopes in fields.items():
        who = f"holder of {name}"
        ask.token(who, "root", scopes)
        ask(f"{who}: who am I", "GET", "user", who=who)
        ask(f"{who}: sees eve", "GET", "users/eve", who=who)
        ask(f"{who}: sees p1", "GET", "users/p1", who=who)
        ask(f"{who}: sees nobody", "GET", "users/ghost", who=who)
        ask(f"{who}: lists", "GET", "users?sort=name&limit=4", who=who, headers=PAGED)
        ask(f"{who}: sees with stopped servers", "GET", "users/eve?include_stopped_servers=1", who=who)
        ask(f"{who}: sees tokens", "GET", "users/p1/tokens", who=who)
        ask(f"{who}: asks for info", "GET", "info", who=who)


def change_people(ask):
    ask("rename", "PATCH", "users/p1", {"name": "p10"})
    ask("the old name", "GET", "users/p1")
    ask("the new name", "GET", "users/p10")
    ask("rename to the same in capitals", "PATCH", "users/p10", {"name": "P10"})
    ask("rename to one that is there", "PATCH", "users/p10", {"name": "p2"})
    ask("rename in capitals", "PATCH", "users/p10", {"name": "P11"})
    ask("rename nobody", "PATCH", "users/ghost", {"name": "p12"})
    ask("rename by nobody", "PATCH", "users/p2", {"name": "p12"}, who="nobody")
    for name, body in {
        "nothing": None,
        "an empty object": {},
        "a list": [],
        "a filled list": ["name"],
        "a word": "p12",
        "no JSON": b"name=p12",
        "an unknown field": {"color": "blue"},
        "a number for name": {"name": 12},
        "null for name": {"name": None},
        "an empty name": {"name": ""},
        "a bad name": {"name": "a/b"},
        "a wrong admin": {"admin": "yes"},
        "null for admin": {"admin": None},
        "a wrong auth_state": {"auth_state": "x"},
        "auth_state": {"auth_state": {"a": 1}},
        "roles": {"roles": ["admin"]},
    }.items():
        ask(f"change p2 with {name}", "PATCH", "users/p2", body)
    ask("make p2 administrator", "PATCH", "users/p2", {"admin": True})
    ask("and no more", "PATCH", "users/p2", {"admin": False})
    ask("both at once", "PATCH", "users/p3", {"name": "p30", "admin": True})
    ask("both at once, later", "GET", "users/p30")


def escalation(ask):
    delegates = {
        "all": ["admin:users"],
        "one": ["admin:users!user=p2"],
        "group": ["admin:users!group=staff"],
        "server": ["admin:users!server=p2/"],
        "deleter of one": ["delete:users!user=p2"],
    }
    for name, scopes in delegates.items():
        who = f"delegate of {name}"
        ask.token(who, "root", scopes)
        ask(f"{who}: makes one", "POST", f"users/by-{name.replace(' ', '-')}", who=who)
        ask(f"{who}: makes one that is there", "POST", "users/eve", who=who)
        ask(f"{who}: makes many", "POST", "users", {"usernames": [f"many-{name.replace(' ', '-')}"]}, who=who)
        ask(f"{who}: makes an administrator", "POST", f"users/adm-{name.replace(' ', '-')}", {"admin": True}, who=who)
        ask(f"{who}: renames outside", "PATCH", "users/eve", {"name": "eva"}, who=who)
        ask(f"{who}: renames back", "PATCH", "users/eva", {"name": "eve"}, who=who)
        ask(f"{who}: renames nobody", "PATCH", "users/ghost", {"name": "eva"}, who=who)
        ask(f"{who}: deletes nobody", "DELETE", "users/ghost", who=who)
        ask(f"{who}: asks for a token", "POST", "users/eve/tokens", who=who)
        ask(f"{who}: starts a server", "POST", "users/eve/server", who=who)
    # One hub makes her, the other does not; the lists that follow have the same people.
    ask.quietly("DELETE", "users/adm-all")
    # One who is no administrator herself and may change people by a token of an administrator can't be
    # had without roles; so it is the other way round: what a student's own token can do.
    ask.token("student", "eve")
    ask("a student asks for more", "POST", "users/eve/tokens", {"scopes": ["admin:users!user=eve"]}, who="student")
    ask("a student makes herself administrator", "PATCH", "users/eve", {"admin": True}, who="student")
    ask("a student changes another", "PATCH", "users/ada", {"admin": True}, who="student")


def delete_people(ask):
    ask("root deletes herself", "DELETE", "users/root")
    ask("delete nobody", "DELETE", "users/ghost")
    ask("delete by nobody", "DELETE", "users/eve", who="nobody")
    ask("delete one with a token", "DELETE", "users/p2")
    ask("her token is worth nothing", "GET", "user", who="p2")
    ask("she is gone", "GET", "users/p2")
    ask("delete her again", "DELETE", "users/p2")
    ask("make her again", "POST", "users/p2")
    ask("her old token stays worth nothing", "GET", "user", who="p2")
    ask("she has no tokens", "GET", "users/p2/tokens")
    ask("ada starts once more", "POST", "users/ada/server")
    ask("delete one with a server", "DELETE", "users/ada")
    ask("her server is gone", "GET", "users/ada/servers/")
    ask("who is left", "GET", "users?sort=name&name_filter=a", headers=PAGED)
    ask("delete an administrator", "DELETE", "users/chief")
    ask("delegate of all: renames an administrator", "PATCH", "users/boss1", {"name": "boss3"}, who="delegate of all")
    ask("delegate of all: deletes an administrator", "DELETE", "users/boss2", who="delegate of all")
    # JupyterHub takes her name away, and she could not be deleted any more.
    ask("rename to the same", "PATCH", "users/p11", {"name": "p11"})
