"""What a browser is answered: log-in and log-out, redirects, servers that do not run, forms, OAuth.

Pages are not compared, only that there is one; statuses, where redirects lead, and cookies with what is said of them.
"""

import base64
import hashlib
import urllib.parse

import hubs

SECRET = "two-services-of-the-comparison-have-this-one"
BACK = "http://127.0.0.1:9/back"
"""Where these services' browsers return to; nobody listens there."""
VERIFIER = "a verifier that is long enough to be one, which is 43 characters"
FORM = "application/x-www-form-urlencoded"

# What stands below /hub/ and beside it, for everybody.
PLACES = [
    "/",
    "/hub",
    "/hub/",
    "/hub/home",
    "/hub/token",
    "/hub/admin",
    "/hub/login",
    "/hub/login?next=%2Fhub%2Ftoken",
    "/hub/nothing",
    "/nothing",
    "/hub/accept-share?code=x",
    "/hub/spawn-pending/bea",
    "/hub/spawn-pending/bea/gpu",
    "/hub/spawn-pending/root",
    "/hub/spawn-pending/nobody",
    "/hub/spawn/root",
    "/hub/spawn/nobody",
    "/hub/user-redirect/lab/tree/a%20b?x=1",
    "/user/bea/lab/tree/a%20b?x=1",
    "/user/bea/api/status",
    "/user/bea/gpu/lab",
    "/user/root/lab",
    "/user/nobody/lab",
    "/user/bea",
    "/hub/user/bea/lab/tree/a%20b?x=1",
    "/hub/user/bea/api/status",
    "/hub/user/bea/gpu/lab",
    "/hub/user/root/lab",
    "/hub/user/nobody/lab",
    "/services/nothing/",
    "/hub/static/nothing",
]
# Where a link may want to go on after the log-in.
WISHES = {
    "home": "/hub/home",
    "her server": "/user/bea/lab?x=1",
    "a host": "//elsewhere.example/",
    "a URL": "http://elsewhere.example/hub/home",
    "a script": "javascript:alert(1)",
    "a backslash": "/\\elsewhere.example/",
    "three slashes": "///elsewhere.example/",
    "no slash": "hub/home",
}


class Browser:
    """Keeps cookies by their paths; follows nothing by itself."""

    def __init__(self, ask, name):
        self.ask = ask
        self.name = name
        self.cookies = {}

    def __call__(self, step, method, path, form=None, *, body=None, headers=None, quietly=False):
        headers = {"Accept": "text/html", **(headers or {})}
        sent = self.sent_to(path)
        if sent:
            headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in sent)
        if form is not None:
            body = urllib.parse.urlencode(form).encode()
            headers["Content-Type"] = FORM
        answer = self.ask.hub.ask(method, path, body=body, headers=headers)
        for line in answer.headers.get_all("Set-Cookie", []):
            self.keep(line)
        if not quietly:
            self.ask.note(f"browser: {self.name}: {step}", answer)
        return answer

    def look(self, path, **options):
        return self(path, "GET", path, **options)

    @property
    def xsrf(self):
        """As the form on a page of the hub has it."""
        found = dict(self.sent_to("/hub/home")).get("_xsrf", "")
        return found

    def log_in(self, user, step=None, **fields):
        self("form", "GET", "/hub/login", quietly=True)
        fields = {"username": user, "password": hubs.PASSWORD, "_xsrf": self.xsrf} | fields
        answer = self(step, "POST", "/hub/login", fields, quietly=step is None)
        if step is None and answer.status != 302:
            raise RuntimeError(f"{self.ask.hub.kind}: {user} can't log in: {answer.status}")
        # The token against forgery changes with the log-in; the next page may bring it.
        self("home", "GET", "/hub/home", quietly=True)
        return answer

    def keep(self, line):
        name, value, attributes = hubs.cookie(line)
        key = (name, attributes.get("path", "/"))
        if hubs.is_gone(attributes):
            self.cookies.pop(key, None)
        else:
            self.cookies[key] = value

    def sent_to(self, path):
        path = urllib.parse.urlsplit(path).path
        return [(name, value) for (name, below), value in self.cookies.items() if path.startswith(below)]


def browser(ask):
    for user in ("bea", "brokenbea"):
        ask.hub.add_person(user)
    stranger = Browser(ask, "stranger")
    for path in PLACES:
        # Each is somebody's first look.
        Browser(ask, "stranger").look(path)
    programs(stranger)
    logging_in(ask)
    bea = Browser(ask, "bea")
    bea.log_in("bea")
    for path in PLACES:
        bea.look(path)
    programs(bea)
    forms(bea)
    running(ask, bea)
    failing(ask)
    oauth(ask, bea)
    logging_out(ask, bea)


def programs(who):
    """Where a server does not run: what asks for data is told by a status, and so is what changes something."""
    json = {"Accept": "application/json"}
    for path in ("/hub/user/bea/lab", "/hub/user/bea/api/contents", "/hub/user/root/api/contents"):
        who(f"JSON of {path}", "GET", path, headers=json)
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            token = {"X-XSRFToken": who.xsrf} if who.xsrf else {}
            who(f"{method} {path}", method, path, body=b"{}", headers=json | token | {"Content-Type": "application/json"})
    who("POST /user/bea/api/contents", "POST", "/user/bea/api/contents", body=b"{}", headers=json)


