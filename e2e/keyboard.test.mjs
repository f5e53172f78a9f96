// Nothing but a keyboard: Tab, letters, Enter. The focus must be visible on the way.

import assert from 'node:assert/strict';
import test from 'node:test';
import { leave, startBrowser } from './support/browser.mjs';
import { tabTo } from './support/keyboard.mjs';
import { startLyceum } from './support/lyceum.mjs';
import { controls, goHome, stopServer, waitForServer } from './support/pages.mjs';
import { tellIn, until } from './support/story.mjs';

/** Presses of Tab to the end of a page. */
const FURTHEST = 60;

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

  await step('a server of another name: made, renamed, stopped, removed', async () => {
    const reach = async (control) => {
      await control.waitFor();
      await tabTo(page, control, FURTHEST);
    };
    const card = (name) => page.getByRole('listitem').filter({ has: page.getByRole('heading', { name, exact: true }) });
    const enter = () => page.keyboard.press('Enter');
    await reach(page.locator('summary', { hasText: 'Add a named server' }));
    await enter();
    await tabTo(page, page.locator('#add-server'));
    await page.keyboard.type('gpu');
    await leave(page, enter);
    await page.waitForURL(/\/hub\/(home|spawn-pending)|\/user\//);
    // It starts at once; of a start that is cancelled nothing would stay, so it is waited for.
    await until('it runs', async () => {
      await goHome(page, lyceum.url);
      return (await card('gpu').getByRole('button', { name: /^Stop/ }).count()) === 1;
    });
    await reach(card('gpu').getByRole('button', { name: /^Stop/ }));
    await leave(page, enter);
    const rename = card('gpu').locator('summary', { hasText: 'Rename' });
    await until('it rests', async () => {
      await goHome(page, lyceum.url);
      return (await rename.count()) === 1;
    });
    await reach(rename);
    await enter();
    await tabTo(page, card('gpu').getByRole('textbox'), FURTHEST);
    await page.keyboard.press('ControlOrMeta+a');
    await page.keyboard.type('With a graphics card');
    await leave(page, enter);
    const renamed = card('With a graphics card');
    await renamed.waitFor();
    const remove = renamed.getByRole('button', { name: 'Remove With a graphics card' });
    assert.equal(await remove.isVisible(), false, 'not with one press');
    await reach(renamed.locator('summary', { hasText: 'Remove' }));
    await enter();
    await renamed.getByText(/Your files stay/).waitFor();
    await reach(remove);
    await leave(page, enter);
    await until('it is gone', async () => {
      await goHome(page, lyceum.url);
      return (await renamed.count()) === 0;
    });
    await lyceum.untilQuiet();
  });

  await step('start', async () => {
    await tabTo(page, controls.start(page));
    await page.keyboard.press('Enter');
    await waitForServer(page, student);
  });

  await stopServer(page, lyceum.url);
});
