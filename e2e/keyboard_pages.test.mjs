// The pages that no other story visits with the keyboard alone: the choice of a language, an error, a
// server that does not run and its log, one that stops, services, my sessions, what administrators read of
// activity and of the configuration, the switch of a maintenance, and a start that fails.

import assert from 'node:assert/strict';
import test from 'node:test';
import { leave, startBrowser } from './support/browser.mjs';
import { tabTo } from './support/keyboard.mjs';
import { runsElsewhere, signal, startLyceum } from './support/lyceum.mjs';
import { controls, goHome, logIn, waitForServer, waitForStopped } from './support/pages.mjs';
import { tellIn, until } from './support/story.mjs';

const FURTHEST = 80;

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
      // Without a connection it says so, and is loaded again as soon as there is one.
      const lost = page.getByRole('status').filter({ hasText: /connection was lost\. The stop goes on/i });
      assert.equal(await lost.isVisible(), false);
      await page.context().setOffline(true);
      await lost.waitFor();
      await page.context().setOffline(false);
      await lost.waitFor({ state: 'hidden' });
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

  await step('an administrator looks at who was there, and goes on to one of them', async () => {
    await leave(page, () => press(page.locator('main').getByRole('link', { name: 'Activity', exact: true })));
    await page.getByRole('heading', { name: 'Activity', level: 1 }).waitFor();
    assert.equal(await page.locator('nav [aria-current=page]', { hasText: 'Activity' }).count(), 1);
    await leave(page, () => press(page.locator('main').getByRole('link', { name: student.name, exact: true }).first()));
    await page.waitForURL(new RegExp(`/hub/admin/user/${student.name}$`));
  });

  await step('an administrator reads what is wrong with the configuration', async () => {
    await to('hub/admin');
    await leave(page, () => press(page.locator('main').getByRole('link', { name: 'Configuration', exact: true })));
    await page.getByText('The configuration is in force as it stands in the file.').waitFor();
    await lyceum.configure(`${CONFIG}\nno_such_key: 1\n`);
    lyceum.signal('SIGHUP');
    const problem = page.getByRole('region', { name: 'What is wrong with the configuration' });
    await until('the page tells', async () => {
      await leave(page, () => page.reload());
      return (await problem.count()) === 1;
    });
    // A box whose text can be longer than it is high is reached, too.
    await tabTo(page, problem, FURTHEST);
    assert.match(await problem.innerText(), /no_such_key/);
    await lyceum.configure(CONFIG);
    lyceum.signal('SIGHUP');
    await until('it is mended', async () => {
      await leave(page, () => page.reload());
      return (await problem.count()) === 0;
    });
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

// More than fits into the box it is shown in.
const COMPLAINS = `
servers:
  command: [sh, -c, "for i in $(seq 100); do echo complaint $i; done; exit 3"]
`;

test('a start that fails, with the keyboard', { timeout: 900_000, skip }, async (t) => {
  const step = tellIn(t);
  const lyceum = await startLyceum({ config: COMPLAINS });
  t.after(() => lyceum.stop());
  const browser = await startBrowser();
  t.after(() => browser.close());
  const student = lyceum.account('student');
  const page = await (await browser.newContext({ locale: 'en-US' })).newPage();
  const press = async (control) => {
    await control.waitFor();
    await tabTo(page, control, FURTHEST);
    await leave(page, () => page.keyboard.press('Enter'));
  };
  const again = page.getByRole('button', { name: 'Try again' });
  await logIn(page, lyceum.url, student);

  await step('she is told why, and reads what the server said', async () => {
    await press(controls.start(page));
    await again.waitFor();
    await page.getByRole('alert').filter({ hasText: 'ended with code 3' }).waitFor();
    const output = page.getByRole('region', { name: 'Last output of the server' });
    await tabTo(page, output, FURTHEST);
    // It opens at its end; keys lead back to where it began.
    const scrolled = () => output.evaluate((box) => box.scrollTop);
    const before = await scrolled();
    await page.keyboard.press('PageUp');
    await until('the box has moved', async () => (await scrolled()) < before);
  });

  await step('to try again in vain leads back here', async () => {
    await press(again);
    await page.getByRole('alert').filter({ hasText: 'ended with code 3' }).waitFor();
    await press(page.getByRole('link', { name: /back home/i }));
    await page.waitForURL(/\/hub\/home/);
    await press(page.getByRole('link', { name: /^log/i }));
    await page.getByText('complaint 100').first().waitFor();
  });

  await step('mended, it starts from home', async () => {
    await lyceum.reconfigure('');
    await goHome(page, lyceum.url);
    await press(again);
    await waitForServer(page, student);
    await goHome(page, lyceum.url);
    await press(controls.stop(page));
    await waitForStopped(page, lyceum.url);
  });
});
