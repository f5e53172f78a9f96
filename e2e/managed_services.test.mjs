// Services that Lyceum runs itself: JupyterHub's culler and a Tornado service, none of them changed,
// through crashes of theirs and of Lyceum's.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createServer as createHttpServer } from 'node:http';
import { dirname, join } from 'node:path';
import test from 'node:test';
import { fileURLToPath } from 'node:url';
import { Client } from './support/http.mjs';
import { runsElsewhere, startLyceum } from './support/lyceum.mjs';
import { freePort } from './support/ports.mjs';
import { tellIn, until } from './support/story.mjs';

const skip = runsElsewhere && 'the services of a Lyceum that runs elsewhere are its own';
const SCRIPT = join(dirname(fileURLToPath(import.meta.url)), 'support/services.py');

test('services that Lyceum runs itself', { timeout: 900_000, skip }, async (t) => {
  const step = tellIn(t);
  const lyceum = await startLyceum();
  t.after(() => lyceum.stop());
  const student = lyceum.account('student');
  const browser = new Client(lyceum.url);
  const script = new Client(lyceum.url);
  const port = await freePort();
  const culler = '{name: culler, command: [python, -m, jupyterhub_idle_culler, --timeout=1, --cull-every=1]}';
  const configure = (services) => lyceum.reconfigure(`
services: [${services}]
load_roles:
  - {name: user, scopes: [self, "access:services"]}
${services.includes('culler') ? '  - {name: culls, scopes: [list:users, read:users:activity, read:servers, delete:servers], services: [culler]}' : ''}
`);
  const checker = (word) => `{name: checker, url: "http://127.0.0.1:${port}", command: [python, ${SCRIPT}, checker, "${port}"], environment: {WORD: ${word}}}`;
  const listed = async () => JSON.parse((await lyceum.run(['service', 'list', '--json'])).stdout);
  const pidOf = async (words) => {
    const found = (await lyceum.processes()).filter((one) => one.command.startsWith('python') && one.command.includes(words));
    assert.ok(found.length <= 1, `one runs, not more: ${JSON.stringify(found)}`);
    return found[0]?.pid;
  };
  const running = (words) => until(`a service runs ${words}`, () => pidOf(words));
  let token;
  const answers = () => until('the service answers with who asks', async () => {
    const answer = await script.send('GET', 'services/checker/', { token });
    return answer.status === 200 && JSON.parse(answer.text).name === student.name;
  });

  await step('they start when the configuration names them, and know the hub', async () => {
    await browser.logIn(student);
    ({ token } = await browser.makeToken(student, 'a script'));
    await configure(`${culler}, ${checker('one')}`);
    await running('jupyterhub_idle_culler');
    await answers();
    assert.deepEqual((await listed()).map(({ service, state }) => [service, state]), [['checker', 'runs'], ['culler', 'runs']]);
  });

  await step('the culler does its work', async () => {
    const own = `hub/api/users/${student.name}`;
    await script.expect([201, 202], 'POST', `${own}/server`, { token, json: {} });
    // It may be gone before anybody has seen it.
    const words = new RegExp(`[Cc]ulling.*${student.name}`);
    await until('the culler tells of the server', async () => words.test((await lyceum.run(['service', 'logs', 'culler'])).stdout), { every: 500 });
    await until('the culler has stopped the server', async () => Object.keys((await script.expect(200, 'GET', own, { token })).servers).length === 0);
  });

  await step('one that dies is started again, and it is told why', async () => {
    const before = await running('services.py');
    process.kill(before, 'SIGKILL');
    await until('another runs', async () => ![undefined, before].includes(await pidOf('services.py')));
    await answers();
    const { ended, failures } = (await listed()).find(({ service }) => service === 'checker');
    assert.match(ended, /SIGKILL|signal 9/i);
    assert.equal(failures, 1);
  });

  await step('a Lyceum that is killed finds them again', async () => {
    const before = [await running('services.py'), await running('jupyterhub_idle_culler')];
    await lyceum.crash();
    await lyceum.start();
    await answers();
    assert.deepEqual([await running('services.py'), await running('jupyterhub_idle_culler')], before);
  });

  await step('another environment starts it anew', async () => {
    const [first, other] = [await running('services.py'), await running('jupyterhub_idle_culler')];
    await configure(`${culler}, ${checker('two')}`);
    await until('another runs', async () => ![undefined, first].includes(await pidOf('services.py')));
    await answers();
    assert.equal(await running('jupyterhub_idle_culler'), other, 'the other one went on');
  });

  await step('a Lyceum that ends takes them with it, and brings them back', async () => {
    await lyceum.interrupt();
    assert.deepEqual(await lyceum.processes(), []);
    await lyceum.start();
    await answers();
    await running('jupyterhub_idle_culler');
  });

  await step('administrators are told of one that ends at once', async () => {
    const admin = new Client(lyceum.url);
    await admin.logIn(lyceum.account('admin'));
    const overview = async () => (await admin.send('GET', 'hub/admin')).text;
    assert.doesNotMatch(await overview(), /does not run/);
    await configure(`${culler}, ${checker('two')}, {name: dies, command: ['false']}`);
    await until('the overview names it', async () => /A service of the hub does not run: dies\./.test(await overview()));
    await configure(`${culler}, ${checker('two')}`);
    await until('it is forgotten', async () => !/does not run/.test(await overview()));
  });

  await step('a stranger on the port of a service gets no request', async () => {
    let asked = 0;
    const stranger = createHttpServer((request, answer) => {
      asked += 1;
      answer.end('a stranger');
    });
    await new Promise((resolve) => stranger.listen(0, '127.0.0.1', resolve));
    t.after(() => stranger.close());
    const taken = `http://127.0.0.1:${stranger.address().port}`;
    await configure(`${culler}, ${checker('two')}, {name: late, url: "${taken}", command: [sleep, "86400"]}`);
    await until('it runs, but listens nowhere', async () => (await listed()).some(({ service, state }) => service === 'late' && state === 'runs'));
    await until('the proxy knows of it', async () => (await script.send('GET', 'services/late/', { token })).status === 503);
    assert.equal(asked, 0, 'who asks for the service is not led to whoever has its port');
    await configure(`${culler}, ${checker('two')}`);
  });

  await step('one that the database forgot, as after a restored backup, is ended and begun anew', async () => {
    const forgotten = await running('jupyterhub_idle_culler');
    const kept = await running('services.py');
    await lyceum.crash();
    const forget = "import sqlite3, sys; db = sqlite3.connect(sys.argv[1]); assert db.execute(\"DELETE FROM managed_services WHERE name = 'culler'\").rowcount == 1; db.commit()";
    execFileSync('python3', ['-c', forget, join(lyceum.data, 'lyceum.sqlite')]);
    await lyceum.start();
    await until('the one that nobody knows has ended', async () => !(await lyceum.processes()).some(({ pid }) => pid === forgotten));
    assert.notEqual(await running('jupyterhub_idle_culler'), forgotten);
    await answers();
    assert.equal(await running('services.py'), kept, 'the other one went on');
  });

  await step('what the configuration no longer names ends', async () => {
    await configure(checker('two'));
    await until('the culler has ended', async () => !(await pidOf('jupyterhub_idle_culler')));
    await until('it is forgotten', async () => (await listed()).length === 1);
    await answers();
    await configure('');
    await lyceum.untilQuiet();
  });
});
