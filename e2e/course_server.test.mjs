// The server of a course: two teachers work in it at the same time, a student gets nowhere near; it
// outlives a crash, ends when nobody uses it, and goes with the course.

import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'node:test';
import { leave, startBrowser } from './support/browser.mjs';
import { createNotebook, runCell, waitForLab } from './support/jupyterlab.mjs';
import { runsElsewhere, startLyceum } from './support/lyceum.mjs';
import { goHome, logIn } from './support/pages.mjs';
import { tellIn, until } from './support/story.mjs';

const CULLED = `
servers:
  cull:
    rules:
      - {courses: [signals-demo], idle: 15s}
`;
const skip = runsElsewhere && 'it needs a course of its own';

test('teachers share the server of their course', { timeout: 900_000, skip }, async (t) => {
  const step = tellIn(t);
  const lyceum = await startLyceum();
  t.after(() => lyceum.stop());
  const browser = await startBrowser();
  t.after(() => browser.close());
  const grace = lyceum.account('teacher');
  const [ada, ben] = lyceum.accounts.filter((one) => one.role === 'student');
  const course = (more, teachers = [grace.name, ada.name]) => writeFile(
    join(lyceum.data, 'courses', 'signals-demo.yaml'),
    `title: Introduction to Signals\npeople:\n  teachers: [${teachers}]\n  students: [${ben.name}]\n${more}`,
  );
  const at = (path) => new URL(path, lyceum.url).href;
  const card = (page) => page.getByRole('listitem').filter({ hasText: 'Introduction to Signals' });
  const button = (page, name) => card(page).getByRole('button', { name });
  const opened = (page) => page.waitForURL((url) => url.pathname.startsWith('/services/signals-demo/') && url.host !== new URL(lyceum.url).host);
  const newPage = async (account) => {
    const page = await (await browser.newContext()).newPage();
    await logIn(page, lyceum.url, account);
    return page;
  };
  const [first, second, student] = [await newPage(grace), await newPage(ada), await newPage(ben)];

  await step('a course that asks for a server has one for its teachers', async () => {
    assert.equal(await button(first, /course's server/).count(), 0);
    await course('server: {env: {FROM: the course}}\n');
    await until('the card has a button', async () => {
      await goHome(first, lyceum.url);
      return (await button(first, /^Start the course's server/).count()) === 1;
    });
    await goHome(student, lyceum.url);
    await card(student).waitFor();
    assert.equal(await button(student, /course's server/).count(), 0);
  });

  await step('its address leads a teacher to a page that starts it', async () => {
    await first.goto(at('services/signals-demo/lab'));
    await first.getByRole('link', { name: 'Start the server' }).click();
    await opened(first);
    await waitForLab(first);
    await createNotebook(first);
    assert.equal(await runCell(first, '6*7'), '42');
    assert.match(await runCell(first, 'import os; os.environ["FROM"] + " " + os.environ["JUPYTERHUB_USER"]'), /the course course:signals-demo/);
  });

  await step('a second teacher works in it beside the first', async () => {
    await goHome(second, lyceum.url);
    await card(second).getByRole('link', { name: /^Open the course's server/ }).click();
    await opened(second);
    await waitForLab(second);
    assert.equal(new URL(second.url()).origin, new URL(first.url()).origin);
    // What the one made the other finds.
    const { content } = (await ask(second, 'contents')).body;
    assert.ok(content.some((one) => one.name.endsWith('.ipynb')), JSON.stringify(content));
    // The server has one desk for all; who wants one of her own has it by a name.
    await second.goto(new URL('/services/signals-demo/lab/workspaces/second', second.url()).href);
    await waitForLab(second);
    await createNotebook(second);
    assert.equal(await runCell(second, '40+2'), '42');
    assert.equal((await ask(second, 'me')).body.identity.username, ada.name);
    assert.equal((await ask(first, 'me')).body.identity.username, grace.name);
  });

  await step('a student is refused, at the hub and at its host', async () => {
    const answer = await student.goto(at('services/signals-demo/lab'));
    assert.equal(answer.status(), 404);
    const there = new URL('/services/signals-demo/lab', first.url()).href;
    const refused = await student.goto(there);
    assert.ok([403, 404].includes(refused.status()), `${refused.status()}`);
    const started = await student.goto(at('hub/spawn/course%3Asignals-demo'));
    assert.equal(started.status(), 404);
  });

  await step('it outlives the hub', async () => {
    await lyceum.crash();
    await lyceum.start();
    assert.equal(lyceum.adopted, 1);
    await until('cells run again', async () => (await runCell(second, '41+1').catch(() => '')) === '42');
  });

  await step('who teaches no more is out, the other works on', async () => {
    await course('server: true\n', [grace.name]);
    await until('she is refused', async () => (await ask(second, 'contents')).status === 403);
    const answer = await second.goto(at('services/signals-demo/lab'));
    assert.equal(answer.status(), 404);
    assert.equal(await runCell(first, '21*2'), '42');
  });

  await step('it is stopped from the card, and started there', async () => {
    await goHome(first, lyceum.url);
    await leave(first, () => button(first, /^Stop the course's server/).click());
    await until('it can be started', async () => {
      await goHome(first, lyceum.url);
      return (await button(first, /^Start the course's server/).count()) === 1;
    });
    await button(first, /^Start the course's server/).click();
    await opened(first);
    await waitForLab(first);
  });

  await step('it ends with its course', async () => {
    await course('server: true\nvisible: archived\n', [grace.name]);
    await first.goto('about:blank');
    await lyceum.untilQuiet();
  });

  await step('and when nobody uses it', async () => {
    await course('server: true\n', [grace.name]);
    await until('it can be started', async () => {
      await goHome(first, lyceum.url);
      return (await button(first, /^Start the course's server/).count()) === 1;
    });
    await button(first, /^Start the course's server/).click();
    await opened(first);
    await waitForLab(first);
    await lyceum.reconfigure(CULLED);
    await first.goto('about:blank');
    await lyceum.untilQuiet();
    // Its process is gone a moment before that is written down.
    await until('its card says why', async () => {
      await goHome(first, lyceum.url);
      return card(first).getByText(/nothing happened in it/).isVisible();
    });
  });
});

/** What the server answers a page of its own, which has the form token that it wants. */
function ask(page, what) {
  return page.evaluate(async (what) => {
    const token = /_xsrf=([^;]+)/.exec(document.cookie)?.[1] ?? '';
    const answer = await fetch(`/services/signals-demo/api/${what}`, { headers: { 'X-XSRFToken': token } });
    return { status: answer.status, body: await answer.json().catch(() => null) };
  }, what);
}
