// An exam: an administrator makes sheets with codes and prints them; a camera reads the picture on one of
// them, somebody else types hers by the keyboard; an invigilator sees who has come.

import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'node:test';
import { fileURLToPath } from 'node:url';
import { check } from './support/axe.mjs';
import { leave, startBrowser, watchForFaults } from './support/browser.mjs';
import { startLyceum } from './support/lyceum.mjs';
import { tabTo } from './support/keyboard.mjs';
import { logIn } from './support/pages.mjs';
import { tellIn } from './support/story.mjs';

const READER = fileURLToPath(new URL('node_modules/jsqr/dist/jsQR.js', import.meta.url));

/** What a camera in front of this part of a page would read. */
async function readPicture(browser, locator) {
  const png = await locator.screenshot({ scale: 'device' });
  const page = await (await browser.newContext()).newPage();
  await page.addScriptTag({ path: READER });
  const found = await page.evaluate(async (source) => {
    const image = new Image();
    image.src = source;
    await image.decode();
    const canvas = document.createElement('canvas');
    canvas.width = image.width;
    canvas.height = image.height;
    const context = canvas.getContext('2d');
    context.drawImage(image, 0, 0);
    const { data } = context.getImageData(0, 0, image.width, image.height);
    return globalThis.jsQR(data, image.width, image.height)?.data;
  }, `data:image/png;base64,${png.toString('base64')}`);
  await page.context().close();
  return found;
}

/** As the field of a form takes it, in UTC. */
const typed = (at) => new Date(at).toISOString().slice(0, 16);

