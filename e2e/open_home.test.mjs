// Home that stays open goes on by itself: what runs, how long it has left. What somebody is at, where
// the focus is or what was typed, is left alone. Nobody looks, nothing is asked.

import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'node:test';
import { check } from './support/axe.mjs';
import { startBrowser, watchForFaults } from './support/browser.mjs';
import { Client } from './support/http.mjs';
import { runsElsewhere, startLyceum } from './support/lyceum.mjs';
import { goHome, logIn, logOut } from './support/pages.mjs';
import { tellIn, until } from './support/story.mjs';

const CONFIG = `
servers:
  cull: {age: 1200s, warn: 1199s}
`;
const TITLE = 'My notebook server';
const SIZES = [[360, 740], [1280, 800]];
const skip = runsElsewhere && 'it needs a Lyceum of its own';

test('home that stays open goes on by itself', { timeout: 600_000, skip }, async (t) => {
  const step = tellIn(t);
  const lyceum = await startLyceum({ config: CONFIG });
  const browser = await startBrowser();
  t.after(async () => {
    await browser.close();
    await lyceum.stop();
  });
  const student = lyceum.account('student');
  const token = (await lyceum.run(['token', 'create', student.name])).stdout.trim();
  const client = new Client(lyceum.url);
  const own = `hub/api/users/${student.name}/server`;
  const start = () => client.expect([201, 202], 'POST', own, { token });
  const end = () => client.expect([202, 204], 'DELETE', own, { token });

  const context = await browser.newContext({ bypassCSP: true });
  const page = await context.newPage();
  const faults = watchForFaults(page, lyceum.url);
  // Minutes pass when the story says so.
  await page.clock.install();
  const looks = [];
  page.on('request', (request) => { if (request.url().includes('no_track_activity=1')) looks.push(request); });
  const card = page.locator('li').filter({ has: page.getByRole('heading', { name: TITLE, level: 3 }) });
  const button = (name) => card.getByRole('button', { name: `${name} ${TITLE}`, exact: true });
  const said = page.locator('[data-fresh]');
  const passes = (minutes) => page.clock.fastForward(minutes * 60_000);
  const isFocused = (locator) => locator.evaluate((one) => one === document.activeElement);

  await step('a server that starts elsewhere stands there, without a new load', async () => {
    await logIn(page, lyceum.url, student);
    await page.evaluate(() => { globalThis.loadedOnce = true; });
    await button('Start').waitFor();
    assert.equal(await said.textContent(), '');
    await start();
    await passes(1.3);
    await button('Stop').waitFor();
    await card.getByText('Ready', { exact: true }).waitFor();
    await until('it was said', async () => /My notebook server: Ready(\.|$)/.test(await said.textContent()));
    await page.getByRole('link', { name: 'Open', exact: true }).waitFor();
    assert.equal(await page.locator('main .primary').count(), 1);
    await shoot(page, 'runs');
    await check(page, 'home after it has looked again');
    assert.ok(await page.evaluate(() => globalThis.loadedOnce), 'the page was loaded anew');
  });

  await step('at rest it asks once a minute; what is left of the time is counted', async () => {
    await passes(1.3);
    await until('it was said', async () => /My notebook server: This server has run .+ It ends in/.test(await said.textContent()));
    const left = async () => Number(/It ends in (\d+) min;/.exec(await card.innerText())?.[1]);
    const first = await left();
    assert.ok(first > 10 && first < 20, `${first} minutes`);
    const before = looks.length;
    await page.clock.fastForward(50_000);
    assert.equal(looks.length, before, 'less than a minute has passed');
    await passes(3);
    // By the hub's clock nothing has passed: the page counts.
    await until('the time is counted', async () => (await left()) < first - 2);
    await check(page, 'home with an end that is near');
    await shoot(page, 'ends');
  });

  await step('while nobody looks nothing is asked; who comes back sees what is', async () => {
    const come = (away) => page.evaluate((away) => {
      Object.defineProperty(document, 'hidden', { configurable: true, get: () => away });
      document.dispatchEvent(new Event('visibilitychange'));
    }, away);
    await come(true);
    const before = looks.length;
    await passes(30);
    await end();
    await passes(30);
    assert.equal(looks.length, before);
    await come(false);
    await button('Start').waitFor();
    await until('it was said', async () => /My notebook server: Stopped$/.test(await said.textContent()));
  });

  await step('who types a name keeps it, and who has a button under her finger keeps that', async () => {
    await page.getByText('Add a named server').click();
    const name = page.getByLabel('Name', { exact: true });
    await name.fill('thesis');
    await start();
    await passes(1.3);
    await button('Stop').waitFor();
    assert.equal(await name.inputValue(), 'thesis');
    assert.ok(await isFocused(name), 'the focus was taken away');
    await card.getByText('Ready', { exact: true }).waitFor();

    await button('Stop').focus();
    await end();
    await passes(1.3);
    await card.getByText('Stopped', { exact: true }).waitFor();
    assert.ok(await isFocused(button('Stop')), 'the focus was taken away');
    // As soon as she leaves it, it is as it should be.
    await name.focus();
    await button('Start').waitFor();
    assert.equal(await button('Stop').count(), 0);
    assert.equal(await name.inputValue(), 'thesis');
    await lyceum.untilQuiet();
  });

  await step('a hub that was away is found again', async () => {
    await lyceum.crash();
    await passes(1.3);
    await until('it has asked in vain', async () => (await looks.at(-1).response().catch(() => null)) === null);
    await lyceum.start();
    await passes(7);
    await until('it has looked', async () => (await looks.at(-1).response().catch(() => null))?.status() === 200);
  });

  await step('a page of somebody who was logged out says so, and asks no more', async () => {
    const elsewhere = await context.newPage();
    await logOut(elsewhere, lyceum.url);
    const stale = page.locator('[data-stale]');
    assert.equal(await stale.isVisible(), false);
    await passes(1.3);
    await stale.waitFor();
    await until('it was said', async () => /no longer up to date/.test(await said.textContent()));
    await check(page, 'home of somebody who was logged out');
    const before = looks.length;
    await passes(30);
    assert.equal(looks.length, before);
    await page.getByRole('link', { name: 'Look again' }).click();
    await page.waitForURL(/\/hub\/login/);
    await logIn(page, lyceum.url, student);
    await goHome(page, lyceum.url);
    assert.deepEqual(faults, []);
  });
});

/** Pictures to look at, where they are asked for: narrow and wide, light and dark. */
async function shoot(page, name) {
  const folder = process.env.LYCEUM_TEST_PICTURES;
  if (!folder) return;
  await mkdir(folder, { recursive: true });
  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme });
    for (const [width, height] of SIZES) {
      await page.setViewportSize({ width, height });
      await page.screenshot({ path: join(folder, `open-home-${name}-${colorScheme}-${width}.png`), fullPage: true });
    }
  }
}
