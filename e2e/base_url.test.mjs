// All of it below a path of the host: pages, a server with JupyterLab, and a service that signs in.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import test from 'node:test';
import { fileURLToPath } from 'node:url';
import { startBrowser, watchForFaults } from './support/browser.mjs';
import { Client } from './support/http.mjs';
import { createNotebook, runCell, waitForLab } from './support/jupyterlab.mjs';
import { JUPYTER_ENV, runsElsewhere, startLyceum } from './support/lyceum.mjs';
import { controls, logIn, logOut, stopServer, waitForServer } from './support/pages.mjs';
import { tellIn } from './support/story.mjs';

const skip = runsElsewhere && 'where a Lyceum stands is in its configuration';
const BASE = '/teaching/jupyter/';
const SCRIPT = join(dirname(fileURLToPath(import.meta.url)), 'support/services.py');

test('Lyceum below a path', { timeout: 900_000, skip }, async (t) => {
  const step = tellIn(t);
  const lyceum = await startLyceum({ config: `base_url: ${BASE}\n` });
  t.after(() => lyceum.stop());
  const running = [];
  t.after(() => running.forEach((child) => child.kill()));
  const browser = await startBrowser();
  t.after(() => browser.close());
  const student = lyceum.account('student');
  const page = await (await browser.newContext()).newPage();
  const faults = watchForFaults(page, lyceum.url);
  const path = () => new URL(page.url()).pathname;

  await step('it says where it is, and the rest of the host leads there', async () => {
    assert.equal(new URL(lyceum.url).pathname, BASE);
    await page.goto(new URL('/', lyceum.url).href);
    await controls.nameField(page).waitFor();
    assert.equal(path(), `${BASE}hub/login`);
    const stranger = new Client(lyceum.url);
    assert.equal((await stranger.send('GET', 'hub/health')).status, 200);
  });

  await step('from log-in to 42 in a notebook', async () => {
    await logIn(page, lyceum.url, student);
    assert.equal(path(), `${BASE}hub/home`);
    for (const link of await page.locator('a[href^="/"], form[action^="/"]').all()) {
      const to = (await link.getAttribute('href')) ?? (await link.getAttribute('action'));
      assert.ok(to.startsWith(BASE), `${to} leads out of ${BASE}`);
    }
    await controls.start(page).click();
    await waitForServer(page, student);
    assert.ok(path().startsWith(`${BASE}user/${student.name}/`), path());
    await waitForLab(page);
    await createNotebook(page);
    assert.equal(await runCell(page, '6*7'), '42');
  });

  await step('a service below signs her in with the classes of JupyterHub', async () => {
    const token = randomBytes(24).toString('hex');
    await writeFile(join(lyceum.data, 'grades.token'), `${token}\n`);
    const prefix = `${BASE}services/grades/`;
    const child = spawn(join(JUPYTER_ENV, 'bin/python'), [SCRIPT, 'grades'], {
      env: {
        PATH: process.env.PATH,
        PYTHONPATH: process.env.PYTHONPATH ?? '',
        JUPYTERHUB_SERVICE_NAME: 'grades',
        JUPYTERHUB_API_TOKEN: token,
        JUPYTERHUB_API_URL: `${lyceum.url}hub/api`,
        JUPYTERHUB_BASE_URL: BASE,
        JUPYTERHUB_SERVICE_PREFIX: prefix,
        JUPYTERHUB_CLIENT_ID: 'service-grades',
        JUPYTERHUB_OAUTH_CALLBACK_URL: `${prefix}oauth_callback`,
        JUPYTERHUB_OAUTH_ACCESS_SCOPES: JSON.stringify(['access:services', 'access:services!service=grades']),
      },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    running.push(child);
    let port;
    for await (const line of createInterface(child.stdout)) {
      port = Number(line);
      break;
    }
    assert.ok(port, 'the service says where it listens');
    await lyceum.reconfigure(`
base_url: ${BASE}
services: [{name: grades, url: "http://127.0.0.1:${port}", api_token: file:grades.token}]
load_roles: [{name: user, scopes: [self, "access:services!service=grades"]}]
`);
    await page.goto(new URL('hub/home', lyceum.url).href);
    await page.getByRole('link', { name: 'grades' }).first().click();
    await page.getByRole('button', { name: /allow|continue|authorize/i }).click();
    await page.waitForURL((url) => url.pathname === prefix);
    assert.equal(JSON.parse(await page.locator('body').innerText()).name, student.name);
  });

  await step('stopped, and out', async () => {
    await stopServer(page, lyceum.url);
    await logOut(page, lyceum.url);
    assert.equal(path(), `${BASE}hub/login`);
    await lyceum.untilQuiet();
  });

  assert.deepEqual(faults, [], 'the pages made no script errors and asked no other host');
});
