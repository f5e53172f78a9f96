// A server shared with the keyboard alone: the link made, accepted, agreed to on the page that asks
// before a server learns who came, and taken back.

import assert from 'node:assert/strict';
import test from 'node:test';
import { leave, startBrowser } from './support/browser.mjs';
import { tabTo } from './support/keyboard.mjs';
import { runsElsewhere, startLyceum } from './support/lyceum.mjs';
import { controls, waitForServer, waitForStopped } from './support/pages.mjs';
import { tellIn } from './support/story.mjs';

const FURTHEST = 80;
const skip = runsElsewhere && 'roles are given in the configuration';

test('sharing with the keyboard', { timeout: 900_000, skip }, async (t) => {
  const step = tellIn(t);
  const lyceum = await startLyceum({ config: 'load_roles: [{name: user, scopes: [self, "shares!user"]}]\n' });
  t.after(() => lyceum.stop());
  const browser = await startBrowser();
  t.after(() => browser.close());
  const [ada, ben] = lyceum.accounts.filter((one) => one.role === 'student');
  const owner = await (await browser.newContext()).newPage();
  const guest = await (await browser.newContext()).newPage();
  const press = async (page, control, key = 'Enter') => {
    await control.waitFor();
    await tabTo(page, control, FURTHEST);
    await page.keyboard.press(key);
  };
  const button = (page, name) => page.getByRole('button', { name }).first();
  const enter = async (page, account) => {
    await page.goto(new URL('hub/home', lyceum.url).href);
    await controls.nameField(page).waitFor();
    await tabTo(page, controls.nameField(page));
    await page.keyboard.type(account.name);
    await tabTo(page, controls.passwordField(page));
    await page.keyboard.type(account.password);
    await page.keyboard.press('Enter');
    await controls.logOut(page).waitFor();
  };
  let link;

  await step('Ada starts her server, goes home and on to sharing', async () => {
    await enter(owner, ada);
    await press(owner, controls.start(owner));
    await waitForServer(owner, ada);
    await owner.goto(new URL('hub/home', lyceum.url).href);
    await press(owner, owner.getByRole('link', { name: /share my servers/i }));
    await owner.getByText(/shared with nobody/i).waitFor();
  });

  await step('she chooses how long, and makes a link', async () => {
    const life = owner.getByLabel(/expires after/i).first();
    await tabTo(owner, life, FURTHEST);
    await owner.keyboard.press('ArrowUp');
    assert.equal(await life.inputValue(), '3600', 'the first choice is taken by a key');
    await press(owner, button(owner, /make a link/i));
    const field = owner.locator('#code-text');
    await field.waitFor();
    // It can be reached and copied from.
    await tabTo(owner, field, FURTHEST);
    link = await field.inputValue();
    assert.match(link, /\/hub\/accept-share\?code=/);
  });

  await step('Ben declines, comes back and accepts', async () => {
    await enter(guest, ben);
    await guest.goto(link);
    await press(guest, guest.getByRole('link', { name: 'No, thank you' }));
    await controls.start(guest).waitFor();
    await guest.goto(link);
    await press(guest, button(guest, 'Accept'));
    await waitForServer(guest, ada);
  });

  await step('Ada takes it back from him, then the link, too', async () => {
    await owner.goto(new URL('hub/sharing', lyceum.url).href);
    await press(owner, button(owner, new RegExp(`take back ${ben.name}`, 'i')));
    await owner.getByRole('rowheader', { name: ben.name }).waitFor({ state: 'detached' });
    await press(owner, button(owner, /take back link/i));
    await owner.getByText(/shared with nobody/i).waitFor();
    const answer = await guest.goto(link);
    assert.equal(answer.status(), 404);
  });

  await step('of a server all is taken back at once, not with one press', async () => {
    await press(owner, button(owner, /make a link/i));
    const links = owner.getByRole('button', { name: /take back link/i });
    await links.waitFor();
    const all = button(owner, /back from everybody/i);
    assert.equal(await all.isVisible(), false);
    await press(owner, owner.locator('summary', { hasText: /take everything back/i }).first());
    await owner.getByText(/links to it stop working/).first().waitFor();
    await press(owner, all);
    await links.waitFor({ state: 'detached' });
  });

  await step('she stops her server', async () => {
    await owner.goto(new URL('hub/home', lyceum.url).href);
    await leave(owner, () => press(owner, controls.stop(owner)));
    await waitForStopped(owner, lyceum.url);
    await lyceum.untilQuiet();
  });
});
