// axe-core on every page, with the rules of WCAG 2.2 too, in both schemes and from the narrowest
// phone to a wide screen: no violation, nothing to scroll sideways, and nothing that moves for
// people who asked for less motion.

import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { check } from './support/axe.mjs';
import { leave, startBrowser } from './support/browser.mjs';
import { JUPYTER_ENV, signal, startLyceum } from './support/lyceum.mjs';
import { controls, logIn, waitForServer, waitForStopped } from './support/pages.mjs';
import { until } from './support/story.mjs';

test('axe finds nothing on any page', { timeout: 900_000 }, async (t) => {
  const lyceum = await startLyceum();
  t.after(() => lyceum.stop());
  const browser = await startBrowser();
  t.after(() => browser.close());
  const student = lyceum.account('student');
  const admin = lyceum.account('admin');
  const at = (path) => new URL(path, lyceum.url).href;
  // The rules are put in from outside, past the pages' content policy.
  const strangers = await (await browser.newContext({ bypassCSP: true })).newPage();
  const students = await (await browser.newContext({ bypassCSP: true })).newPage();
  const admins = await (await browser.newContext({ bypassCSP: true })).newPage();

  await t.test('log-in', async () => {
    await strangers.goto(at('hub/login'));
    await check(strangers, 'log-in');
  });
  await t.test('log-in, refused', async () => {
    await strangers.goto(at('hub/login'));
    await controls.nameField(strangers).fill(student.name);
    await controls.passwordField(strangers).fill('not the password');
    await leave(strangers, () => controls.logIn(strangers).click());
    await strangers.getByRole('alert').first().waitFor();
    await check(strangers, 'log-in, refused');
  });

  await logIn(students, lyceum.url, student);
  await t.test('home', () => check(students, 'home'));
  await t.test('tokens', async () => {
    await students.goto(at('hub/token'));
    await check(students, 'tokens');
  });
  await t.test('not running', async () => {
    const answer = await students.goto(at(`user/${student.name}/lab`));
    assert.equal(answer.status(), 424);
    await check(students, 'not running');
  });
  await t.test('not found', async () => {
    const answer = await students.goto(at('hub/no/such/page'));
    assert.equal(answer.status(), 404);
    await check(students, 'not found');
  });
  await t.test('not allowed', async () => {
    const answer = await students.goto(at('hub/admin'));
    assert.equal(answer.status(), 403);
    await check(students, 'not allowed');
  });

  await t.test('progress, kept from moving on', async () => {
    // The page lives for seconds; its news are held back so that it stays.
    await students.route('**/server/progress*', () => {});
    await students.goto(at('hub/home'));
    await controls.start(students).click();
    await students.waitForURL(/\/hub\/spawn-pending\//);
    await check(students, 'progress');
    await students.unrouteAll({ behavior: 'ignoreErrors' });
    await students.goto(at(`hub/spawn-pending/${student.name}`));
    await waitForServer(students, student);
  });
  await t.test('home with a running server', async () => {
    await students.goto(at('hub/home'));
    await controls.stop(students).waitFor();
    await check(students, 'home with a running server');
  });

  await t.test('the last lines of a server', async () => {
    await students.goto(at(`hub/logs/${student.name}`));
    await check(students, 'log');
  });

  await logIn(admins, lyceum.url, admin);
  await t.test('administration', async () => {
    const answer = await admins.goto(at('hub/admin'));
    assert.equal(answer.status(), 200);
    await check(admins, 'administration');
  });
  for (const path of [
    'admin/users?q=a', 'admin/users?q=nobody-is-called-so', `admin/user/${student.name}`, 'admin/groups', 'admin/group?name=axe',
    'admin/servers', 'admin/servers?state=failed', 'admin/services', 'admin/tokens', 'admin/activity', 'admin/audit', 'admin/configuration', 'sessions', 'token',
  ]) {
    await t.test(path, async () => {
      if (path.includes('group?')) {
        await admins.goto(at('hub/admin/groups'));
        await admins.getByLabel('Group', { exact: true }).fill('axe');
        await admins.getByLabel('Members').fill(student.name);
        await leave(admins, () => admins.getByRole('button', { name: 'Add' }).click());
        await admins.getByRole('status').waitFor();
      }
      const answer = await admins.goto(at(`hub/${path}`));
      assert.equal(answer.status(), 200);
      await admins.locator('details').evaluateAll((all) => all.forEach((one) => { one.open = true; }));
      await check(admins, path);
    });
  }
  await t.test('confirming that someone else’s server may know who you are', async () => {
    // Asking for the student's server as its OAuth client would.
    const query = new URLSearchParams({
      client_id: `jupyterhub-user-${student.name}`,
      redirect_uri: `/user/${student.name}/oauth_callback`,
      response_type: 'code',
      state: 'story',
    });
    const answer = await admins.goto(at(`hub/api/oauth2/authorize?${query}`));
    assert.equal(answer.status(), 200);
    await admins.locator('form').getByRole('button').first().waitFor();
    await check(admins, 'confirmation');
  });

  await t.test('stopping, held so that it lasts', async () => {
    // Its keeper too, which would lose patience with it after a while.
    const all = await lyceum.processes();
    signal(all, 'SIGSTOP');
    try {
      await students.goto(at('hub/home'));
      await leave(students, () => controls.stop(students).click());
      const answer = await students.goto(at(`hub/spawn-pending/${student.name}`));
      assert.equal(answer.status(), 200);
      await check(students, 'stopping');
    } finally {
      signal(all, 'SIGCONT');
    }
    await waitForStopped(students, lyceum.url);
  });

  await t.test('what administrators did with a server', async () => {
    await admins.goto(at(`hub/admin/servers?state=all&q=${student.name}`));
    await leave(admins, () => admins.getByRole('button', { name: `Start ${student.name}/` }).click());
    await students.goto(at(`hub/spawn-pending/${student.name}`));
    await waitForServer(students, student);
    for (const path of ['home', 'sessions']) {
      await students.goto(at(`hub/${path}`));
      await students.getByRole('heading', { name: 'What others did with my servers' }).waitFor();
      await students.getByText(`${admin.name} started:`).waitFor();
      await check(students, `${path} with what administrators did`);
    }
    await students.goto(at('hub/home'));
    await leave(students, () => controls.stop(students).click());
    await waitForStopped(students, lyceum.url);
  });
});

test('axe finds nothing on the pages about sharing', { timeout: 900_000 }, async (t) => {
  const config = 'load_roles: [{name: user, scopes: [self, "shares!user", "read:users:name", "read:groups:name"]}]\n';
  const lyceum = await startLyceum({ config });
  t.after(() => lyceum.stop());
  const browser = await startBrowser();
  t.after(() => browser.close());
  const [owner, guest] = lyceum.accounts.filter((one) => one.role === 'student');
  const page = await (await browser.newContext({ bypassCSP: true })).newPage();
  const guests = await (await browser.newContext({ bypassCSP: true })).newPage();
  const at = (path) => new URL(path, lyceum.url).href;
  await logIn(page, lyceum.url, owner);
  await page.goto(at('hub/sharing'));
  await check(page, 'sharing, without a server');
  await page.goto(at('hub/home'));
  await controls.start(page).click();
  await waitForServer(page, owner);
  await page.goto(at('hub/sharing'));
  await leave(page, () => page.getByRole('button', { name: /make a link/i }).click());
  const link = page.locator('#code-text');
  await link.waitFor();
  const address = await link.inputValue();
  await check(page, 'sharing, a new link');
  await logIn(guests, lyceum.url, guest);
  await guests.goto(address);
  await check(guests, 'accept a share');
  await leave(guests, () => guests.getByRole('button', { name: 'Accept' }).click());
  await guests.goto(at('hub/home'));
  await guests.getByRole('heading', { name: /shared with me/i }).waitFor();
  await check(guests, 'home, with a shared server');
  await guests.goto(`${at('hub/accept-share')}?code=nonsense`);
  await check(guests, 'a link that is not good');
  await page.goto(at('hub/sharing'));
  await page.getByRole('cell', { name: /once|1 time/i }).or(page.getByText(guest.name)).first().waitFor();
  await check(page, 'sharing, with a guest');
  await page.goto(at('hub/home'));
  await leave(page, () => controls.stop(page).click());
  await waitForStopped(page, lyceum.url);
});

test('axe finds nothing on what a site tells its people, and when it is not well', { timeout: 900_000 }, async (t) => {
  const themes = await mkdtemp(join(tmpdir(), 'lyceum-themes-'));
  t.after(() => rm(themes, { recursive: true }));
  await writeFile(join(themes, 'logout.html'), '{% extends "templates/logout.html" %}\n');
  await writeFile(join(themes, 'terms.md'), '# Terms\n\nBe kind. See [the library](https://library.example.edu).\n\n- one\n- two\n');
  const config = `theme: {template_paths: [${themes}]}
site: {terms: ${join(themes, 'terms.md')}, help: https://wiki.example.edu}
announcements: [{text: "Read [the news](https://news.example.edu)"}]
`;
  const lyceum = await startLyceum({ config });
  t.after(() => lyceum.stop());
  const browser = await startBrowser();
  t.after(() => browser.close());
  const students = await (await browser.newContext({ bypassCSP: true })).newPage();
  const admins = await (await browser.newContext({ bypassCSP: true })).newPage();
  const at = (path) => new URL(path, lyceum.url).href;
  const look = async (page, path, name) => {
    const answer = await page.goto(at(path));
    assert.equal(answer.status(), 200, name);
    await check(page, name);
  };
  await t.test('a document, an announcement, the end', async () => {
    await look(students, 'hub/pages/terms', 'terms');
    await look(students, 'hub/login', 'log-in with an announcement');
    await logIn(students, lyceum.url, lyceum.account('student'));
    await students.getByRole('link', { name: 'the news' }).waitFor();
    await check(students, 'home with an announcement');
    await leave(students, () => students.getByRole('button', { name: 'Log out' }).click());
    await students.getByRole('link', { name: /log in again/i }).waitFor();
    await check(students, 'the end of a visit');
  });
  await logIn(admins, lyceum.url, lyceum.account('admin'));
  await t.test('a maintenance', async () => {
    await logIn(students, lyceum.url, lyceum.account('student'));
    await lyceum.reconfigure(`${config}maintenance: {from: "2026-01-01 08:00+01:00", text: New disks}\n`);
    await students.goto(at('hub/home'));
    await students.getByText('New disks').waitFor();
    await check(students, 'what a student sees in a maintenance');
    await look(admins, 'hub/home', 'home of an administrator in a maintenance');
  });
  await t.test('a configuration that can\u2019t be read', async () => {
    await lyceum.configure('theme:\n  nmae: Dale School\n');
    await until('the metric tells', async () => (await lyceum.metric('lyceum_config_bad_edit')) === 1);
    await admins.goto(at('hub/admin'));
    await admins.getByText('nmae').waitFor();
    await check(admins, 'overview with a bad configuration');
    await look(admins, 'hub/admin/configuration', 'state of a bad configuration');
  });
  await t.test('course files that can\u2019t be read', async () => {
    await lyceum.configure(config);
    await writeFile(join(lyceum.data, 'courses/biology.yaml'), 'title: Biology\npeopel: {}\nenviroment: {}\n');
    await until('the overview tells of it', async () => {
      await admins.goto(at('hub/admin'));
      return (await admins.getByText('peopel').count()) === 1;
    });
    await check(admins, 'overview with a bad course file');
    await look(admins, 'hub/admin/configuration', 'state of a bad course file');
  });
});

test('axe finds nothing on the page of a failed start', { timeout: 900_000 }, async (t) => {
  const complaint = 'this environment ends at once, on purpose';
  const broken = await makeBrokenEnv(complaint);
  t.after(() => rm(broken, { recursive: true }));
  const lyceum = await startLyceum({ jupyterEnv: broken });
  t.after(() => lyceum.stop());
  const browser = await startBrowser();
  t.after(() => browser.close());
  const page = await (await browser.newContext({ bypassCSP: true })).newPage();

  await logIn(page, lyceum.url, lyceum.account('student'));
  await controls.start(page).click();
  await page.getByText(complaint).first().waitFor();
  await check(page, 'failed start');
});

test('axe finds nothing on the page that asks what to start', { timeout: 900_000 }, async (t) => {
  const option = '{display_name: Size, choices: {one: {display_name: One}, two: {display_name: Two}}, unlisted_choice: {enabled: true, validation_regex: "^[0-9]+$", validation_message: A number}}';
  const config = `profiles: [{title: Small, description: Enough for most}, {title: Choose yourself, slug: own, profile_options: {size: ${option}}}]\n`;
  const lyceum = await startLyceum({ config });
  t.after(() => lyceum.stop());
  const browser = await startBrowser();
  t.after(() => browser.close());
  const page = await (await browser.newContext({ bypassCSP: true })).newPage();
  await logIn(page, lyceum.url, lyceum.account('student'));
  const choose = () => page.getByRole('radio', { name: 'Choose yourself' });
  await t.test('as it comes', async () => {
    await page.goto(new URL('hub/spawn', lyceum.url).href);
    await choose().waitFor();
    await check(page, 'spawn');
  });
  await t.test('with all fields, and one refused', async () => {
    await choose().check();
    await page.getByLabel('Size', { exact: true }).selectOption('Other…');
    await page.getByLabel('Size: your own value').fill('many');
    await page.getByRole('button', { name: 'Start', exact: true }).click();
    await page.getByRole('alert').waitFor();
    await check(page, 'spawn, refused');
  });
});

test('axe finds nothing on the pages by which a server for a course is started', { timeout: 900_000 }, async (t) => {
  const lyceum = await startLyceum();
  t.after(() => lyceum.stop());
  const people = 'people: {teachers: [grace], students: [ada, ben]}';
  await writeFile(join(lyceum.data, 'courses/signals-demo.yaml'), `title: Introduction to Signals\n${people}\nenvironment: {}\n`);
  const browser = await startBrowser();
  t.after(() => browser.close());
  const page = await (await browser.newContext({ bypassCSP: true })).newPage();
  const at = (path) => new URL(path, lyceum.url).href;
  await logIn(page, lyceum.url, lyceum.account('student'));
  const start = () => page.getByRole('listitem').filter({ hasText: 'Introduction to Signals' }).getByRole('button', { name: /^Start/ });
  await t.test('the card of a course', async () => {
    await until('the card has a button', async () => {
      await page.goto(at('hub/home'));
      return (await start().count()) === 1;
    });
    await check(page, 'home with a course');
  });
  await t.test('a link of another site', async () => {
    await page.goto('about:blank');
    await page.setContent(`<a href="${at('hub/spawn?course=signals-demo')}">To the course</a>`);
    await page.getByRole('link', { name: 'To the course' }).click();
    await page.getByText('It is made for the course').waitFor();
    await check(page, 'a start for a course is offered');
  });
  await t.test('a course that is not hers', async () => {
    const answer = await page.goto(at('hub/spawn?course=no-such'));
    assert.equal(answer.status(), 404);
    await check(page, 'no such course');
  });
});

test('axe finds nothing on the pages of a German reader when things go wrong', { timeout: 900_000 }, async (t) => {
  const complaint = 'this environment ends at once, on purpose';
  const broken = await makeBrokenEnv(complaint);
  t.after(() => rm(broken, { recursive: true }));
  const lyceum = await startLyceum({ jupyterEnv: broken });
  t.after(() => lyceum.stop());
  const browser = await startBrowser();
  t.after(() => browser.close());
  const page = await (await browser.newContext({ bypassCSP: true, locale: 'de-DE' })).newPage();
  const student = lyceum.account('student');
  const reads = async (words, name) => {
    await page.getByText(words).first().waitFor();
    assert.equal(await page.locator('html').getAttribute('lang'), 'de');
    await check(page, name);
  };

  await page.goto(new URL('hub/login', lyceum.url).href);
  await page.locator('#username').fill(student.name);
  await page.locator('#password').fill('not the password');
  await leave(page, () => page.getByRole('button', { name: 'Anmelden' }).click());
  await reads('passen nicht zusammen', 'log-in refused, in German');
  await page.locator('#password').fill(student.password);
  await leave(page, () => page.getByRole('button', { name: 'Anmelden' }).click());
  await page.waitForURL(/\/hub\/home/);
  await page.getByRole('button', { name: 'Starten' }).first().click();
  await page.getByText(complaint).first().waitFor();
  await reads('Er endete mit Code 3', 'failed start, in German');
  await page.goto(new URL('hub/no/such/page', lyceum.url).href);
  await reads('Diese Seite gibt es nicht', 'not found, in German');
  // Refused by the proxy itself.
  await page.goto(new URL('user/a%00b/', lyceum.url).href);
  await reads('Der Pfad enthält ein NUL-Zeichen', 'refused by the proxy, in German');
});

/** The Jupyter environment again, but its single-user server only complains. */
async function makeBrokenEnv(complaint) {
  const folder = await mkdtemp(join(tmpdir(), 'lyceum-broken-env-'));
  for (const name of await readdir(JUPYTER_ENV)) {
    if (name !== 'bin') await symlink(join(JUPYTER_ENV, name), join(folder, name));
  }
  await mkdir(join(folder, 'bin'));
  for (const name of await readdir(join(JUPYTER_ENV, 'bin'))) {
    if (name !== 'jupyterhub-singleuser') await symlink(join(JUPYTER_ENV, 'bin', name), join(folder, 'bin', name));
  }
  await writeFile(join(folder, 'bin/jupyterhub-singleuser'), `#!/bin/sh\n[ "$1" = --version ] && echo 6.1.1 && exit\necho '${complaint}' >&2\nexit 3\n`, { mode: 0o755 });
  return folder;
}
