// A student logs in, starts a server, runs a cell in a notebook, stops and leaves.

import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import test from 'node:test';
import { fileURLToPath } from 'node:url';
import { startBrowser, watchForFaults } from './support/browser.mjs';
import { exchange } from './support/http.mjs';
import { createNotebook, runCell, waitForLab } from './support/jupyterlab.mjs';
import { startLyceum } from './support/lyceum.mjs';
import { controls, goHome, logIn, logOut, stopServer, waitForServer } from './support/pages.mjs';
import { tellIn } from './support/story.mjs';

const PICTURES = join(dirname(dirname(fileURLToPath(import.meta.url))), 'docs/images');

test('from log-in to 42 in a notebook, and out again', { timeout: 900_000 }, async (t) => {
  const step = tellIn(t);
  const lyceum = await startLyceum();
  t.after(() => lyceum.stop());
  const browser = await startBrowser();
  t.after(() => browser.close());
  const student = lyceum.account('student');
  const page = await (await browser.newContext()).newPage();
  const faults = watchForFaults(page, lyceum.url);

  await step('a stranger is asked to log in, and a wrong password is refused', async () => {
    await page.goto(lyceum.url);
    await page.waitForURL(/\/hub\/login/);
    await takePicture(page, 'login');
    await controls.nameField(page).fill(student.name);
    await controls.passwordField(page).fill(`${student.password}, or nearly`);
    await controls.logIn(page).click();
    await page.getByRole('alert').first().waitFor();
    assert.match(page.url(), /\/hub\/login/);
  });

  await step('logged in, home offers to start the server', async () => {
    await logIn(page, lyceum.url, student);
    await controls.start(page).waitFor();
    await takePicture(page, 'home');
  });

  await step('starting shows real steps, then JupyterLab', async () => {
    const steps = collectSteps(page, lyceum.url, student);
    // Looked at below; until then its failure must not end the whole run.
    steps.catch(() => {});
    await controls.start(page).click();
    await page.waitForURL(/\/hub\/spawn-pending\//);
    await takePicture(page, 'progress', underWay);
    await waitForServer(page, student);
    await page.waitForURL(new RegExp(`/user/${student.name}/lab`));
    await waitForLab(page);
    // "Requested" and "ready" alone would be decoration.
    const seen = await steps;
    assert.ok(seen.length >= 3, `only these steps were told: ${JSON.stringify(seen)}`);
    assert.ok(seen.at(-1).ready, `the last step is not "ready": ${JSON.stringify(seen.at(-1))}`);
  });

  await step('a cell runs over the WebSocket', async () => {
    await createNotebook(page);
    assert.equal(await runCell(page, '6*7'), '42');
    await takePicture(page, 'jupyterlab');
  });

  await step('stopped from home, it is stopped', async () => {
    await stopServer(page, lyceum.url);
    const answer = await page.request.get(new URL(`user/${student.name}/api/status`, lyceum.url).href, { maxRedirects: 5 });
    assert.equal(answer.status(), 424, 'the API of a stopped server says that it does not run');
  });

  await step('after log-out, the back button shows nothing private', async () => {
    await goHome(page, lyceum.url);
    await logOut(page, lyceum.url);
    await page.goBack();
    await page.waitForURL(/\/hub\/login/);
    await controls.nameField(page).waitFor();
    assert.equal(await controls.logOut(page).count(), 0);
    assert.equal(await controls.start(page).count(), 0);
  });

  assert.deepEqual(faults, [], 'the pages made no script errors, broke no content policy and asked no other host');
});

/**
 * What the progress of the start tells, read beside the page with its cookies.
 * The page is on its way to start the server: until then the answer is 400.
 */
async function collectSteps(page, base, account) {
  const url = new URL(`hub/api/users/${account.name}/server/progress`, base);
  const cookies = await page.context().cookies(url.href);
  const headers = { cookie: cookies.map((one) => `${one.name}=${one.value}`).join('; '), accept: 'text/event-stream' };
  const end = Date.now() + 180_000;
  for (;;) {
    const { status, text } = await exchange(url, { method: 'GET', headers, signal: AbortSignal.timeout(120_000) });
    if (status === 200) return text.split('\n').filter((line) => line.startsWith('data:')).map((line) => JSON.parse(line.slice(5)));
    if (Date.now() > end) throw new Error(`no progress is told: ${status} ${text}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Until a start has something to show: the program runs, but does not answer yet. */
async function underWay(page) {
  await page.waitForFunction(() => document.querySelectorAll('[data-steps] li').length >= 3 && document.querySelector('progress')?.value >= 25);
}

/** For the README, when asked for; `until` there is something to see. */
async function takePicture(page, name, until = async () => {}) {
  if (process.env.LYCEUM_SCREENSHOTS !== '1') return;
  await until(page);
  await mkdir(PICTURES, { recursive: true });
  await page.screenshot({ path: join(PICTURES, `${name}.png`), animations: 'disabled' });
}
