// A browser that comes by TLS speaks HTTP/2, its WebSockets too.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { startBrowser, watchForFaults } from './support/browser.mjs';
import { createNotebook, runCell, waitForLab } from './support/jupyterlab.mjs';
import { runsElsewhere, startLyceum } from './support/lyceum.mjs';
import { controls, goHome, logIn, logOut, stopServer, waitForServer } from './support/pages.mjs';
import { tellIn } from './support/story.mjs';

const skip = runsElsewhere && 'a Lyceum that runs elsewhere has certificates of its own';

test('a notebook over HTTP/2', { timeout: 900_000, skip }, async (t) => {
  const step = tellIn(t);
  const folder = await mkdtemp(join(tmpdir(), 'lyceum-tls-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const [certificate, key] = makeCertificate(folder);
  // The story's own requests have no browser that could be told to trust it.
  process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0';
  const lyceum = await startLyceum({ config: `subdomains: true\ntls: {certificates: [{certificate: ${certificate}, key: ${key}}]}` });
  t.after(() => lyceum.stop());
  assert.match(lyceum.url, /^https:/);
  const browser = await startBrowser();
  t.after(() => browser.close());
  const student = lyceum.account('student');
  const page = await (await browser.newContext({ ignoreHTTPSErrors: true })).newPage();
  const faults = watchForFaults(page, lyceum.url);
  const spoken = () => page.evaluate(() => performance.getEntriesByType('navigation')[0].nextHopProtocol);

  await step('the pages come by HTTP/2, and their cookies only by TLS', async () => {
    await logIn(page, lyceum.url, student);
    assert.equal(await spoken(), 'h2');
    const cookies = await page.context().cookies();
    assert.ok(cookies.length > 0);
    for (const cookie of cookies) assert.ok(cookie.secure, `${cookie.name} would be sent in plain`);
    assert.ok(cookies.some((one) => one.name === '__Host-jupyterhub-hub-login'), 'nobody else can set what proves who she is');
  });

  await step('a server starts, and JupyterLab comes by HTTP/2', async () => {
    await controls.start(page).click();
    await waitForServer(page, student);
    await waitForLab(page);
    assert.equal(await spoken(), 'h2');
    const files = await page.evaluate(() => performance.getEntriesByType('resource').map((one) => [one.name, one.nextHopProtocol]));
    const others = files.filter(([name, protocol]) => name.startsWith('https:') && protocol !== 'h2' && protocol !== '');
    assert.deepEqual(others, [], 'nothing came by another protocol');
    const own = (await page.context().cookies(page.url())).filter((one) => one.domain.startsWith(student.name));
    assert.ok(own.some((one) => one.name === `__Host-jupyterhub-user-${student.name}`), JSON.stringify(own.map((one) => one.name)));
    for (const { name } of own.filter((one) => one.httpOnly)) assert.match(name, /^__Host-/, 'no other host can set it');
  });

  await step('a cell runs over a WebSocket, which is one stream of it', async () => {
    await createNotebook(page);
    assert.equal(await runCell(page, '6*7'), '42');
    assert.ok((await lyceum.metric('lyceum_proxy_http2_websockets_total')) >= 1);
  });

  await step('a long answer with much text arrives whole', async () => {
    assert.equal(await runCell(page, "len('x' * 10**6), print('x' * 10**6)"), '(1000000, None)');
  });

  await step('it stops, and she leaves', async () => {
    await stopServer(page, lyceum.url);
    await goHome(page, lyceum.url);
    await logOut(page, lyceum.url);
  });

  assert.deepEqual(faults, []);
});

/** For this machine only; gives the paths of certificate and key. */
function makeCertificate(folder) {
  const paths = [join(folder, 'certificate.pem'), join(folder, 'key.pem')];
  const args = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'];
  args.push('-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,DNS:*.localhost', '-out', paths[0], '-keyout', paths[1]);
  execFileSync('openssl', args, { stdio: 'pipe' });
  return paths;
}
