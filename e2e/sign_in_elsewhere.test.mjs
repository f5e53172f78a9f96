// People of a university come in by its provider of OpenID Connect, a real one: they log in there, are
// who they are there, and log out on both sides.

import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'node:test';
import { startBrowser, watchForFaults } from './support/browser.mjs';
import { Client } from './support/http.mjs';
import { runsElsewhere, startLyceum } from './support/lyceum.mjs';
import { controls, goHome, logOut } from './support/pages.mjs';
import { logInThere, logOutThere, startProvider } from './support/provider.mjs';
import { tellIn, until } from './support/story.mjs';

const skip = runsElsewhere && 'a Lyceum that runs elsewhere has its own ways in';
const SECRET = 'a secret: of+tests%';

const PEOPLE = {
  'e-1878': { name: 'Lise Meitner', preferred_username: 'lise', groups: ['students', 'physics'], email: 'lise@example.edu', email_verified: true },
  'e-1939': { name: 'Barbara Liskov', preferred_username: 'barbara', groups: ['staff', 'it'], email: 'barbara@example.edu', email_verified: true },
  'e-1867': { name: 'Marie Curie', preferred_username: 'marie', groups: ['students'], email: 'marie@example.edu', email_verified: true },
  'e-1912': { name: 'Alan Turing', preferred_username: 'alan', groups: ['guests'], email: 'alan@example.org', email_verified: true },
  'e-1882': { name: 'Emmy Noether', preferred_username: 'emmy', groups: ['forge'], email: 'emmy@example.edu', email_verified: true },
  // The demo has an account of this name.
  'e-1815': { name: 'Ada Lovelace', preferred_username: 'ada', groups: ['students'], email: 'ada@example.edu', email_verified: true },
};

