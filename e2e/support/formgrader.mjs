// nbgrader's pages as teachers and students use them in JupyterLab: the formgrader in its tab, the
// list of assignments in another. Tied to nbgrader's own class names.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { until } from './story.mjs';

const LONG = { timeout: 240_000 };

/** The formgrader's own page, within JupyterLab's. */
export const formgrader = (page) => page.frameLocator('#formgrader-iframe iframe');

/** Until the list of assignments is there. */
export async function waitForFormgrader(page) {
  await page.locator('#jupyterlab-splash').waitFor({ state: 'detached', ...LONG });
  await formgrader(page).locator('.dataTables_wrapper').first().waitFor(LONG);
}

export async function goTo(page, name) {
  await formgrader(page).getByRole('link', { name, exact: true }).first().click();
}

/** The row of the table in which a cell is this word alone. */
export function row(page, word) {
  const cell = page.locator('td').filter({ hasText: new RegExp(`^\\s*${word}\\s*$`) });
  return formgrader(page).locator('#main-table tr').filter({ has: cell });
}

/** Clicks what is to be done in a row, and reads what came of it. */
export async function act(page, word, what) {
  await row(page, word).locator(`.${what} a`).click();
  const told = formgrader(page).locator('#success-modal, #error-modal');
  await told.waitFor(LONG);
  const said = await told.innerText();
  assert.equal(await told.getAttribute('id'), 'success-modal', said);
  await told.locator('.modal-footer button').click();
  await told.waitFor({ state: 'detached' });
}

/** Opens what a student handed in of a notebook, by the list of students. */
export async function openSubmission(page, student, assignment, notebook) {
  await goTo(page, 'Manage Students');
  for (const word of [student, assignment, notebook]) await row(page, word).locator('.name a').click();
  await formgrader(page).locator('.nbgrader_cell .score').first().waitFor();
}

/** Gives this many points wherever somebody has to, and says something of one answer. */
export async function gradeByHand(page, points, answer, comment) {
  const frame = formgrader(page);
  // The page has asked for the grades and the comments.
  await frame.locator(`#${answer}_extra_credit[placeholder]`).waitFor();
  const words = frame.locator(`#${answer}-comment[placeholder]`);
  const saved = (kind) => page.waitForResponse((one) => one.request().method() === 'PUT' && one.url().includes(`/formgrader/api/${kind}/`));
  const leave = async (field, kind) => {
    const [answered] = await Promise.all([saved(kind), field.blur()]);
    assert.equal(answered.status(), 200, await answered.text());
  };
  await words.fill(comment);
  await leave(words, 'comment');
  const open = frame.locator('.score.needs_manual_grade');
  for (let left = await open.count(); left > 0; left -= 1) {
    // It is no more among those once it has points.
    const field = frame.locator(`#${await open.first().getAttribute('id')}`);
    await field.fill(`${points}`);
    await leave(field, 'grade');
    await until('there is one less', async () => (await open.count()) < left);
  }
}

/** Opens the list of assignments by JupyterLab's menu. */
export async function openAssignments(page) {
  await page.getByRole('menuitem', { name: 'Nbgrader' }).click();
  await page.getByRole('menuitem', { name: 'Assignment List' }).click();
  await page.locator('#assignments').waitFor();
}

/** Runs a program as somebody's terminal would: in her home, with what her server was given. */
export async function runIn(server, program, ...args) {
  const { stdout, stderr } = await promisify(execFile)(program, args, { env: server, cwd: server.HOME, maxBuffer: 1 << 24 });
  return stdout + stderr;
}

/** What the server of this account was given. */
export async function serverOf(lyceum, name) {
  for (const { pid } of await lyceum.processes()) {
    const text = await readFile(`/proc/${pid}/environ`, 'utf8').catch(() => '');
    const env = Object.fromEntries(text.split('\0').filter(Boolean).map((one) => [one.slice(0, one.indexOf('=')), one.slice(one.indexOf('=') + 1)]));
    if (env.JUPYTERHUB_USER === name) return env;
  }
  throw new Error(`no server of ${name} runs`);
}
