// A real JupyterHub that starts `lyceum proxy` in place of configurable-http-proxy:
// log in, start a server, use it, lose it, lose the proxy, stop.

import assert from 'node:assert/strict';
import { request } from 'node:http';
import test from 'node:test';
import { Client, openKernel } from './support/http.mjs';
import { endServer, startJupyterHub } from './support/jupyterhub.mjs';
import { findProcesses, runsElsewhere } from './support/lyceum.mjs';
import { tellIn, until } from './support/story.mjs';

const skip = runsElsewhere && 'a Lyceum that runs elsewhere is not started by a JupyterHub';

test('a JupyterHub runs with our proxy in place of its own', { timeout: 900_000, skip }, async (t) => {
  const step = tellIn(t);
  const hub = await startJupyterHub({ config: 'c.JupyterHub.last_activity_interval = 1' });
  t.after(() => hub.end());
  const { account } = hub;
  const browser = new Client(hub.url);
  const script = new Client(hub.url);
  const own = `user/${account.name}`;
  const user = `hub/api/users/${account.name}`;
  let token;
  let channel;

  const startServer = async () => {
    await script.expect([201, 202], 'POST', `${user}/server`, { token, json: {} });
    const last = (await script.readEvents(`${user}/server/progress`, { token })).at(-1);
    assert.equal(last.ready, true, `${JSON.stringify(last)}\n${hub.output()}`);
  };
  const openChannel = async () => {
    const kernel = await script.expect(201, 'POST', `${own}/api/kernels`, { token, json: { name: 'python3' } });
    return openKernel(hub.url, account, kernel.id, { authorization: `token ${token}` });
  };

  await step('the proxy that answers is ours', async () => {
    const health = await browser.expect(200, 'GET', '_chp_healthz');
    assert.deepEqual(health, { status: 'OK' });
    const pid = await hub.proxyPid();
    const proxy = (await findProcesses(hub.folder)).find((one) => one.pid === pid);
    assert.match(proxy.command, /lyceum proxy --ip 127\.0\.0\.1 --port/);
    assert.doesNotMatch(proxy.command, /token/i, 'the secret is not among the arguments');
  });

  await step('ada logs in and starts her server', async () => {
    await browser.logIn(account);
    ({ token } = await browser.makeToken(account, 'a script'));
    await startServer();
  });

  await step('she opens it in a browser, by OAuth', async () => {
    const page = await browser.follow(`${own}/lab`);
    assert.equal(page.status, 200, page.text.slice(0, 500));
    assert.match(page.text, /jupyter-config-data/);
  });

  await step('she saves a file and runs code over a WebSocket', async () => {
    const file = { type: 'file', format: 'text', content: 'six times seven' };
    await script.expect(201, 'PUT', `${own}/api/contents/n%C3%B6te%201.txt`, { token, json: file });
    channel = await openChannel();
    assert.equal(await channel.execute('open("nöte 1.txt").read()'), "'six times seven'");
  });

  await step('her work shows as activity in the hub', async () => {
    const since = new Date().toISOString();
    assert.equal(await channel.execute('6 * 7'), '42');
    await until('the hub has heard of it from the proxy', async () => {
      const { servers } = await script.expect(200, 'GET', user, { token });
      return servers[''].last_activity > since;
    });
  });

  await step('the proxy is killed: the hub starts another, with all routes', async () => {
    const before = await hub.proxyPid();
    process.kill(before, 'SIGKILL');
    await channel.closed;
    await until('another proxy with the route', async () => {
      const answer = await script.send('GET', `${own}/api/contents`, { token }).catch(() => null);
      return answer?.status === 200;
    });
    assert.notEqual(await hub.proxyPid(), before);
    channel = await openChannel();
    assert.equal(await channel.execute('7 * 6'), '42');
  });

  await step('her server dies: the hub makes the page that she sees', async () => {
    // The server is what a kernel's process hangs on.
    channel.execute('import os; os.kill(os.getppid(), 9)').catch(() => {});
    await channel.closed;
    const page = await until('the server is gone', async () => {
      const answer = await script.send('GET', `${own}/api/contents`, { token, headers: { accept: 'text/html' } });
      return answer.status === 503 && answer;
    });
    assert.match(page.headers['content-type'], /^text\/html/);
    assert.match(page.text, /JupyterHub/, page.text.slice(0, 500));
    assert.doesNotMatch(page.text, /Your files are safe/, 'not our own page');
  });

  await step('a WebSocket to it is told the status and nothing else', async () => {
    const url = new URL(`${own}/api/kernels/1/channels`, hub.url);
    const headers = { connection: 'upgrade', upgrade: 'websocket', 'sec-websocket-version': '13', 'sec-websocket-key': 'AAAAAAAAAAAAAAAAAAAAAA==' };
    const answer = await new Promise((resolve, reject) => {
      request(url, { headers }, resolve).on('error', reject).end();
    });
    assert.equal(answer.statusCode, 503);
    assert.equal(answer.headers['content-length'], '0');
    answer.destroy();
  });

  await step('she stops it, and starts it again', async () => {
    await script.expect([202, 204], 'DELETE', `${user}/server`, { token });
    await until('the hub answers in its place', async () => {
      const answer = await script.send('GET', `${own}/api/contents`, { token });
      return answer.status === 302 && answer.headers.location.startsWith(`/hub/${own}`);
    });
    await startServer();
    await script.expect(200, 'GET', `${own}/api/contents`, { token });
    await endServer(script, user, token);
  });

  await step('the hub ends, and the proxy with it', async () => {
    assert.equal(await hub.stop(), 'ended with status 0', hub.output());
    await until('nothing is left', async () => (await findProcesses(hub.folder)).length === 0);
    await assert.rejects(hub.proxyPid(), { code: 'ENOENT' });
  });
});
