// Services as people have them for a JupyterHub: two that sign people in (with
// Tornado, and as services in Flask do), one that takes tokens, and the culler of
// idle servers, none of them changed.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import test from 'node:test';
import { fileURLToPath } from 'node:url';
import { Client, unescapeHtml } from './support/http.mjs';
import { JUPYTER_ENV, runsElsewhere, startLyceum } from './support/lyceum.mjs';
import { tellIn, until } from './support/story.mjs';

const skip = runsElsewhere && 'the services of a Lyceum that runs elsewhere are its own';
const PYTHON = join(JUPYTER_ENV, 'bin/python');
const SCRIPT = join(dirname(fileURLToPath(import.meta.url)), 'support/services.py');
const NAMES = ['grades', 'checker', 'board', 'culler'];

test('services of a JupyterHub work as they are', { timeout: 900_000, skip }, async (t) => {
  const step = tellIn(t);
  const lyceum = await startLyceum();
  t.after(() => lyceum.stop());
  const student = lyceum.account('student');
  const browser = new Client(lyceum.url);
  const script = new Client(lyceum.url);
  const secrets = {};
  const running = [];
  t.after(() => running.forEach((child) => child.kill()));

  // As a person sets them up, with what JupyterHub's manual names.
  const begin = (name, args) => {
    const env = {
      PATH: process.env.PATH,
      PYTHONPATH: process.env.PYTHONPATH ?? '',
      JUPYTERHUB_SERVICE_NAME: name,
      JUPYTERHUB_API_TOKEN: secrets[name],
      JUPYTERHUB_API_URL: `${lyceum.url}hub/api`,
      JUPYTERHUB_BASE_URL: '/',
      JUPYTERHUB_SERVICE_PREFIX: `/services/${name}/`,
      JUPYTERHUB_CLIENT_ID: `service-${name}`,
      JUPYTERHUB_OAUTH_CALLBACK_URL: `/services/${name}/oauth_callback`,
      JUPYTERHUB_OAUTH_ACCESS_SCOPES: JSON.stringify(['access:services', `access:services!service=${name}`]),
    };
    const child = spawn(PYTHON, args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
    running.push(child);
    child.said = '';
    child.stderr.on('data', (chunk) => (child.said += chunk));
    return child;
  };
  const listening = async (name) => {
    const child = begin(name, [SCRIPT, name]);
    for await (const line of createInterface(child.stdout)) return Number(line);
    throw new Error(`${name} did not start: ${child.said}`);
  };
  const configure = (grades, checker, board, access) => lyceum.reconfigure(`
services:
  - name: grades
    url: http://127.0.0.1:${grades}
    api_token: file:grades.token
    oauth_client_allowed_scopes: ["read:users:activity!user"]
  - {name: checker, url: "http://127.0.0.1:${checker}", api_token: file:checker.token}
  - {name: board, url: "http://127.0.0.1:${board}", api_token: file:board.token, oauth_no_confirm: true}
  - {name: culler, api_token: file:culler.token}
load_roles:
  - {name: user, scopes: [self, ${access}]}
  - {name: culls, scopes: [list:users, read:users:activity, read:servers, delete:servers], services: [culler]}
`);

  await step('they are in the configuration while everything runs', async () => {
    for (const name of NAMES) {
      secrets[name] = randomBytes(24).toString('hex');
      await writeFile(join(lyceum.data, `${name}.token`), `${secrets[name]}\n`);
    }
    const ports = [await listening('grades'), await listening('checker'), await listening('board')];
    await configure(...ports, '"access:services!service=grades"');
    await browser.logIn(student);
    // Its token must be good before a browser comes.
    const who = await script.expect(200, 'GET', 'hub/api/user', { token: secrets.grades });
    assert.deepEqual([who.kind, who.name], ['service', 'grades']);
    lyceum.ports = ports;
  });

  await step('a Tornado service signs a student in, after her word', async () => {
    const asked = await browser.follow('services/grades/');
    assert.match(asked.url, /\/hub\/api\/oauth2\/authorize\?/);
    assert.equal(asked.status, 200, asked.text);
    assert.match(unescapeHtml(asked.text), /\/services\/grades\//);
    // What she is asked for goes back with the form, as a browser sends it.
    const fields = asked.text.matchAll(/<input type="hidden" name="([^"]*)" value="([^"]*)"/g);
    const form = [...fields].map(([, name, value]) => [name, unescapeHtml(value)]);
    assert.ok(form.some(([name]) => name === 'scopes'), asked.text);
    const back = await browser.send('POST', asked.url, { form, headers: { referer: asked.url } });
    assert.equal(back.status, 302, back.text);
    const page = await browser.follow(back.headers.location);
    assert.equal(page.status, 200, page.text);
    const user = JSON.parse(page.text);
    assert.equal(user.name, student.name);
    assert.ok(user.scopes.includes('access:services!service=grades'), page.text);
    assert.ok(user.scopes.includes(`read:users:activity!user=${student.name}`), page.text);
    const cookies = JSON.parse((await browser.send('GET', 'services/grades/cookies')).text);
    assert.ok(cookies.includes('service-grades'), cookies.join());
    assert.ok(!cookies.includes('jupyterhub-hub-login') && !cookies.includes('lyceum-access'), cookies.join());
  });

  await step('a WSGI service refuses her while she has no access, and whoever brings a code of nobody', async () => {
    const refused = await browser.follow('services/board/');
    assert.match(refused.url, /\/hub\/api\/oauth2\/authorize\?/);
    assert.equal(refused.status, 403, refused.text);
    assert.equal(browser.cookie('service-board', 'services/board/'), undefined);
    const forged = await browser.send('GET', 'services/board/oauth_callback?code=forged&state=forged');
    assert.equal(forged.status, 403, forged.text);
  });

  let token;
  await step('a service takes tokens of those who have access to it', async () => {
    ({ token } = await browser.makeToken(student, 'for a service'));
    const refused = await script.send('GET', 'services/checker/', { token });
    assert.equal(refused.status, 403, refused.text);
    assert.equal(JSON.parse(refused.text).name, student.name, 'known, but without access');
    await configure(...lyceum.ports, '"access:services"');
    // HubAuth remembers what it was told for five minutes, so this is another token.
    ({ token } = await browser.makeToken(student, 'another'));
    const user = await script.expect(200, 'GET', 'services/checker/', { token });
    assert.equal(user.name, student.name);
    const forged = await script.send('GET', 'services/checker/', { token: 'forged' });
    assert.equal(forged.status, 403, forged.text);
  });

  await step('the WSGI service signs her in, and knows her no longer than the hub', async () => {
    const other = new Client(lyceum.url);
    await other.logIn(student);
    const signedIn = await other.follow('services/board/notes?page=1');
    assert.equal(signedIn.url, new URL('services/board/notes', lyceum.url).href, signedIn.text);
    const user = JSON.parse(signedIn.text);
    assert.equal(user.name, student.name);
    assert.ok(user.scopes.includes('access:services!service=board'), signedIn.text);
    // A browser that was never asked has what it was given, and says so again.
    const again = await other.expect(200, 'GET', 'services/board/');
    assert.equal(again.session_id, user.session_id);
    const kept = other.cookie('service-board', 'services/board/');
    const form = { _xsrf: other.cookie('_xsrf') };
    const out = await other.send('POST', 'hub/logout', { form });
    assert.ok([200, 302].includes(out.status), out.text);
    // The browser still has the service's own cookie: it is the token in it that is good no more.
    assert.equal(other.cookie('service-board', 'services/board/'), kept);
    await until('the service has forgotten her', async () => (await other.send('GET', 'services/board/')).status === 302);
    const asked = await other.follow('services/board/');
    assert.match(asked.url, /\/hub\/login\?next=/);
    const known = await script.send('GET', 'hub/api/user', { token: kept });
    assert.equal(known.status, 403, known.text);
    // Nobody else was logged out.
    await browser.expect(200, 'GET', 'services/grades/');
  });

  await step('the culler stops an idle server, and may do nothing else', async () => {
    const own = `hub/api/users/${student.name}`;
    await script.expect([201, 202], 'POST', `${own}/server`, { token, json: {} });
    await until('the server runs', async () => (await script.expect(200, 'GET', own, { token })).server);
    const culler = begin('culler', ['-m', 'jupyterhub_idle_culler', `--url=${lyceum.url}hub/api`, '--timeout=1', '--cull-every=1', '--logging=debug']);
    const gone = async () => {
      assert.equal(culler.exitCode, null, culler.said);
      return (await script.expect(200, 'GET', own, { token })).server === null;
    };
    await until('the culler has stopped the server', gone).catch((error) => {
      throw new Error(culler.said, { cause: error });
    });
    const refused = await script.send('POST', `${own}/server`, { token: secrets.culler, json: {} });
    assert.equal(refused.status, 403, refused.text);
    await lyceum.untilQuiet();
  });
});
