// People come from a course at a learning platform on another site: into the course here, with a window of
// its own where the platform shows the tool in a frame, and without script.

import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'node:test';
import { check } from './support/axe.mjs';
import { startBrowser, watchForFaults } from './support/browser.mjs';
import { Client } from './support/http.mjs';
import { runsElsewhere, startLyceum } from './support/lyceum.mjs';
import { stopServer } from './support/pages.mjs';
import { DEPLOYMENT, startPlatform, TOOL } from './support/platform.mjs';
import { tellIn } from './support/story.mjs';

const skip = runsElsewhere && 'a Lyceum that runs elsewhere has its own ways in';

const PEOPLE = {
  1878: { name: 'Lise Meitner', username: 'lise', roles: ['Learner'] },
  1939: { name: 'Barbara Liskov', username: 'barbara', roles: ['Instructor'] },
};

test('people come from a learning platform', { timeout: 600_000, skip }, async (t) => {
  const step = tellIn(t);
  const lyceum = await startLyceum();
  t.after(() => lyceum.stop());
  const { port } = new URL(lyceum.url);
  const here = `http://localhost:${port}`;
  const platform = await startPlatform({ people: structuredClone(PEOPLE) });
  t.after(() => platform.close());
  platform.begin = `${here}/hub/lti13/oauth_login`;
  platform.keys = `${here}/hub/lti13/jwks`;
  platform.old = { to: `${here}/hub/lti/launch/old`, key: 'the old one', secret: 'a secret of many letters' };
  platform.redirectUris = [`${here}/hub/lti13/oauth_callback`];
  await lyceum.interrupt();
  await mkdir(join(lyceum.data, 'courses'), { recursive: true });
  await writeFile(join(lyceum.data, 'courses', 'bio.yaml'), `title: Biology
lti: [{context: "42"}]
environment: {}
`);
  await writeFile(join(lyceum.data, 'old-platform'), platform.old.secret);
  await lyceum.configure(`public_url: ${here}
subdomains: false
sign_in:
  - kind: lti
    title: The platform
    home: ${platform.issuer}/
    issuer: ${platform.issuer}
    client_ids: ["${TOOL}"]
    deployments: ["${DEPLOYMENT}"]
    authorize_url: ${platform.issuer}/auth
    keys_url: ${platform.issuer}/keys
    username: claim:ext.user_username
    allow: {everyone: true}
  - kind: lti11
    title: The old one
    id: old
    consumers: {"${platform.old.key}": "file:${join(lyceum.data, 'old-platform')}"}
    username: claim:custom_login
    allow: {everyone: true}
  - kind: local
    title: Guests
`);
  await lyceum.start();
  const browser = await startBrowser();
  t.after(() => browser.close());
  const anew = async (options) => (await browser.newContext(options)).newPage();
  const follow = async (page, who, target, more) => {
    await page.goto(platform.course(who, target, more));
    await page.getByRole('button', { name: 'Notebooks' }).click();
  };
  const shots = process.env.LYCEUM_TEST_SHOTS;
  const shoot = async (page, name) => shots && page.screenshot({ path: join(shots, `${name}.png`) });

  await step('Lise follows the link of her course, and her server for it starts', async () => {
    const page = await anew();
    const faults = watchForFaults(page, here);
    await follow(page, '1878', `${here}/`);
    await page.waitForURL((url) => url.origin === here && !url.pathname.startsWith('/hub/lti13/'));
    await page.waitForURL(/\/user\/lise\/lab/, { timeout: 180_000 });
    assert.doesNotMatch(page.url(), /id_token|state=/);
    // The next link leads to a page, in the session that she has.
    const session = async () => (await page.context().cookies(here)).find(({ name }) => name === 'jupyterhub-session-id').value;
    const before = await session();
    await follow(page, '1878', `${here}/hub/token`);
    await page.waitForURL(`${here}/hub/token`);
    assert.equal(await session(), before);
    assert.deepEqual(faults, []);
    await stopServer(page, `${here}/`);
    await page.context().close();
  });

  await step('what they are there they are here', async () => {
    const { stdout } = await lyceum.run(['token', 'create', lyceum.account('admin').name, '--scope', 'list:users', '--scope', 'read:users']);
    const groups = async (name) => (await new Client(here).expect(200, 'GET', `hub/api/users/${name}`, { token: stdout.trim() })).groups;
    const page = await anew();
    await follow(page, '1939', `${here}/hub/home`);
    await page.waitForURL(`${here}/hub/home`);
    await page.getByText('Biology').first().waitFor();
    assert.deepEqual(await groups('lise'), ['lti::context:42/student']);
    assert.deepEqual(await groups('barbara'), ['lti::context:42/teacher']);
    platform.people[1939].roles = ['Learner'];
    await follow(page, '1939', `${here}/hub/home`);
    await page.waitForURL(`${here}/hub/home`);
    assert.deepEqual(await groups('barbara'), ['lti::context:42/student']);
    await page.context().close();
  });

  await step('in a frame a button opens a window, and there it goes on', async () => {
    for (const colorScheme of ['light', 'dark']) {
      const page = await anew({ colorScheme, viewport: { width: colorScheme === 'dark' ? 360 : 1100, height: 700 } });
      await follow(page, '1878', `${here}/hub/token`, { frame: '1' });
      const button = page.frameLocator('iframe').getByRole('button', { name: /Open/ });
      await button.waitFor();
      await shoot(page, `framed-${colorScheme}`);
      const opened = page.context().waitForEvent('page');
      await button.press('Enter');
      const window = await opened;
      await window.waitForURL(`${here}/hub/token`);
      await page.context().close();
    }
  });

  await step('without script there is a button', async () => {
    const page = await anew({ javaScriptEnabled: false });
    await follow(page, '1878', `${here}/hub/token`);
    // The platform's own page has one, too.
    await page.getByRole('button', { name: 'Notebooks' }).click();
    await page.getByText('You come from The platform').waitFor();
    await shoot(page, 'onward');
    await page.getByRole('button', { name: 'Go on' }).click();
    await page.waitForURL(`${here}/hub/token`);
    await page.context().close();
  });

  await step('who teaches picks in a frame what a link opens, with the keyboard', async () => {
    platform.people[1939].roles = ['Instructor'];
    const page = await anew();
    const faults = watchForFaults(page, here);
    await follow(page, '1939', `${here}/`, { frame: '1', pick: '1' });
    const opened = page.context().waitForEvent('page');
    await page.frameLocator('iframe').getByRole('button', { name: /Open/ }).press('Enter');
    const window = await opened;
    await window.getByRole('heading', { name: 'What shall the link open?' }).waitFor();
    await shoot(window, 'pick');
    await window.getByLabel('What the course starts with').press('ArrowDown');
    const path = window.getByLabel('File or folder', { exact: true });
    await path.fill('../elsewhere');
    await path.press('Enter');
    await window.getByRole('alert').waitFor();
    await path.fill('week 1/a.ipynb');
    const closed = window.waitForEvent('close');
    await path.press('Enter');
    await closed;
    // The platform has it where it had asked.
    await page.frameLocator('iframe').getByRole('heading', { name: 'Added a.ipynb' }).waitFor();
    const url = `${here}/hub/user-redirect/lab/tree/week%201/a.ipynb`;
    assert.deepEqual(platform.picked.pop(), { data: 'of 1939', items: [{ type: 'ltiResourceLink', title: 'a.ipynb', url }] });
    assert.deepEqual(faults, []);
    await page.context().close();
  });

  await step('and in a window, without script too', async () => {
    for (const javaScriptEnabled of [true, false]) {
      const page = await anew({ javaScriptEnabled });
      await follow(page, '1939', `${here}/`, { pick: '1' });
      if (!javaScriptEnabled) {
        await page.getByRole('button', { name: 'Notebooks' }).click();
        await page.getByRole('button', { name: 'Go on' }).click();
      }
      await page.getByLabel('Name of the link').fill('Our notebooks');
      await page.getByRole('button', { name: 'Put the link into the course' }).press('Enter');
      if (!javaScriptEnabled) await page.getByRole('button', { name: 'Go on' }).click();
      await page.getByRole('heading', { name: 'Added Our notebooks' }).waitFor();
      assert.equal(platform.picked.pop().items[0].url, `${here}/hub/`);
      await page.context().close();
    }
    const page = await anew();
    await follow(page, '1878', `${here}/`, { pick: '1' });
    await page.getByText('Only those who teach').waitFor();
    await page.context().close();
  });

  await step('whoever is logged in is asked before somebody else comes', async () => {
    const page = await anew({ bypassCSP: true });
    await follow(page, '1939', `${here}/hub/token`, { pick: '1' });
    await page.getByRole('heading', { name: 'What shall the link open?' }).waitFor();
    await check(page, 'picking a link');
    await follow(page, '1878', `${here}/hub/token`);
    await page.getByRole('heading', { name: 'Somebody else is logged in here' }).waitFor();
    await check(page, 'somebody else');
    await shoot(page, 'other');
    await page.getByRole('link', { name: 'Stay logged in as Barbara Liskov' }).press('Enter');
    await page.waitForURL(`${here}/hub/home`);
    await follow(page, '1878', `${here}/hub/token`);
    await page.getByRole('button', { name: 'Go on as Lise Meitner' }).press('Enter');
    await page.waitForURL(`${here}/hub/token`);
    await page.getByText('Lise Meitner').first().waitFor();
    await page.context().close();
  });

  await step('an old platform posts a signed form', async () => {
    for (const javaScriptEnabled of [true, false]) {
      const page = await anew({ javaScriptEnabled });
      await page.goto(`${platform.issuer}/old?${new URLSearchParams({ who: '1878', next: '/hub/token' })}`);
      await page.getByRole('button', { name: 'Notebooks' }).click();
      if (!javaScriptEnabled) await page.getByRole('button', { name: 'Go on' }).click();
      await page.waitForURL(`${here}/hub/token`);
      await page.context().close();
    }
  });

  await step('the log-in page says where people come from', async () => {
    const page = await anew({ bypassCSP: true });
    await page.goto(`${here}/hub/login`);
    await page.getByRole('link', { name: 'The platform' }).waitFor();
    await check(page, 'log-in with a platform');
    await shoot(page, 'login');
    await page.context().close();
  });

  assert.deepEqual(platform.refused, []);
});
