// Hubs that wear a university's own templates, written for JupyterHub: one theme extends the pages,
// one replaces them as hubs did before JupyterHub 4.1. Both work from log-in to JupyterLab, and axe
// finds nothing on them.

import assert from 'node:assert/strict';
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import test from 'node:test';
import { fileURLToPath } from 'node:url';
import { leave, startBrowser, watchForFaults } from './support/browser.mjs';
import { runsElsewhere, startLyceum } from './support/lyceum.mjs';
import { stopServer, waitForServer } from './support/pages.mjs';
import { until } from './support/story.mjs';

const AXE = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const THEMES = join(dirname(fileURLToPath(import.meta.url)), 'themes');
const LIMIT = 900_000;

const config = (folder, more = '') => `
theme:
  name: University Notebooks
  template_paths: [${folder}]
  template_vars: {faculty: Sums & Co, announcement_login: "<b>Welcome</b> back"}
${more}
announcements:
  - text: Read [the news](https://news.example.edu)
`;

async function begin(t, text) {
  const lyceum = await startLyceum({ config: text });
  t.after(() => lyceum.stop());
  const browser = await startBrowser();
  t.after(() => browser.close());
  const page = await (await browser.newContext({ bypassCSP: false })).newPage();
  const faults = watchForFaults(page, lyceum.url);
  const at = (path) => new URL(path, lyceum.url).href;
  return { lyceum, browser, page, faults, at, student: lyceum.account('student') };
}