def logging_in(ask):
    def fresh(step, user="bea", look=True, **fields):
        browser = Browser(ask, "log-in")
        if look:
            browser("form", "GET", "/hub/login", quietly=True)
        fields = {"username": user, "password": hubs.PASSWORD, "_xsrf": browser.xsrf} | fields
        browser(step, "POST", "/hub/login", {name: one for name, one in fields.items() if one is not None})
        return browser

    fresh("good")
    fresh("in capitals", user="BEA")
    fresh("a wrong password", password="wrong")
    fresh("no password", password=None)
    fresh("an empty name", user="")
    fresh("without a form token", _xsrf=None)
    fresh("with a wrong form token", _xsrf="wrong")
    fresh("without the page", look=False)
    fresh("with the form token of another browser", _xsrf=another_token(ask))
    for name, wish in WISHES.items():
        fresh(f"on to {name}", next=wish)
        browser = Browser(ask, "log-in")
        browser("form", "GET", "/hub/login", quietly=True)
        fields = {"username": "bea", "password": hubs.PASSWORD, "_xsrf": browser.xsrf}
        query = urllib.parse.urlencode({"next": wish})
        browser(f"on to {name}, by the address", "POST", f"/hub/login?{query}", fields)
    signed_in = Browser(ask, "log-in")
    signed_in.log_in("bea")
    for name, wish in WISHES.items():
        query = urllib.parse.urlencode({"next": wish})
        signed_in(f"once more, on to {name}", "GET", f"/hub/login?{query}")


def another_token(ask):
    """Of another browser, which says otherwise what it is."""
    other = Browser(ask, "another")
    other("form", "GET", "/hub/login", headers={"User-Agent": "another"}, quietly=True)
    return other.xsrf


def forms(bea):
    """Which requests with a cookie want the form token."""
    tokens = "/hub/api/users/bea/tokens"
    json = {"Content-Type": "application/json"}

    def good():
        """As a script reads it just then: a page may have changed it."""
        return {"X-XSRFToken": bea.xsrf}

    bea("a token without the form token", "POST", tokens, body=b"{}", headers=json)
    bea("a token with a wrong one", "POST", tokens, body=b"{}", headers=json | {"X-XSRFToken": "wrong"})
    bea("a token with it", "POST", tokens, body=b"{}", headers=json | good())
    bea("a token by a form", "POST", tokens, {"_xsrf": bea.xsrf})
    bea("a token in the address", "POST", f"{tokens}?_xsrf={urllib.parse.quote(bea.xsrf)}", body=b"{}", headers=json)
    bea("start by a form without it", "POST", "/hub/spawn", {})
    bea("start by a form with a wrong one", "POST", "/hub/spawn", {"_xsrf": "wrong"})
    bea("accept without it", "POST", "/hub/accept-share", {"code": "x"})
    bea("accept what is no code", "POST", "/hub/accept-share", {"code": "x", "_xsrf": bea.xsrf})
    for site in ("same-origin", "same-site", "cross-site"):
        for mode in ("navigate", "cors", "no-cors", "same-origin"):
            fetch = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": mode, "Accept": "application/json"}
            bea(f"who am I, {mode} {site}", "GET", "/hub/api/user", headers=fetch)
            bea(f"who am I, {mode} {site}, with the form token", "GET", "/hub/api/user", headers=fetch | good())


def running(ask, bea):
    bea("start", "GET", "/hub/spawn?next=%2Fuser%2Fbea%2Flab")
    ask.settled("bea", "", stopped=False)
    for path in (
        "/",
        "/hub/",
        "/hub/login",
        "/hub/spawn",
        "/hub/spawn/bea",
        "/hub/spawn?next=%2Fuser%2Fbea%2Ftree",
        "/hub/spawn-pending/bea",
        "/hub/spawn-pending/bea?next=%2Fuser%2Fbea%2Ftree",
        "/hub/user-redirect/lab/tree/a%20b?x=1",
        "/hub/user/bea/lab/tree/a%20b?x=1",
        "/hub/user/bea/lab?redirects=1",
        "/hub/user/bea/lab?redirects=4",
        "/hub/user/bea/api/status",
        "/user/bea",
    ):
        bea(f"{path} while it runs", "GET", path)
    own = {"client_id": "jupyterhub-user-bea", "redirect_uri": "/user/bea/oauth_callback", "response_type": "code", "state": "s"}
    bea("her own server asks who she is", "GET", authorize(own))
    eve = Browser(ask, "somebody else")
    eve.log_in("brokenbea")
    eve("her server asks who she is", "GET", authorize(own))
    root = Browser(ask, "root")
    root.log_in("root")
    root("her server asks who he is", "GET", authorize(own))
    ask.quietly("DELETE", "users/bea/server")
    ask.settled("bea", "", stopped=True)
    bea("her own server asks who she is when it has ended", "GET", authorize(own))


