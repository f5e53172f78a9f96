// A second step behind a password: somebody sets it up and comes in by it with the keyboard alone, loses her
// phone, and has it taken off; an administrator, of whom one is required, is led to it.

import assert from 'node:assert/strict';
import test from 'node:test';
import { check } from './support/axe.mjs';
import { leave, startBrowser, watchForFaults } from './support/browser.mjs';
import { tabTo } from './support/keyboard.mjs';
import { runsElsewhere, startLyceum } from './support/lyceum.mjs';
import { codeOf } from './support/one_time.mjs';
import { controls, goHome, logIn, logOut } from './support/pages.mjs';
import { tellIn } from './support/story.mjs';

const skip = runsElsewhere && 'accounts there are left alone';
const LINK = { off: 'Set up a second step behind my password', on: 'A second step behind my password' };

test('a second step stands behind passwords', { timeout: 600_000, skip }, async (t) => {
  const step = tellIn(t);
  const lyceum = await startLyceum({ config: 'second_factor: {required_for: [role:admin]}\n' });
  const browser = await startBrowser();
  t.after(async () => {
    await browser.close();
    await lyceum.stop();
  });
  const [ada] = lyceum.accounts.filter((one) => one.role === 'student');
  const root = lyceum.account('admin');
  const newPage = async (options) => (await browser.newContext({ bypassCSP: true, ...options })).newPage();
  const page = await newPage();
  const faults = watchForFaults(page, lyceum.url);
  const codeField = (where) => where.getByRole('textbox', { name: /^Code/ });
  /** The password; what follows is the page that asks for the rest. */
  const sayPassword = async (where, account) => {
    await goHome(where, lyceum.url);
    await controls.nameField(where).fill(account.name);
    await controls.passwordField(where).fill(account.password);
    await leave(where, () => controls.logIn(where).click());
    await where.waitForURL(/\/hub\/login\/code$/);
  };
  const keptCodes = async (where) => {
    await where.getByRole('heading', { name: 'Your recovery codes' }).waitFor();
    const codes = (await where.getByRole('textbox', { name: 'Your recovery codes' }).inputValue()).split('\n');
    assert.equal(codes.length, 10);
    return codes;
  };
  let key;
  let codes;

  await step('she sets it up, by the keyboard alone', async () => {
    await logIn(page, lyceum.url, ada);
    await page.getByRole('link', { name: 'Sessions' }).click();
    await tabTo(page, page.getByRole('link', { name: LINK.off }));
    await leave(page, () => page.keyboard.press('Enter'));
    await page.getByRole('img', { name: /QR code/ }).waitFor();
    await check(page, 'a second step is set up');
    key = await page.getByLabel('Key', { exact: true }).inputValue();
    await tabTo(page, page.getByLabel('Your password'));
    await page.keyboard.type('a guess');
    await tabTo(page, codeField(page));
    await page.keyboard.type(codeOf(key));
    await leave(page, () => page.keyboard.press('Enter'));
    await page.getByRole('alert').getByText(/not your password/).waitFor();
    assert.equal(await page.getByLabel('Key', { exact: true }).inputValue(), key, 'what the app has read is still good');
    const field = page.getByLabel('Your password');
    assert.ok(await field.evaluate((one) => one === document.activeElement), 'the focus is where it is wrong');
    await page.keyboard.type(ada.password);
    await tabTo(page, codeField(page));
    await page.keyboard.type(codeOf(key));
    await leave(page, () => page.keyboard.press('Enter'));
    codes = await keptCodes(page);
    await check(page, 'recovery codes');
    await tabTo(page, page.getByRole('link', { name: /go on/ }));
    await leave(page, () => page.keyboard.press('Enter'));
    await page.getByText('You have 10 recovery codes left').waitFor();
    await check(page, 'a second step is on');
    await logOut(page, lyceum.url);
  });

  await step('she comes in by a code, by the keyboard alone', async () => {
    await goHome(page, lyceum.url);
    await tabTo(page, controls.nameField(page));
    await page.keyboard.type(ada.name);
    await tabTo(page, controls.passwordField(page));
    await page.keyboard.type(ada.password);
    await leave(page, () => page.keyboard.press('Enter'));
    await page.waitForURL(/\/hub\/login\/code$/);
    const field = codeField(page);
    assert.ok(await field.evaluate((one) => one === document.activeElement), 'the code can be typed at once');
    await check(page, 'a code is asked for');
    // A page that needs a session sends her back.
    await goHome(page, lyceum.url);
    await page.waitForURL(/\/hub\/login\?/);
    await page.goBack();
    await page.waitForURL(/\/hub\/login\/code$/);
    await field.focus();
    await page.keyboard.type('000000');
    await leave(page, () => page.keyboard.press('Enter'));
    await page.getByRole('alert').getByText(/not right/).waitFor();
    await check(page, 'a wrong code');
    // The one by which it was set up may be of this very step.
    await page.keyboard.type(codeOf(key, 1));
    await page.keyboard.press('Enter');
    await page.waitForURL(/\/hub\/home/);
    await page.getByRole('link', { name: 'Sessions' }).click();
    await page.getByText(/typed your password and a wrong code/).waitFor();
    await check(page, 'a wrong code is told');
    await logOut(page, lyceum.url);
  });

  await step('each recovery code takes the place of her phone once, in German', async () => {
    const german = await newPage({ locale: 'de-DE' });
    const saysPassword = async () => {
      await goHome(german, lyceum.url);
      await german.getByLabel('Benutzername').fill(ada.name);
      await german.getByLabel('Passwort').fill(ada.password);
      await leave(german, () => german.getByRole('button', { name: 'Anmelden' }).click());
      await german.getByRole('heading', { name: 'Noch ein Schritt' }).waitFor();
    };
    const types = async (code) => {
      await codeField(german).fill(code);
      await leave(german, () => german.getByRole('button', { name: 'Anmelden' }).click());
    };
    await saysPassword();
    await types(codes[0]);
    await german.waitForURL(/\/hub\/home/);
    await german.context().clearCookies();
    await saysPassword();
    await types(codes[0]);
    await german.getByRole('alert').getByText(/stimmt nicht/).waitFor();
    await types(codes[1].replaceAll('-', ' '));
    await german.waitForURL(/\/hub\/home/);
    await german.goto(new URL('hub/second-factor', lyceum.url).href);
    await german.getByText('Sie haben noch 8 Ersatzcodes').waitFor();
    await check(german, 'ein zweiter Schritt');
    await german.context().close();
  });

  const admin = await newPage();
  await step('of whom it is required, she is led to it', async () => {
    await sayPassword(admin, root);
    await admin.getByText(/ask you to have a second step/).first().waitFor();
    await check(admin, 'a second step is required');
    const roots = await admin.getByLabel('Key', { exact: true }).inputValue();
    await codeField(admin).fill(codeOf(roots));
    await leave(admin, () => admin.getByRole('button', { name: 'Set up' }).click());
    await keptCodes(admin);
    await check(admin, 'recovery codes at the log-in');
    await leave(admin, () => admin.getByRole('link', { name: /go on/ }).click());
    await admin.waitForURL(/\/hub\/home/);
    await admin.goto(new URL('hub/second-factor', lyceum.url).href);
    await admin.getByText(/can't be switched off/).waitFor();
    assert.equal(await admin.getByRole('radio').count(), 2);
  });

  await step('she takes it off somebody who has lost all, who is told', async () => {
    await admin.goto(new URL(`hub/admin/user/${ada.name}`, lyceum.url).href);
    await admin.locator('summary', { hasText: 'Take off the second step' }).click();
    await check(admin, 'a second step can be taken off');
    await leave(admin, () => admin.getByRole('button', { name: 'Take off the second step' }).click());
    await logIn(page, lyceum.url, ada);
    await page.getByRole('link', { name: 'Sessions' }).click();
    await page.getByText(`${root.name} took it off`).waitFor();
    await page.getByRole('link', { name: LINK.off }).waitFor();
  });

  await step('the command line tells of it, and takes it off whoever administers alone', async () => {
    const tell = async (...more) => (await lyceum.run(['user', 'second-factor', root.name, ...more])).stdout;
    assert.match(await tell(), /has a second step since .*, and 10 recovery codes/);
    assert.match(await tell('--remove'), /no second step any more/);
    assert.match(await tell(), /has no second step/);
    assert.deepEqual(faults, []);
  });
});
