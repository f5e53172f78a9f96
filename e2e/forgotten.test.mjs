// Somebody says where she reads her mail, forgets her password, and comes in by a link that is sent to her; another
// one makes an account by her address. A real mail server takes the letters.

import assert from 'node:assert/strict';
import test from 'node:test';
import { check } from './support/axe.mjs';
import { leave, startBrowser, watchForFaults } from './support/browser.mjs';
import { tabTo } from './support/keyboard.mjs';
import { runsElsewhere, startLyceum } from './support/lyceum.mjs';
import { startMailbox } from './support/mailbox.mjs';
import { logIn } from './support/pages.mjs';
import { tellIn } from './support/story.mjs';

const NEW = 'lantern orbit gravel';
const SIGN_IN = 'sign_in: [{kind: local, title: University, sign_up: {domains: [example.edu]}}]\n';
const skip = runsElsewhere && 'its mail goes elsewhere';

test('a forgotten password, and an account by an address', { timeout: 600_000, skip }, async (t) => {
  const step = tellIn(t);
  const mailbox = await startMailbox();
  t.after(() => mailbox.stop());
  const lyceum = await startLyceum({ config: SIGN_IN + mailbox.config });
  const browser = await startBrowser();
  t.after(async () => {
    await browser.close();
    await lyceum.stop();
  });
  const newPage = async () => (await browser.newContext({ bypassCSP: true })).newPage();
  const [ada] = lyceum.accounts.filter((one) => one.role === 'student');
  const page = await newPage();
  const faults = watchForFaults(page, lyceum.url);
  const at = (path) => new URL(path, lyceum.url).href;
  const type = async (label, text) => {
    await tabTo(page, page.getByLabel(label, { exact: true }));
    await page.keyboard.press('ControlOrMeta+a');
    await page.keyboard.type(text);
  };
  const enter = () => leave(page, () => page.keyboard.press('Enter'));

  await step('the configuration is tried out', async () => {
    const { stdout } = await lyceum.run(['mail', 'test', 'root@example.edu']);
    assert.match(stdout, /has taken a letter to root@example\.edu/);
    const letter = await mailbox.letter(1);
    assert.deepEqual(letter.to, ['root@example.edu']);
    assert.equal(letter.from, 'jupyter@example.edu');
  });

  await step('she says where she reads her mail', async () => {
    await logIn(page, lyceum.url, ada);
    await page.goto(at('hub/password'));
    await leave(page, () => page.getByRole('link', { name: 'My address of mail' }).click());
    await check(page, 'an address of mail');
    await type('New address of mail', 'ada@example.edu');
    await type('Current password', 'a guess');
    await enter();
    await page.getByRole('alert').getByText(/not right/).waitFor();
    await check(page, 'an address, by a wrong password');
    await type('Current password', ada.password);
    await enter();
    await page.getByRole('heading', { name: 'Look into your mail' }).waitFor();
    const letter = await mailbox.letter(2);
    assert.deepEqual(letter.to, ['ada@example.edu']);
    assert.ok(letter.link.startsWith(at('hub/mail?link=')), letter.link);
    await page.goto(letter.link);
    await check(page, 'whose an address is');
    await leave(page, () => page.getByRole('button', { name: 'Yes, it is my address' }).click());
    await page.getByRole('heading', { name: 'Your address is kept' }).waitFor();
    await check(page, 'an address is kept');
  });

  await step('she has forgotten her password', async () => {
    await page.context().clearCookies();
    await page.goto(at('hub/login'));
    await tabTo(page, page.getByRole('link', { name: 'Forgot your password?' }));
    await enter();
    await check(page, 'a forgotten password');
    await type('User name or address of mail', ada.name);
    await enter();
    await page.getByText(/a letter is on its way/).waitFor();
    await check(page, 'a letter is on its way');
    const letter = await mailbox.letter(3);
    assert.deepEqual(letter.to, ['ada@example.edu']);
    assert.ok(letter.link.startsWith(at('hub/new-password?link=')), letter.link);
    await page.goto(letter.link);
    await type('New password', NEW);
    await type('New password again', NEW);
    await enter();
    await page.getByRole('heading', { name: 'Your password is changed' }).waitFor();
    await logIn(page, lyceum.url, { ...ada, password: NEW });
    assert.equal((await page.goto(letter.link)).status(), 404);
  });

  await step('another one makes an account by her address', async () => {
    await page.context().clearCookies();
    await page.goto(at('hub/login'));
    await tabTo(page, page.getByRole('link', { name: 'Make an account' }));
    await enter();
    await check(page, 'where a link to an account goes');
    await type('Your address of mail', 'grete@elsewhere.example');
    await enter();
    await page.getByRole('alert').getByText(/an address at example\.edu is wanted/i).waitFor();
    await check(page, 'an address elsewhere');
    await type('Your address of mail', 'grete@example.edu');
    await enter();
    await page.getByRole('heading', { name: 'Look into your mail' }).waitFor();
    const letter = await mailbox.letter(4);
    await page.goto(letter.link);
    await check(page, 'an account by an address');
    await type('User name', 'grete');
    await type('Password', NEW);
    await type('Password again', NEW);
    await enter();
    await page.getByText('You are called grete here').waitFor();
    await logIn(page, lyceum.url, { name: 'grete', password: NEW });
  });

  await step('another asks for an account, and an administrator says yes', async () => {
    await lyceum.reconfigure('sign_in: [{kind: local, title: Guests, sign_up: approval}]\n');
    const guest = await newPage();
    await guest.goto(at('hub/sign-up'));
    await check(guest, 'asking for an account');
    await guest.getByLabel('User name', { exact: true }).fill('hans');
    await guest.getByLabel('Password', { exact: true }).fill(NEW);
    await guest.getByLabel('Password again', { exact: true }).fill(NEW);
    await guest.getByLabel('Who you are').fill('Hans of physics');
    await leave(guest, () => guest.getByRole('button', { name: 'Ask for the account' }).click());
    await guest.getByRole('heading', { name: 'Your wish for an account is noted' }).waitFor();
    const admin = await newPage();
    await logIn(admin, lyceum.url, lyceum.account('admin'));
    await admin.goto(at('hub/admin'));
    const waits = admin.getByText('1 person waits for a yes');
    await leave(admin, () => waits.getByRole('link', { name: 'Show them' }).click());
    await leave(admin, () => admin.getByRole('button', { name: 'Make these accounts' }).click());
    await admin.getByRole('alert').getByText(/nothing was chosen/).waitFor();
    await check(admin, 'nothing was chosen');
    await admin.getByLabel(/Hans of physics/).check();
    await check(admin, 'somebody asks for an account');
    await leave(admin, () => admin.getByRole('button', { name: 'Make these accounts' }).click());
    await admin.getByText('The account was made.').waitFor();
    await logIn(guest, lyceum.url, { name: 'hans', password: NEW });
  });

  assert.deepEqual(faults, []);
});
