// An unmodified jupyterhub-singleuser of the 5.x line, which many images still
// have: a script with a token, and a browser through OAuth.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import test from 'node:test';
import { promisify } from 'node:util';
import { Client, execute } from './support/http.mjs';
import { JUPYTER_ENV_5, runsElsewhere, startLyceum } from './support/lyceum.mjs';
import { tellIn } from './support/story.mjs';

const skip = runsElsewhere && 'a Lyceum that runs elsewhere has a Jupyter of its own';

test('jupyterhub-singleuser 5 starts, serves and stops', { timeout: 300_000, skip }, async (t) => {
  const step = tellIn(t);
  const singleuser = join(JUPYTER_ENV_5, 'bin/jupyterhub-singleuser');
  const { stdout } = await promisify(execFile)(singleuser, ['--version']);
  assert.match(stdout, /^5\./);

  // It has no JupyterLab: its tree of files opens.
  const lyceum = await startLyceum({ jupyterEnv: JUPYTER_ENV_5, config: 'servers: {opens: /api/contents}\n' });
  t.after(() => lyceum.stop());
  const student = lyceum.account('student');
  const other = lyceum.accounts.find((one) => one.role === 'student' && one.name !== student.name);
  const browser = new Client(lyceum.url);
  const script = new Client(lyceum.url);
  const user = `hub/api/users/${student.name}`;
  const own = `user/${student.name}`;
  let token;

  await step('it starts and tells its progress to the end', async () => {
    await browser.logIn(student);
    ({ token } = await browser.makeToken(student, 'a script'));
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

  await step('a browser gets in by OAuth, by way of the hub and back', async () => {
    const page = await browser.follow(`${own}/files/note.txt`);
    const api = new URL(`/${own}/api/contents/note.txt`, page.url).href;
    const stranger = await new Client(lyceum.url).send('GET', api);
    assert.equal(stranger.status, 403, 'an API without the cookie is refused, not redirected');
    assert.equal(page.status, 200, page.text.slice(0, 500));
    assert.equal(page.text, 'six times seven');
    assert.ok(browser.cookie(`jupyterhub-user-${student.name}`, page.url), 'the server has set its own cookie');
    // The cookie alone is enough from now on.
    const again = await browser.send('GET', api);
    assert.equal(again.status, 200, again.text.slice(0, 500));
  });

  await step('somebody else does not', async () => {
    const stranger = new Client(lyceum.url);
    await stranger.logIn(other);
    const page = await stranger.follow(`${own}/files/note.txt`);
    assert.ok([403, 404].includes(page.status), `${page.status} at ${page.url}`);
    assert.doesNotMatch(page.text, /six times seven/);
  });

  await step('after log-out the browser has to log in again', async () => {
    const out = await browser.send('POST', 'hub/logout', { form: { _xsrf: browser.cookie('_xsrf') } });
    assert.equal(out.status, 302, out.text.slice(0, 500));
    const page = await browser.follow(`${own}/files/note.txt`);
    assert.match(page.url, /\/hub\/login/, `${page.status}: ${page.text.slice(0, 500)}`);
  });

  await step('it stops', async () => {
    await script.expect([202, 204], 'DELETE', `${user}/server`, { token });
    await lyceum.untilQuiet();
    await script.expect(424, 'GET', `hub/user/${student.name}/api/status`, { token });
  });
});
