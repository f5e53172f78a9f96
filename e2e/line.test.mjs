// Who waits for a free place sees how the line moves, with and without JavaScript.

import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'node:test';
import { violationsOn } from './support/axe.mjs';
import { leave, startBrowser, watchForFaults } from './support/browser.mjs';
import { tabTo } from './support/keyboard.mjs';
import { runsElsewhere, startLyceum } from './support/lyceum.mjs';
import { controls, goHome, logIn } from './support/pages.mjs';
import { tellIn } from './support/story.mjs';

/** One place, and a server that never answers holds it. */
const CONFIG = `servers:
  concurrent_starts: 1
  slow_after: 1h
  start_timeout: 1h
  command: [sleep, "3600"]
`;

const skip = runsElsewhere && 'needs a Lyceum of its own';

test('waiting for a free place', { timeout: 900_000, skip }, async (t) => {
  const step = tellIn(t);
  const lyceum = await startLyceum({ config: CONFIG });
  const browser = await startBrowser();
  t.after(async () => {
    await browser.close();
    await lyceum.stop();
  });
  const page = async (account, options, before) => {
    const own = await (await browser.newContext({ bypassCSP: true, ...options })).newPage();
    await before?.(own);
    await logIn(own, lyceum.url, account);
    return own;
  };
  const [first, second] = lyceum.accounts.filter((account) => account.role === 'student');
  const holder = await page(lyceum.account('admin'));
  const plain = await page(first, { javaScriptEnabled: false });
  const live = await page(second, {}, (own) => own.clock.install());
  const faults = watchForFaults(live, lyceum.url);
  const cancel = (page) => page.getByRole('button', { name: /^cancel/i });
  const says = (page, words) => page.getByText(words).waitFor();
  const press = async (page, control) => {
    await control.waitFor();
    await tabTo(page, control);
    await leave(page, () => page.keyboard.press('Enter'));
  };
  const start = async (page) => {
    await controls.start(page).click();
    await page.waitForURL(/\/hub\/spawn-pending\//);
  };

  await step('one start holds the place, two wait', async () => {
    await start(holder);
    await says(holder, /waiting for it to answer/);
    await start(plain);
    await says(plain, /Waiting for a free place: next in line\./);
    await start(live);
    await says(live, /Waiting for a free place: number 2 in line\./);
    const text = await live.locator('main').innerText();
    assert.doesNotMatch(text, /Its turn comes/, 'nothing was measured');
  });

  await step('the page stays accessible', async () => {
    for (const colorScheme of ['light', 'dark']) {
      await live.emulateMedia({ colorScheme });
      assert.deepEqual(await violationsOn(live), []);
      await picture(live, colorScheme);
    }
  });

  await step('the place comes free: both move up, and are told about when', async () => {
    await cancel(holder).click();
    await holder.waitForURL(/\/hub\/home/);
    await says(live, /Waiting for a free place: next in line\. Its turn comes in about \d+/);
    await says(plain, /waiting for it to answer/);
    assert.equal(await plain.getByText(/free place: /).isVisible(), false);
    assert.equal(await live.locator('[data-steps] li').count(), 1, 'places are no steps');
    // The page counts on between two news; that is not read out.
    const line = live.locator('[data-waiting]');
    await live.clock.fastForward(600_000);
    await says(live, /Its turn comes in about 5 s/);
    assert.equal(await line.getAttribute('aria-live'), 'off');
  });

  await step('cancelled from elsewhere, the page says so', async () => {
    const elsewhere = await live.context().newPage();
    await goHome(elsewhere, lyceum.url);
    await elsewhere.getByRole('link', { name: /progress|^on its way/i }).first().click();
    await cancel(elsewhere).click();
    await elsewhere.waitForURL(/\/hub\/home/);
    await says(live, /The start was cancelled before the server was ready\./);
    assert.deepEqual(faults, []);
  });

  await step('once more: the turn comes, and the wait is over', async () => {
    await press(live, live.getByRole('link', { name: /start the server/i }));
    await says(live, /Waiting for a free place: next in line\./);
    // Whoever has a button under her finger keeps it while the line moves.
    await tabTo(live, cancel(live));
    await cancel(plain).click();
    await says(live, /A place is free; the start begins/);
    await says(live, /waiting for it to answer/);
    assert.equal(await live.getByText(/Waiting for a free place/).isVisible(), false);
    assert.ok(await cancel(live).evaluate((button) => button === document.activeElement), 'the focus was taken away');
    await leave(live, () => live.keyboard.press('Enter'));
    await live.waitForURL(/\/hub\/home/);
    await lyceum.untilQuiet();
  });

  await step('Lyceum is gone and comes back: who waits is told, and keeps the place', async () => {
    await start(holder);
    await says(holder, /waiting for it to answer/);
    await goHome(live, lyceum.url);
    await press(live, controls.start(live));
    await says(live, /Waiting for a free place: next in line\./);
    const lost = live.getByRole('status').filter({ hasText: /connection/i });
    const steps = live.locator('[data-steps] li');
    const before = await steps.count();
    assert.equal(await lost.isVisible(), false);
    await lyceum.crash();
    await lost.waitFor();
    assert.deepEqual(await violationsOn(live), []);
    await picture(live, 'lost');
    await lyceum.start();
    await lost.waitFor({ state: 'hidden' });
    await says(live, /Waiting for a free place: next in line\./);
    assert.equal(await steps.count(), before, 'nothing is told twice');
    // Its first life's start goes on, and the place it holds is given on as ever.
    await goHome(holder, lyceum.url);
    await leave(holder, () => holder.getByRole('link', { name: /progress|^on its way/i }).first().click());
    await cancel(holder).click();
    await holder.waitForURL(/\/hub\/home/);
    await says(live, /waiting for it to answer/);
    await press(live, cancel(live));
    await live.waitForURL(/\/hub\/home/);
    await lyceum.untilQuiet();
  });

  await step('with the keyboard: out of the line before the turn comes', async () => {
    await start(holder);
    await says(holder, /waiting for it to answer/);
    await goHome(live, lyceum.url);
    await press(live, controls.start(live));
    await says(live, /Waiting for a free place: next in line\./);
    await press(live, cancel(live));
    await live.waitForURL(/\/hub\/home/);
    await controls.start(live).waitFor();
    await cancel(holder).click();
    await holder.waitForURL(/\/hub\/home/);
    await lyceum.untilQuiet();
  });
});

/** Kept for people to look at, when a folder for it is named. */
async function picture(page, name) {
  const folder = process.env.LYCEUM_TEST_PICTURES;
  if (!folder) return;
  await mkdir(folder, { recursive: true });
  await page.screenshot({ path: join(folder, `line-${name}.png`), fullPage: true });
}
