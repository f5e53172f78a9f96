// People of a course by a list beside its file: who is in it, what its teacher reads of a bad row, and the
// course when it is over.

import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'node:test';
import { startBrowser } from './support/browser.mjs';
import { runsElsewhere, startLyceum } from './support/lyceum.mjs';
import { goHome, logIn } from './support/pages.mjs';
import { tellIn, until } from './support/story.mjs';

const COURSE = `
title: Signals
people:
  teachers: [grace]
  students: ['file:signals.csv']
environment: {}
`;

const skip = runsElsewhere && 'it needs a course of its own';

test('people of a course come by a list', { timeout: 300_000, skip }, async (t) => {
  const step = tellIn(t);
  const lyceum = await startLyceum();
  t.after(() => lyceum.stop());
  const folder = join(lyceum.data, 'courses');
  const browser = await startBrowser();
  t.after(() => browser.close());
  const [student, teacher] = [lyceum.account('student'), lyceum.account('teacher')];
  const card = (page) => page.getByRole('listitem').filter({ has: page.getByRole('heading', { name: 'Signals', exact: true }) });
  const page = await (await browser.newContext()).newPage();
  const teachers = await (await browser.newContext()).newPage();
  const reads = async (whose, words) =>
    until(`she reads: ${words}`, async () => {
      await goHome(whose, lyceum.url);
      return (await whose.locator('main').innerText()).includes(words);
    });

  await step('whom the list names sees the course, and who came onto it a moment ago', async () => {
    await writeFile(join(folder, 'signals.csv'), 'Name;Login\nNobody;nobody\n');
    await writeFile(join(folder, 'signals.yaml'), COURSE);
    await logIn(teachers, lyceum.url, teacher);
    await reads(teachers, 'Signals');
    await logIn(page, lyceum.url, student);
    assert.equal(await card(page).count(), 0);
    await writeFile(join(folder, 'signals.csv'), `Name;Login\nAda;${student.name.toUpperCase()}\n`);
    await until('her course is there', async () => {
      await goHome(page, lyceum.url);
      return (await card(page).count()) === 1;
    });
    await card(page).getByRole('button', { name: 'Start Signals', exact: true }).waitFor();
  });

  await step('a bad row is told to the teacher alone, and the others count', async () => {
    await writeFile(join(folder, 'signals.csv'), `Name;Login\nEve;=1+1\nAda;${student.name}\n`);
    await reads(teachers, 'signals.csv:2:');
    await teachers.getByText('All else in it counts.').waitFor();
    await goHome(page, lyceum.url);
    assert.equal(await card(page).count(), 1);
    assert.ok(!(await page.content()).includes('signals.csv'));
  });

  await step('when it is over it stands below the others, and starts nothing', async () => {
    await lyceum.run(['course', 'archive', 'signals']);
    await reads(page, 'archived: it can only be read');
    assert.equal(await card(page).getByRole('button').count(), 0);
    const titles = await page.locator('section[aria-labelledby="courses"] h3').allInnerTexts();
    assert.equal(titles.at(-1), 'Signals');
  });
});