/** Holds the events back, so that the progress page can be looked at. */
async function lookAtProgress(page, start, look) {
  await page.route('**/server/progress*', () => {});
  await start();
  await page.waitForURL(/\/hub\/spawn-pending\//);
  await look();
  await page.unrouteAll({ behavior: 'ignoreErrors' });
}

test('a theme that extends the pages', { timeout: LIMIT, skip: runsElsewhere }, async (t) => {
  // A copy, for it is edited.
  const folder = await mkdtemp(join(tmpdir(), 'lyceum-theme-'));
  t.after(() => rm(folder, { recursive: true }));
  await cp(join(THEMES, 'extending', 'templates'), folder, { recursive: true });
  const { lyceum, browser, page, faults, at, student } = await begin(t, config(folder));
  await page.goto(at('hub/login'));
  await page.getByText('Sign in with the account you use for Sums & Co.').waitFor();
  await page.locator('b', { hasText: 'Welcome' }).waitFor();
  assert.equal(await page.getByRole('link', { name: 'the news' }).getAttribute('href'), 'https://news.example.edu');
  const weight = await page.locator('.faculty').evaluate((one) => getComputedStyle(one).fontWeight);
  assert.equal(weight, '700', 'the style of the template is in force');
  await page.getByLabel('User name').fill(student.name);
  await page.getByLabel('Password').fill(student.password);
  await page.getByRole('button', { name: 'Log in' }).click();
  await page.waitForURL(/\/hub\/home/);
  await page.getByText(`${student.name}: 0 named`).waitFor();
  await lookAtProgress(page, () => page.getByRole('button', { name: /^Start/ }).first().click(), async () => {
    await page.getByText(`warming up for ${student.name}`).waitFor();
  });
  await page.goto(at(`hub/spawn-pending/${student.name}`));
  await waitForServer(page, student);
  const missing = await page.goto(at('hub/nowhere'));
  assert.equal(missing.status(), 404);
  await page.getByText('Nothing grows here (404).').waitFor();
  assert.deepEqual(faults, []);

  await t.test('axe', () => examine(browser, page, at, ['hub/login', 'hub/home', 'hub/token', 'hub/nowhere']));

  await t.test('an edit that breaks a template is told and changes nothing', async () => {
    assert.equal(await lyceum.metric('lyceum_config_bad_edit'), 0);
    await writeFile(join(folder, 'home.html'), '{% extends "templates/home.html" %}\n{% block main %}');
    lyceum.signal('SIGHUP');
    await until('the broken template is told', async () => (await lyceum.metric('lyceum_config_bad_edit')) === 1);
    await page.goto(at('hub/home'));
    await page.getByText(`${student.name}: 0 named`).waitFor();
  });
  await stopServer(page, lyceum.url);
});

test('a theme that replaces the pages', { timeout: LIMIT, skip: runsElsewhere }, async (t) => {
  const more = `  static: ${join(THEMES, 'replacing', 'static')}\n  inline_scripts: true\n`;
  const { browser, page, faults, at, student } = await begin(t, config(join(THEMES, 'replacing', 'templates'), more));
  await page.goto(at('hub/login'));
  await page.getByRole('heading', { name: 'University Notebooks' }).waitFor();
  await page.getByRole('link', { name: 'the news' }).waitFor();
  const enter = async (password) => {
    await page.getByLabel('Account').fill(student.name);
    await page.getByLabel('Secret').fill(password);
    await leave(page, () => page.getByRole('button', { name: 'Enter' }).click());
  };
  await enter('wrong');
  await page.getByRole('alert').waitFor();
  await enter(student.password);
  await page.waitForURL(/\/hub\/home/);
  const bar = await page.locator('.uni-bar').evaluate((one) => getComputedStyle(one).backgroundColor);
  assert.equal(bar, 'rgb(0, 51, 42)', 'the style sheet of the site is in force');

  await page.getByRole('button', { name: 'Start my notebooks' }).click();
  await waitForServer(page, student);
  await page.goto(at('hub/home'));
  await leave(page, () => page.getByRole('button', { name: 'Stop my notebooks' }).click());
  await page.getByRole('button', { name: 'Start my notebooks' }).waitFor();

  await lookAtProgress(page, () => page.getByRole('button', { name: 'Start my notebooks' }).click(), async () => {
    await page.getByRole('heading', { name: 'Your notebooks are on their way' }).waitFor();
    await page.getByRole('progressbar').waitFor({ state: 'attached' });
  });
  await page.goto(at(`hub/spawn-pending/${student.name}`));
  await waitForServer(page, student);
  await page.goto(at('hub/nowhere'));
  await page.getByRole('heading', { name: '404: Not Found' }).waitFor();
  assert.deepEqual(faults, []);
  await t.test('axe', () => examine(browser, page, at, ['hub/login', 'hub/home', 'hub/token', 'hub/nowhere']));
  await page.goto(at('hub/home'));
  await leave(page, () => page.getByRole('button', { name: 'Stop my notebooks' }).click());
  await page.getByRole('button', { name: 'Start my notebooks' }).waitFor();
});

/** axe on the pages of somebody who is signed in, in both schemes, on a phone and on a laptop. */
async function examine(browser, signedIn, at, paths) {
  // The rules are put in from outside, past the pages' content policy.
  const context = await browser.newContext({ bypassCSP: true });
  const page = await context.newPage();
  for (const path of paths) {
    if (path === 'hub/home') await context.addCookies(await signedIn.context().cookies());
    await page.goto(at(path));
    for (const colorScheme of ['light', 'dark']) {
      await page.emulateMedia({ colorScheme });
      for (const viewport of [{ width: 360, height: 740 }, { width: 1280, height: 800 }]) {
        await page.setViewportSize(viewport);
        await page.evaluate(AXE);
        const violations = await page.evaluate(async () => {
          const { violations } = await globalThis.axe.run(document, { resultTypes: ['violations'] });
          return violations.flatMap((rule) => rule.nodes.map((node) => `${rule.id}: ${rule.help}\n    ${node.html}\n    ${node.failureSummary}`));
        });
        assert.deepEqual(violations, [], `${path}, ${colorScheme}, ${viewport.width} wide`);
        if (process.env.LYCEUM_E2E_PICTURES) {
          const file = join(process.env.LYCEUM_E2E_PICTURES, `${page.url().replace(/\W+/g, '-')}-${colorScheme}-${viewport.width}.png`);
          await page.screenshot({ path: file });
        }
      }
    }
  }
}
