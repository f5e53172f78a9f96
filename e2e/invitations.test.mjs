// An administrator invites somebody, who makes an account of her own by the keyboard alone.

import assert from 'node:assert/strict';
import test from 'node:test';
import { check } from './support/axe.mjs';
import { leave, startBrowser, watchForFaults } from './support/browser.mjs';
import { tabTo } from './support/keyboard.mjs';
import { runsElsewhere, startLyceum } from './support/lyceum.mjs';
import { logIn } from './support/pages.mjs';
import { tellIn } from './support/story.mjs';

const NEW = 'lantern orbit gravel';
const skip = runsElsewhere && 'nobody is invited there';

test('somebody who is invited makes an account', { timeout: 600_000, skip }, async (t) => {
  const step = tellIn(t);
  const lyceum = await startLyceum({ config: 'sign_in: [{kind: local, title: Guests, sign_up: invitation}]\n' });
  const browser = await startBrowser();
  t.after(async () => {
    await browser.close();
    await lyceum.stop();
  });
  const newPage = async () => (await browser.newContext({ bypassCSP: true })).newPage();
  const admin = await newPage();
  let link;

  await step('an administrator makes an invitation', async () => {
    await logIn(admin, lyceum.url, lyceum.account('admin'));
    await admin.goto(new URL('hub/admin/users', lyceum.url).href);
    await admin.getByLabel('For whom').fill('the guest of Thursday');
    await admin.getByLabel('Groups that she is in then').fill('nobodys');
    const make = admin.getByRole('button', { name: 'Make an invitation' });
    await leave(admin, () => make.click());
    await admin.getByRole('alert').getByText(/no group nobodys/).waitFor();
    await check(admin, 'an invitation that can not be made');
    await admin.getByLabel('Groups that she is in then').fill('');
    await leave(admin, () => make.click());
    link = await admin.locator('#link-text').inputValue();
    assert.ok(link.startsWith(new URL('hub/sign-up?invitation=', lyceum.url).href), link);
    await check(admin, 'an invitation');
  });

  await step('she makes her account, by the keyboard alone', async () => {
    const page = await newPage();
    const faults = watchForFaults(page, lyceum.url);
    await page.goto(link);
    await page.getByRole('heading', { name: /^Your account at/ }).waitFor();
    await check(page, 'an account by an invitation');
    const fill = async (name) => {
      for (const [label, text] of [['User name', name], ['Password', NEW], ['Password again', NEW]]) {
        const field = page.getByLabel(label, { exact: true });
        await tabTo(page, field);
        await page.keyboard.press('ControlOrMeta+a');
        await page.keyboard.type(text);
      }
      await leave(page, () => page.keyboard.press('Enter'));
    };
    await fill('admin');
    await page.getByRole('alert').getByText(/taken, or kept for somebody/).waitFor();
    const field = page.getByLabel('User name', { exact: true });
    assert.ok(await field.evaluate((one) => one === document.activeElement), 'the focus is where it is wrong');
    await check(page, 'a name that is taken');
    await fill('grete');
    await page.getByText('You are called grete here').waitFor();
    await check(page, 'an account was made');
    await logIn(page, lyceum.url, { name: 'grete', password: NEW });
    await page.goto(link);
    await page.getByRole('heading', { name: 'This link is not good any more' }).waitFor();
    await check(page, 'an invitation that was used');
    assert.deepEqual(faults, []);
  });

  await step('an invitation is taken back', async () => {
    await leave(admin, () => admin.getByRole('button', { name: 'Make an invitation' }).click());
    const back = admin.getByRole('button', { name: /^Take back/ });
    assert.equal(await back.count(), 1);
    const second = await admin.locator('#link-text').inputValue();
    await leave(admin, () => back.click());
    const page = await newPage();
    assert.equal((await page.goto(second)).status(), 404);
  });
});