def failing(ask):
    broken = Browser(ask, "brokenbea")
    broken.log_in("brokenbea")
    broken("start", "GET", "/hub/spawn")
    ask.settled("brokenbea", "", stopped=True)
    for path in ("/hub/spawn-pending/brokenbea", "/hub/user/brokenbea/lab", "/hub/user/brokenbea/api/status", "/hub/home", "/user/brokenbea/lab"):
        broken(f"{path} after a failed start", "GET", path)


def authorize(asked):
    return f"/hub/api/oauth2/authorize?{urllib.parse.urlencode(asked)}"


def oauth(ask, bea):
    def asked(name, **others):
        fields = {"client_id": f"service-{name}", "redirect_uri": BACK, "response_type": "code", "state": "s"} | others
        return authorize({key: one for key, one in fields.items() if one is not None})

    stranger = Browser(ask, "stranger")
    stranger("a service asks who she is", "GET", asked("consent"))
    bea("a service asks that she has no access to", "GET", asked("consent"))
    root = Browser(ask, "root")
    root.log_in("root")
    for name, others in {
        "a service asks": {},
        "an unknown client": {"client_id": "service-nothing"},
        "no client": {"client_id": None},
        "another address": {"redirect_uri": "http://127.0.0.1:9/elsewhere"},
        "no address": {"redirect_uri": None},
        "another type": {"response_type": "token"},
        "no type": {"response_type": None},
        "no state": {"state": None},
        "with a challenge": challenge() | {"state": "s"},
        "with an odd method": challenge() | {"code_challenge_method": "odd"},
        "an unknown scope": {"scope": "nothing"},
        "a scope that it may not have": {"scope": "admin:users"},
    }.items():
        root(name, "GET", asked("consent", **others))
    root("trusted", "GET", asked("trusted"))
    root("trusted, another address", "GET", asked("trusted", redirect_uri="http://127.0.0.1:9/elsewhere"))
    root("agree without the form token", "POST", asked("consent"), {"scopes": "access:services!service=consent"})
    root("agree to nothing", "POST", asked("consent"), {"_xsrf": root.xsrf})
    agreed = {"_xsrf": root.xsrf, "scopes": "access:services!service=consent"}
    root("agree", "POST", asked("consent"), agreed)
    for name, others in {
        "a good code": {},
        "a wrong secret": {"client_secret": "wrong"},
        "no secret": {"client_secret": None},
        "an unknown client's": {"client_id": "service-nothing"},
        "another client's": {"client_id": "service-consent"},
        "another address": {"redirect_uri": "http://127.0.0.1:9/elsewhere"},
        "another grant": {"grant_type": "password"},
        "no grant": {"grant_type": None},
        "a forged code": {"code": "forged"},
        "no code": {"code": None},
    }.items():
        redeem(ask, f"{name}", code_of(root(f"a code for {name}", "GET", asked("trusted"), quietly=True)), others)
    code = code_of(root("a code to use twice", "GET", asked("trusted"), quietly=True))
    redeem(ask, "once", code, {})
    redeem(ask, "twice", code, {})
    for name, others in {
        "a good verifier": {"code_verifier": VERIFIER},
        "a wrong verifier": {"code_verifier": VERIFIER[::-1]},
        "no verifier": {},
    }.items():
        code = code_of(root(f"a code for {name}", "GET", asked("trusted", **challenge()), quietly=True))
        redeem(ask, name, code, others)
    ask.note("browser: token: by GET", ask.hub.ask("GET", "/hub/api/oauth2/token"))
    ask.note("browser: token: with nothing", ask.hub.ask("POST", "/hub/api/oauth2/token", body=b"", headers={"Content-Type": FORM}))


def challenge():
    digest = hashlib.sha256(VERIFIER.encode()).digest()
    return {"code_challenge": base64.urlsafe_b64encode(digest).decode().rstrip("="), "code_challenge_method": "S256"}


def code_of(answer):
    query = urllib.parse.urlsplit(answer.headers.get("Location") or "").query
    return dict(urllib.parse.parse_qsl(query)).get("code", "none")


def redeem(ask, step, code, others):
    fields = {
        "client_id": "service-trusted",
        "client_secret": SECRET,
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": BACK,
    } | others
    body = urllib.parse.urlencode({key: one for key, one in fields.items() if one is not None}).encode()
    ask.note(f"browser: token: {step}", ask.hub.ask("POST", "/hub/api/oauth2/token", body=body, headers={"Content-Type": FORM}))


def logging_out(ask, bea):
    replayed = Browser(ask, "replayed")
    replayed.cookies = dict(bea.cookies)
    bea("log out", "GET", "/hub/logout")
    bea("home after it", "GET", "/hub/home")
    bea("log out again", "GET", "/hub/logout")
    for path in ("/hub/home", "/hub/api/user", "/user/bea/lab"):
        replayed(f"{path} with the cookies of before", "GET", path)
    Browser(ask, "stranger")("log out", "GET", "/hub/logout")