test('people come in by a provider of OpenID Connect', { timeout: 600_000, skip }, async (t) => {
  const step = tellIn(t);
  const lyceum = await startLyceum();
  t.after(() => lyceum.stop());
  const { port } = new URL(lyceum.url);
  const here = `http://localhost:${port}`;
  const way = { redirect_uris: [`${here}/hub/oauth_callback`], post_logout_redirect_uris: [`${here}/hub/login`], backchannel_logout_uri: `${lyceum.url}hub/oauth_backchannel`, backchannel_logout_session_required: true, grant_types: ['authorization_code', 'refresh_token'] };
  const clients = [
    { client_id: 'lyceum', client_secret: SECRET, ...way },
    { client_id: 'plain', token_endpoint_auth_method: 'none', redirect_uris: [`${here}/hub/oauth_callback/forge`] },
  ];
  const provider = await startProvider({ clients, people: structuredClone(PEOPLE) });
  t.after(() => provider.close());
  await lyceum.interrupt();
  await writeFile(join(lyceum.data, 'provider-secret'), SECRET, { mode: 0o600 });
  const configuration = `public_url: ${here}
subdomains: false
sign_in:
  - kind: oidc
    title: University account
    issuer: ${provider.issuer}
    client_id: lyceum
    client_secret: file:provider-secret
    groups: claim:groups
    allow: {groups: [students, staff]}
    admins: {groups: [it]}
    scopes: [openid, profile, email, offline_access]
    parameters: {prompt: consent}
    refresh: 10s
  - kind: oauth2
    id: forge
    title: Forge
    authorize_url: ${provider.issuer}/auth
    token_url: ${provider.issuer}/token
    userdata_url: ${provider.issuer}/me
    client_id: plain
    scopes: [openid, profile, email]
    mark: claim:sub
    username: claim:preferred_username
    allow: {claims: {groups: [forge]}}
  - kind: local
    title: Guests
`;
  await lyceum.configure(configuration);
  await lyceum.start();
  const browser = await startBrowser();
  t.after(() => browser.close());
  const anew = async () => (await browser.newContext()).newPage();
  const comeIn = (page, name = /University account/) => page.getByRole('link', { name }).or(page.getByRole('button', { name }));
  const enter = async (page, person, title = /University account/) => {
    await goHome(page, here);
    await comeIn(page, title).click();
    await logInThere(page, provider.issuer, person);
  };
  const page = await anew();
  const faults = watchForFaults(page, here);

  await step('the log-in page offers it beside passwords', async () => {
    await goHome(page, here);
    await comeIn(page).waitFor();
    await controls.passwordField(page).waitFor();
  });

  await step('Lise logs in there, and is where she wanted to be', async () => {
    await enter(page, 'e-1878');
    await page.waitForURL(/\/hub\/home/);
    await page.getByText('Lise Meitner').first().waitFor();
    assert.doesNotMatch(page.url(), /code=|state=/);
  });

  await step('her groups there are hers here, and she administers nothing', async () => {
    const { stdout } = await lyceum.run(['token', 'create', lyceum.account('admin').name, '--scope', 'list:users', '--scope', 'read:users']);
    const model = await new Client(here).expect(200, 'GET', 'hub/api/users/lise', { token: stdout.trim() });
    assert.deepEqual([model.groups, model.admin], [['physics', 'students'], false]);
  });

  await step('renamed there, she is the same person here', async () => {
    provider.people['e-1878'].preferred_username = 'lise.meitner';
    const other = await anew();
    await enter(other, 'e-1878');
    await other.waitForURL(/\/hub\/home/);
    await other.getByRole('link', { name: /start/i }).or(other.getByRole('button', { name: /start/i })).first().waitFor();
    await other.context().close();
  });

  await step('Barbara of the staff administers', async () => {
    const other = await anew();
    await enter(other, 'e-1939');
    await other.waitForURL(/\/hub\/home/);
    await other.goto(`${here}/hub/admin`);
    await other.getByRole('heading', { level: 1 }).waitFor();
    await other.context().close();
  });

  await step('who brings a name that has a password here is not that person', async () => {
    const other = await anew();
    await enter(other, 'e-1815');
    await other.getByText('already belongs to another account').waitFor();
    await goHome(other, here);
    await other.waitForURL(/\/hub\/login/);
    await other.context().close();
  });

  await step('a guest there is told that he can\'t come in', async () => {
    const other = await anew();
    await enter(other, 'e-1912');
    await other.getByText('isn\'t admitted here').waitFor();
    await other.context().close();
  });

  await step('whoever breaks off there is told so, and can try again', async () => {
    const other = await anew();
    await goHome(other, here);
    await comeIn(other).click();
    await other.waitForURL((url) => url.href.startsWith(provider.issuer));
    await other.getByRole('link', { name: /cancel/i }).click();
    await other.getByText('You were not logged in there').waitFor();
    await comeIn(other).click();
    await logInThere(other, provider.issuer, 'e-1878');
    await other.waitForURL(/\/hub\/home/);
    await other.context().close();
  });

  await step('others come in by plain OAuth, without OpenID Connect', async () => {
    const other = await anew();
    await enter(other, 'e-1882', /Forge/);
    await other.waitForURL(/\/hub\/home/);
    await other.getByText('Emmy Noether').first().waitFor();
    await other.context().close();
    const stranger = await anew();
    await enter(stranger, 'e-1939', /Forge/);
    await stranger.getByText('isn\'t admitted here').waitFor();
    await stranger.context().close();
  });

  await step('who logs out there is logged out here, in that browser', async () => {
    const other = await anew();
    await enter(other, 'e-1878');
    await other.waitForURL(/\/hub\/home/);
    const tab = await other.context().newPage();
    await tab.goto(`${provider.issuer}/session/end`);
    await tab.locator('button[name=logout]').click();
    await until('she is logged out here', async () => {
      await goHome(other, here);
      return /\/hub\/login/.test(other.url());
    });
    await goHome(page, here);
    await controls.logOut(page).waitFor();
    await other.context().close();
  });

  await step('who is removed there is out here soon, and told why', async () => {
    const other = await anew();
    await enter(other, 'e-1867');
    await other.waitForURL(/\/hub\/home/);
    delete provider.people['e-1867'];
    await until('she is out', async () => {
      await goHome(other, here);
      return /\/hub\/login/.test(other.url());
    });
    await other.getByText('has ended there').waitFor();
    // Nobody else is.
    await goHome(page, here);
    await controls.logOut(page).waitFor();
    await other.context().close();
  });

  await step('log-out here offers to log out there, and leads back', async () => {
    await logOut(page, here);
    await page.getByRole('link', { name: /Log out of University account/ }).click();
    await logOutThere(page, provider.issuer);
    await page.waitForURL(/\/hub\/login/);
    // Otherwise it would not ask who she is.
    await enter(page, 'e-1878');
    await page.waitForURL(/\/hub\/home/);
  });

  await step('where it is chosen for all, nobody is asked which way in, and whoever logs out stays out', async () => {
    await lyceum.reconfigure(configuration.replace('    refresh: 10s\n', '    refresh: 10s\n    automatic: true\n'));
    const other = await anew();
    await goHome(other, here);
    await logInThere(other, provider.issuer, 'e-1878');
    await other.waitForURL(/\/hub\/home/);
    await logOut(other, here);
    await other.getByRole('link', { name: /Log out of University account/ }).click();
    await logOutThere(other, provider.issuer);
    await other.waitForURL(/\/hub\/login/);
    await comeIn(other).waitFor();
    // However often she looks.
    await other.goto(`${here}/hub/login`);
    await comeIn(other).waitFor();
    await other.context().close();
    const next = await anew();
    await next.goto(`${here}/hub/login`);
    await next.waitForURL((url) => url.href.startsWith(provider.issuer));
    await next.goto(`${here}/hub/login?local`);
    await controls.passwordField(next).waitFor();
    await next.context().close();
  });

  // That pages lead there is what this is about.
  const others = faults.filter((fault) => !fault.includes(`asked another host: ${provider.issuer}/`));
  assert.deepEqual(others, []);
});
