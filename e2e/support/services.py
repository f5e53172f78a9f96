"""Three services written as JupyterHub's manual has it, with its own classes and nothing of ours.

`grades` signs people in (Tornado, HubOAuthenticated); `checker` takes tokens (HubAuth, in a plain
WSGI program); `board` signs people in without Tornado (HubOAuth in a plain WSGI program, as services
in Flask do it). The first line says where it listens.
"""

import asyncio
import json
import os
import sys
from http.cookies import SimpleCookie
from urllib.parse import parse_qs
from wsgiref.simple_server import WSGIRequestHandler, make_server

from jupyterhub.services.auth import HubAuth, HubOAuth, HubOAuthCallbackHandler, HubOAuthenticated
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler, authenticated

PREFIX = os.environ["JUPYTERHUB_SERVICE_PREFIX"]
# Of a service that is told where it shall listen.
PORT = int(sys.argv[2]) if len(sys.argv) > 2 else 0


class WhoHandler(HubOAuthenticated, RequestHandler):
    @authenticated
    def get(self):
        self.write(json.dumps(self.get_current_user()))


class CookiesHandler(RequestHandler):
    def get(self):
        self.write(json.dumps(sorted(self.request.cookies)))


async def grades():
    app = Application(
        [
            (PREFIX, WhoHandler),
            (PREFIX + "cookies", CookiesHandler),
            (PREFIX + "oauth_callback", HubOAuthCallbackHandler),
        ],
        cookie_secret="a secret of this test",
    )
    [socket] = bind_sockets(PORT, "127.0.0.1")
    HTTPServer(app).add_sockets([socket])
    print(socket.getsockname()[1], flush=True)
    await asyncio.Event().wait()


class Quiet(WSGIRequestHandler):
    def log_message(self, *_):
        pass


def checker():
    auth = HubAuth()

    def answer(environ, start):
        scheme, _, token = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
        user = auth.user_for_token(token) if scheme == "token" else None
        good = user and auth.check_scopes(auth.access_scopes, user)
        start("200 OK" if good else "403 Forbidden", [("Content-Type", "application/json")])
        return [json.dumps(user).encode()]

    serve(answer)


def board():
    # Whoever logs out at the hub is unknown here as soon as this has forgotten her.
    auth = HubOAuth(cache_max_age=1)

    def answer(environ, start):
        asked = parse_qs(environ["QUERY_STRING"])
        cookies = {name: one.value for name, one in SimpleCookie(environ.get("HTTP_COOKIE", "")).items()}
        if environ["PATH_INFO"] == PREFIX + "oauth_callback":
            status, headers, body = come_back(asked, cookies)
        else:
            status, headers, body = who(environ["PATH_INFO"], cookies)
        start(status, [("Content-Type", "application/json"), *headers])
        return [body.encode()]

    def who(here, cookies):
        token = cookies.get(auth.cookie_name)
        user = auth.user_for_token(token) if token else None
        if user and auth.check_scopes(auth.access_scopes, user):
            return "200 OK", [], json.dumps(user)
        state = auth.generate_state(next_url=here)
        headers = [
            ("Location", f"{auth.login_url}&state={state}"),
            ("Set-Cookie", f"{auth.state_cookie_name}={state}; Path={PREFIX}; HttpOnly; Max-Age=600"),
        ]
        return "302 Found", headers, "{}"

    def come_back(asked, cookies):
        state = cookies.get(auth.state_cookie_name)
        if not state or asked.get("state") != [state] or "code" not in asked:
            return "403 Forbidden", [], json.dumps(asked)
        token = auth.token_for_code(asked["code"][0])
        headers = [
            ("Location", auth.get_next_url(state)),
            ("Set-Cookie", f"{auth.cookie_name}={token}; Path={PREFIX}; HttpOnly"),
            ("Set-Cookie", f"{auth.state_cookie_name}=; Path={PREFIX}; Max-Age=0"),
        ]
        return "302 Found", headers, "{}"

    serve(answer)


def serve(answer):
    server = make_server("127.0.0.1", PORT, answer, handler_class=Quiet)
    print(server.server_port, flush=True)
    server.serve_forever()


if sys.argv[1] == "grades":
    asyncio.run(grades())
else:
    {"checker": checker, "board": board}[sys.argv[1]]()
