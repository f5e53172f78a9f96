// Nothing but a keyboard: Tab, letters, Enter. The focus must be visible on the way.

import assert from 'node:assert/strict';
import test from 'node:test';
import { startBrowser } from './support/browser.mjs';
import { tabTo } from './support/keyboard.mjs';
import { startLyceum } from './support/lyceum.mjs';
import { controls, stopServer, waitForServer } from './support/pages.mjs';
import { tellIn } from './support/story.mjs';

test('log in, start a server and use tokens with the keyboard', { timeout: 900_000 }, async (t) => {
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

  await step('ask for a token, and revoke it', async () => {
    await page.goto(new URL('hub/home', lyceum.url).href);
    await tabTo(page, page.getByRole('link', { name: 'Tokens' }).first());
    await page.keyboard.press('Enter');
    await page.getByLabel('What is it for?').waitFor();
    await tabTo(page, page.getByLabel('What is it for?'));
    await page.keyboard.type('a script');
    await page.keyboard.press('Enter');
    await page.locator('#token-text').waitFor();
    await tabTo(page, page.locator('#token-text'));
    await tabTo(page, page.getByRole('button', { name: /^Revoke a script/ }));
    await page.keyboard.press('Enter');
    await page.getByText('You have no tokens.').waitFor();
    await page.goto(new URL('hub/home', lyceum.url).href);
    await controls.start(page).waitFor();
  });

  await step('start', async () => {
    await tabTo(page, controls.start(page));
    await page.keyboard.press('Enter');
    await waitForServer(page, student);
  });

  await stopServer(page, lyceum.url);
});
