// JupyterLab as a person uses it: a new notebook from the launcher, a cell,
// Shift-Enter, the answer. Tied to JupyterLab 4's class names, which are the
// ones its own extensions use.

import { until } from './story.mjs';

/** Until the launcher (or a restored tab) can be clicked. */
export async function waitForLab(page) {
  await page.locator('.jp-LauncherCard, .jp-NotebookPanel').first().waitFor({ timeout: 180_000 });
  // The splash screen lies over everything until Lab is restored.
  await page.locator('#jupyterlab-splash').waitFor({ state: 'detached' });
}

/** A new notebook with the Python kernel, ready to type in. */
export async function createNotebook(page) {
  const kernel = waitForKernel(page);
  // Awaited below; a click that fails must be what is reported.
  kernel.catch(() => {});
  await page.locator('.jp-LauncherCard[data-category="Notebook"]').first().click();
  await page.locator('.jp-NotebookPanel .jp-Notebook .cm-content').first().waitFor();
  await kernel;
  await page.locator('.jp-NotebookPanel .jp-Notebook-ExecutionIndicator[data-status="idle"]').waitFor({ timeout: 180_000 });
}

/** A notebook that is there, in Notebook 7 instead of JupyterLab, ready to type in. */
export async function openInNotebook(page, name) {
  const kernel = waitForKernel(page);
  kernel.catch(() => {});
  await page.goto(page.url().replace(/\/lab.*$/, `/notebooks/${name}`));
  await page.locator('#jp-top-bar, #top-panel-wrapper').first().waitFor({ timeout: 180_000 });
  await page.locator('.jp-NotebookPanel .jp-Notebook .cm-content').first().waitFor();
  await kernel;
}

/** Types into the last cell, runs it, and gives the text it answers. */
export async function runCell(page, code) {
  const cell = page.locator('.jp-NotebookPanel .jp-CodeCell').last();
  const answers = page.locator('.jp-NotebookPanel .jp-OutputArea-executeResult .jp-OutputArea-output');
  const before = await answers.count();
  await cell.locator('.cm-content').click();
  await page.keyboard.type(code);
  await page.keyboard.press('Shift+Enter');
  // It is there a moment before its text, and below a long print it may be out of sight.
  const answer = answers.nth(before);
  await answer.waitFor({ state: 'attached', timeout: 180_000 });
  return until('the answer has text', async () => (await answer.textContent()).trim());
}

/**
 * Until the next kernel has said over its WebSocket who it is. The page shows
 * "idle" before that, and JupyterLab drops what is run in between.
 */
function waitForKernel(page) {
  return new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error('no kernel introduced itself within 180 s')), 180_000);
    page.on('websocket', (socket) => {
      if (!/\/api\/kernels\/[^/]+\/channels/.test(socket.url())) return;
      socket.on('framereceived', ({ payload }) => {
        if (!Buffer.from(payload).includes('kernel_info_reply')) return;
        clearTimeout(late);
        resolve();
      });
    });
  });
}
