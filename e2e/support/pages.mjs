// What a person does on Lyceum's pages, found as a person (or a screen reader)
// finds it: by role and by words. When a word on a page changes, this changes.

import assert from 'node:assert/strict';
import { leave } from './browser.mjs';

const NAME = /user ?name/i;
const PASSWORD = /password/i;
const LOG_IN = /^(log|sign) in$/i;
const LOG_OUT = /^log ?out$/i;
const START = /^start\b/i;
const STOP = /^stop\b/i;
const OPEN = /^(open|my server)/i;

export const controls = {
  nameField: (page) => page.getByLabel(NAME).first(),
  passwordField: (page) => page.getByLabel(PASSWORD, { exact: false }).and(page.locator('input')).first(),
  logIn: (page) => page.getByRole('button', { name: LOG_IN }),
  logOut: (page) => either(page, LOG_OUT),
  start: (page) => either(page, START),
  stop: (page) => either(page, STOP),
  open: (page) => either(page, OPEN),
};

/** A button or a link of this name: which of the two is the page's business. */
function either(page, name) {
  return page.getByRole('button', { name }).or(page.getByRole('link', { name })).first();
}

export async function logIn(page, base, account) {
  // By way of home: a log-in without a place to go on to may start the server at once.
  await goHome(page, base);
  await page.waitForURL(/\/hub\/login/);
  await controls.nameField(page).fill(account.name);
  await controls.passwordField(page).fill(account.password);
  await controls.logIn(page).click();
  await page.waitForURL(/\/hub\/home/);
  await controls.logOut(page).waitFor();
}

export async function goHome(page, base) {
  await page.goto(new URL('hub/home', base).href);
}

export async function logOut(page, base) {
  await goHome(page, base);
  await controls.logOut(page).click();
  await page.waitForURL(/\/hub\/(login|logout)/);
}

/** From home to the user's server; the progress page is on the way. */
export async function startServer(page, base, account) {
  await goHome(page, base);
  await controls.start(page).click();
  await waitForServer(page, account);
}

/** Until the address is the user's own server. */
export async function waitForServer(page, account, timeout = 180_000) {
  try {
    await page.waitForURL((url) => url.pathname.includes(`/user/${account.name}/`) && !url.pathname.includes('/hub/'), { timeout });
  } catch (error) {
    const text = await page.locator('body').innerText().catch(() => '(no page)');
    throw new Error(`the server of ${account.name} did not open; the page ${page.url()} says:\n${text}`, { cause: error });
  }
}

export async function stopServer(page, base) {
  await goHome(page, base);
  await leave(page, () => controls.stop(page).click());
  await waitForStopped(page, base);
}

/** Home offers to start again. Works with and without script: the page is asked anew. */
export async function waitForStopped(page, base) {
  const end = Date.now() + 180_000;
  for (;;) {
    await goHome(page, base);
    const shown = await controls.start(page).waitFor({ timeout: 2_000 }).then(() => true, () => false);
    const stopping = await controls.stop(page).isVisible();
    if (shown && !stopping) return;
    assert.ok(Date.now() < end, `still not stopped; home says:\n${await page.locator('body').innerText()}`);
  }
}
