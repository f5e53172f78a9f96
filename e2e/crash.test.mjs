// kill -9 of Lyceum at the worst moments. What counts lies in the database and
// in the run folders, so the next life must find everything as it should be.

import assert from 'node:assert/strict';
import { readdir, readFile, stat } from 'node:fs/promises';
import { constants } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { Client, firstEvent, openKernel } from './support/http.mjs';
import { runsElsewhere, startLyceum } from './support/lyceum.mjs';
import { tellIn, until } from './support/story.mjs';

const skip = runsElsewhere && 'a Lyceum that runs elsewhere is not ours to kill';

test('killed while it starts, runs and stops a server, Lyceum goes on where it was', { timeout: 900_000, skip }, async (t) => {
  const step = tellIn(t);
  const lyceum = await startLyceum();
  t.after(() => lyceum.stop());
  const student = lyceum.account('student');
  const client = new Client(lyceum.url);
  const user = `hub/api/users/${student.name}`;
  await client.logIn(student);
  const { token } = await client.makeToken(student, 'a script');

  const model = () => client.expect(200, 'GET', user, { token });
  const server = async () => (await model()).servers[''];
  const find = async (word) => (await lyceum.processes()).filter((one) => one.command.includes(word));
  const singleusers = () => find('jupyterhub-singleuser');
  // The answer to these dies with Lyceum.
  const ask = (method, options) => void client.send(method, `${user}/server`, { token, ...options }).catch(() => {});
  const pending = () => until('a start is under way', async () => (await model()).pending === 'spawn', { every: 1 });
  async function progress(look) {
    await pending();
    return firstEvent(lyceum.url, `${user}/server/progress`, token, look);
  }

  async function waitUntilReady() {
    await until('the server is ready', async () => (await server())?.ready);
  }

  async function assertOneTree() {
    const [keepers, servers] = [await find(' shim '), await singleusers()];
    const all = (await lyceum.processes()).map((one) => `${one.pid} ${one.command}`).join('\n');
    assert.equal(keepers.length, 1, `one keeper; there are:\n${all}`);
    assert.equal(servers.length, 1, `one server; there are:\n${all}`);
    return servers[0].pid;
  }

  async function assertAtRest() {
    await until('the server is stopped', async () => (await model()).servers[''] === undefined);
    assert.deepEqual(await lyceum.processes(), []);
  }

  async function stop() {
    await client.expect([202, 204], 'DELETE', `${user}/server`, { token });
    await assertAtRest();
  }

  const moments = {
    'the wish was written down': pending,
    'the keeper was started': () => until('a keeper', async () => (await find(' shim ')).length > 0, { every: 1 }),
    'the process was started': () => progress((event) => /process was started/.test(event.message)),
    'the server was waited for': () => progress((event) => /waiting for it to answer/.test(event.message)),
    'the server wrote its first line': (since) => until('a log', () => hasWritten(lyceum.data, since), { every: 1 }),
  };
  for (const [moment, come] of Object.entries(moments)) {
    await step(`killed in a start, when ${moment}`, async () => {
      const since = Date.now();
      ask('POST', { json: {} });
      assert.ok(await come(since), 'the moment came');
      await lyceum.crash();
      await lyceum.start();
      await waitUntilReady();
      await assertOneTree();
      // Usable, with the token that it was given and the route to it.
      const kernels = await client.expect(200, 'GET', `user/${student.name}/api/kernels`, { token });
      assert.deepEqual(kernels, []);
      await stop();
    });
  }

  await step('killed while ready, with a kernel and its WebSocket', async () => {
    ask('POST', { json: {} });
    await waitUntilReady();
    const pid = await assertOneTree();
    const kernels = `user/${student.name}/api/kernels`;
    const kernel = await client.expect(201, 'POST', kernels, { token, json: { name: 'python3' } });
    const headers = { authorization: `token ${token}` };
    const before = await openKernel(lyceum.url, student, kernel.id, headers);
    assert.equal(await before.execute('kept = 6 * 7; kept'), '42');
    before.socket.on('error', () => {});
    await lyceum.crash();
    await before.closed;
    await lyceum.start();

    assert.equal((await server())?.ready, true, 'ready at once: it never ceased to run');
    assert.equal(await assertOneTree(), pid, 'the very process was adopted');
    const after = await openKernel(lyceum.url, student, kernel.id, headers);
    assert.equal(await after.execute('kept + 1'), '43');
    after.socket.terminate();
  });

  // A server held still can't end before Lyceum does: the kill comes in the middle for sure.
  const stops = {
    'the wish was written down': async () => {},
    'the server was interrupted': (pid) => until('the signal', () => isInterrupted(pid), { every: 1 }),
  };
  for (const [moment, come] of Object.entries(stops)) {
    await step(`killed in a stop, when ${moment}`, async () => {
      if (!(await server())) ask('POST', { json: {} });
      await waitUntilReady();
      const pid = await assertOneTree();
      process.kill(pid, 'SIGSTOP');
      ask('DELETE');
      await until('the stop is under way', async () => (await server())?.pending === 'stop', { every: 1 });
      await come(pid);
      await lyceum.crash();
      assert.equal((await singleusers()).length, 1, 'killed before the server ended');
      await lyceum.start();
      process.kill(pid, 'SIGCONT');
      await assertAtRest();
      await client.expect(424, 'GET', `hub/user/${student.name}/api/status`, { token });
    });
  }

  await step('killed in a stop that ends while Lyceum is away', async () => {
    ask('POST', { json: {} });
    await waitUntilReady();
    const pid = await assertOneTree();
    process.kill(pid, 'SIGSTOP');
    ask('DELETE');
    await until('the signal', () => isInterrupted(pid), { every: 1 });
    await lyceum.crash();
    process.kill(pid, 'SIGCONT');
    await lyceum.untilQuiet();
    await lyceum.start();
    await assertAtRest();
  });
});

/** Whether a server wrote something since then: the log of an earlier run is still there. */
async function hasWritten(data, since) {
  const run = join(data, 'run');
  for (const key of await readdir(run)) {
    const log = await stat(join(run, key, 'log')).catch(() => null);
    if (log?.size > 0 && log.mtimeMs > since) return true;
  }
  return false;
}

/** Whether SIGINT waits for a process that is held still. */
async function isInterrupted(pid) {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  const pending = [...status.matchAll(/^(?:SigPnd|ShdPnd):\s*([0-9a-f]+)$/gm)].map(([, mask]) => BigInt(`0x${mask}`));
  return pending.some((mask) => (mask & (1n << BigInt(constants.signals.SIGINT - 1))) !== 0n);
}
