"""The requests that both hubs get, in their order. Names of steps are what docs/developer/differences.md calls them by.

Groups, services and roles of the configuration are compared in stories of their own.
"""

from steps import browser, edges, people, servers, shares, tokens


class Story:
    def __init__(self, hub):
        self.hub = hub
        self.told = {}
        self.tokens = {}

    def __call__(self, step, method, path, body=None, *, who="root", headers=None):
        """One step: who asks is known by a token, `nobody` by none."""
        headers = dict(headers or {})
        if who in self.tokens:
            headers.setdefault("Authorization", f"token {self.tokens[who]}")
        answer = self.hub.ask(method, f"/hub/api/{path}", body=body, headers=headers)
        return self.note(step, answer)

    def note(self, step, answer):
        """What was answered at a step, to be compared."""
        if step in self.told:
            raise ValueError(f"two steps are called {step!r}")
        self.told[step] = answer
        return answer

    def token(self, who, owner, scopes=None):
        """A token for later steps, made by root."""
        body = {"note": who} if scopes is None else {"note": who, "scopes": scopes}
        answer = self(f"a token: {who}", "POST", f"users/{owner}/tokens", body)
        if answer.status != 201:
            raise RuntimeError(f"{self.hub.kind}: no token {who}: {answer.status} {answer.body}\n{self.hub.told()}")
        self.tokens[who] = answer.json["token"]
        return answer.json["id"]

    def quietly(self, method, path, who="root"):
        return self.hub.ask(method, f"/hub/api/{path}", headers={"Authorization": f"token {self.tokens[who]}"})

    def settled(self, user, server, *, stopped):
        """Waits until a start or a stop is over."""

        def over():
            answer = self.quietly("GET", f"users/{user}?include_stopped_servers=1")
            servers = answer.json.get("servers", {}) if answer.status == 200 else {}
            one = servers.get(server)
            if stopped == "gone":
                return server not in servers
            if stopped:
                return one is None or (one["stopped"] and not one["pending"])
            return one is not None and one["ready"]

        self.hub.until(f"{user}/{server} has settled", over)


def tell(hub):
    ask = Story(hub)
    hub.until("it answers", hub.answers)
    tokens.begin(ask)
    people.who_is_there(ask)
    people.make_people(ask)
    people.list_people(ask)
    people.change_people(ask)
    tokens.tokens(ask)
    people.escalation(ask)
    servers.servers(ask)
    servers.named_servers(ask)
    servers.slow_servers(ask)
    servers.activity(ask)
    edges.proxy(ask)
    edges.wrong(ask)
    shares.shares(ask)
    people.delete_people(ask)
    browser.browser(ask)
    return ask.told
