// Where Lyceum means it otherwise than JupyterHub: a section of
// docs/developer/differences.md, which conformance/jupyterhub/differences.py
// reads too and explains.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';

const PAGE = new URL('../../docs/developer/differences.md', import.meta.url);

/** The steps of a section, each to be met. */
export async function readDifferences(section) {
  const page = await readFile(PAGE, 'utf8');
  const text = page.split(/^## /m).find((one) => one.startsWith(`${section}\n`));
  const places = [...(text ?? '').matchAll(/^  - ([^`]*): (`.*`)$/gm)];
  assert.ok(places.length > 0, `differences.md has a section ${section} with places`);
  const steps = places.flatMap(([, conditions, steps]) => {
    const status = (side) => Number(conditions.match(new RegExp(`${side} (\\d+)`))?.[1] ?? NaN);
    const [there, here] = [status('JupyterHub'), status('Lyceum')];
    return steps.split('`').filter((_, at) => at % 2 === 1).map((step) => ({ step, there, here, met: false }));
  });
  const fits = (meant, is) => Number.isNaN(meant) || meant === is;
  return {
    covers(step, there, here) {
      const found = steps.filter((one) => one.step === step && fits(one.there, there) && fits(one.here, here));
      found.forEach((one) => { one.met = true; });
      return found.length > 0;
    },
    unseen: () => steps.filter((one) => !one.met).map((one) => one.step),
  };
}
