// How pages read, seen in a browser: hours of the day, where a log opens, tables whose heads and
// columns belong together, on a phone too.

import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'node:test';
import { startBrowser } from './support/browser.mjs';
import { startLyceum } from './support/lyceum.mjs';
import { logIn, startServer, stopServer } from './support/pages.mjs';
import { tellIn } from './support/story.mjs';

const PHONE = { width: 360, height: 740 };
const DESK = { width: 1280, height: 800 };
/** So long that the log does not fit its box. */
const TALKATIVE = 'servers:\n  command: [sh, -c, "seq -f \'line %g\' 150; exec jupyterhub-singleuser --allow-root"]\n';

test('pages read well, wide and narrow, in English and German', { timeout: 900_000 }, async (t) => {
  const step = tellIn(t);
  const lyceum = await startLyceum({ config: TALKATIVE });
  t.after(() => lyceum.stop());
  const browser = await startBrowser();
  t.after(() => browser.close());
  const student = lyceum.account('student');
  const page = await (await browser.newContext({ locale: 'en-US', timezoneId: 'America/New_York' })).newPage();
  const open = (one, path) => one.goto(new URL(`hub/${path}`, lyceum.url).href);

  await step('a server runs', async () => {
    await logIn(page, lyceum.url, student);
    await startServer(page, lyceum.url, student);
  });

  await step('times have 24 hours, also for an American browser', async () => {
    await open(page, 'home');
    const times = await page.locator('time').allInnerTexts();
    assert.ok(times.length > 0, 'home tells when the server was last active');
    for (const text of times) assert.match(text, /^(today|yesterday), \d\d:\d\d$/);
    // Midnight is 00:00, not 24:00, and noon is not 12 AM.
    const said = await page.evaluate(async () => {
      const script = document.querySelector('script[type=module]').src;
      const main = document.querySelector('main');
      for (const at of ['2026-01-05T05:00:00Z', '2026-01-05T22:07:00Z']) main.insertAdjacentHTML('beforeend', `<time class="probe" datetime="${at}"></time>`);
      await import(`${script}#again`);
      return [...document.querySelectorAll('.probe')].map((one) => `${one.textContent} | ${one.title}`);
    });
    assert.match(said[0], /, 00:00 \| .*\b00:00:00 /);
    assert.match(said[1], /, 17:07 \| .*\b17:07:00 /);
  });

  for (const javaScriptEnabled of [true, false]) {
    await step(`a log opens at its end ${javaScriptEnabled ? 'with' : 'without'} JavaScript`, async () => {
      const state = await page.context().storageState();
      const reader = await (await browser.newContext({ javaScriptEnabled, storageState: state })).newPage();
      await open(reader, `logs/${student.name}`);
      const log = reader.getByRole('region', { name: /^Log:/ });
      // Boxes in the page's own measure, which needs no script there.
      const box = await log.boundingBox();
      const text = await log.locator('code').boundingBox();
      assert.ok(text.height > box.height, 'the log is longer than its box');
      assert.ok(text.y + text.height <= box.y + box.height, `the end (${text.y + text.height}) is within the box (${box.y + box.height})`);
      await reader.context().close();
    });
  }

  await step('a log is one sentence about its server, in German too', async () => {
    const state = await page.context().storageState();
    for (const [locale, words] of [['en-GB', /^Ready since today, \d\d:\d\d · belongs to/], ['de-DE', /^Bereit seit heute, \d\d:\d\d · gehört/]]) {
      const reader = await (await browser.newContext({ locale, storageState: state })).newPage();
      await open(reader, `logs/${student.name}`);
      assert.match(await reader.locator('h1 + p').innerText(), words);
      await picture(reader, `log-${locale}`);
      await reader.context().close();
    }
  });

  await step('what can be done with a server stands side by side on a phone', async () => {
    const state = await page.context().storageState();
    const reader = await (await browser.newContext({ locale: 'de-DE', storageState: state, viewport: PHONE })).newPage();
    await open(reader, 'home');
    await picture(reader, 'home-de-DE-360');
    const actions = reader.locator('.cards .actions').first().locator('a, button');
    assert.deepEqual((await actions.allInnerTexts()).map((text) => text.split(/\s/)[0]), ['Öffnen', 'Anhalten', 'Protokoll']);
    const tops = await actions.evaluateAll((all) => all.map((one) => Math.round(one.getBoundingClientRect().top)));
    assert.equal(new Set(tops).size, 1, `one row: ${tops}`);
    await reader.context().close();
  });

  await step('the head of a table stands over its columns, on one line', async () => {
    for (const [locale, colorScheme] of [['en-GB', 'light'], ['de-DE', 'dark']]) {
      const reader = await (await browser.newContext({ locale, colorScheme, viewport: DESK })).newPage();
      await enter(reader, lyceum.account('admin'));
      await open(reader, 'admin');
      await picture(reader, `admin-${locale}-${DESK.width}`);
      for (const table of await reader.getByRole('table').all()) {
        const heads = await textBoxes(table.locator('thead th'));
        const cells = await textBoxes(table.locator('tbody tr').first().locator('th, td'));
        const baselines = new Set(heads.map(({ bottom }) => Math.round(bottom)));
        assert.equal(baselines.size, 1, `${locale}: heads on one line: ${JSON.stringify(heads)}`);
        for (const [index, cell] of cells.entries()) {
          assert.ok(Math.abs(cell.cell - heads[index].cell) <= 1, `${locale}: column ${index} is under its head`);
        }
      }
      await reader.setViewportSize(PHONE);
      await picture(reader, `admin-${locale}-${PHONE.width}`);
      for (const control of await reader.locator('td .actions > a, td .actions button').all()) {
        const lines = await control.evaluate((one) => {
          const range = document.createRange();
          range.selectNodeContents(one.firstChild);
          return range.getClientRects().length;
        });
        assert.equal(lines, 1, `${locale}: "${await control.innerText()}" stands on one line`);
      }
      const wide = await reader.evaluate(() => document.documentElement.scrollWidth);
      assert.ok(wide <= PHONE.width, `${locale}: ${wide} px do not fit a phone`);
      await reader.context().close();
    }
  });

  await step('stop', () => stopServer(page, lyceum.url));

  async function enter(one, account) {
    await open(one, 'home');
    await one.locator('input[name=username]').fill(account.name);
    await one.locator('input[type=password]').fill(account.password);
    await one.locator('main form button').first().click();
    await one.waitForURL(/\/hub\/home/);
  }
});

/** Where the text of each element ends, and where the element begins. */
async function textBoxes(elements) {
  return elements.evaluateAll((all) => all.map((one) => {
    const range = document.createRange();
    range.selectNodeContents(one.querySelector('a') ?? one);
    const rects = [...range.getClientRects()].filter((rect) => rect.width > 1);
    return { cell: one.getBoundingClientRect().left, bottom: rects[0]?.bottom };
  }));
}

/** Kept for people to look at, when a folder for it is named. */
async function picture(page, name) {
  const folder = process.env.LYCEUM_TEST_PICTURES;
  if (!folder) return;
  await mkdir(folder, { recursive: true });
  await page.screenshot({ path: join(folder, `reading-${name}.png`), fullPage: true });
}
