// Nothing but a keyboard: Tab, letters, Enter. The focus must be visible on the way.

import assert from 'node:assert/strict';
import test from 'node:test';
import { startBrowser } from './support/browser.mjs';
import { startLyceum } from './support/lyceum.mjs';
import { controls, stopServer, waitForServer } from './support/pages.mjs';
import { tellIn } from './support/story.mjs';

const FURTHEST = 40;

test('log in and start a server with the keyboard', { timeout: 300_000 }, async (t) => {
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

/** Presses Tab until the wanted control has the focus; each stop must be seen to have it. */
async function tabTo(page, wanted) {
  for (let presses = 0; presses <= FURTHEST; presses += 1) {
    if (await wanted.evaluate((element) => element === document.activeElement)) return;
    await page.keyboard.press('Tab');
    const unseen = await page.evaluate(describeUnseenFocus);
    assert.equal(unseen, null, 'what has the focus shows it');
  }
  assert.fail(`not reached with ${FURTHEST} presses of Tab`);
}

/** Runs in the page: null, or the element that has the focus without an outline or a box in view. */
function describeUnseenFocus() {
  const element = document.activeElement;
  if (!element || element === document.body) return null;
  const style = getComputedStyle(element);
  const box = element.getBoundingClientRect();
  const outlined = style.outlineStyle !== 'none' && Number.parseFloat(style.outlineWidth) > 0;
  const shown = (outlined || style.boxShadow !== 'none') && box.width > 1 && box.height > 1;
  return shown ? null : element.outerHTML.slice(0, 200);
}
