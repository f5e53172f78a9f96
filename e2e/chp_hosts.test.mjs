// A real JupyterHub that gives each person a host name of their own, behind `lyceum proxy`: a
// browser goes from host to host, and nobody's pages come from another's.

import assert from 'node:assert/strict';
import test from 'node:test';
import { startBrowser } from './support/browser.mjs';
import { exchange } from './support/http.mjs';
import { startJupyterHub } from './support/jupyterhub.mjs';
import { createNotebook, runCell, waitForLab } from './support/jupyterlab.mjs';
import { findProcesses, runsElsewhere } from './support/lyceum.mjs';
import { tellIn } from './support/story.mjs';

const skip = runsElsewhere && 'a Lyceum that runs elsewhere is not started by a JupyterHub';

test('a JupyterHub with a host for each person runs with our proxy', { timeout: 900_000, skip }, async (t) => {
  const step = tellIn(t);
  // Browsers take every name below localhost for this machine.
  const hub = await startJupyterHub({ host: 'lab.localhost' });
  t.after(() => hub.end());
  const browser = await startBrowser();
  t.after(() => browser.close());
  const page = await (await browser.newContext()).newPage();
  const { account } = hub;
  const own = new URL(hub.url);
  own.hostname = `${account.name}.${own.hostname}`;

  await step('the proxy routes by host', async () => {
    const pid = await hub.proxyPid();
    const proxy = (await findProcesses(hub.folder)).find((one) => one.pid === pid);
    assert.match(proxy.command, /lyceum proxy .*--host-routing/);
  });

  await step('ada logs in at the hub and comes to her own host', async () => {
    await page.goto(hub.url);
    await page.locator('input[name=username]').fill(account.name);
    await page.locator('input[name=password]').fill(account.password);
    await page.locator('input[type=submit], button[type=submit]').first().click();
    await page.waitForURL((url) => url.hostname === own.hostname && url.pathname.startsWith(`/user/${account.name}/lab`), { timeout: 120_000 });
    await waitForLab(page);
  });

  await step('a cell runs there', async () => {
    await createNotebook(page);
    assert.equal(await runCell(page, '6*7'), '42');
  });

  await step('her server is at no other host', async () => {
    const cookies = await page.context().cookies(new URL(`/user/${account.name}/`, own).href);
    const cookie = cookies.map((one) => `${one.name}=${one.value}`).join('; ');
    for (const host of [new URL(hub.url).hostname, `ben.${new URL(hub.url).hostname}`]) {
      const url = new URL(`/user/${account.name}/api/status`, hub.url);
      url.hostname = host;
      const headers = { cookie };
      const answer = await exchange(url, { method: 'GET', headers });
      assert.notEqual(answer.status, 200, `${host} serves it too`);
      url.hostname = own.hostname;
      assert.equal((await exchange(url, { method: 'GET', headers })).status, 200);
    }
  });
});
