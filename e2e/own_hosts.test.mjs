// Each person's server has a host of its own. A page of it, whatever script it
// holds, is a stranger to the hub and to everybody else's server.

import assert from 'node:assert/strict';
import test from 'node:test';
import { startBrowser } from './support/browser.mjs';
import { Client, isOurs } from './support/http.mjs';
import { createNotebook, runCell, waitForLab } from './support/jupyterlab.mjs';
import { runsElsewhere, startLyceum } from './support/lyceum.mjs';
import { controls, logIn, startServer, waitForServer } from './support/pages.mjs';
import { tellIn, until } from './support/story.mjs';

const skip = runsElsewhere && 'a Lyceum that runs elsewhere may have one host for all';

test('a server is at its owner\'s host, and what its pages try at others fails', { timeout: 900_000, skip }, async (t) => {
  const step = tellIn(t);
  const lyceum = await startLyceum();
  t.after(() => lyceum.stop());
  const browser = await startBrowser();
  t.after(() => browser.close());
  const [ada, ben] = lyceum.accounts.filter((one) => one.role === 'student');
  const page = await (await browser.newContext()).newPage();
  const hub = new URL(lyceum.url).origin;
  const hostOf = (account) => hub.replace('://', `://${account.name}.`);
  const script = new Client(lyceum.url);
  let token;

  await step('Ada works at a host of her own', async () => {
    await logIn(page, lyceum.url, ada);
    await startServer(page, lyceum.url, ada);
    await waitForLab(page);
    assert.equal(new URL(page.url()).origin, hostOf(ada));
    await createNotebook(page);
    assert.equal(await runCell(page, '6*7'), '42');
    const elsewhere = new Client(lyceum.url);
    await elsewhere.logIn(ben);
    ({ token } = await elsewhere.makeToken(ben, 'a script'));
    await script.expect([201, 202], 'POST', `hub/api/users/${ben.name}/server`, { token, json: {} });
    await until('the other server is ready', async () => (await script.expect(200, 'GET', `hub/api/users/${ben.name}`, { token })).servers['']?.ready);
  });

  await step('a script there reads nothing of the hub', async () => {
    const told = await page.evaluate(async (hub) => {
      const tried = {};
      for (const path of ['home', 'token', 'api/user', 'admin']) {
        const answer = await fetch(`${hub}/hub/${path}`, { credentials: 'include' }).catch((error) => error.name);
        tried[path] = answer.status ?? answer;
      }
      return { tried, cookies: document.cookie };
    }, hub);
    assert.deepEqual(told.tried, { home: 'TypeError', token: 'TypeError', 'api/user': 'TypeError', admin: 'TypeError' });
    assert.doesNotMatch(told.cookies, /hub-login|lyceum-access/);
    const opened = page.waitForEvent('popup');
    await page.evaluate((hub) => {
      window.other = window.open(`${hub}/hub/home`);
    }, hub);
    await (await opened).waitForLoadState();
    const seen = await page.evaluate(() => {
      try {
        return window.other.document.body.innerText;
      } catch (error) {
        return error.name;
      }
    });
    assert.equal(seen, 'SecurityError');
    await (await opened).close();
  });

  await step('and changes nothing there, by forms or otherwise', async () => {
    const answers = [];
    page.on('response', (answer) => isOurs(answer.url(), lyceum.url) && answer.request().method() === 'POST' && answers.push([new URL(answer.url()).pathname, answer.status()]));
    await page.evaluate(async (hub) => {
      const form = { method: 'POST', mode: 'no-cors', credentials: 'include' };
      await fetch(`${hub}/hub/servers/stop`, { ...form, body: new URLSearchParams({ server: '' }) });
      await fetch(`${hub}/hub/token/new`, { ...form, body: new URLSearchParams({ note: 'mine' }) });
      await fetch(`${hub}/hub/logout`, { ...form });
    }, hub);
    await until('the hub has answered', () => answers.length >= 3);
    for (const [path, status] of answers) assert.ok([302, 403].includes(status), `${path}: ${status}`);
    await page.goto(`${hub}/hub/home`);
    assert.match(page.url(), /\/hub\/home$/, 'she is still signed in');
    const open = page.getByRole('link', { name: /^(open|my server)/i }).first();
    await open.click();
    await waitForServer(page, ada);
    await waitForLab(page);
    assert.equal(new URL(page.url()).origin, hostOf(ada), 'and her server still runs');
  });

  await step('somebody else\'s server is as far away as another site', async () => {
    const there = `${hostOf(ben)}/user/${ben.name}/api/contents`;
    const tried = await page.evaluate(async (there) => (await fetch(there, { credentials: 'include' }).catch((error) => error.name)).status ?? 'TypeError', there);
    assert.equal(tried, 'TypeError');
    const cookies = await page.context().cookies(`${hostOf(ada)}/user/${ada.name}/`);
    const answer = await new Client(lyceum.url).send('GET', there, { headers: { cookie: cookies.map((one) => `${one.name}=${one.value}`).join('; ') } });
    assert.equal(answer.status, 403, 'her cookies open nothing there');
    await page.goto(`${hostOf(ben)}/user/${ben.name}/lab`);
    assert.equal(new URL(page.url()).origin, hub, 'the hub says that it is not hers');
    await page.goto(`${hostOf(ada)}/user/${ada.name}/lab`);
    await waitForLab(page);
  });

  await step('an administrator looks into a server, after a question', async () => {
    const other = await (await browser.newContext()).newPage();
    await logIn(other, lyceum.url, lyceum.account('admin'));
    await other.goto(`${hub}/hub/admin/servers`);
    await other.getByRole('link', { name: new RegExp(`open ${ada.name}/`, 'i') }).click();
    await other.getByRole('button', { name: /allow|continue|authorize/i }).click();
    await waitForServer(other, ada);
    await waitForLab(other);
    assert.equal(new URL(other.url()).origin, hostOf(ada));
    const tried = await other.evaluate(async (hub) => (await fetch(`${hub}/hub/api/users`, { credentials: 'include' }).catch((error) => error.name)).status ?? 'TypeError', hub);
    assert.equal(tried, 'TypeError', 'the page there can do nothing in the administrator\'s name');
    await other.context().close();
  });

  await step('JupyterLab\'s own menu logs out, everywhere', async () => {
    // What was not saved is asked about.
    page.on('dialog', (dialog) => dialog.accept());
    await page.locator('.lm-MenuBar-item', { hasText: 'File' }).click();
    await page.locator('.lm-Menu-item[data-command="hub:logout"]').click();
    await page.waitForURL((url) => url.origin === hub && url.pathname.startsWith('/hub/log'));
    await page.goto(`${hostOf(ada)}/user/${ada.name}/lab`);
    await page.waitForURL((url) => url.origin === hub && url.pathname === '/hub/login');
  });

  await step('from the log-in form she comes back to where she wanted to go', async () => {
    await controls.nameField(page).fill(ada.name);
    await controls.passwordField(page).fill(ada.password);
    await controls.logIn(page).click();
    await waitForServer(page, ada);
    await waitForLab(page);
    assert.equal(new URL(page.url()).origin, hostOf(ada));
  });

  await step('both servers stop', async () => {
    await script.expect([202, 204], 'DELETE', `hub/api/users/${ben.name}/server`, { token });
    const owner = new Client(lyceum.url);
    await owner.logIn(ada);
    const { token: own } = await owner.makeToken(ada, 'a script');
    await script.expect([202, 204], 'DELETE', `hub/api/users/${ada.name}/server`, { token: own });
    await lyceum.untilQuiet();
  });
});
