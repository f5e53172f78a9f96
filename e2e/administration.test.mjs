// What an administrator does, with a keyboard alone and without script.

import assert from 'node:assert/strict';
import test from 'node:test';
import { leave, startBrowser } from './support/browser.mjs';
import { Client } from './support/http.mjs';
import { tabTo } from './support/keyboard.mjs';
import { runsElsewhere, startLyceum } from './support/lyceum.mjs';
import { controls } from './support/pages.mjs';
import { tellIn, until } from './support/story.mjs';

const FURTHEST = 150;
const skip = runsElsewhere && 'it changes people of the Lyceum it runs on';

test('the area of administrators with the keyboard, without script', { timeout: 900_000, skip }, async (t) => {
  const step = tellIn(t);
  const lyceum = await startLyceum();
  t.after(() => lyceum.stop());
  const browser = await startBrowser();
  t.after(() => browser.close());
  const admin = lyceum.account('admin');
  const student = lyceum.account('student');
  const page = await (await browser.newContext({ javaScriptEnabled: false })).newPage();
  const reach = (role, name) => tabTo(page, page.getByRole(role, { name }).first(), FURTHEST);
  const enter = () => leave(page, () => page.keyboard.press('Enter'));
  const press = async (role, name) => {
    await reach(role, name);
    await enter();
  };
  const type = async (label, text) => {
    await tabTo(page, page.getByLabel(label, { exact: true }).first(), FURTHEST);
    await page.keyboard.type(text);
  };
  const told = (words) => page.getByRole('status').filter({ hasText: words }).waitFor();

  await step('log in and go there', async () => {
    await page.goto(new URL('hub/home', lyceum.url).href);
    await tabTo(page, controls.nameField(page));
    await page.keyboard.type(admin.name);
    await tabTo(page, controls.passwordField(page));
    await page.keyboard.type(admin.password);
    await enter();
    await page.waitForURL(/\/hub\/home/);
    await press('link', 'Admin');
    await page.waitForURL(/\/hub\/admin$/);
  });

  await step('make a group', async () => {
    await press('link', 'Groups');
    await page.waitForURL(/\/admin\/groups/);
    await type('Group', 'lab');
    await enter();
    await told('The group was added');
  });

  await step('search a person, and make her a member', async () => {
    await press('link', 'People');
    await page.waitForURL(/\/admin\/users/);
    await type('Name contains', student.name);
    await enter();
    await page.waitForURL(/[?&]q=/);
    assert.equal(await page.locator('tbody tr').count(), 1);
    // On a phone a row is a card, whose lines begin at the same place.
    const { width, height } = page.viewportSize();
    await page.setViewportSize({ width: 360, height: 740 });
    const lefts = await page.locator('tbody td[data-label]').evaluateAll((lines) => lines.map((line) => line.getBoundingClientRect().left));
    assert.ok(lefts.length > 1);
    assert.equal(new Set(lefts).size, 1, `${lefts}`);
    await page.setViewportSize({ width, height });
    // Enter on a box does nothing to anybody.
    await reach('checkbox', `Choose ${student.name}`);
    await page.keyboard.press('Enter');
    await page.keyboard.press('Space');
    await type('Group', 'lab');
    await press('button', 'Put into the group');
    await told('1 person is in the group now');
    assert.match(page.url(), /[?&]q=/, 'back on the same list');
  });

  const visitor = new Client(lyceum.url);
  await step('keep her out, and let her in again', async () => {
    await visitor.logIn(student);
    await press('link', student.name);
    await page.waitForURL(/\/admin\/user\//);
    await press('button', 'Keep out');
    await told('1 person is kept out now');
    assert.equal((await visitor.send('GET', 'hub/home')).status, 302);
    await press('button', 'Let in again');
    await told('may come in again');
    assert.equal((await visitor.send('GET', 'hub/home')).status, 200);
  });

  await step('start her server and stop it', async () => {
    await press('button', /^Start/);
    await told('is under way');
    await until('the server is ready', async () => {
      await page.goto(new URL('hub/admin/servers?state=ready', lyceum.url).href);
      return (await page.locator('tbody tr').count()) === 1;
    }, { every: 500, limit: 180_000 });
    await press('button', new RegExp(`^Stop ${student.name}/`));
    await told('1 server is stopped');
    await lyceum.untilQuiet();
  });

  await step('revoke a token', async () => {
    const token = (await lyceum.run(['token', 'create', student.name])).stdout.trim();
    assert.equal((await visitor.send('GET', 'hub/api/user', { token })).status, 200);
    await page.goto(new URL(`hub/admin/tokens?kind=asked&q=${student.name}`, lyceum.url).href);
    await press('button', new RegExp(`^Revoke ${student.name}`));
    await told('1 token was revoked');
    assert.equal((await visitor.send('GET', 'hub/api/user', { token })).status, 403);
  });

  await step('log out another session of one\'s own', async () => {
    const other = new Client(lyceum.url);
    await other.logIn(admin);
    await press('link', 'Sessions');
    await page.waitForURL(/\/hub\/sessions/);
    await press('button', /^Log out 1 other session/);
    await page.getByText('this one').waitFor();
    assert.equal((await other.send('GET', 'hub/home')).status, 302);
  });

  await step('delete her, by her name', async () => {
    await page.goto(new URL(`hub/admin/user/${student.name}`, lyceum.url).href);
    await tabTo(page, page.locator('summary', { hasText: 'Delete' }), FURTHEST);
    await page.keyboard.press('Enter');
    await type(`Type ${student.name} to confirm`, 'somebody else');
    await enter();
    await page.getByRole('alert').waitFor();
    await tabTo(page, page.locator('summary', { hasText: 'Delete' }), FURTHEST);
    await page.keyboard.press('Enter');
    await type(`Type ${student.name} to confirm`, student.name);
    await enter();
    await told('1 person was deleted');
    assert.equal((await visitor.send('GET', 'hub/home')).status, 302);
  });
});
