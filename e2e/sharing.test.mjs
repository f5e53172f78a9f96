// Ada shares her server by a link; Ben accepts, works in it, and is out when she takes it back.

import assert from 'node:assert/strict';
import test from 'node:test';
import { leave, startBrowser } from './support/browser.mjs';
import { createNotebook, runCell, waitForLab } from './support/jupyterlab.mjs';
import { runsElsewhere, startLyceum } from './support/lyceum.mjs';
import { goHome, logIn, startServer, stopServer, waitForServer } from './support/pages.mjs';
import { tellIn, until } from './support/story.mjs';

const skip = runsElsewhere && 'roles are given in the configuration';

test('a server is shared by a link, used by a guest, and taken back', { timeout: 900_000, skip }, async (t) => {
  const step = tellIn(t);
  const lyceum = await startLyceum({ config: 'load_roles: [{name: user, scopes: [self, "shares!user"]}]\n' });
  t.after(() => lyceum.stop());
  const browser = await startBrowser();
  t.after(() => browser.close());
  const [ada, ben] = lyceum.accounts.filter((one) => one.role === 'student');
  const hub = new URL(lyceum.url).origin;
  const adas = hub.replace('://', `://${ada.name}.`);
  // Everything here works without script, so hers has none: the link is read from the page.
  const owner = await (await browser.newContext({ javaScriptEnabled: false })).newPage();
  const guest = await (await browser.newContext()).newPage();
  const sockets = new Set();
  guest.on('websocket', (socket) => {
    if (!socket.url().includes('/channels')) return;
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  let link;

  await step('Ada makes a link', async () => {
    const starter = await (await browser.newContext()).newPage();
    await logIn(starter, lyceum.url, ada);
    await startServer(starter, lyceum.url, ada);
    await starter.context().close();
    await logIn(owner, lyceum.url, ada);
    await owner.getByRole('link', { name: /share my servers/i }).click();
    await owner.getByText(/shared with nobody/i).waitFor();
    await owner.getByLabel(/expires after/i).selectOption({ index: 0 });
    await leave(owner, () => owner.getByRole('button', { name: /make a link/i }).click());
    link = await owner.locator('#code-text').inputValue();
    assert.ok(link.startsWith(`${hub}/hub/accept-share?code=`), link);
  });

  await step('Ben, who is not in it, finds nothing there', async () => {
    await logIn(guest, lyceum.url, ben);
    const answer = await guest.goto(`${adas}/user/${ada.name}/lab`);
    assert.equal(answer.status(), 404);
  });

  await step('he accepts and runs a cell', async () => {
    await guest.goto(link);
    await guest.getByText(new RegExp(`\\(${ada.name}\\) wants to share`)).waitFor();
    await guest.getByText(/learns who you are/).waitFor();
    await guest.getByRole('button', { name: 'Accept' }).click();
    // Nothing more is asked.
    await waitForServer(guest, ada);
    await waitForLab(guest);
    assert.equal(new URL(guest.url()).origin, adas);
    await createNotebook(guest);
    assert.equal(await runCell(guest, '6*7'), '42');
    assert.ok(sockets.size > 0, 'his kernel has a WebSocket');
    const tried = await guest.evaluate(async (hub) => (await fetch(`${hub}/hub/api/user`, { credentials: 'include' }).catch((error) => error.name)).status ?? 'TypeError', hub);
    assert.equal(tried, 'TypeError', 'a page there can do nothing in his name');
  });

  await step('Ada sees him, and takes it back', async () => {
    await goHome(owner, lyceum.url);
    await owner.getByRole('link', { name: /share my servers/i }).click();
    await owner.getByRole('rowheader', { name: ben.name }).waitFor();
    await leave(owner, () => owner.getByRole('button', { name: new RegExp(`take back ${ben.name}`, 'i') }).click());
    await owner.getByText(/shared with nobody/i).waitFor();
  });

  await step('Ben is out', async () => {
    await until('his WebSockets have ended', () => sockets.size === 0);
    const status = await guest.evaluate(async (path) => (await fetch(path)).status, `/user/${ada.name}/api/contents`);
    assert.ok([403, 404].includes(status), `${status}`);
    const answer = await guest.goto(`${adas}/user/${ada.name}/lab`);
    assert.equal(answer.status(), 404);
    assert.equal(new URL(guest.url()).origin, hub);
    await goHome(guest, lyceum.url);
    assert.equal(await guest.getByRole('heading', { name: /shared with me/i }).count(), 0);
  });

  await step('the link is good still, until Ada takes it back, too', async () => {
    await guest.goto(link);
    await guest.getByRole('button', { name: 'Accept' }).waitFor();
    await leave(owner, () => owner.getByRole('button', { name: /take back link/i }).click());
    await owner.getByText(/shared with nobody/i).waitFor();
    const answer = await guest.goto(link);
    assert.equal(answer.status(), 404);
    await guest.getByRole('heading', { name: /not good/i }).waitFor();
  });

  await stopServer(owner, lyceum.url);
});
