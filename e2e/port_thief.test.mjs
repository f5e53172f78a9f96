// Another program of the machine takes the port of a notebook server: before
// the server listens there, when it no longer does, and when it has died. It
// never gets a byte of anybody's request.

import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import test from 'node:test';
import { Client, unescapeHtml } from './support/http.mjs';
import { runsElsewhere, startLyceum } from './support/lyceum.mjs';
import { tellIn, until } from './support/story.mjs';

const skip = runsElsewhere && 'a Lyceum that runs elsewhere has a configuration of its own';

const PORT = 'import os, time, urllib.parse as u\np = u.urlsplit(os.environ["JUPYTERHUB_SERVICE_URL"]).port\nprint("port", p, flush=True)\n';
const IDLE = `${PORT}time.sleep(1000)`;
// Serves until it is asked for .../close; then it lives on without listening.
const SERVES = `${PORT}import http.server as h
closing = []
class H(h.BaseHTTPRequestHandler):
  def do_GET(self):
    self.send_response(200)
    self.end_headers()
    self.wfile.write(b"the server")
    if self.path.endswith("/close"): closing.append(1)
s = h.HTTPServer(("127.0.0.1", p), H)
while not closing: s.handle_request()
s.server_close()
print("closed", flush=True)
time.sleep(1000)`;

/** Listens on a port in this process, which is no server's, and keeps what it is sent. */
class Thief {
  bytes = 0;
  #open = new Set();

  async take(port) {
    this.listener = createServer((socket) => {
      this.#open.add(socket);
      socket.on('data', (data) => (this.bytes += data.length));
      socket.on('error', () => {});
      socket.on('close', () => this.#open.delete(socket));
    });
    await until(`port ${port} is free to be taken`, () => this.#listen(port), { every: 1 });
  }

  #listen(port) {
    return new Promise((resolve) => {
      this.listener.once('error', () => resolve(false));
      this.listener.listen(port, '127.0.0.1', () => resolve(true));
    });
  }

  async leave() {
    for (const socket of this.#open) socket.destroy();
    await new Promise((resolve) => this.listener.close(resolve));
  }
}

test('a program that takes the port of a server gets nothing', { timeout: 900_000, skip }, async (t) => {
  const step = tellIn(t);
  const lyceum = await startLyceum();
  t.after(() => lyceum.stop());
  const student = lyceum.account('student');
  const browser = new Client(lyceum.url);
  const user = `hub/api/users/${student.name}`;
  await browser.logIn(student);
  const { token } = await browser.makeToken(student, 'a script');
  const script = new Client(lyceum.url);

  const configure = (code) => lyceum.reconfigure(`servers:\n  start_timeout: 60s\n  command: ${JSON.stringify(['python3', '-u', '-c', code])}\n`);
  const logs = async () => (await lyceum.run(['server', 'logs', student.name], { statuses: [0, 1] })).stdout;
  const port = () => until('the server has told its port', async () => Number(/^port (\d+)$/m.exec(await logs())?.[1]));
  const listed = async () => JSON.parse((await lyceum.run(['server', 'list', '--json'])).stdout)[0];
  const started = async () => {
    await script.expect([201, 202], 'POST', `${user}/server`, { token, json: {} });
    const last = (await script.readEvents(`${user}/server/progress`, { token })).at(-1);
    assert.equal(last.ready, true, JSON.stringify(last));
    assert.equal((await script.send('GET', `user/${student.name}/x`, { token })).text, 'the server');
  };
  /** A browser with its cookies asks until the hub has noticed. */
  const visitUntil = (state) =>
    until(`the server is ${state}`, async () => {
      await browser.send('GET', `user/${student.name}/lab`);
      // A stopped one is not in the list.
      return ((await listed())?.state ?? 'stopped') === state;
    });

  await step('before the server listens: the start fails and says what to do', async () => {
    await configure(IDLE);
    const answer = script.send('POST', `${user}/server`, { token, json: {} });
    const thief = new Thief();
    const taken = await port();
    await thief.take(taken);
    assert.ok([202, 500].includes((await answer).status));
    const reason = new RegExp(`[Aa]nother program of this machine listens on port ${taken}, .* start the server again`);
    const last = (await script.readEvents(`${user}/server/progress`, { token })).at(-1);
    assert.equal(last.failed, true, JSON.stringify(last));
    assert.match(last.message, reason);
    assert.match(unescapeHtml((await browser.follow(`hub/spawn-pending/${student.name}`)).text), reason);
    assert.match(lyceum.output(), new RegExp(`another program listens on the port of a server.*uid.*${process.getuid()}.*pid.*${process.pid}`));
    assert.equal(thief.bytes, 0);
    await thief.leave();
    assert.deepEqual(await lyceum.processes(), []);
  });

  await step('in place of a server that no longer listens: it is closed and stopped', async () => {
    await configure(SERVES);
    await started();
    const taken = await port();
    assert.equal((await script.send('GET', `user/${student.name}/close`, { token })).text, 'the server');
    const thief = new Thief();
    await thief.take(taken);
    await visitUntil('failed');
    assert.match((await listed()).failure, new RegExp(`another program of this machine listens on port ${taken}`));
    assert.equal(thief.bytes, 0);
    await thief.leave();
    await lyceum.untilQuiet();
  });

  await step('in place of a server that died', async () => {
    await started();
    const taken = await port();
    const [server] = (await lyceum.processes()).filter((one) => one.command.includes('http.server'));
    const thief = new Thief();
    process.kill(server.pid, 'SIGKILL');
    await thief.take(taken);
    await visitUntil('stopped');
    assert.equal(thief.bytes, 0);
    await thief.leave();
    await lyceum.untilQuiet();
  });

  await step('a server starts well after all that', async () => {
    await lyceum.reconfigure('');
    await script.expect([201, 202], 'POST', `${user}/server`, { token, json: {} });
    const last = (await script.readEvents(`${user}/server/progress`, { token })).at(-1);
    assert.equal(last.ready, true, JSON.stringify(last));
    assert.deepEqual(await script.expect(200, 'GET', `user/${student.name}/api/kernels`, { token }), []);
    await script.expect([202, 204], 'DELETE', `${user}/server`, { token });
    await lyceum.untilQuiet();
  });
});
