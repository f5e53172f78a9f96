// The page of a course: a student hands in by the keyboard and takes her receipt, her teacher sees it,
// feedback comes back and is read in a page that can do nothing. The program is the real one.

import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'node:test';
import { check } from './support/axe.mjs';
import { startBrowser } from './support/browser.mjs';
import { tabTo } from './support/keyboard.mjs';
import { runsElsewhere, startLyceum } from './support/lyceum.mjs';
import { goHome, logIn } from './support/pages.mjs';
import { tellIn, until } from './support/story.mjs';

const DAY_MS = 24 * 3_600_000;
const inDays = (days) => new Date(Date.now() + days * DAY_MS).toISOString().slice(0, 10);
const COURSE = `
title: Signals and Systems
term: autumn 2026
people:
  teachers: [grace]
  students: [ada, ben]
environment: {memory: {limit: 2G}}
server: true
assignments:
  problem set 1:
    due: ${inDays(1)} 18:00
    late: {until: 2d, costs: 10% per day}
    limits: {size: 1M, files: 3, kinds: [ipynb, csv], submissions: 5}
  problem set 2: {due: ${inDays(9)} 18:00}
`;
const NAME = 'problem set 1';
const EXCHANGE = 'hub/api/lyceum/exchange/courses/signals-demo';
const SIZES = [[360, 740], [1280, 800], [1920, 1080]];
const FURTHEST = 80;
const EVIL = '<!doctype html><title>Feedback</title><p>Well done, Ada.</p><script>document.title = "it ran"; fetch("/hub/home")</script>';

const skip = runsElsewhere && 'it needs a course of its own';

