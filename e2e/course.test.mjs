// A server for a course: from its card, by a link of another site, as the course says for whom it is;
// and ended by the rule for the course's servers. With the keyboard alone where pages of ours are.

import assert from 'node:assert/strict';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'node:test';
import { leave, startBrowser } from './support/browser.mjs';
import { tabTo } from './support/keyboard.mjs';
import { runsElsewhere, startLyceum } from './support/lyceum.mjs';
import { goHome, logIn, stopServer, waitForServer } from './support/pages.mjs';
import { tellIn, until } from './support/story.mjs';

const CONFIG = `
environments:
  python:
    env: {FROM: environment, KIND: python}
`;
const CULLED = `${CONFIG}
servers:
  cull:
    rules:
      - {courses: [signals-demo], idle: 15s}
`;
const COURSE = `
title: Introduction to Signals
people:
  teachers: [grace]
  students: [ada, ben]
environment:
  use: python
  opens: /tree
  env: {FROM: course}
  teachers:
    env: {FROM: course, FOR: teachers}
`;

const skip = runsElsewhere && 'it needs a course of its own';

test('start a server for a course', { timeout: 900_000, skip }, async (t) => {
  const step = tellIn(t);
  const lyceum = await startLyceum({ config: CONFIG });
  t.after(() => lyceum.stop());
  const file = join(lyceum.data, 'courses', 'signals-demo.yaml');
  const browser = await startBrowser();
  t.after(() => browser.close());
  const [student, teacher] = [lyceum.account('student'), lyceum.account('teacher')];
  const at = (path) => new URL(path, lyceum.url).href;
  const card = (page) => page.getByRole('listitem').filter({ hasText: 'Introduction to Signals' });
  const start = (page) => card(page).getByRole('button', { name: /^Start/ });
  const press = async (page, control) => {
    await control.waitFor();
    await tabTo(page, control);
    await leave(page, () => page.keyboard.press('Enter'));
  };

  const page = await (await browser.newContext()).newPage();
  await step('a course without an environment starts nothing', async () => {
    await logIn(page, lyceum.url, student);
    await card(page).waitFor();
    assert.equal(await start(page).count(), 0);
    const refused = await page.goto(at('hub/spawn?course=signals-demo'));
    assert.equal(refused.status(), 404);
  });

  await step('with one its card has a button', async () => {
    await writeFile(file, COURSE);
    await until('the card has a button', async () => {
      await goHome(page, lyceum.url);
      return (await start(page).count()) === 1;
    });
  });

  await step('a student gets what the course says', async () => {
    // Whoever can't see the card hears for what it is.
    await card(page).getByRole('button', { name: 'Start Introduction to Signals', exact: true }).waitFor();
    await press(page, start(page));
    await waitForServer(page, student);
    assert.match(page.url(), /\/tree/);
    const variables = await environmentOf(lyceum, student.name);
    assert.equal(variables.get('FROM'), 'course');
    assert.equal(variables.get('KIND'), 'python');
    assert.equal(variables.has('FOR'), false);
  });

  await step('the card leads to what runs', async () => {
    await goHome(page, lyceum.url);
    assert.equal(await start(page).count(), 0);
    await press(page, card(page).getByRole('link', { name: 'Open Introduction to Signals', exact: true }));
    await waitForServer(page, student);
    await stopServer(page, lyceum.url);
  });

  await step('what runs for something else is stopped for it when she says so, also without script', async () => {
    const plain = await (await browser.newContext({ javaScriptEnabled: false })).newPage();
    await logIn(plain, lyceum.url, student);
    await press(plain, plain.getByRole('button', { name: 'Start My notebook server', exact: true }));
    await waitForServer(plain, student);
    await goHome(plain, lyceum.url);
    await press(plain, start(plain));
    await plain.getByRole('heading', { name: 'Start: Introduction to Signals', exact: true }).waitFor();
    await plain.getByText('My notebook server runs already, for something else.').waitFor();
    assert.equal(await plain.locator('main .primary').count(), 1);
    await press(plain, plain.getByRole('link', { name: 'Open what runs', exact: true }));
    await waitForServer(plain, student);
    assert.equal((await environmentOf(lyceum, student.name)).has('FROM'), false);
    await goHome(plain, lyceum.url);
    await press(plain, start(plain));
    await press(plain, plain.getByRole('button', { name: 'Stop it and start Introduction to Signals', exact: true }));
    // While one takes its time to end the page says so, and goes on by itself.
    await waitForServer(plain, student);
    assert.equal((await environmentOf(lyceum, student.name)).get('FROM'), 'course');
    await goHome(page, lyceum.url);
    await stopServer(page, lyceum.url);
    await plain.close();
  });

  await step('a link asks first, also without script, and a teacher gets what is for teachers', async () => {
    const plain = await (await browser.newContext({ javaScriptEnabled: false })).newPage();
    await logIn(plain, lyceum.url, teacher);
    // As a page of another site leads here.
    await plain.goto('about:blank');
    await plain.setContent(`<a href="${at('hub/spawn?course=signals-demo')}">To the course</a>`);
    await press(plain, plain.getByRole('link', { name: 'To the course' }));
    await plain.getByText('It is made for the course Introduction to Signals.').waitFor();
    const begin = plain.getByRole('button', { name: 'Start', exact: true });
    await tabTo(plain, begin);
    await tabTo(plain, plain.getByRole('link', { name: /back home/i }), 1);
    await plain.keyboard.press('Shift+Tab');
    await press(plain, begin);
    await waitForServer(plain, teacher);
    assert.equal((await environmentOf(lyceum, teacher.name)).get('FOR'), 'teachers');
    await plain.close();
  });

  await step('a mistake in the file changes nothing for those who start', async () => {
    await writeFile(file, COURSE.replace('opens:', 'opnes:'));
    await until('the log tells the mistake', () => lyceum.output().includes('did you mean `opens`?'));
    await goHome(page, lyceum.url);
    await start(page).click();
    await waitForServer(page, student);
    await stopServer(page, lyceum.url);
  });

  await step('a rule for servers of the course ends what nobody uses', async () => {
    await lyceum.reconfigure(CULLED);
    await lyceum.untilQuiet();
  });
});

/** The variables of a process of this person's server; others on this machine may have one of that name. */
async function environmentOf(lyceum, name) {
  for (const id of (await readdir('/proc')).filter((entry) => /^[0-9]+$/.test(entry))) {
    // It may have ended, or be somebody else's.
    const text = await readFile(`/proc/${id}/environ`, 'utf8').catch(() => '');
    const pairs = text.split('\0').map((pair) => pair.split('='));
    const variables = new Map(pairs.map(([key, ...value]) => [key, value.join('=')]));
    if (variables.get('JUPYTERHUB_USER') === name && variables.get('HOME')?.startsWith(lyceum.data)) return variables;
  }
  return assert.fail(`no process of a server of ${name}`);
}
