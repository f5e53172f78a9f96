// Going through a page with the keyboard alone.

import assert from 'node:assert/strict';

/** Presses Tab until the wanted control has the focus; each stop must be seen to have it. */
export async function tabTo(page, wanted, furthest = 40) {
  for (let presses = 0; presses <= furthest; presses += 1) {
    if (await wanted.evaluate((element) => element === document.activeElement)) return;
    await page.keyboard.press('Tab');
    const unseen = await page.evaluate(describeUnseenFocus);
    assert.equal(unseen, null, 'what has the focus shows it');
  }
  assert.fail(`not reached with ${furthest} presses of Tab`);
}

/** Runs in the page: null, or the element that has the focus without an outline or a box in view. */
function describeUnseenFocus() {
  const element = document.activeElement;
  if (!element || element === document.body) return null;
  const style = getComputedStyle(element);
  const box = element.getBoundingClientRect();
  const outlined = style.outlineStyle !== 'none' && Number.parseFloat(style.outlineWidth) > 0;
  const shown = (outlined || style.boxShadow !== 'none') && box.width > 1 && box.height > 1;
  return shown ? null : element.outerHTML.slice(0, 200);
}
