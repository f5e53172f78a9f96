// The pages that no other story visits with the keyboard alone: the choice of a language, an error, a
// server that does not run and its log, one that stops, services, my sessions, and the switch of a maintenance.

import assert from 'node:assert/strict';
import test from 'node:test';
import { leave, startBrowser } from './support/browser.mjs';
import { tabTo } from './support/keyboard.mjs';
import { runsElsewhere, startLyceum } from './support/lyceum.mjs';
import { controls, logIn, waitForServer, waitForStopped } from './support/pages.mjs';
import { tellIn } from './support/story.mjs';

const FURTHEST = 80;

/** To those that are still there. */
function signal(processes, name) {
  for (const { pid } of processes) {
    try {
      process.kill(pid, name);
    } catch (error) {
      if (error.code !== 'ESRCH') throw error;
    }
  }
}

// Nothing listens there.
const CONFIG = `
services: [{name: dash, url: "http://127.0.0.1:9"}]
load_roles: [{name: user, scopes: [self, "access:services"]}]
`;
const skip = runsElsewhere && 'a maintenance would hold up everybody there';

test('the other pages with the keyboard', { timeout: 900_000, skip }, async (t) => {
  const step = tellIn(t);
  const lyceum = await startLyceum({ config: CONFIG });
  t.after(() => lyceum.stop());
  const browser = await startBrowser();
  t.after(() => browser.close());
  const student = lyceum.account('student');
  const page = await (await browser.newContext({ locale: 'en-US' })).newPage();
  const to = (path) => page.goto(new URL(path, lyceum.url).href);
  const press = async (control) => {
    await control.waitFor();
    await tabTo(page, control, FURTHEST);
    await page.keyboard.press('Enter');
  };
  const link = (name) => page.getByRole('link', { name }).first();
  const button = (name) => page.getByRole('button', { name }).first();

  await step('choose a language before logging in, and keep it', async () => {
    await to('hub/login');
    await press(button('Deutsch'));
    await page.locator('html[lang=de]').waitFor();
    assert.equal(new URL(page.url()).pathname, new URL('hub/login', lyceum.url).pathname);
    await to('hub/login');
    await page.locator('html[lang=de]').waitFor();
    await press(button('English'));
    await page.locator('html[lang=en]').waitFor();
  });

  await step('an error leads home', async () => {
    await logIn(page, lyceum.url, student);
    await to('hub/no/such/page');
    await press(link(/back home/i));
    await page.waitForURL(/\/hub\/home/);
    await controls.start(page).waitFor();
  });

  await step('a server that does not run is started, and its log read', async () => {
    await to(`hub/user/${student.name}/lab`);
    await press(page.locator('.actions a.primary'));
    await waitForServer(page, student);
    await to('hub/home');
    await press(link(/^log/i));
    await page.locator('.actions a.primary').waitFor();
    assert.match(page.url(), /\/hub\/logs\//);
    await press(link(/back home/i));
    await page.waitForURL(/\/hub\/home/);
  });

  await step('a server that takes its time to stop leads home', async () => {
    // Its keeper too, which would lose patience with it after a while.
    const all = await lyceum.processes();
    signal(all, 'SIGSTOP');
    try {
      await leave(page, () => press(controls.stop(page)));
      await to(`hub/spawn-pending/${student.name}`);
      await page.getByRole('heading', { name: /^stopping/i }).waitFor();
      await press(link(/back home/i));
      await page.waitForURL(/\/hub\/home/);
      await page.getByText('Stopping', { exact: true }).waitFor();
    } finally {
      signal(all, 'SIGCONT');
    }
    await waitForStopped(page, lyceum.url);
  });

  await step('a service is opened, and one that is away leads home', async () => {
    await to('hub/home');
    await leave(page, () => press(page.locator('main').getByRole('link', { name: 'dash' })));
    await page.getByRole('heading', { name: 'This service does not answer' }).waitFor();
    await press(link(/home page/i));
    await page.waitForURL(/\/hub\/home/);
  });

  await step('other sessions are ended', async () => {
    const elsewhere = await (await browser.newContext()).newPage();
    await logIn(elsewhere, lyceum.url, student);
    await to('hub/home');
    await press(link('Sessions'));
    const others = page.locator('form[action$="sessions/end-others"] button');
    await press(others);
    await others.waitFor({ state: 'detached' });
    await elsewhere.goto(new URL('hub/home', lyceum.url).href);
    await elsewhere.waitForURL(/\/hub\/login/);
  });

  const kept = await (await browser.newContext({ locale: 'en-US' })).newPage();
  await step('an administrator looks at the services', async () => {
    await logIn(kept, lyceum.url, student);
    await leave(page, () => press(controls.logOut(page)));
    await controls.logIn(page).waitFor();
    await logIn(page, lyceum.url, lyceum.account('admin'));
    await to('hub/admin');
    await leave(page, () => press(page.locator('main').getByRole('link', { name: 'Services' })));
    await page.getByRole('rowheader', { name: 'dash' }).waitFor();
    await page.getByText('does not answer').first().waitFor();
  });

  await step('an administrator begins a maintenance and ends it', async () => {
    await to('hub/admin');
    const message = page.getByLabel(/what people are told/i);
    await message.waitFor();
    await tabTo(page, message, FURTHEST);
    await page.keyboard.type('New disks');
    await press(button('Begin maintenance'));
    await button('End maintenance').waitFor();
    await page.getByText('New disks').first().waitFor();
    // Who is kept waiting meets no button that would be refused, and is told why.
    await kept.goto(new URL('hub/home', lyceum.url).href);
    const again = kept.getByRole('link', { name: 'Look again' });
    await tabTo(kept, again, FURTHEST);
    await leave(kept, () => kept.keyboard.press('Enter'));
    const closed = kept.locator('[aria-disabled=true]');
    await tabTo(kept, closed.first(), FURTHEST);
    const why = await closed.first().getAttribute('aria-describedby');
    assert.match(await kept.locator(`#${why}`).innerText(), /until the maintenance is over/);
    await kept.keyboard.press('Enter');
    assert.equal(await kept.locator('.primary').count(), 0);
    assert.match(kept.url(), /\/hub\/home$/);
    await press(button('End maintenance'));
    await button('Begin maintenance').waitFor();
    await leave(kept, () => kept.reload());
    await controls.start(kept).waitFor();
  });
});
