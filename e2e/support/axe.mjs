// What a page must hold for everybody who reads it: axe-core's rules, those of WCAG 2.2 among them, at
// every width; and rest for people who asked for less motion.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';

const AXE = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
// 320 is also a laptop at 400 %, 640 one at 200 %.
const NARROW = { width: 320, height: 640 };
const LAPTOP = { width: 1280, height: 800 };
const WIDTHS = [NARROW, { width: 640, height: 400 }, LAPTOP, { width: 1920, height: 1080 }];
// Colours depend on the scheme, and hardly on how much room there is.
const LOOKS = [['light', WIDTHS], ['dark', [NARROW, LAPTOP]]];

/** Every scheme and width of one page, as it is now. */
export async function check(page, name) {
  for (const [colorScheme, widths] of LOOKS) {
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
    for (const viewport of widths) {
      await page.setViewportSize(viewport);
      const where = `${name} (${page.url()}), ${colorScheme}, ${viewport.width} wide`;
      assert.deepEqual(await violationsOn(page), [], where);
      const overflow = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      assert.ok(overflow <= 0, `${where}: ${overflow} px must be scrolled sideways`);
    }
  }
  assert.deepEqual(await page.evaluate(findMotion), [], `${name} (${page.url()}) moves`);
}

/** What axe finds on a page as it is now; its context must have been made with `bypassCSP`. */
export async function violationsOn(page) {
  await page.evaluate(AXE);
  return page.evaluate(findViolations);
}

/** Runs in the page: what axe finds. Rules of WCAG 2.2 are off by themselves. */
async function findViolations() {
  const newest = globalThis.axe.getRules(['wcag22a', 'wcag22aa']).map((rule) => [rule.ruleId, { enabled: true }]);
  if (newest.length === 0) return ['axe has no rules of WCAG 2.2 any more'];
  const { violations } = await globalThis.axe.run(document, { resultTypes: ['violations'], rules: Object.fromEntries(newest) });
  return violations.flatMap((rule) => rule.nodes.map((node) => `${rule.id}: ${rule.help}\n    ${node.html}\n    ${node.failureSummary}`));
}

/**
 * Runs in the page: what moves although less motion was asked for. Rules are read as well as
 * elements, since parts of a control (the bar of `progress`) can't be asked.
 */
function findMotion() {
  const lasts = (style, kind) => (style[`${kind}Duration`] ?? '').split(',').some((time) => Number.parseFloat(time) > 0);
  const moves = (style) => lasts(style, 'transition') || lasts(style, 'animation') || style.scrollBehavior === 'smooth';
  const inForce = (rules) => [...rules].flatMap((rule) => {
    if (rule instanceof CSSMediaRule && !globalThis.matchMedia(rule.conditionText).matches) return [];
    return [rule, ...inForce(rule.cssRules ?? [])];
  });
  const rules = [...document.styleSheets].flatMap((sheet) => inForce(sheet.cssRules)).filter((rule) => rule.style && moves(rule.style));
  const elements = [...document.querySelectorAll('*')].filter((element) =>
    [null, '::before', '::after'].some((part) => moves(getComputedStyle(element, part))));
  return [
    ...rules.map((rule) => rule.cssText),
    ...elements.map((element) => element.outerHTML.slice(0, 200)),
    ...document.getAnimations().map((one) => `${one.constructor.name} ${one.playState}`),
  ];
}
