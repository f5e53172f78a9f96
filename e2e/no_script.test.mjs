// Every page does its work with JavaScript switched off.

import assert from 'node:assert/strict';
import test from 'node:test';
import { startBrowser } from './support/browser.mjs';
import { startLyceum } from './support/lyceum.mjs';
import { controls, goHome, logIn, logOut, stopServer, waitForServer } from './support/pages.mjs';
import { tellIn } from './support/story.mjs';

test('log in, start, open, stop and log out without JavaScript', { timeout: 900_000 }, async (t) => {
  const step = tellIn(t);
  const lyceum = await startLyceum();
  t.after(() => lyceum.stop());
  const browser = await startBrowser();
  t.after(() => browser.close());
  const student = lyceum.account('student');
  const page = await (await browser.newContext({ javaScriptEnabled: false })).newPage();

  await step('log in', () => logIn(page, lyceum.url, student));

  await step('start: the progress page refreshes itself until the server is there', async () => {
    await controls.start(page).click();
    // JupyterLab itself is nothing without script; reaching it is enough.
    await waitForServer(page, student);
    assert.match(new URL(page.url()).pathname, new RegExp(`^/user/${student.name}/`));
  });

  await step('open it again from home', async () => {
    await goHome(page, lyceum.url);
    const opened = controls.open(page);
    const popup = (await opened.getAttribute('target')) ? page.context().waitForEvent('page') : null;
    await opened.click();
    await waitForServer((await popup) ?? page, student);
  });

  await step('stop', () => stopServer(page, lyceum.url));

  await step('log out', async () => {
    await logOut(page, lyceum.url);
    await goHome(page, lyceum.url);
    assert.match(page.url(), /\/hub\/login/);
  });
});
