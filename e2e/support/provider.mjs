// A certified provider of OpenID Connect, with its own pages for log-in and consent: whoever types
// the name of somebody it knows is logged in, with any password. Tied to the pages it has for developers.

import { createServer } from 'node:http';
import Provider from 'oidc-provider';

/**
 * Starts one. `clients` as `oidc-provider` has them; `people` by the names that are typed there,
 * each with her claims. Both can be changed while it runs.
 */
export async function startProvider({ clients, people }) {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, {
    clients,
    claims: { openid: ['sub'], profile: ['name', 'preferred_username', 'groups'], email: ['email', 'email_verified'] },
    features: {
      devInteractions: { enabled: true },
      backchannelLogout: { enabled: true },
      rpInitiatedLogout: { enabled: true },
    },
    cookies: { keys: ['a key of tests'] },
    // It asks nobody on its own machine otherwise, and there Lyceum is.
    fetch: (url, options) => globalThis.fetch(url, { ...options, dispatcher: undefined }),
    pkce: { required: () => true },
    findAccount: (_, id) => people[id] && { accountId: id, claims: () => ({ sub: id, ...people[id] }) },
  });
  provider.on('backchannel.error', (_, error) => console.log('not told of a log-out:', error.message, error.cause));
  server.on('request', provider.callback());
  return {
    issuer,
    people,
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}

/** Logs in there, as whoever is typed in, and agrees to what is asked. */
export async function logInThere(page, issuer, name) {
  await page.waitForURL((url) => url.href.startsWith(`${issuer}/interaction/`));
  await page.locator('input[name=login]').fill(name);
  await page.locator('input[name=password]').fill('any');
  await page.getByRole('button').click();
  await page.locator('input[name=prompt][value=consent]').waitFor({ state: 'attached' });
  await page.getByRole('button').click();
  await page.waitForURL((url) => !url.href.startsWith(issuer));
}

/** Agrees to log out there, which is asked for. */
export async function logOutThere(page, issuer) {
  await page.waitForURL((url) => url.href.startsWith(`${issuer}/session/end`));
  await page.locator('button[name=logout]').click();
  await page.waitForURL((url) => !url.href.startsWith(issuer));
}
