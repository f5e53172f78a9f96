// A choice before the start: by keyboard, without script, remembered, refused where it stands.

import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import test from 'node:test';
import { startBrowser } from './support/browser.mjs';
import { tabTo } from './support/keyboard.mjs';
import { runsElsewhere, startLyceum } from './support/lyceum.mjs';
import { controls, logIn, stopServer, waitForServer } from './support/pages.mjs';
import { tellIn } from './support/story.mjs';

const CONFIG = `
environments:
  small:
    env: {CHOSEN: small}
profiles:
  - {title: Small, use: small, description: Enough for most}
  - title: Choose yourself
    slug: own
    use: small
    profile_options:
      size:
        display_name: Size
        choices:
          one: {display_name: One, kubespawner_override: {environment: {CHOSEN: one}}}
          two: {display_name: Two, kubespawner_override: {environment: {CHOSEN: two}}}
        unlisted_choice:
          enabled: true
          display_name: Your size
          validation_regex: '^[0-9]+$'
          validation_message: A number
          kubespawner_override: {environment: {CHOSEN: 'own {value}'}}
  - {title: Not for students, slug: hidden, for: ['group:nobody-is-in-it']}
`;

const skip = runsElsewhere && 'it needs profiles of its own';

test('choose what is started', { timeout: 900_000, skip }, async (t) => {
  const step = tellIn(t);
  const lyceum = await startLyceum({ config: CONFIG });
  t.after(() => lyceum.stop());
  const browser = await startBrowser();
  t.after(() => browser.close());
  const student = lyceum.account('student');
  const at = (path) => new URL(path, lyceum.url).href;
  const radio = (page, name) => page.getByRole('radio', { name });
  const size = (page) => page.getByLabel('Size', { exact: true });
  const own = (page) => page.getByLabel('Your size');
  const start = (page) => page.getByRole('button', { name: 'Start', exact: true });
  const chosen = async (page) => {
    const answer = await page.request.get(at(`hub/api/users/${student.name}`));
    assert.equal(answer.status(), 200);
    return (await answer.json()).servers[''].user_options;
  };

  const page = await (await browser.newContext()).newPage();
  await step('the button on the home page leads to the choice', async () => {
    await logIn(page, lyceum.url, student);
    await page.goto(at('hub/home'));
    await controls.start(page).click();
    await page.waitForURL(/\/hub\/spawn\//);
    assert.ok(await radio(page, 'Small').isChecked());
    assert.equal(await page.getByText('Not for students').count(), 0);
    assert.ok(!(await size(page).isVisible()), 'what belongs to another choice steps back');
  });

  await step('choose by keyboard alone', async () => {
    await tabTo(page, radio(page, 'Small'));
    await page.keyboard.press('ArrowDown');
    assert.ok(await radio(page, 'Choose yourself').isChecked());
    await tabTo(page, size(page));
    await page.keyboard.type('Other');
    await tabTo(page, own(page));
    await page.keyboard.type('many');
    await page.keyboard.press('Enter');
    await page.getByRole('alert').waitFor();
  });

  await step('what is wrong stands where it was typed', async () => {
    assert.equal(await own(page).inputValue(), 'many');
    assert.equal(await own(page).getAttribute('aria-invalid'), 'true');
    const problem = await own(page).getAttribute('aria-describedby');
    assert.match(await page.locator(`#${problem}`).innerText(), /A number/);
    await tabTo(page, own(page));
    await page.keyboard.press('Control+A');
    await page.keyboard.type('12');
    await page.keyboard.press('Enter');
    await waitForServer(page, student);
    assert.deepEqual(await chosen(page), { profile: 'own', 'size--unlisted-choice': '12' });
  });

  await step('the server is what was chosen', async () => {
    assert.equal((await environmentOf(lyceum, student.name)).get('CHOSEN'), 'own 12');
  });

  await step('the choice is remembered', async () => {
    await stopServer(page, lyceum.url);
    await page.goto(at('hub/spawn'));
    await own(page).waitFor();
    assert.ok(await radio(page, 'Choose yourself').isChecked());
    assert.equal(await own(page).inputValue(), '12');
  });

  await step('without script it works as well', async () => {
    const plain = await (await browser.newContext({ javaScriptEnabled: false })).newPage();
    await logIn(plain, lyceum.url, student);
    await plain.goto(at('hub/spawn'));
    await radio(plain, 'Choose yourself').check();
    await size(plain).selectOption('two');
    await start(plain).click();
    await waitForServer(plain, student);
    assert.deepEqual(await chosen(plain), { profile: 'own', size: 'two' });
    assert.equal((await environmentOf(lyceum, student.name)).get('CHOSEN'), 'two');
    await stopServer(plain, lyceum.url);
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
