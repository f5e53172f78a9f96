// Server commands that can't work. Each gets a plain reason on the page and in
// the API, shows what the server wrote, and leaves nothing running.

import assert from 'node:assert/strict';
import test from 'node:test';
import { Client, unescapeHtml } from './support/http.mjs';
import { runsElsewhere, startLyceum } from './support/lyceum.mjs';
import { tellIn } from './support/story.mjs';

const skip = runsElsewhere && 'a Lyceum that runs elsewhere has a configuration of its own';

const LISTEN = 'import os, socket, time, urllib.parse as u; p = u.urlsplit(os.environ["JUPYTERHUB_SERVICE_URL"]).port';

const FAULTS = [
  {
    name: 'a command that does not exist',
    command: ['no-such-program', '--flag'],
    reason: /the command "no-such-program" was not found on the PATH of the server/,
  },
  {
    name: 'a command that may not be run',
    command: ['/etc/passwd'],
    reason: /the command "\/etc\/passwd" cannot be run: .*permission/i,
  },
  {
    name: 'a command that ends at once and leaves a child behind',
    command: ['sh', '-c', 'echo the licence has run out >&2; setsid sleep 1000 & exit 3'],
    reason: /the server ended before it answered: ended with code 3/,
    log: /the licence has run out/,
  },
  {
    name: 'a command that takes connections and never answers',
    command: ['python3', '-c', `${LISTEN}; s = socket.create_server(("127.0.0.1", p)); print("lost in thought", flush=True); time.sleep(1000)`],
    reason: /did not answer at http:\/\/127\.0\.0\.1:\d+ within 5 s \(last try: no answer/,
    log: /lost in thought/,
  },
  {
    name: 'a command that listens on another port',
    command: ['python3', '-c', `${LISTEN}; s = socket.create_server(("127.0.0.1", 0)); print("at port", s.getsockname()[1], flush=True); time.sleep(1000)`],
    reason: /within 5 s \(last try: nothing listens there\); it may .* listen on another port/,
    log: /at port \d+/,
  },
  {
    name: 'a command that answers only with errors',
    command: [
      'python3',
      '-c',
      'import http.server as h, os, urllib.parse as u\nprint("out of order", flush=True)\nclass H(h.BaseHTTPRequestHandler):\n  def do_GET(self): self.send_error(503)\nh.HTTPServer(("127.0.0.1", u.urlsplit(os.environ["JUPYTERHUB_SERVICE_URL"]).port), H).serve_forever()',
    ],
    reason: /after 5 s it still answers with HTTP 503/,
    log: /out of order/,
  },
];

test('servers that can not start say why', { timeout: 900_000, skip }, async (t) => {
  const step = tellIn(t);
  const lyceum = await startLyceum();
  t.after(() => lyceum.stop());
  const student = lyceum.account('student');
  const browser = new Client(lyceum.url);
  const user = `hub/api/users/${student.name}`;
  await browser.logIn(student);
  const { token } = await browser.makeToken(student, 'a script');
  const script = new Client(lyceum.url);

  for (const { name, command, reason, log } of FAULTS) {
    await step(name, async () => {
      await lyceum.reconfigure(`servers:\n  start_timeout: 5s\n  command: ${JSON.stringify(command)}\n`);
      const failed = await script.expect(500, 'POST', `${user}/server`, { token, json: {} });
      assert.match(failed.message, reason);

      const events = await script.readEvents(`${user}/server/progress`, { token });
      assert.equal(events.length, 1, JSON.stringify(events));
      assert.equal(events[0].failed, true);
      assert.match(events[0].message, reason);

      const page = await browser.follow(`hub/spawn-pending/${student.name}`);
      assert.equal(page.status, 500);
      const text = unescapeHtml(page.text);
      // A sentence there, with a capital.
      assert.match(text, new RegExp(reason.source, 'i'));
      if (log) {
        assert.match(text, log);
        assert.match((await lyceum.run(['server', 'logs', student.name])).stdout, log);
      }
      assert.deepEqual(await lyceum.processes(), [], 'nothing is left running');
      const model = await script.expect(200, 'GET', user, { token });
      assert.deepEqual([model.pending, model.servers], [null, {}]);
      const [listed] = JSON.parse((await lyceum.run(['server', 'list', '--json'])).stdout);
      assert.equal(listed.state, 'failed');
      assert.match(listed.failure, reason);
    });
  }

  await step('a good command works after all that', async () => {
    await lyceum.reconfigure('');
    await script.expect([201, 202], 'POST', `${user}/server`, { token, json: {} });
    const last = (await script.readEvents(`${user}/server/progress`, { token })).at(-1);
    assert.equal(last.ready, true, JSON.stringify(last));
    assert.deepEqual(await script.expect(200, 'GET', `user/${student.name}/api/kernels`, { token }), []);
    await script.expect([202, 204], 'DELETE', `${user}/server`, { token });
    await lyceum.untilQuiet();
  });
});
