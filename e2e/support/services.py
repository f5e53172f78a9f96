"""Two services written as JupyterHub's manual has it, with its own classes and nothing of ours.

`grades` signs people in (Tornado, HubOAuthenticated); `checker` takes tokens (HubAuth, in a plain
WSGI program). The first line says where it listens.
"""

import asyncio
import json
import os
import sys
from wsgiref.simple_server import WSGIRequestHandler, make_server

from jupyterhub.services.auth import HubAuth, HubOAuthCallbackHandler, HubOAuthenticated
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

    server = make_server("127.0.0.1", PORT, answer, handler_class=Quiet)
    print(server.server_port, flush=True)
    server.serve_forever()


if sys.argv[1] == "grades":
    asyncio.run(grades())
else:
    checker()
