// Somebody changes her password, by the keyboard alone; another one has forgotten hers and gets a link from
// an administrator, which she opens in a browser where she is still logged in.

import assert from 'node:assert/strict';
import test from 'node:test';
import { check } from './support/axe.mjs';
import { leave, startBrowser, watchForFaults } from './support/browser.mjs';
import { runsElsewhere, startLyceum } from './support/lyceum.mjs';
import { tabTo } from './support/keyboard.mjs';
import { controls, goHome, logIn } from './support/pages.mjs';
import { tellIn } from './support/story.mjs';

const NEW = 'lantern orbit gravel';
const skip = runsElsewhere && 'accounts there keep their passwords';

test('people give themselves new passwords', { timeout: 600_000, skip }, async (t) => {
  const step = tellIn(t);
  const lyceum = await startLyceum();
  const browser = await startBrowser();
  t.after(async () => {
    await browser.close();
    await lyceum.stop();
  });
  const [ada, ben] = lyceum.accounts.filter((one) => one.role === 'student');
  const newPage = async () => (await browser.newContext()).newPage();
  const comesIn = async (account, password) => {
    const page = await newPage();
    await logIn(page, lyceum.url, { ...account, password });
    await page.context().close();
  };
  const page = await newPage();
  const faults = watchForFaults(page, lyceum.url);
  let link;

  await step('she who knows the old one changes it, by the keyboard alone', async () => {
    await logIn(page, lyceum.url, ada);
    await page.getByRole('link', { name: 'Sessions' }).click();
    await tabTo(page, page.getByRole('link', { name: 'Change my password' }));
    await leave(page, () => page.keyboard.press('Enter'));
    await check(page, 'a new password');
    const type = async (label, text) => {
      await tabTo(page, page.getByLabel(label, { exact: true }));
      await page.keyboard.type(text);
    };
    const fill = async (password) => {
      await type('Current password', ada.password);
      await type('New password', password);
      await type('New password again', password);
      await leave(page, () => page.keyboard.press('Enter'));
    };
    await fill('password123');
    const problem = page.getByRole('alert');
    await problem.getByText(/guessed first/).waitFor();
    const field = page.getByLabel('New password', { exact: true });
    assert.ok(await field.evaluate((one) => one === document.activeElement), 'the focus is where it is wrong');
    assert.equal(await field.inputValue(), '');
    await check(page, 'a password that is guessed first');
    // From the field that is wrong back to the first.
    await page.keyboard.press('Shift+Tab');
    await fill(NEW);
    await page.getByRole('heading', { name: 'Your password is changed' }).waitFor();
    await check(page, 'a password was changed');
    await goHome(page, lyceum.url);
    await controls.nameField(page).waitFor();
    await comesIn(ada, NEW);
  });

  await step('an administrator makes a link', async () => {
    const admin = await newPage();
    await logIn(admin, lyceum.url, lyceum.account('admin'));
    await admin.goto(new URL(`hub/admin/user/${ben.name}`, lyceum.url).href);
    await admin.locator('summary', { hasText: 'Make a link for a password' }).click();
    await leave(admin, () => admin.getByRole('button', { name: 'Make a link for a password' }).click());
    link = await admin.locator('#link-text').inputValue();
    assert.ok(link.startsWith(new URL('hub/new-password?link=', lyceum.url).href), link);
    await check(admin, 'a link for a password');
    await admin.context().close();
  });

  await step('she uses it where she is still logged in, in German', async () => {
    const bens = await (await browser.newContext({ locale: 'de-DE' })).newPage();
    await bens.goto(new URL('hub/login', lyceum.url).href);
    await bens.getByLabel('Benutzername').fill(ben.name);
    await bens.getByLabel('Passwort').fill(ben.password);
    await leave(bens, () => bens.getByRole('button', { name: 'Anmelden' }).click());
    await bens.goto(link);
    await bens.getByRole('heading', { name: `Ein Passwort für ${ben.name}` }).waitFor();
    await check(bens, 'a password by a link');
    await bens.getByLabel('Das neue Passwort', { exact: true }).fill(NEW);
    await bens.getByLabel('Das neue Passwort noch einmal', { exact: true }).fill(NEW);
    await leave(bens, () => bens.getByRole('button', { name: 'Passwort ändern' }).click());
    await bens.getByRole('heading', { name: 'Ihr Passwort ist geändert' }).waitFor();
    await comesIn(ben, NEW);
    await bens.goto(link);
    await bens.getByRole('heading', { name: 'Dieser Link gilt nicht mehr' }).waitFor();
    await check(bens, 'a link that was used');
    await bens.context().close();
    assert.deepEqual(faults, []);
  });
});
