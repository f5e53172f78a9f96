// Home says what comes next: a student sees what she hands in until when, her teacher what came in.
// The program is the real one, with its course file and its exchange.

import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'node:test';
import { check } from './support/axe.mjs';
import { startBrowser } from './support/browser.mjs';
import { Client } from './support/http.mjs';
import { runsElsewhere, startLyceum } from './support/lyceum.mjs';
import { goHome, logIn, stopServer, waitForServer } from './support/pages.mjs';
import { tellIn, until } from './support/story.mjs';

const DAY_MS = 24 * 3_600_000;
const inDays = (days) => new Date(Date.now() + days * DAY_MS).toISOString().slice(0, 10);
const COURSE = `
title: Signals and Systems
people:
  teachers: [grace]
  students: [ada, ben]
environment: {}
assignments:
  problem set 1: {due: ${inDays(1)} 18:00}
  problem set 2: {opens: ${inDays(2)} 08:00, due: ${inDays(9)} 18:00}
`;
const SIZES = [[360, 740], [1280, 800], [1920, 1080]];
const FILES = JSON.stringify([{ path: 'ps.ipynb', content: Buffer.from('{}').toString('base64') }]);

const skip = runsElsewhere && 'it needs a course of its own';

test('home says what comes next', { timeout: 600_000, skip }, async (t) => {
  const step = tellIn(t);
  const lyceum = await startLyceum({});
  t.after(() => lyceum.stop());
  const browser = await startBrowser();
  t.after(() => browser.close());
  const file = join(lyceum.data, 'courses', 'signals-demo.yaml');
  const [student, teacher] = [lyceum.account('student'), lyceum.account('teacher')];
  const client = new Client(lyceum.url);
  const tokens = new Map();
  for (const { name } of [student, teacher]) {
    tokens.set(name, (await lyceum.run(['token', 'create', name])).stdout.trim());
  }
  const send = (who, path) => client.expect(200, 'POST', `services/ngshare/${path}`, {
    token: tokens.get(who.name),
    form: { files: FILES },
  });
  const own = { timezoneId: 'UTC', bypassCSP: true };
  const page = await (await browser.newContext(own)).newPage();
  const teachers = await (await browser.newContext(own)).newPage();
  const plain = await (await browser.newContext({ javaScriptEnabled: false })).newPage();
  const first = (on) => on.locator('main section').first();
  const primaries = (on) => on.locator('main .primary').count();

  await step('the student reads what is due, and starts her server for it', async () => {
    await writeFile(file, COURSE);
    for (const name of ['problem set 1', 'problem set 2']) await send(teacher, `assignment/signals-demo/${encodeURIComponent(name)}`);
    await logIn(page, lyceum.url, student);
    // What was released may be there before the file is read anew, which says until when it is taken.
    await until('home knows when the assignment is due', async () => {
      await goHome(page, lyceum.url);
      return (await first(page).innerText()).includes('problem set 1, due');
    });
    const heading = first(page).getByRole('heading', { name: /^Continue: Signals and Systems, problem set 1, due (tomorrow|today), 18:00$/ });
    await heading.waitFor();
    assert.equal(await primaries(page), 1);
    await first(page).getByRole('button', { name: 'Start', exact: true }).waitFor();
    const card = page.getByRole('listitem').filter({ hasText: 'Signals and Systems' });
    await card.getByText('1 assignment to hand in').waitFor();
    assert.ok(!(await page.content()).includes('problem set 2'), 'it has not opened');
    await check(page, 'home with what is due');
    await shoot(page, 'student');
  });

  await step('without script, too, with the zone said', async () => {
    await logIn(plain, lyceum.url, student);
    const text = await first(plain).innerText();
    assert.match(text, /^Continue: Signals and Systems, problem set 1, due \w+ \d+ \w+ \d+, 18:00 UTC/);
    await first(plain).getByRole('button', { name: 'Start', exact: true }).waitFor();
  });

  await step('what she hands in, her teacher sees wait', async () => {
    await send(student, 'submission/signals-demo/problem%20set%201');
    await goHome(page, lyceum.url);
    assert.match(await first(page).innerText(), /You have handed it in: .+ You can hand it in again/s);
    await logIn(teachers, lyceum.url, teacher);
    const waiting = teachers.getByRole('region', { name: 'What waits for you' });
    await waiting.getByText(/^problem set 1: 1 of 2 have handed in, due (tomorrow|today), 18:00/).waitFor();
    await waiting.getByText('1 waits for feedback.').waitFor();
    assert.equal(await primaries(teachers), 1);
    await waiting.getByRole('link', { name: 'Signals and Systems' }).click();
    await teachers.waitForURL(/\/hub\/courses\/signals-demo$/);
    await goHome(teachers, lyceum.url);
    assert.equal(await page.getByRole('region', { name: 'What waits for you' }).count(), 0);
  });

  await step('a mistake in the file is told to the teacher alone, and what held goes on', async () => {
    await writeFile(file, COURSE.replace('opens:', 'opnes:'));
    await until('home tells the mistake', async () => {
      await goHome(teachers, lyceum.url);
      return (await teachers.content()).includes('did you mean `opens`?');
    });
    await teachers.getByText('Line 9:').waitFor();
    await check(teachers, 'home with what waits');
    await shoot(teachers, 'teacher');
    await goHome(page, lyceum.url);
    const text = await page.locator('main').innerText();
    assert.ok(text.includes('problem set 1') && !text.includes('opnes'), text);
  });

  await step('what runs for something else is told before a start for the course', async () => {
    await page.getByRole('button', { name: 'Start My notebook server', exact: true }).click();
    await waitForServer(page, student);
    const answer = await page.goto(new URL('hub/spawn?course=signals-demo', lyceum.url).href);
    assert.equal(answer.status(), 409);
    await page.getByRole('button', { name: 'Stop it and start Signals and Systems', exact: true }).waitFor();
    await check(page, 'something else runs');
    await shoot(page, 'switch');
    await stopServer(page, lyceum.url);
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
      await page.screenshot({ path: join(folder, `home-${name}-${colorScheme}-${width}.png`), fullPage: true });
    }
  }
  await page.setViewportSize({ width: 1280, height: 800 });
}
