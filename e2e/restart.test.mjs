// Ctrl-C and a second start: servers, browsers and scripts go on as if nothing
// had been, and the second start needs neither network nor Python.

import assert from 'node:assert/strict';
import { chmod, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { Client, openKernel } from './support/http.mjs';
import { JUPYTER_ENV, runsElsewhere, startLyceum } from './support/lyceum.mjs';
import { tellIn, until } from './support/story.mjs';

const skip = runsElsewhere && 'a Lyceum that runs elsewhere is not ours to stop';
/** Open requests and WebSockets get 3 s to end; how fast it is otherwise `bench start` tells. */
const STOP_MS = 60_000;
const SECOND_START_MS = 30_000;

test('stopped with Ctrl-C and started again, everything goes on', { timeout: 900_000, skip }, async (t) => {
  const step = tellIn(t);
  const jupyter = await wrapJupyter(JUPYTER_ENV);
  t.after(() => rm(jupyter.folder, { recursive: true }));
  const lyceum = await startLyceum({ jupyterEnv: jupyter.folder });
  t.after(() => lyceum.stop());
  const student = lyceum.account('student');
  const browser = new Client(lyceum.url);
  const script = new Client(lyceum.url);
  const user = `hub/api/users/${student.name}`;
  const kernels = `user/${student.name}/api/kernels`;
  const processes = async () => (await lyceum.processes()).map((one) => one.pid).sort((a, b) => a - b);
  let token;
  let kernel;
  let channel;
  let before;
  let lab;

  await step('a server runs, with a kernel and its WebSocket', async () => {
    await browser.logIn(student);
    ({ token } = await browser.makeToken(student, 'a script'));
    await script.expect([201, 202], 'POST', `${user}/server`, { token, json: {} });
    await until('the server is ready', async () => (await script.expect(200, 'GET', user, { token })).servers['']?.ready);
    const page = await browser.follow(`user/${student.name}/lab`);
    assert.equal(page.status, 200);
    lab = page.url;
    kernel = await script.expect(201, 'POST', kernels, { token, json: { name: 'python3' } });
    channel = await openKernel(lyceum.url, student, kernel.id, { authorization: `token ${token}` });
    channel.socket.on('error', () => {});
    assert.equal(await channel.execute('kept = 6 * 7; kept'), '42');
  });

  await step('Ctrl-C ends Lyceum soon and cleanly, and nothing else', async (t) => {
    before = await processes();
    const took = await lyceum.interrupt();
    t.diagnostic(`stopped after ${took.toFixed(0)} ms`);
    assert.ok(took < STOP_MS, `it took ${took.toFixed(0)} ms`);
    await channel.closed;
    assert.deepEqual(await processes(), before, 'the server and its kernel go on');
  });

  await step('the second start is quick and runs no other program', async (t) => {
    const called = await jupyter.calls();
    const since = performance.now();
    await lyceum.start({ env: { PATH: '/nonexistent', http_proxy: 'http://127.0.0.1:9', https_proxy: 'http://127.0.0.1:9' } });
    const took = performance.now() - since;
    t.diagnostic(`ready after ${took.toFixed(0)} ms`);
    assert.ok(took < SECOND_START_MS, `it took ${took.toFixed(0)} ms`);
    assert.deepEqual(await jupyter.calls(), called);
  });

  await step('the server was adopted, and the kernel remembers', async () => {
    const model = await script.expect(200, 'GET', user, { token });
    assert.equal(model.servers[''].ready, true);
    assert.equal(lyceum.adopted, 1, 'the start tells how many servers went on');
    assert.deepEqual(await processes(), before);
    const again = await openKernel(lyceum.url, student, kernel.id, { authorization: `token ${token}` });
    assert.equal(await again.execute('kept + 1'), '43');
    again.socket.terminate();
  });

  await step('the browser is still logged in, at the hub and at the server', async () => {
    const home = await browser.send('GET', 'hub/home');
    assert.equal(home.status, 200);
    assert.match(home.text, new RegExp(student.name));
    // Without redirects: the cookie of the server is as good as it was.
    assert.equal((await browser.send('GET', lab)).status, 200);
    // A stranger is still asked to log in.
    assert.equal((await new Client(lyceum.url).send('GET', 'hub/home')).status, 302);
  });

  await step('it stops as if Lyceum had never been away', async () => {
    await script.expect([202, 204], 'DELETE', `${user}/server`, { token });
    await lyceum.untilQuiet();
  });
});

/** A Jupyter environment that notes each call of its programs before it goes on to the real ones. */
async function wrapJupyter(real) {
  const folder = await mkdtemp(join(tmpdir(), 'lyceum-jupyter-'));
  const log = join(folder, 'calls');
  await mkdir(join(folder, 'bin'));
  await symlink(join(real, 'bin/python'), join(folder, 'bin/python'));
  const program = join(folder, 'bin/jupyterhub-singleuser');
  await writeFile(program, `#!/bin/sh\necho "$*" >> '${log}'\nexec '${real}/bin/jupyterhub-singleuser' "$@"\n`);
  await chmod(program, 0o755);
  return { folder, calls: async () => (await readFile(log, 'utf8')).trim().split('\n') };
}
