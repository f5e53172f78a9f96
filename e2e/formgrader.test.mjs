// A course is graded with nbgrader's own formgrader, from the first folder to the feedback that a
// student reads: two teachers at once in the course's server, three students with the exchange.

import assert from 'node:assert/strict';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'node:test';
import { startBrowser } from './support/browser.mjs';
import { act, formgrader, goTo, gradeByHand, openAssignments, openSubmission, row, runIn, serverOf, waitForFormgrader } from './support/formgrader.mjs';
import { waitForLab } from './support/jupyterlab.mjs';
import { runsElsewhere, startLyceum } from './support/lyceum.mjs';
import { goHome, logIn, stopServer, waitForServer } from './support/pages.mjs';
import { tellIn, until } from './support/story.mjs';

const skip = runsElsewhere && 'it needs a course of its own';
const COURSE = `title: Introduction to Signals
people:
  teachers: [grace, linus]
  students: [ada, ben, cleo]
environment: {}
formgrader: true
nbgrader:
  ExecutePreprocessor.timeout: 77
  ClearSolutions.code_stub: {python: "# your turn, 'please'\\nraise NotImplementedError()"}
`;
const PLACE = '/services/signals-demo/';
const PRAISE = 'Well argued, Ada';

test('a course is graded in the formgrader', { timeout: 900_000, skip }, async (t) => {
  const step = tellIn(t);
  const lyceum = await startLyceum();
  t.after(() => lyceum.stop());
  const browser = await startBrowser();
  t.after(() => browser.close());
  const others = ['linus', 'cleo'].map((name) => ({ name, password: 'seven grey geese' }));
  for (const { name, password } of others) await lyceum.run(['user', 'add', name], { input: `${password}\n` });
  const describe = (text) => writeFile(join(lyceum.data, 'courses', 'signals-demo.yaml'), text);
  const account = (name) => [...lyceum.accounts, ...others].find((one) => one.name === name);
  const card = (page) => page.getByRole('listitem').filter({ hasText: 'Introduction to Signals' });
  const newPage = async (name) => {
    // JupyterLab asks about news at the bottom; the formgrader's rows stand above that.
    const page = await (await browser.newContext({ viewport: { width: 1600, height: 1200 } })).newPage();
    await logIn(page, lyceum.url, account(name));
    return page;
  };
  const hers = (page) => page.waitForURL((url) => url.pathname.startsWith(PLACE) && url.host !== new URL(lyceum.url).host, { timeout: 180_000 });
  const nbgrader = async (name, ...args) => runIn(await serverOf(lyceum, name), 'nbgrader', ...args);
  const [grace, linus, ada, ben, cleo] = await Promise.all(['grace', 'linus', 'ada', 'ben', 'cleo'].map(newPage));

  await step('the file asks for a formgrader; the card opens it', async () => {
    await describe(COURSE);
    const start = card(grace).getByRole('button', { name: /^Start the course's server/ });
    await until('the card has a button', async () => {
      await goHome(grace, lyceum.url);
      return (await start.count()) === 1;
    });
    await start.click();
    await hers(grace);
    await waitForFormgrader(grace);
  });

  await step('quickstart, in a terminal of that server, while students start theirs', async () => {
    const started = [ada, ben, cleo].map(async (page, at) => {
      await goHome(page, lyceum.url);
      await card(page).getByRole('button', { name: /^Start/ }).click();
      await waitForServer(page, account(['ada', 'ben', 'cleo'][at]));
    });
    const terminal = await grace.context().newPage();
    await typeInTerminal(terminal, new URL(`${PLACE}terminals/1`, grace.url()).href, 'nbgrader quickstart signals-demo');
    await Promise.all(started);
    const { HOME } = await serverOf(lyceum, 'course:signals-demo');
    const config = join(HOME, 'signals-demo', 'nbgrader_config.py');
    await until('all of it is there', async () => (await readFile(config, 'utf8').catch(() => '')).includes('End additions by nbgrader quickstart'));
    await terminal.close();
  });

  await step('generated and released in the page', async () => {
    await goTo(grace, 'Manage Assignments');
    await act(grace, 'ps1', 'assign');
    await act(grace, 'ps1', 'release');
    await row(grace, 'ps1').getByText('released').waitFor();
    // What the course file says of nbgrader is in force.
    assert.match(await formgrader(grace).locator('body').textContent(), /timeout\W+77/);
  });

  await step('three students fetch and hand in, one of them in the page', async () => {
    await waitForLab(ada);
    await openAssignments(ada);
    await ada.locator('#released_assignments_list .list_item').filter({ hasText: 'ps1' }).getByRole('button', { name: 'Fetch' }).click();
    const submit = ada.locator('#fetched_assignments_list').getByRole('button', { name: 'Submit' });
    await submit.waitFor();
    await solve(join((await serverOf(lyceum, 'ada')).HOME, 'ps1', 'problem1.ipynb'));
    await submit.click();
    await ada.locator('#submitted_assignments_list .nested_list_item').first().waitFor();
    await Promise.all(['ben', 'cleo'].map(async (name) => {
      // Nobody says which course: the server was started for it.
      await nbgrader(name, 'fetch_assignment', 'ps1');
      assert.match(await nbgrader(name, 'submit', 'ps1'), /Submitted as: signals-demo ps1/);
    }));
  });

  await step('students have no formgrader', async () => {
    await ada.getByRole('menuitem', { name: 'Nbgrader' }).click();
    await ada.getByRole('menuitem', { name: 'Course List' }).waitFor();
    assert.equal(await ada.getByRole('menuitem', { name: 'Formgrader' }).count(), 0);
    await ada.keyboard.press('Escape');
    const there = await ada.evaluate(async () => (await fetch('/user/ada/formgrader/manage_assignments')).status);
    assert.equal(there, 404);
    const course = await ada.context().newPage();
    assert.equal((await course.goto(new URL(`${PLACE.slice(1)}formgrader/manage_assignments`, lyceum.url).href)).status(), 404);
    await course.close();
  });

  await step('collected and autograded in the page', async () => {
    await act(grace, 'ps1', 'collect');
    await row(grace, 'ps1').locator('.num-submissions a').click();
    for (const name of ['ada', 'ben', 'cleo']) {
      await act(grace, name, 'autograde');
      await row(grace, name).getByText('needs manual grading').waitFor();
    }
    const score = async (name) => Number.parseFloat(await row(grace, name).locator('.score').innerText());
    assert.ok((await score('ada')) > (await score('ben')));
  });

  await step('a second teacher opens it beside the first; both grade by hand', async () => {
    await goHome(linus, lyceum.url);
    await card(linus).getByRole('link', { name: /^Open the course's server/ }).click();
    await hers(linus);
    await waitForFormgrader(linus);
    await Promise.all([
      openSubmission(grace, 'ada', 'ps1', 'problem1').then(() => gradeByHand(grace, 1, 'sum_of_squares_equation', PRAISE)),
      openSubmission(linus, 'ben', 'ps1', 'problem1').then(() => gradeByHand(linus, 0, 'sum_of_squares_equation', 'Try again, Ben')),
    ]);
    // Each finds what the other gave.
    await goTo(linus, 'Manual Grading');
    await openSubmission(linus, 'ada', 'ps1', 'problem1');
    const words = formgrader(linus).locator('#sum_of_squares_equation-comment[placeholder]');
    await until('the other comment is there', async () => (await words.inputValue()) === PRAISE);
  });

  await step('feedback goes back', async () => {
    await goTo(grace, 'Manual Grading');
    await goTo(grace, 'Manage Assignments');
    await act(grace, 'ps1', 'generate-feedback');
    await act(grace, 'ps1', 'release-feedback');
  });

  await step('each student reads hers', async () => {
    await ada.locator('#refresh_assignments_list').click();
    const mine = ada.locator('#submitted_assignments_list');
    await mine.getByText('feedback available to fetch').waitFor();
    await mine.getByRole('button', { name: 'Fetch Feedback' }).click();
    await mine.getByText('view feedback').click();
    await ada.locator('.jp-DirListing-item').filter({ hasText: 'problem1.html' }).dblclick();
    await ada.frameLocator('.jp-HTMLViewer iframe, iframe.jp-HTMLViewer').getByText(PRAISE).first().waitFor();
    await nbgrader('ben', 'fetch_feedback', 'ps1');
    const folder = join((await serverOf(lyceum, 'ben')).HOME, 'ps1', 'feedback');
    const [time] = await readdir(folder);
    const told = await readFile(join(folder, time, 'problem1.html'), 'utf8');
    assert.ok(told.includes('Try again, Ben') && !told.includes(PRAISE));
  });

  await step('the server of the course is nobody in another, and without the word in its own; it ends', async () => {
    const { JUPYTERHUB_API_URL, JUPYTERHUB_API_TOKEN } = await serverOf(lyceum, 'course:signals-demo');
    const headers = { Authorization: `token ${JUPYTERHUB_API_TOKEN}` };
    const ask = async (what) => (await fetch(JUPYTERHUB_API_URL.replace(/hub\/api$/, `services/ngshare/${what}`), { headers })).status;
    const asked = () => ask('submissions/signals-demo/ps1');
    assert.equal(await asked(), 200);
    await writeFile(join(lyceum.data, 'courses', 'algebra.yaml'), 'title: Algebra\npeople: {teachers: [grace]}\nformgrader: true\n');
    await until('the other course is there', async () => (await ask('assignments/algebra')) !== 404);
    assert.equal(await ask('assignments/algebra'), 403);
    await describe(COURSE.replace('formgrader: true', 'server: true'));
    await until('it is refused', async () => (await asked()) === 403);
    await describe(COURSE.replace('formgrader: true\n', ''));
    await Promise.all([ada, ben, cleo].map((page) => stopServer(page, lyceum.url)));
    await lyceum.untilQuiet();
  });
});

/** Types a line once the shell of a terminal has said something. */
async function typeInTerminal(page, url, line) {
  const ready = new Promise((resolve) => {
    page.on('websocket', (socket) => {
      if (!/\/terminals\/websocket\//.test(socket.url())) return;
      socket.on('framereceived', ({ payload }) => `${payload}`.startsWith('["stdout"') && resolve());
    });
  });
  await page.goto(url);
  await page.locator('.jp-Terminal .xterm').waitFor();
  await ready;
  await page.locator('.jp-Terminal .xterm').click();
  await page.keyboard.type(`${line}\n`);
}

/** Answers what can be tested. The stub is the one of the course file. */
async function solve(path) {
  const notebook = JSON.parse(await readFile(path, 'utf8'));
  const cell = notebook.cells.find((one) => one.metadata.nbgrader?.grade_id === 'squares');
  const source = [cell.source].flat().join('');
  const stub = "    # your turn, 'please'\n    raise NotImplementedError()";
  assert.ok(source.includes(stub), source);
  cell.source = source.replace(stub, '    if n < 1:\n        raise ValueError(n)\n    return [i ** 2 for i in range(1, n + 1)]');
  await writeFile(path, JSON.stringify(notebook));
}
