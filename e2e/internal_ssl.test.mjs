// A real JupyterHub with `internal_ssl`: it makes certificates for everybody and starts our proxy with
// them. Hub, control API, servers and error pages speak TLS, and each shows who it is.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { request } from 'node:https';
import { join } from 'node:path';
import test from 'node:test';
import { Client, openKernel } from './support/http.mjs';
import { endServer, startJupyterHub } from './support/jupyterhub.mjs';
import { findProcesses, runsElsewhere } from './support/lyceum.mjs';
import { tellIn, until } from './support/story.mjs';

const skip = runsElsewhere && 'a Lyceum that runs elsewhere is not started by a JupyterHub';

const config = ({ folder, apiPort, hubPort }) => `
c.JupyterHub.internal_ssl = True
c.JupyterHub.internal_certs_location = '${join(folder, 'internal-ssl')}'
c.JupyterHub.hub_bind_url = 'https://127.0.0.1:${hubPort}'
c.ConfigurableHTTPProxy.api_url = 'https://127.0.0.1:${apiPort}'`;

/** The status, or the error's code when no answer comes. */
function ask(url, options = {}) {
  return new Promise((resolve) => {
    request(url, { rejectUnauthorized: false, ...options }, (answer) => {
      answer.resume().on('end', () => resolve(answer.statusCode));
    })
      .on('error', (error) => resolve(error.code))
      .end();
  });
}

test('a JupyterHub with internal_ssl runs with our proxy', { timeout: 900_000, skip }, async (t) => {
  const step = tellIn(t);
  const hub = await startJupyterHub({ config });
  t.after(() => hub.end());
  const { account } = hub;
  const browser = new Client(hub.url);
  const script = new Client(hub.url);
  const own = `user/${account.name}`;
  const user = `hub/api/users/${account.name}`;
  let token;
  let channel;

  await step('it was started with the certificates', async () => {
    const pid = await hub.proxyPid();
    const proxy = (await findProcesses(hub.folder)).find((one) => one.pid === pid);
    for (const option of ['--api-ssl-key', '--api-ssl-ca', '--api-ssl-reject-unauthorized', '--client-ssl-cert', '--error-target https:']) {
      assert.ok(proxy.command.includes(option), `${option} is not in ${proxy.command}`);
    }
  });

  await step('the control API is closed to whoever shows no certificate', async () => {
    const url = `https://127.0.0.1:${hub.ports.apiPort}/api/routes`;
    const refusal = await ask(url);
    assert.equal(typeof refusal, 'string', `answered ${refusal}`);
    const at = (name) => readFile(join(hub.folder, 'internal-ssl/hub-internal', name));
    const [key, cert] = await Promise.all([at('hub-internal.key'), at('hub-internal.crt')]);
    assert.equal(await ask(url, { key, cert }), 403, 'with a certificate, without the token');
  });

  await step('ada logs in and starts her server', async () => {
    await browser.logIn(account);
    ({ token } = await browser.makeToken(account, 'a script'));
    await script.expect([201, 202], 'POST', `${user}/server`, { token, json: {} });
    const last = (await script.readEvents(`${user}/server/progress`, { token })).at(-1);
    assert.equal(last.ready, true, `${JSON.stringify(last)}\n${hub.output()}`);
  });

  await step('she opens it in a browser, by OAuth', async () => {
    const page = await browser.follow(`${own}/lab`);
    assert.equal(page.status, 200, page.text.slice(0, 500));
    assert.match(page.text, /jupyter-config-data/);
  });

  await step('she runs code over a WebSocket', async () => {
    const kernel = await script.expect(201, 'POST', `${own}/api/kernels`, { token, json: { name: 'python3' } });
    channel = await openKernel(hub.url, account, kernel.id, { authorization: `token ${token}` });
    assert.equal(await channel.execute('6 * 7'), '42');
  });

  await step('her server dies: the hub makes the page, asked for by TLS', async () => {
    channel.execute('import os; os.kill(os.getppid(), 9)').catch(() => {});
    await channel.closed;
    const page = await until('the server is gone', async () => {
      const answer = await script.send('GET', `${own}/api/contents`, { token, headers: { accept: 'text/html' } });
      return answer.status === 503 && answer;
    });
    assert.match(page.text, /JupyterHub/, page.text.slice(0, 500));
    assert.doesNotMatch(page.text, /Your files are safe/, 'not our own page');
  });

  await step('she stops it, and the hub ends', async () => {
    await endServer(script, user, token);
    assert.equal(await hub.stop(), 'ended with status 0', hub.output());
    await until('nothing is left', async () => (await findProcesses(hub.folder)).length === 0);
  });
});
