// A server that nobody uses: its owner sees how long it has left, work in it puts the end off, a button
// does too, and afterwards she reads that it was ended and why.

import assert from 'node:assert/strict';
import test from 'node:test';
import { leave, startBrowser } from './support/browser.mjs';
import { createNotebook, runCell, waitForLab } from './support/jupyterlab.mjs';
import { tabTo } from './support/keyboard.mjs';
import { runsElsewhere, startLyceum } from './support/lyceum.mjs';
import { controls, goHome, logIn, stopServer, waitForServer } from './support/pages.mjs';
import { tellIn, until } from './support/story.mjs';

const IDLE = 45;
const CONFIG = `
servers:
  cull: {idle: ${IDLE}s, warn: 20s}
`;
/** Longer than the server may be idle, so that the cell is asked after while it works. */
const BUSY = 2 * IDLE;
const skip = runsElsewhere && 'it needs a Lyceum of its own';

test('a server ends by itself, and its owner sees it coming', { timeout: 900_000, skip }, async (t) => {
  const step = tellIn(t);
  const lyceum = await startLyceum({ config: CONFIG });
  t.after(() => lyceum.stop());
  const browser = await startBrowser();
  t.after(() => browser.close());
  const [ada] = lyceum.accounts.filter((one) => one.role === 'student');
  const context = await browser.newContext();
  const [home, lab] = [await context.newPage(), await context.newPage()];
  await logIn(home, lyceum.url, ada);

  /** When the server ends, as home says; nothing once it says how many seconds are left. */
  const end = async () => {
    await goHome(home, lyceum.url);
    assert.ok(await controls.stop(home).isVisible(), `it does not run; home says:\n${await home.locator('main').innerText()}`);
    const told = home.getByText('Ends by itself if nothing happens in it').locator('time');
    return (await told.count()) === 1 ? Date.parse(await told.getAttribute('datetime')) : undefined;
  };
  const endsAfter = (moment) => until('the end is put off', async () => (await end()) > moment);
  const seconds = (many) => many * 1000;

  await step('home says when it ends', async () => {
    await lab.goto(new URL('hub/spawn', lyceum.url).href);
    await waitForServer(lab, ada);
    await waitForLab(lab);
    const told = await until('home tells', end);
    const left = told - Date.now();
    // Moments are told without their fractions, and what the proxy saw is written down now and then.
    assert.ok(left > 0 && left <= seconds(IDLE + 2), `${left} ms are left`);
  });

  await step('work in it puts the end off', async () => {
    const before = await until('home tells', end);
    await createNotebook(lab);
    assert.equal(await runCell(lab, '6*7'), '42');
    await endsAfter(before + seconds(5));
  });

  await step('and so does a cell that works while no page is open', async () => {
    await lab.locator('.jp-NotebookPanel .jp-CodeCell').last().locator('.cm-content').click();
    await lab.keyboard.type(`__import__("time").sleep(${BUSY})`);
    await lab.keyboard.press('Shift+Enter');
    await lab.locator('.jp-NotebookPanel .jp-Notebook-ExecutionIndicator[data-status="busy"]').waitFor();
    await lab.goto('about:blank');
    // Later than it could be but for the cell.
    await endsAfter(Date.now() + seconds(IDLE + 10));
  });

  const warning = home.getByText(/Nothing has happened in this server for a while\. It ends in \d+/);

  await step('home warns before, and a button keeps it', async () => {
    await until('home warns', async () => {
      await end();
      return warning.isVisible();
    });
    // With the keyboard alone; she has seconds for it.
    await tabTo(home, home.getByRole('button', { name: /^Keep it running/ }));
    await leave(home, () => home.keyboard.press('Enter'));
    await endsAfter(Date.now() + seconds(20));
    assert.equal(await warning.isVisible(), false);
  });

  await step('then it ends, and home says why', async () => {
    await lyceum.untilQuiet();
    const why = home.getByText(`Stopped because nothing happened in it for ${IDLE} seconds.`);
    // Its process is gone a moment before that is written down.
    await until('home says why', async () => {
      await goHome(home, lyceum.url);
      return why.isVisible();
    });
    await controls.start(home).waitFor();
    const german = await browser.newContext({ locale: 'de-DE', storageState: await context.storageState() });
    const page = await german.newPage();
    await goHome(page, lyceum.url);
    await page.getByText(`Beendet, weil darin ${IDLE} Sekunden lang nichts geschehen ist.`).waitFor();
  });

  await step('started again, nothing is left of that', async () => {
    await controls.start(home).click();
    await waitForServer(home, ada);
    await waitForLab(home);
    await goHome(home, lyceum.url);
    assert.equal(await home.getByText(/nothing happened in it for/).count(), 0);
    await stopServer(home, lyceum.url);
  });
});
