// A host of her own for each person, all of it below a path, behind a web server that ends TLS: what
// other stories tell one by one, told of all three together.

import assert from 'node:assert/strict';
import { dirname, join } from 'node:path';
import test from 'node:test';
import { fileURLToPath } from 'node:url';
import { startBrowser, watchForFaults } from './support/browser.mjs';
import { startFront } from './support/front.mjs';
import { createNotebook, runCell, waitForLab } from './support/jupyterlab.mjs';
import { runsElsewhere, startLyceum } from './support/lyceum.mjs';
import { controls, goHome, logIn, logOut, startServer, waitForServer, waitForStopped } from './support/pages.mjs';
import { freePort } from './support/ports.mjs';
import { tellIn, until } from './support/story.mjs';

const skip = runsElsewhere && 'where a Lyceum stands is in its configuration';
const BASE = '/teaching/jupyter/';
const SCRIPT = join(dirname(fileURLToPath(import.meta.url)), 'support/services.py');

test('hosts of people\'s own, below a path, behind TLS', { timeout: 900_000, skip }, async (t) => {
  const step = tellIn(t);
  const front = await startFront();
  t.after(() => front.close());
  // The story's own requests have no browser that could be told to trust it.
  process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0';
  // Once without it, to see where it listens: its port stays, its address is the web server's then.
  const lyceum = await startLyceum();
  t.after(() => lyceum.stop());
  const [ada, ben] = lyceum.accounts.filter((one) => one.role === 'student');
  front.lead(`http://127.0.0.1:${new URL(lyceum.url).port}`);
  await lyceum.interrupt();
  const port = await freePort();
  const where = `public_url: ${front.url}${BASE}\nsubdomains: true\ntrusted_proxies: [127.0.0.1]\n`;
  await lyceum.configure(`${where}
services: [{name: board, url: "http://127.0.0.1:${port}", command: [python, ${SCRIPT}, board, "${port}"]}]
load_roles: [{name: user, scopes: [self, "access:services"]}]
`);
  await lyceum.start();
  const hub = `${front.url}${BASE}`;
  const hostOf = (account) => front.url.replace('://', `://${account.name}.`);
  const browser = await startBrowser();
  t.after(() => browser.close());
  const context = await browser.newContext({ ignoreHTTPSErrors: true });
  const page = await context.newPage();
  const faults = watchForFaults(page, hub);
  const asked = [];
  page.on('request', (request) => asked.push(request.url()));
  page.on('websocket', (socket) => asked.push(socket.url()));
  const here = () => new URL(page.url());
  const cookiesAt = (url) => context.cookies(url);
  const named = (cookies, name) => cookies.filter((one) => one.name === name);

  await step('she logs in below the path', async () => {
    await page.goto(`${front.url}/`);
    await controls.nameField(page).waitFor();
    assert.equal(here().href.split('?')[0], `${hub}hub/login`);
    await logIn(page, hub, ada);
    assert.equal(here().href, `${hub}hub/home`);
    for (const link of await page.locator('a[href^="/"], form[action^="/"]').all()) {
      const to = (await link.getAttribute('href')) ?? (await link.getAttribute('action'));
      assert.ok(to.startsWith(BASE), `${to} leads out of ${BASE}`);
    }
  });

  await step('what proves who she is goes to the hub alone, and by TLS', async () => {
    const all = await cookiesAt(`${hub}hub/home`);
    for (const one of all) assert.ok(one.secure, `${one.name} would be sent in plain`);
    const [login, ...others] = named(all, '__Host-jupyterhub-hub-login');
    assert.deepEqual(others, []);
    assert.ok(login.httpOnly && !login.domain.startsWith('.'), JSON.stringify(login));
    const [session] = named(all, 'jupyterhub-session-id');
    assert.ok(session.httpOnly, JSON.stringify(session));
    assert.equal(session.path, BASE);
    const [form] = named(all, '_xsrf');
    assert.equal(form.path, `${BASE}hub/`);
    const names = (await cookiesAt(`${hostOf(ada)}${BASE}user/${ada.name}/`)).map((one) => one.name);
    assert.ok(!names.some((name) => /hub-login|_xsrf/.test(name)), names.join());
  });

  await step('her server opens at her own host, below the path, and a cell runs', async () => {
    await startServer(page, hub, ada);
    await waitForLab(page);
    assert.equal(here().origin, hostOf(ada));
    assert.ok(here().pathname.startsWith(`${BASE}user/${ada.name}/lab`), here().pathname);
    await createNotebook(page);
    assert.equal(await runCell(page, '6*7'), '42');
    const own = await cookiesAt(`${hostOf(ada)}${BASE}user/${ada.name}/`);
    const [signed] = own.filter((one) => one.name.endsWith(`jupyterhub-user-${ada.name}`));
    assert.ok(signed, own.map((one) => one.name).join());
    assert.ok(signed.secure && signed.httpOnly && signed.domain === new URL(hostOf(ada)).hostname, JSON.stringify(signed));
    // The one for forms is the server's own, which pays no heed to TLS and proves nobody.
    for (const one of own.filter(({ name }) => name !== '_xsrf')) assert.ok(one.secure, `${one.name} would be sent in plain`);
    assert.ok(asked.some((url) => url.startsWith(`wss://${ada.name}.`)), 'no WebSocket was opened there');
  });

  await step('somebody else\'s browser gets nowhere there', async () => {
    const other = await (await browser.newContext({ ignoreHTTPSErrors: true })).newPage();
    await logIn(other, hub, ben);
    const answer = await other.goto(`${hostOf(ada)}${BASE}user/${ada.name}/lab`);
    assert.equal(answer.status(), 404);
    assert.equal(new URL(other.url()).origin, front.url, 'the hub says that it is not hers');
    await other.context().close();
  });

  const service = `${hub}services/board/`;
  await step('a service signs her in, after her word', async () => {
    await goHome(page, hub);
    await until('the service answers', async () => {
      const answer = await context.request.get(service, { maxRedirects: 0 });
      return answer.status() === 302;
    });
    await page.getByRole('link', { name: 'board' }).first().click();
    await page.getByRole('button', { name: /allow|continue|authorize/i }).click();
    await page.waitForURL(service);
    assert.equal(JSON.parse(await page.locator('body').innerText()).name, ada.name);
  });

  await step('an administrator is asked before a server learns who she is', async () => {
    const other = await (await browser.newContext({ ignoreHTTPSErrors: true })).newPage();
    await logIn(other, hub, lyceum.account('admin'));
    await other.goto(`${hub}hub/admin/servers`);
    await other.getByRole('link', { name: new RegExp(`open ${ada.name}/`, 'i') }).click();
    await other.getByRole('button', { name: /allow|continue|authorize/i }).click();
    await waitForServer(other, ada);
    await waitForLab(other);
    assert.equal(new URL(other.url()).origin, hostOf(ada));
    await other.context().close();
  });

  await step('a link to the server by the hub\'s host leads to its own', async () => {
    await page.goto(`${hub}user/${ada.name}/lab`);
    await waitForServer(page, ada);
    await waitForLab(page);
    assert.equal(here().origin, hostOf(ada));
  });

  await step('her log-out ends it at every host', async () => {
    await logOut(page, hub);
    assert.equal(here().href.split('?')[0], `${hub}hub/login`);
    const left = await cookiesAt(`${hub}hub/home`);
    assert.ok(!left.some((one) => /hub-login|session-id/.test(one.name)), left.map((one) => one.name).join());
    await page.goto(`${hostOf(ada)}${BASE}user/${ada.name}/lab`);
    await page.waitForURL((url) => url.origin === front.url && url.pathname === `${BASE}hub/login`);
    await until('the service has forgotten her', async () => {
      await page.goto(service);
      return here().pathname === `${BASE}hub/login`;
    });
  });

  await step('from the log-in form she comes back to the service', async () => {
    await controls.nameField(page).fill(ada.name);
    await controls.passwordField(page).fill(ada.password);
    await controls.logIn(page).click();
    await page.getByRole('button', { name: /allow|continue|authorize/i }).click();
    await page.waitForURL(service);
  });

  await step('nothing was asked for but by TLS, and below the path', async () => {
    for (const url of asked.filter((one) => /^(http|ws)/.test(one)).map((one) => new URL(one))) {
      assert.match(url.protocol, /^(https|wss):$/);
      assert.ok([front.url, hostOf(ada)].includes(url.origin.replace('wss:', 'https:')), url.href);
      assert.ok(url.pathname.startsWith(BASE) || ['/', '/favicon.ico'].includes(url.pathname), url.href);
    }
    assert.deepEqual(faults, []);
  });

  await step('her server and the service stop', async () => {
    await goHome(page, hub);
    await controls.stop(page).click();
    await waitForStopped(page, hub);
    await lyceum.reconfigure(where);
    await lyceum.untilQuiet();
  });
});