test('people come to an exam with codes on paper', { timeout: 600_000 }, async (t) => {
  const step = tellIn(t);
  const lyceum = await startLyceum({ config: 'time_zone: Etc/UTC\n' });
  const browser = await startBrowser();
  t.after(async () => {
    await browser.close();
    await lyceum.stop();
  });
  const newPage = async (options) => (await browser.newContext(options)).newPage();
  const at = (path) => new URL(path, lyceum.url).href;
  // A browser far away, whose script would put times into its own zone.
  const admin = await newPage({ colorScheme: 'light', timezoneId: 'America/New_York' });
  const faults = watchForFaults(admin, lyceum.url);
  const ada = lyceum.accounts.find((one) => one.role === 'student');
  const begins = typed(Date.now() - 600_000);
  let link;
  let typedCode;

  await step('an administrator makes sheets', async () => {
    await logIn(admin, lyceum.url, lyceum.account('admin'));
    await admin.goto(at('hub/admin'));
    await leave(admin, () => admin.getByRole('link', { name: 'Exams' }).click());
    await check(admin, 'no exams yet');
    await admin.getByLabel('Title').fill('Signals and Systems');
    await admin.getByLabel('Begins').fill(begins);
    await admin.getByLabel('Ends').fill(typed(Date.now() + 7_200_000));
    await admin.getByLabel('Who takes part').fill('nobody here\n');
    await leave(admin, () => admin.getByRole('button', { name: 'Make codes' }).click());
    await admin.getByRole('alert').getByText(/Line 1 is not understood/).waitFor();
    await check(admin, 'a line that is not understood');
    await admin.getByLabel('Who takes part').fill(`${ada.name}, A 17\nexam-signals-{1..6}\n`);
    await leave(admin, () => admin.getByRole('button', { name: 'Make codes' }).click());
    await admin.getByText('7 codes were made').waitFor();
    await check(admin, 'sheets');
    assert.equal(await admin.locator('.sheet').count(), 7);
    const window = await admin.locator('.sheet').first().getByText('Good once.').innerText();
    assert.match(window, /^[A-Z][a-z]{2} \d{1,2} [A-Z][a-z]{2} \d{4}, \d\d:\d\d – .*\d\d:\d\d UTC\. Good once\.$/);
    assert.ok(window.includes(begins.slice(11)), `${window} begins at ${begins}`);
  });

  await step('they are printed, and each picture leads in with its code', async () => {
    const pdf = await admin.pdf({ preferCSSPageSize: true });
    const pages = pdf.toString('latin1').match(/\/Type\s*\/Page\b/g).length;
    assert.ok(pages >= 2 && pages <= 3, `${pages} pages for 7 sheets`);
    if (process.env.LYCEUM_TEST_LOOK) await writeFile(join(process.env.LYCEUM_TEST_LOOK, 'sheets.pdf'), pdf);
    for (const index of [0, 3]) {
      const sheet = admin.locator('.sheet').nth(index);
      const code = await sheet.locator('.sheet-code').innerText();
      const read = await readPicture(browser, sheet.locator('svg'));
      assert.equal(read, `${at('hub/login/seat')}#${code}`);
      if (index === 0) link = read;
      else typedCode = code;
    }
    const saved = await admin.getByRole('link', { name: 'Save as a file' }).getAttribute('href');
    const file = Buffer.from(saved.split(',')[1], 'base64').toString();
    assert.ok(file.includes(`"3",exam-signals-3,${typedCode}`), file);
  });

  await step('a phone that reads the picture is in after one press', async () => {
    const phone = await newPage({ viewport: { width: 360, height: 740 }, colorScheme: 'dark' });
    const asked = [];
    phone.on('request', (request) => asked.push(request.url()));
    await phone.goto(link);
    const field = phone.getByLabel('Code');
    assert.equal(await field.inputValue(), link.split('#')[1]);
    assert.equal(new URL(phone.url()).hash, '', 'it stays in no address');
    await check(phone, 'where a code is typed');
    await leave(phone, () => phone.getByRole('button', { name: 'Log in' }).click());
    await phone.getByText(ada.name, { exact: false }).first().waitFor();
    assert.ok(asked.every((url) => !url.includes(link.split('#')[1])), 'the code is in no address that is asked for');
    await phone.context().close();
  });

  await step('an address that holds no code does no harm', async () => {
    const odd = await newPage();
    const thrown = watchForFaults(odd, lyceum.url);
    await odd.goto(`${at('hub/login/seat')}#%`);
    assert.equal(await odd.getByLabel('Code').inputValue(), '');
    assert.deepEqual(thrown, []);
    await odd.context().close();
  });

  await step('somebody types hers by the keyboard, in a moment', async () => {
    const seat = await newPage();
    await seat.goto(at('hub/login'));
    await tabTo(seat, seat.getByRole('link', { name: 'With a code on paper' }));
    await leave(seat, () => seat.keyboard.press('Enter'));
    const begun = Date.now();
    // A browser gives the field the focus when it first draws the page.
    await seat.locator('#code:focus').waitFor();
    await seat.keyboard.type(typedCode.toLowerCase().replace('-', ''), { delay: 250 });
    await leave(seat, () => seat.keyboard.press('Enter'));
    await seat.getByText('exam-signals-3').first().waitFor();
    assert.ok(Date.now() - begun < 10_000, 'under ten seconds');
    await seat.context().close();
  });

  await step('a code that was used, and one that is mistyped', async () => {
    const late = await newPage({ locale: 'de-DE' });
    await late.goto(link);
    await leave(late, () => late.getByRole('button', { name: 'Anmelden' }).click());
    await late.getByRole('alert').getByText(/schon benutzt/).waitFor();
    await check(late, 'a code that was used');
    await late.getByLabel('Code').fill('22222-22223');
    await leave(late, () => late.keyboard.press('Enter'));
    await late.getByRole('alert').getByText(/steht anders auf dem Blatt/).waitFor();
    await late.context().close();
  });

  await step('the list says who has come; a code is taken back', async () => {
    await leave(admin, () => admin.getByRole('link', { name: 'To the list' }).click());
    await admin.getByText('2 of 7').first().waitFor();
    await check(admin, 'who has come');
    await admin.getByText(begins.slice(11)).first().waitFor();
    await admin.getByText(/time zone of this site: (Etc\/)?UTC/).waitFor();
    const row = admin.getByRole('row', { name: new RegExp(`A 17.*${ada.name}`) });
    await row.getByText('127.0.0.1').waitFor();
    await leave(admin, () => row.getByRole('button', { name: 'Take back' }).click());
    await admin.getByText('The code is taken back.').waitFor();
    await leave(admin, () => row.getByRole('button', { name: 'New code' }).click());
    assert.equal(await admin.locator('.sheet').count(), 1);
  });

  assert.deepEqual(faults, []);
  if (process.env.LYCEUM_TEST_LOOK) {
    const folder = process.env.LYCEUM_TEST_LOOK;
    for (const [name, path] of [['seat', 'hub/login/seat'], ['login', 'hub/login']]) {
      for (const colorScheme of ['light', 'dark']) {
        for (const width of [360, 1280]) {
          const page = await newPage({ viewport: { width, height: 740 }, colorScheme });
          await page.goto(at(path));
          await page.screenshot({ path: join(folder, `${name}-${colorScheme}-${width}.png`), fullPage: true });
          await page.context().close();
        }
      }
    }
  }
});
