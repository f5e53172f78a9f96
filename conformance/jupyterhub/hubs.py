"""Starts the two hubs that are compared, each with an administrator `root`, and ends them."""

import email.utils
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
PASSWORD = "correct horse battery staple"
PATIENCE = 120
"""Seconds; only what hangs takes them."""
SERVICES = [{"name": "grader", "url": "http://127.0.0.1:9"}]
"""In both hubs; nobody listens there."""


class Answer:
    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def json(self):
        return json.loads(self.body)


class Hub:
    """A hub that runs, and the folder it runs in."""

    def __init__(self, kind):
        self.kind = kind
        self.folder = Path(tempfile.mkdtemp(prefix=f"lyceum-compared-{kind}-"))
        self.log = open(self.folder / "log", "wb")
        self.process = None
        self.port = None
        # Runs a command of Lyceum's on its data; a JupyterHub has none.
        self.run = None

    def launch(self, command, **options):
        self.process = subprocess.Popen(
            command, cwd=self.folder, stdin=subprocess.DEVNULL, stderr=self.log, start_new_session=True, **options
        )

    def ask(self, method, path, *, body=None, headers=None):
        """One request on a connection of its own. `body`: bytes, or what JSON is made of."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        headers = dict(headers or {})
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            headers.setdefault("Content-Type", "application/json")
        try:
            connection.request(method, path, body=body, headers=headers)
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read())
        finally:
            connection.close()

    def until(self, what, condition):
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise RuntimeError(f"{self.kind} has ended; its log:\n{self.told()}")
            result = condition()
            if result:
                return result
            time.sleep(0.05)
        raise RuntimeError(f"{self.kind}: waited in vain until {what}; its log:\n{self.told()}")

    def told(self):
        return (self.folder / "log").read_text(errors="replace")[-8000:]

    def answers(self):
        try:
            return self.ask("GET", "/hub/api").status == 200
        except OSError:
            return False

    def add_person(self, name):
        """Somebody who can log in; a JupyterHub with the sign-in for tests takes everybody."""
        if self.run:
            self.run("user", "add", name)

    def end(self):
        try:
            if self.process and self.process.poll() is None:
                self.process.send_signal(signal.SIGINT)
                try:
                    self.process.wait(30)
                except subprocess.TimeoutExpired:
                    pass
        finally:
            self.sweep()
            self.log.close()
            shutil.rmtree(self.folder, ignore_errors=True)

    def sweep(self):
        """What was started in the folder ends with it, whatever happened."""
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) == os.getpid():
                continue
            try:
                ours = str(self.folder).encode() in (entry / "environ").read_bytes() + (entry / "cmdline").read_bytes()
                ours = ours or os.readlink(entry / "cwd").startswith(str(self.folder))
                if ours:
                    os.kill(int(entry.name), signal.SIGKILL)
            except OSError:
                continue


def start_jupyterhub(hub, lyceum, more=""):
    """`more`: lines for its configuration."""
    ports = free_ports(3)
    hub.port, api_port, hub_port = ports
    (hub.folder / "homes").mkdir()
    (hub.folder / "jupyterhub_config.py").write_text(
        f"""
c.JupyterHub.bind_url = 'http://127.0.0.1:{hub.port}'
c.JupyterHub.hub_bind_url = 'http://127.0.0.1:{hub_port}'
c.JupyterHub.db_url = 'sqlite:///hub.sqlite'
c.JupyterHub.authenticator_class = 'dummy'
c.JupyterHub.spawner_class = 'simple'
c.JupyterHub.services = {SERVICES!r}
c.JupyterHub.allow_named_servers = True
c.JupyterHub.named_server_limit_per_user = 2
c.DummyAuthenticator.password = {PASSWORD!r}
c.Authenticator.allow_all = True
c.Authenticator.admin_users = {{'root'}}
c.ConfigurableHTTPProxy.command = [{str(lyceum)!r}, 'proxy']
c.ConfigurableHTTPProxy.api_url = 'http://127.0.0.1:{api_port}'
c.SimpleLocalProcessSpawner.home_dir_template = {str(hub.folder / 'homes')!r} + '/{{username}}'
c.SimpleLocalProcessSpawner.interrupt_timeout = 60
c.Spawner.cmd = [{sys.executable!r}, {str(HERE / 'server.py')!r}]
c.Spawner.poll_interval = 1

def hasten(spawner):
    # It waits for the answer of a process that has ended.
    if 'broken' in spawner.user.name:
        spawner.http_timeout = 2

c.Spawner.pre_spawn_hook = hasten
{more}"""
    )
    env = {k: v for k, v in os.environ.items() if not k.startswith(("JUPYTERHUB_", "CONFIGPROXY_"))}
    program = Path(sys.executable).parent / "jupyterhub"
    hub.launch([sys.executable, program, "-f", "jupyterhub_config.py"], stdout=hub.log, env=env)


def start_lyceum(hub, lyceum, more=None):
    """`more`: keys for its configuration."""
    data = hub.folder / "data"
    (hub.folder / "lyceum.yaml").write_text(
        json.dumps(
            {
                "subdomains": False,
                "services": SERVICES,
                "people": {"admins": ["root"]},
                "servers": {"command": [sys.executable, str(HERE / "server.py")], "per_person": 3},
                "spawner": {"accounts": "shared"},
            }
            | (more or {})
        )
    )
    env = {k: v for k, v in os.environ.items() if not k.startswith(("JUPYTERHUB_", "LYCEUM_"))}
    env |= {"LYCEUM_DATA": str(data), "LYCEUM_CONFIG": str(hub.folder / "lyceum.yaml")}
    environment = str(Path(sys.executable).parent.parent)
    hub.launch(
        [lyceum, "up", "--json", "--listen", "127.0.0.1:0", "--jupyter-env", environment],
        stdout=subprocess.PIPE,
        env=env,
    )
    for line in hub.process.stdout:
        told = json.loads(line) if line.startswith(b"{") else {}
        if told.get("event") == "ready":
            hub.port = int(re.search(r":(\d+)/?$", told["url"]).group(1))
            break
    else:
        raise RuntimeError(f"lyceum has ended; its log:\n{hub.told()}")

    def run(*command):
        subprocess.run([lyceum, *command], input=PASSWORD.encode(), env=env, cwd=hub.folder, check=True, stdout=subprocess.DEVNULL)

    hub.run = run
    run("user", "add", "root")
    run("admin", "grant", "root")


def cookie(line):
    """Name, value and attributes of a `Set-Cookie`."""
    pair, *rest = [part.strip() for part in line.split(";")]
    name, _, value = pair.partition("=")
    attributes = {}
    for one in rest:
        key, _, said = one.partition("=")
        attributes[key.lower()] = said
    return name, value.strip('"'), attributes


def is_gone(attributes):
    """Whether it takes a cookie away."""
    if "max-age" in attributes:
        return int(attributes["max-age"]) <= 0
    expires = email.utils.parsedate_to_datetime(attributes["expires"]) if "expires" in attributes else None
    return expires is not None and expires.timestamp() < time.time()


def free_ports(count):
    """JupyterHub must be told its ports. The system gives those above to anybody, so these are below."""
    ports = []
    for port in range(2000 + (os.getpid() % 480) * 16, 9900):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        ports.append(port)
        if len(ports) == count:
            return ports
    raise RuntimeError("no free ports below 9900")
