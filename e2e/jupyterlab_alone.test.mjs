// The steps inside JupyterLab, on JupyterLab alone: when this story fails too,
// it is a new JupyterLab and not Lyceum that changed.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import test from 'node:test';
import { startBrowser } from './support/browser.mjs';
import { createNotebook, runCell, waitForLab } from './support/jupyterlab.mjs';
import { JUPYTER_ENV, timer } from './support/lyceum.mjs';

test('a notebook in JupyterLab without Lyceum answers 42', { timeout: 900_000 }, async (t) => {
  const lab = await startLab();
  t.after(() => lab.stop());
  const browser = await startBrowser();
  t.after(() => browser.close());

  const page = await (await browser.newContext()).newPage();
  await page.goto(lab.url);
  await waitForLab(page);
  await createNotebook(page);
  assert.equal(await runCell(page, '6*7'), '42');
  assert.equal(await runCell(page, '_ + 1'), '43');
});

async function startLab() {
  const folder = await mkdtemp(join(tmpdir(), 'lyceum-lab-'));
  const token = 'only-for-this-test';
  const args = ['lab', '--no-browser', '--ip=127.0.0.1', '--port=0', `--IdentityProvider.token=${token}`, `--ServerApp.root_dir=${folder}`];
  if (process.getuid() === 0) args.push('--allow-root');
  const env = { ...process.env, HOME: folder, JUPYTER_CONFIG_DIR: join(folder, '.jupyter') };
  const server = spawn(join(JUPYTER_ENV, 'bin/jupyter'), args, { env, stdio: ['ignore', 'ignore', 'pipe'] });
  const ended = new Promise((resolve) => {
    server.once('error', (error) => resolve({ failed: error.message }));
    server.once('exit', (code) => resolve({ failed: `ended with status ${code}` }));
  });
  const lines = [];
  const ready = new Promise((resolve) => {
    createInterface(server.stderr).on('line', (line) => {
      lines.push(line);
      const address = line.match(/(http:\/\/127\.0\.0\.1:\d+)\/lab\?token=/);
      if (address) resolve({ url: `${address[1]}/lab?token=${token}` });
    });
  });
  const stop = async () => {
    server.kill('SIGTERM');
    await ended;
    await rm(folder, { recursive: true, force: true, maxRetries: 5 });
  };
  const late = timer(180_000);
  const first = await Promise.race([ready, ended, late.over]);
  late.cancel();
  if (!first.url) {
    await stop();
    throw new Error(`JupyterLab ${first.failed ?? first}; its output:\n${lines.join('\n')}`);
  }
  return { url: first.url, stop };
}
