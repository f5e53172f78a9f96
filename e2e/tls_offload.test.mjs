// Lyceum behind a web server that ends TLS, as the manual has it: browsers know
// one https address, Lyceum speaks plain HTTP behind it and believes what that
// server, and nobody else, says of who comes.

import assert from 'node:assert/strict';
import test from 'node:test';
import { startBrowser } from './support/browser.mjs';
import { startFront } from './support/front.mjs';
import { exchange } from './support/http.mjs';
import { createNotebook, runCell, waitForLab } from './support/jupyterlab.mjs';
import { runsElsewhere, startLyceum } from './support/lyceum.mjs';
import { controls, goHome, logIn, startServer } from './support/pages.mjs';
import { tellIn } from './support/story.mjs';

const skip = runsElsewhere && 'a Lyceum that runs elsewhere has its own way to TLS';

test('behind a web server that ends TLS everything is at the https address', { timeout: 900_000, skip }, async (t) => {
  const step = tellIn(t);
  const front = await startFront();
  t.after(() => front.close());
  // Once without it, to see where it listens: its port stays, its address is the web server's then.
  const lyceum = await startLyceum();
  t.after(() => lyceum.stop());
  const ada = lyceum.account('student');
  front.lead(`http://127.0.0.1:${new URL(lyceum.url).port}`);
  await lyceum.interrupt();
  await lyceum.configure(`public_url: ${front.url}\ntrusted_proxies: [127.0.0.1]\nsubdomains: false\n`);
  await lyceum.start();
  const browser = await startBrowser();
  t.after(() => browser.close());
  const context = await browser.newContext({ ignoreHTTPSErrors: true });
  const page = await context.newPage();
  const asked = [];
  page.on('request', (request) => asked.push(request.url()));
  page.on('websocket', (socket) => asked.push(socket.url()));

  await step('Ada logs in by https', async () => {
    await logIn(page, front.url, ada);
    assert.equal(new URL(page.url()).origin, front.url);
    const cookies = await context.cookies();
    const login = cookies.filter((cookie) => /hub-login/.test(cookie.name));
    assert.equal(login.length, 1);
    for (const cookie of login) assert.ok(cookie.secure && cookie.httpOnly, `${cookie.name} leaves TLS`);
  });

  await step('her server starts, and a cell runs over a WebSocket', async () => {
    await startServer(page, front.url, ada);
    await waitForLab(page);
    await createNotebook(page);
    assert.equal(await runCell(page, '6*7'), '42');
    assert.ok(asked.some((url) => url.startsWith('wss:')), 'no WebSocket was opened');
  });

  await step('nothing was asked for but by TLS and at that address', () => {
    const { host } = new URL(front.url);
    for (const url of asked.filter((one) => /^(http|ws)/.test(one))) {
      assert.match(url, /^(https|wss):/);
      assert.equal(new URL(url).host, host, url);
    }
  });

  await step('her session is said to be at her own address, not at the web server\'s', async () => {
    front.comeFrom('192.0.2.7');
    const other = await (await browser.newContext({ ignoreHTTPSErrors: true })).newPage();
    await logIn(other, front.url, ada);
    await other.goto(`${front.url}/hub/sessions`);
    await other.getByText('192.0.2.7').first().waitFor();
  });

  await step('what somebody else says of herself is not believed', async () => {
    const headers = { host: 'evil.example', 'x-forwarded-host': 'evil.example', 'x-forwarded-proto': 'http' };
    const answer = await exchange(new URL('/hub/home', front.url), { method: 'GET', headers, rejectUnauthorized: false });
    assert.equal(answer.status, 302);
    assert.equal(new URL(answer.headers.location, front.url).origin, front.url);
  });

  await step('her server ends by a click', async () => {
    await goHome(page, front.url);
    await controls.stop(page).click();
    await lyceum.untilQuiet();
  });
});