test('the page of a course', { timeout: 600_000, skip }, async (t) => {
  const step = tellIn(t);
  const lyceum = await startLyceum({});
  t.after(() => lyceum.stop());
  const browser = await startBrowser();
  t.after(() => browser.close());
  const [student, teacher] = [lyceum.account('student'), lyceum.account('teacher')];
  const tokens = new Map();
  for (const { name } of [student, teacher]) {
    tokens.set(name, (await lyceum.run(['token', 'create', name])).stdout.trim());
  }
  const at = (path) => new URL(path, lyceum.url).href;
  /** As a program sends files: each as a field that is named by its path. */
  const send = async (who, method, path, files) => {
    const body = new FormData();
    for (const [name, content] of Object.entries(files)) body.append(name, new Blob([content]), name);
    const answer = await fetch(at(path), { method, body, headers: { authorization: `token ${tokens.get(who.name)}` } });
    assert.ok(answer.ok, `${path}: ${answer.status} ${await answer.text()}`);
  };
  // axe is put into pages against their policy; what feedback may do is looked at with it.
  const page = await (await browser.newContext({ timezoneId: 'UTC', bypassCSP: true })).newPage();
  const teachers = await (await browser.newContext({ timezoneId: 'UTC', bypassCSP: true })).newPage();
  const strict = await (await browser.newContext({ timezoneId: 'UTC' })).newPage();
  const plain = await (await browser.newContext({ javaScriptEnabled: false })).newPage();
  const main = (on) => on.locator('main');
  const file = (name, content) => ({ name, mimeType: 'application/octet-stream', buffer: Buffer.from(content) });

  await step('from home to the assignment, by the keyboard', async () => {
    await writeFile(join(lyceum.data, 'courses', 'signals-demo.yaml'), COURSE);
    const task = { 'task.ipynb': '{"cells": []}' };
    await send(teacher, 'POST', `${EXCHANGE}/assignments/${encodeURIComponent(NAME)}/versions`, task);
    await logIn(page, lyceum.url, student);
    await until('home knows when the assignment is due', async () => {
      await goHome(page, lyceum.url);
      return (await main(page).innerText()).includes(`${NAME}, due`);
    });
    const card = page.getByRole('heading', { level: 3, name: 'Signals and Systems' }).getByRole('link');
    await tabTo(page, card, FURTHEST);
    await page.keyboard.press('Enter');
    await page.waitForURL(/\/hub\/courses\/signals-demo$/);
    await page.getByRole('heading', { level: 1, name: 'Signals and Systems' }).waitFor();
    const text = await main(page).innerText();
    assert.ok(!text.includes('problem set 2'), 'it is not released');
    assert.match(text, /You can hand it in 5 more times\./);
    await check(page, 'the page of a course');
    await shoot(page, 'course');
    await tabTo(page, page.getByRole('link', { name: /^Hand in/ }), FURTHEST);
    await page.keyboard.press('Enter');
    await page.waitForURL(/assignments\/problem%20set%201#hand-in$/);
    await page.getByText('At most 3 files.').waitFor();
    await check(page, 'the page of an assignment');
    await shoot(page, 'assignment');
  });

  await step('what is not taken is told at the form', async () => {
    const files = page.getByLabel('Files', { exact: true });
    const button = page.getByRole('button', { name: 'Hand in', exact: true });
    const alert = page.getByRole('alert');
    await tabTo(page, button, FURTHEST);
    await page.keyboard.press('Enter');
    await alert.getByText('Choose the files first').waitFor();
    assert.ok(await alert.evaluate((element) => element === document.activeElement), 'it is read out');
    await files.setInputFiles([file('a.ipynb', 'x'.repeat(1_100_000))]);
    await alert.getByText('These files are too large.').waitFor();
    await files.setInputFiles([file('tool.exe', 'x')]);
    await alert.waitFor({ state: 'hidden' });
    await tabTo(page, button, FURTHEST);
    await page.keyboard.press('Enter');
    await alert.getByText('A file like tool.exe is not taken').waitFor();
    await check(page, 'a file that is not taken');
    await shoot(page, 'refused');
  });

  let receipt;
  await step('she hands in by the keyboard, and takes her receipt', async () => {
    const files = page.getByLabel('Files', { exact: true });
    await tabTo(page, files, FURTHEST);
    await files.setInputFiles([file('answer.ipynb', '{"cells": [1]}'), file('data.csv', '1,2\n')]);
    await page.getByText('answer.ipynb (14 B)').waitFor();
    await tabTo(page, page.getByRole('button', { name: 'Hand in', exact: true }), FURTHEST);
    await page.keyboard.press('Enter');
    await page.getByText('It is handed in and kept. This is your receipt.').waitFor();
    await page.getByText('in time', { exact: true }).waitFor();
    await check(page, 'a receipt');
    await shoot(page, 'receipt');
    const download = page.waitForEvent('download');
    await tabTo(page, page.getByRole('link', { name: 'Download the receipt' }), FURTHEST);
    await page.keyboard.press('Enter');
    receipt = await readFile(await (await download).path(), 'utf8');
    assert.match(receipt, /^lyceum receipt 2\ncourse: signals-demo\n[^]*\nstudent: ada\n[^]*\nsignature: \S+\npublic key: [0-9a-f]{64}\n$/);
    const { stdout } = await lyceum.run(['exchange', 'verify']);
    assert.match(stdout, /^1 receipt/);
    const key = (await lyceum.run(['exchange', 'key'])).stdout.trim();
    assert.ok(receipt.includes(key), 'whoever has the key can check it');
    const kept = join(lyceum.data, 'receipt.txt');
    await writeFile(kept, receipt);
    assert.equal((await lyceum.run(['exchange', 'receipt', kept])).stdout, 'signed here, and as it was\n');
    // To load the page again hands in nothing.
    await page.reload();
    const again = await lyceum.run(['exchange', 'verify']);
    assert.equal(again.stdout, stdout);
  });

  await step('without script the same form does it', async () => {
    await logIn(plain, lyceum.url, student);
    await plain.goto(at(`hub/courses/signals-demo/assignments/${encodeURIComponent(NAME)}`));
    await plain.getByLabel('Files', { exact: true }).setInputFiles([file('tool.exe', 'x')]);
    await plain.getByRole('button', { name: 'Hand in', exact: true }).click();
    await plain.getByRole('alert').getByText('A file like tool.exe is not taken').waitFor();
    await plain.getByLabel('Files', { exact: true }).setInputFiles([file('better.ipynb', '{}')]);
    await plain.getByRole('button', { name: 'Hand in', exact: true }).click();
    await plain.getByText('It is handed in and kept.').waitFor();
    assert.match((await lyceum.run(['exchange', 'verify'])).stdout, /^2 receipts/);
  });

  let submission;
  await step('her teacher sees it wait, and all that she handed in', async () => {
    await logIn(teachers, lyceum.url, teacher);
    const waiting = teachers.getByRole('region', { name: 'What waits for you' });
    await until('home tells what waits', async () => {
      await goHome(teachers, lyceum.url);
      return (await waiting.count()) > 0 && (await waiting.innerText()).includes('1 waits for feedback.');
    });
    await waiting.getByRole('link', { name: 'Signals and Systems' }).click();
    await teachers.getByText('1 of 2 have handed in. 1 waits for feedback.').waitFor();
    await teachers.getByText('Not released yet.').waitFor();
    await teachers.getByText('For those who take it', { exact: true }).click();
    await teachers.getByText('memory limit').first().waitFor();
    await check(teachers, 'the page of a course that one teaches');
    await shoot(teachers, 'course-teacher');
    await teachers.getByRole('link', { name: 'Who is in it, and why' }).click();
    await teachers.getByRole('heading', { level: 1, name: 'People' }).waitFor();
    await check(teachers, 'the people of a course');
    await shoot(teachers, 'people');
    await teachers.goBack();
    await teachers.getByRole('link', { name: NAME, exact: true }).click();
    await teachers.getByRole('row').filter({ hasText: 'ben' }).getByText('nothing yet').waitFor();
    await check(teachers, 'an assignment with what came in');
    await shoot(teachers, 'assignment-teacher');
    const download = teachers.waitForEvent('download');
    await teachers.getByRole('link', { name: 'Download everybody\'s newest' }).click();
    assert.equal((await download).suggestedFilename(), `signals-demo-${NAME}.zip`);
    await teachers.getByLabel('Name contains').fill('ad');
    await teachers.keyboard.press('Enter');
    await teachers.waitForURL(/q=ad/);
    assert.equal(await teachers.getByRole('rowheader').count(), 1);
    await teachers.getByRole('rowheader').getByRole('link', { name: 'ada' }).click();
    assert.equal(await teachers.getByRole('rowheader').count(), 2);
    await check(teachers, 'all that one person handed in');
    await teachers.getByRole('rowheader').getByRole('link').first().click();
    await teachers.getByRole('rowheader', { name: 'better.ipynb' }).waitFor();
    submission = new URL(teachers.url()).pathname.split('/').pop();
  });

  await step('feedback comes back, and can do nothing', async () => {
    const given = { 'feedback.html': EVIL, 'points.csv': '10\n' };
    await send(teacher, 'PUT', `${EXCHANGE}/submissions/${submission}/feedback`, given);
    await logIn(strict, lyceum.url, student);
    await strict.goto(at('hub/courses/signals-demo'));
    const asked = [];
    strict.on('request', (request) => asked.push(request.url()));
    await strict.getByRole('link', { name: `read it ${NAME}` }).click();
    await strict.getByRole('heading', { name: 'Feedback', exact: true }).waitFor();
    await strict.getByRole('link', { name: 'Read feedback.html' }).click();
    await strict.getByText('Well done, Ada.').waitFor();
    assert.equal(await strict.title(), 'Feedback');
    assert.ok(!asked.some((url) => url.endsWith('/hub/home')), asked.join('\n'));
    await page.goto(at(`hub/courses/signals-demo/submissions/${submission}`));
    await page.getByRole('link', { name: 'Read feedback.html' }).waitFor();
    await check(page, 'what was handed in, with feedback');
    await shoot(page, 'feedback');
  });
});

/** Pictures to look at, where they are asked for: in each size, light and dark. */
async function shoot(page, name) {
  const folder = process.env.LYCEUM_TEST_PICTURES;
  if (!folder) return;
  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme });
    for (const [width, height] of SIZES) {
      await page.setViewportSize({ width, height });
      await page.screenshot({ path: join(folder, `course-${name}-${colorScheme}-${width}.png`), fullPage: true });
    }
  }
  await page.setViewportSize({ width: 1280, height: 800 });
}
