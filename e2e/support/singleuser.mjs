// An unmodified jupyterhub-singleuser of one line, as images have them: a
// script with a token, a browser through OAuth, JupyterLab and Notebook 7.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import test from 'node:test';
import { promisify } from 'node:util';
import { startBrowser, watchForFaults } from './browser.mjs';
import { Client, execute, typeInTerminal } from './http.mjs';
import { createNotebook, openInNotebook, runCell, waitForLab } from './jupyterlab.mjs';
import { runsElsewhere, startLyceum } from './lyceum.mjs';
import { controls, logIn, waitForServer } from './pages.mjs';
import { tellIn } from './story.mjs';

const skip = runsElsewhere && 'a Lyceum that runs elsewhere has a Jupyter of its own';

/** The story of the line `line` (`5`), installed in `jupyterEnv`. */
export function tellOf(line, jupyterEnv) {
  test(`jupyterhub-singleuser ${line} starts, serves and stops`, { timeout: 900_000, skip }, async (t) => {
    const step = tellIn(t);
    const singleuser = join(jupyterEnv, 'bin/jupyterhub-singleuser');
    const { stdout } = await promisify(execFile)(singleuser, ['--version']);
    assert.ok(stdout.startsWith(`${line}.`), stdout);

    const lyceum = await startLyceum({ jupyterEnv });
    t.after(() => lyceum.stop());
    const student = lyceum.account('student');
    const other = lyceum.accounts.find((one) => one.role === 'student' && one.name !== student.name);
    const visitor = new Client(lyceum.url);
    const script = new Client(lyceum.url);
    const user = `hub/api/users/${student.name}`;
    const own = `user/${student.name}`;
    let token;

    await step('it starts and tells its progress to the end', async () => {
      await visitor.logIn(student);
      ({ token } = await visitor.makeToken(student, 'a script'));
      await script.expect([201, 202], 'POST', `${user}/server`, { token, json: {} });
      const last = (await script.readEvents(`${user}/server/progress`, { token })).at(-1);
      assert.equal(last.ready, true, JSON.stringify(last));
    });

    await step('a script with a token saves a file and runs code', async () => {
      const file = { type: 'file', format: 'text', content: 'six times seven' };
      await script.expect(201, 'PUT', `${own}/api/contents/note.txt`, { token, json: file });
      const kernel = await script.expect(201, 'POST', `${own}/api/kernels`, { token, json: { name: 'python3' } });
      const code = 'open("note.txt").read()';
      assert.equal(await execute(lyceum.url, student, kernel.id, token, code), "'six times seven'");
      await script.expect(204, 'DELETE', `${own}/api/kernels/${kernel.id}`, { token });
    });

    await step('a terminal finds the programs of the environment', async () => {
      const found = await typeInTerminal(lyceum.url, student, token, 'echo "it is $(command -v jupyter)"', /it is (\/\S*)/);
      assert.equal(found[1], join(jupyterEnv, 'bin/jupyter'));
    });

    await step('a visitor gets in by OAuth, by way of the hub and back', async () => {
      const page = await visitor.follow(`${own}/files/note.txt`);
      const api = new URL(`/${own}/api/contents/note.txt`, page.url).href;
      const stranger = await new Client(lyceum.url).send('GET', api);
      assert.equal(stranger.status, 403, 'an API without the cookie is refused, not redirected');
      assert.equal(page.status, 200, page.text.slice(0, 500));
      assert.equal(page.text, 'six times seven');
      assert.ok(visitor.cookie(`jupyterhub-user-${student.name}`, page.url), 'the server has set its own cookie');
      // The cookie alone is enough from now on.
      const again = await visitor.send('GET', api);
      assert.equal(again.status, 200, again.text.slice(0, 500));
    });

    await step('somebody else does not', async () => {
      const stranger = new Client(lyceum.url);
      await stranger.logIn(other);
      const page = await stranger.follow(`${own}/files/note.txt`);
      assert.ok([403, 404].includes(page.status), `${page.status} at ${page.url}`);
      assert.doesNotMatch(page.text, /six times seven/);
    });

    await step('after log-out the visitor has to log in again', async () => {
      const out = await visitor.send('POST', 'hub/logout', { form: { _xsrf: visitor.cookie('_xsrf') } });
      assert.equal(out.status, 302, out.text.slice(0, 500));
      const page = await visitor.follow(`${own}/files/note.txt`);
      assert.match(page.url, /\/hub\/login/, `${page.status}: ${page.text.slice(0, 500)}`);
    });

    const browser = await startBrowser();
    t.after(() => browser.close());
    const page = await (await browser.newContext()).newPage();
    const faults = watchForFaults(page, lyceum.url);

    await step('JupyterLab opens in a browser, and a cell runs', async () => {
      await logIn(page, lyceum.url, student);
      await controls.open(page).click();
      await waitForServer(page, student);
      await waitForLab(page);
      await createNotebook(page);
      assert.equal(await runCell(page, '6*7'), '42');
    });

    await step('and so does Notebook 7', async () => {
      // Without the kernel's name it would ask which one.
      const metadata = { kernelspec: { name: 'python3', display_name: 'Python 3', language: 'python' } };
      const content = { cells: [], metadata, nbformat: 4, nbformat_minor: 5 };
      const notebook = { type: 'notebook', format: 'json', content };
      await script.expect(201, 'PUT', `${own}/api/contents/seven.ipynb`, { token, json: notebook });
      await openInNotebook(page, 'seven.ipynb');
      assert.equal(await runCell(page, '7*7'), '49');
    });

    await step('it stops', async () => {
      await script.expect([202, 204], 'DELETE', `${user}/server`, { token });
      await lyceum.untilQuiet();
      await script.expect(424, 'GET', `hub/user/${student.name}/api/status`, { token });
    });

    assert.deepEqual(faults, []);
  });
}
