// Nothing but a keyboard: Tab, letters, Enter. The focus must be visible on the way.

import assert from 'node:assert/strict';
import test from 'node:test';
import { startBrowser } from './support/browser.mjs';
import { tabTo } from './support/keyboard.mjs';
import { startLyceum } from './support/lyceum.mjs';
import { controls, stopServer, waitForServer } from './support/pages.mjs';
import { tellIn } from './support/story.mjs';

test('log in and start a server with the keyboard', { timeout: 900_000 }, async (t) => {
  const step = tellIn(t);
  const lyceum = await startLyceum();
  t.after(() => lyceum.stop());
  const browser = await startBrowser();
  t.after(() => browser.close());
  const student = lyceum.account('student');
  const page = await (await browser.newContext()).newPage();

  await step('log in', async () => {
    await page.goto(new URL('hub/home', lyceum.url).href);
    await page.waitForURL(/\/hub\/login/);
    await tabTo(page, controls.nameField(page));
    await page.keyboard.type(student.name);
    await tabTo(page, controls.passwordField(page));
    await page.keyboard.type(student.password);
    await page.keyboard.press('Enter');
    await page.waitForURL(/\/hub\/home/);
  });

  await step('the first stop on a page leads past its header', async () => {
    await page.goto(new URL('hub/home', lyceum.url).href);
    await page.keyboard.press('Tab');
    const target = await page.evaluate(() => document.activeElement?.getAttribute('href'));
    assert.match(target ?? '', /^#./, 'the first thing Tab reaches is a link into the page');
    await page.keyboard.press('Enter');
  });

  await step('start', async () => {
    await tabTo(page, controls.start(page));
    await page.keyboard.press('Enter');
    await waitForServer(page, student);
  });

  await stopServer(page, lyceum.url);
});
