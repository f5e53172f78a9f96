// A headless Chromium, the distribution's own, and pages in it that remember
// what went wrong inside them.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import { isOurs } from './http.mjs';

const CHROMIUM = process.env.LYCEUM_TEST_CHROMIUM ?? '/usr/bin/chromium';

// Each request waits a random part of so many milliseconds: shows where a story
// is ahead of its browser, which otherwise happens on a busy machine only.
const DAWDLE = Number(process.env.LYCEUM_TEST_DAWDLE ?? 0);

/** Starts a browser for one story; `close()` ends it. */
export async function startBrowser() {
  const args = [
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
  ];
  // Chromium's own sandbox refuses to work for root.
  if (process.getuid() === 0) args.push('--no-sandbox');
  const artifacts = await mkdtemp(join(tmpdir(), 'lyceum-browser-'));
  const browser = await chromium.launch({ executablePath: CHROMIUM, headless: true, args, artifactsDir: artifacts });
  return {
    /** A new browser profile; options as Playwright's `newContext`. */
    newContext: (options) => newContext(browser, options),
    close: async () => {
      await browser.close();
      await rm(artifacts, { recursive: true, force: true });
    },
  };
}

async function newContext(browser, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, reducedMotion: 'reduce', ...options });
  context.setDefaultTimeout(120_000);
  context.setDefaultNavigationTimeout(120_000);
  if (DAWDLE > 0) await context.route('**/*', dawdle);
  return context;
}

/** Does what leads to another page, and waits until that one is there instead of the old. */
export async function leave(page, act) {
  await Promise.all([page.waitForEvent('domcontentloaded'), act()]);
}

async function dawdle(route) {
  await new Promise((resolve) => setTimeout(resolve, Math.random() * DAWDLE));
  // The page may be gone by now.
  await route.continue().catch(() => {});
}

/**
 * Writes down what a page should not do: script errors, blocked content,
 * requests to other hosts, unless the browser goes to somebody's server there.
 * `hubOnly` looks at the hub's own pages alone: what JupyterLab does is JupyterLab's.
 */
export function watchForFaults(page, base, { hubOnly = true } = {}) {
  const faults = [];
  const origin = new URL(base).origin;
  const ours = (url) => !hubOnly || new URL(url, base).pathname.startsWith(new URL('hub/', base).pathname);
  page.on('pageerror', (error) => {
    if (ours(page.url())) faults.push(`script error on ${page.url()}: ${error.message}`);
  });
  page.on('console', (message) => {
    const text = message.text();
    // A page that answers 403, 404 or 424 on purpose is reported here too.
    const status = text.startsWith('Failed to load resource');
    if (message.type() === 'error' && !status && ours(page.url())) faults.push(`console on ${page.url()}: ${text}`);
  });
  page.on('request', (request) => {
    const url = request.url();
    const local = url.startsWith('data:') || url.startsWith('blob:') || url.startsWith('about:');
    const goes = request.isNavigationRequest() && isOurs(url, base);
    if (!local && !goes && new URL(url).origin !== origin && ours(page.url())) faults.push(`${page.url()} asked another host: ${url}`);
  });
  return faults;
}
