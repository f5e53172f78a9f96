// When a browser first paints pages of an administrator: `lyceum-load hubs` gives as JSON where and
// whose they are, and reads the median of milliseconds for each path.

import { startBrowser } from '../e2e/support/browser.mjs';
import { logIn } from '../e2e/support/pages.mjs';

const { url, account, paths, visits } = JSON.parse(await readAll(process.stdin));
const browser = await startBrowser();
try {
  const page = await (await browser.newContext()).newPage();
  await logIn(page, url, account);
  const medians = {};
  for (const path of paths) {
    const took = [];
    for (let visit = 0; visit < visits; visit += 1) {
      const answer = await page.goto(new URL(path, url).href);
      if (answer.status() !== 200) throw new Error(`${path} was answered ${answer.status()}`);
      took.push(await page.evaluate(firstPaint));
    }
    took.sort((a, b) => a - b);
    medians[path] = took[Math.floor(took.length / 2)];
  }
  console.log(JSON.stringify(medians));
} finally {
  await browser.close();
}

/** Runs in the page: milliseconds from the wish for it until something of it can be seen. */
function firstPaint() {
  const painted = () => performance.getEntriesByName('first-contentful-paint')[0]?.startTime;
  return new Promise((resolve) => {
    const look = () => (painted() === undefined ? requestAnimationFrame(look) : resolve(painted()));
    look();
  });
}

async function readAll(stream) {
  let text = '';
  for await (const piece of stream) text += piece;
  return text;
}
