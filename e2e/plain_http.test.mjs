// The same way without a browser: a script with a token starts a server, runs
// code in a kernel over its WebSocket, and stops it.

import assert from 'node:assert/strict';
import test from 'node:test';
import { Client, execute } from './support/http.mjs';
import { startLyceum } from './support/lyceum.mjs';
import { tellIn } from './support/story.mjs';

test('a script with a token gets 42 from a kernel', { timeout: 900_000 }, async (t) => {
  const step = tellIn(t);
  const lyceum = await startLyceum();
  t.after(() => lyceum.stop());
  const student = lyceum.account('student');
  const browser = new Client(lyceum.url);
  const script = new Client(lyceum.url);
  const user = `hub/api/users/${student.name}`;
  let token;

  await step('a token is made after log-in with the form', async () => {
    await browser.logIn(student);
    ({ token } = await browser.makeToken(student, 'a script'));
    const me = await script.expect(200, 'GET', 'hub/api/user', { token });
    assert.equal(me.name, student.name);
    await script.expect(403, 'GET', 'hub/api/user', { token: `${token}x` });
  });

  await step('the server starts and tells its progress to the end', async () => {
    await script.expect([201, 202], 'POST', `${user}/server`, { token, json: {} });
    const events = await script.readEvents(`${user}/server/progress`, { token });
    assert.deepEqual(events.filter((event) => event.failed), []);
    const last = events.at(-1);
    assert.equal(last.ready, true, JSON.stringify(events));
    assert.equal(last.progress, 100);
    assert.ok(last.url.endsWith(`/user/${student.name}/`), last.url);
    const model = await script.expect(200, 'GET', user, { token });
    assert.equal(model.servers[''].ready, true);
  });

  await step('a kernel answers over its WebSocket', async () => {
    const kernels = `user/${student.name}/api/kernels`;
    const kernel = await script.expect(201, 'POST', kernels, { token, json: { name: 'python3' } });
    assert.equal(await execute(lyceum.url, student, kernel.id, token, '6*7'), '42');
    await script.expect(204, 'DELETE', `${kernels}/${kernel.id}`, { token });
  });

  await step('nobody else gets in', async () => {
    const stranger = await script.send('GET', `user/${student.name}/api/kernels`);
    assert.ok([302, 303, 403].includes(stranger.status), `without a token: ${stranger.status}`);
    await assert.rejects(execute(lyceum.url, student, 'none', `${token}x`, '1'));
  });

  await step('the server stops, and its address says so', async () => {
    await script.expect([202, 204], 'DELETE', `${user}/server`, { token });
    const end = Date.now() + 180_000;
    while ((await script.expect(200, 'GET', user, { token })).servers[''] !== undefined) {
      assert.ok(Date.now() < end, 'the server is still there a minute after DELETE');
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    await script.expect(424, 'GET', `hub/user/${student.name}/api/status`, { token });
  });
});
