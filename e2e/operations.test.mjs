// What the people who run Lyceum do: commands beside a running Lyceum, backup
// and restore, edits of the configuration, and starts that can't be.

import assert from 'node:assert/strict';
import { copyFile, chmod, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { Client, unescapeHtml } from './support/http.mjs';
import { BINARY, JUPYTER_ENV, runLyceum, runsElsewhere, startLyceum } from './support/lyceum.mjs';
import { tellIn, until } from './support/story.mjs';

const skip = runsElsewhere && 'a Lyceum that runs elsewhere has a data folder of its own';

test('an installation is looked after while it runs', { timeout: 900_000, skip }, async (t) => {
  const step = tellIn(t);
  const folder = await mkdtemp(join(tmpdir(), 'lyceum-operations-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const lyceum = await startLyceum();
  t.after(() => lyceum.stop());
  const student = lyceum.account('student');
  const eve = { name: 'eve', password: 'correct horse battery' };
  const api = new Client(lyceum.url);
  const browser = new Client(lyceum.url);
  let token;

  await step('an account is added, with a password from standard input', async () => {
    await lyceum.run(['user', 'add', eve.name], { input: `${eve.password}\n` });
    await browser.logIn(eve);
    const people = JSON.parse((await lyceum.run(['user', 'list', '--json'])).stdout);
    assert.deepEqual(people.map((one) => one.name).sort(), ['ada', 'admin', 'ben', 'eve', 'grace']);
    const made = JSON.parse((await lyceum.run(['user', 'add', 'fay', '--json'])).stdout);
    await new Client(lyceum.url).logIn(made);
    for (const [input, reason] of [['short\n', /password/], ['', /name/]]) {
      const args = input ? ['user', 'add', 'gus'] : ['user', 'add', 'no/such name'];
      const refused = await lyceum.run(args, { input, statuses: [1, 2] });
      assert.match(refused.stderr, reason);
    }
  });

  await step('an administrator is made and unmade, and both count at once', async () => {
    const admins = async () => JSON.parse((await lyceum.run(['admin', 'list', '--json'])).stdout).map((one) => one.name);
    assert.equal((await browser.send('GET', 'hub/admin')).status, 403);
    await lyceum.run(['admin', 'grant', eve.name]);
    assert.equal((await browser.send('GET', 'hub/admin')).status, 200);
    assert.deepEqual((await admins()).sort(), ['admin', 'eve']);
    await lyceum.run(['admin', 'revoke', eve.name]);
    assert.equal((await browser.send('GET', 'hub/admin')).status, 403);
    assert.deepEqual(await admins(), ['admin']);
    const unknown = await lyceum.run(['admin', 'grant', 'nobody-knows'], { statuses: [1] });
    assert.match(unknown.stderr, /nobody called nobody-knows/);
  });

  await step('a token made on the command line works at once', async () => {
    token = (await lyceum.run(['token', 'create', student.name])).stdout.trim();
    assert.equal((await api.expect(200, 'GET', 'hub/api/user', { token })).name, student.name);
    const narrow = (await lyceum.run(['token', 'create', student.name, '--scope', 'read:users!user'])).stdout.trim();
    await api.expect(403, 'POST', `hub/api/users/${student.name}/server`, { token: narrow, json: {} });
    const bad = await lyceum.run(['token', 'create', student.name, '--scope', 'read:everything'], { statuses: [1] });
    assert.match(bad.stderr, /--scope: .*read:everything/);
  });

  await step('servers are listed, and what they write is shown', async () => {
    await api.expect([201, 202], 'POST', `hub/api/users/${student.name}/server`, { token, json: {} });
    const events = await api.readEvents(`hub/api/users/${student.name}/server/progress`, { token });
    assert.equal(events.at(-1).ready, true);
    const [server] = JSON.parse((await lyceum.run(['server', 'list', '--json'])).stdout);
    assert.deepEqual([server.user, server.server, server.state], [student.name, '', 'ready']);
    const log = (await lyceum.run(['server', 'logs', student.name, '--lines', '500'])).stdout;
    assert.match(log, /jupyterhub-singleuser|JupyterHub/i);
    const none = await lyceum.run(['server', 'logs', 'eve'], { statuses: [1] });
    assert.match(none.stderr, /eve has no server/);
  });

  await step('doctor finds all well beside a running Lyceum', async () => {
    await lyceum.configure(`listen: ${lyceum.listen}\n`);
    const report = JSON.parse((await lyceum.run(['doctor', '--json'])).stdout);
    assert.equal(report.problems, 0, JSON.stringify(report, null, 1));
    assert.deepEqual(report.checks.map((one) => one.name), ['config', 'templates', 'data', 'courses', 'disk', 'python', 'port', 'hosts', 'base', 'accounts', 'limits', 'sign-in', 'mail']);
    await lyceum.configure('');
  });

  await step('a backup is made while it runs, and restored beside it', async () => {
    const file = join(folder, 'backup');
    await lyceum.run(['backup', file]);
    const twice = await lyceum.run(['backup', file], { statuses: [1] });
    assert.match(twice.stderr, /is there already/);
    const onto = await lyceum.run(['restore', file], { statuses: [1] });
    assert.match(onto.stderr, /another Lyceum \(process \d+\)/);

    const other = await startLyceum({ restored: file });
    try {
      // The first passwords are sealed with the key, which came along.
      assert.deepEqual(other.accounts, lyceum.accounts);
      for (const account of [eve, student]) await new Client(other.url).logIn(account);
      const there = new Client(other.url);
      assert.equal((await there.expect(200, 'GET', 'hub/api/user', { token })).name, student.name);
      // The server of the first one is not the other's.
      await until('no server is claimed', async () => {
        const { servers } = await there.expect(200, 'GET', `hub/api/users/${student.name}`, { token });
        return Object.keys(servers).length === 0;
      });
      assert.deepEqual(await other.processes(), []);
    } finally {
      await other.stop();
    }
    assert.deepEqual(await api.expect(200, 'GET', `user/${student.name}/api/kernels`, { token }), [], 'the first one goes on');
    await api.expect([202, 204], 'DELETE', `hub/api/users/${student.name}/server`, { token });
    await lyceum.untilQuiet();
  });

  await step('a good edit of the configuration shows without a restart', async () => {
    const before = await lyceum.metric('lyceum_config_generation');
    await lyceum.configure('theme: {name: Hill School}\n');
    const shown = async () => unescapeHtml((await new Client(lyceum.url).send('GET', 'hub/login')).text);
    await until('the new name', async () => (await shown()).includes('Hill School'));
    assert.ok((await lyceum.metric('lyceum_config_generation')) > before);
    assert.equal(await lyceum.metric('lyceum_config_bad_edit'), 0);

    await lyceum.reconfigure('theme: {name: Vale School}\n');
    await until('the name after SIGHUP', async () => (await shown()).includes('Vale School'));
  });

  await step('a bad edit changes nothing, and is told', async () => {
    await lyceum.configure('# edited in a hurry\ntheme:\n  nmae: Dale School\n');
    await until('the metric tells', async () => (await lyceum.metric('lyceum_config_bad_edit')) === 1);
    const admin = new Client(lyceum.url);
    await admin.logIn(lyceum.account('admin'));
    const page = unescapeHtml((await admin.send('GET', 'hub/admin')).text);
    assert.ok(page.includes(`${lyceum.configFile}:3:3: `), page);
    assert.match(page, /nmae.*did you mean `name`/s);
    assert.match(page, /Vale School/);
    assert.match(lyceum.output(), /lyceum\.yaml:3:3/);

    const check = await lyceum.run(['config', 'check'], { statuses: [3] });
    assert.ok(check.stdout.includes(`${lyceum.configFile}:3:3: `), check.stdout);
    const [problem] = JSON.parse((await lyceum.run(['config', 'check', '--json'], { statuses: [3] })).stdout).problems;
    assert.deepEqual([problem.line, problem.column], [3, 3]);

    await lyceum.configure('theme: {name: Dale School}\n');
    await until('the metric tells', async () => (await lyceum.metric('lyceum_config_bad_edit')) === 0);
    assert.doesNotMatch((await admin.send('GET', 'hub/admin')).text, /nmae/);
  });

  await step('the configuration explains itself', async () => {
    assert.match((await lyceum.run(['config', 'check'])).stdout, /no problems/);
    const rows = JSON.parse((await lyceum.run(['config', 'show', '--json'])).stdout);
    const name = rows.find((row) => row.key === 'theme.name');
    assert.equal(name.value, 'Dale School');
    assert.match(name.from, /lyceum\.yaml:1/);
    const schema = JSON.parse((await lyceum.run(['config', 'schema'])).stdout);
    assert.equal(schema.type, 'object');
    assert.ok(schema.properties.theme);
    const example = (await lyceum.run(['config', 'example'])).stdout;
    await lyceum.configure(example);
    await lyceum.run(['config', 'check']);
    for (const shell of ['bash', 'zsh', 'fish']) {
      assert.match((await lyceum.run(['completions', shell])).stdout, /lyceum/);
    }
  });
});

test('a lyceum.yaml that comes after the start is taken up', { timeout: 900_000, skip }, async (t) => {
  const lyceum = await startLyceum({ config: null });
  t.after(() => lyceum.stop());
  const shown = async () => unescapeHtml((await new Client(lyceum.url).send('GET', 'hub/login')).text);
  await lyceum.configure('theme: {name: Late School}\n');
  await until('the name', async () => (await shown()).includes('Late School'));
  await rm(lyceum.configFile);
  await until('its absence is told', async () => (await lyceum.metric('lyceum_config_bad_edit')) === 1);
  assert.match(await shown(), /Late School/);
});

test('a start that can not be says why in a line, and what to do', { timeout: 900_000, skip }, async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'lyceum-operations-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const lyceum = await startLyceum();
  t.after(() => lyceum.stop());
  const up = ['up', '--jupyter-env', JUPYTER_ENV];
  // A folder without lyceum.yaml.
  const cwd = folder;
  const port = new URL(lyceum.url).port;

  async function refused(name, args, reason, remedy, how = {}) {
    await t.test(name, async () => {
      const answer = await runLyceum(args, { cwd, ...how });
      assert.equal(answer.status, 1, answer.stdout + answer.stderr);
      const lines = answer.stderr.trim().split('\n');
      const said = lines.filter((line) => line.startsWith('lyceum: ')).at(-1);
      assert.match(said, reason);
      assert.match(lines.at(-1), remedy);
      assert.ok(lines.length <= 3, answer.stderr);
    });
  }

  await refused('the port is taken', [...up, '--data', join(folder, 'a'), '--port', port], /port \d+ is taken/, /--port/);
  await refused('the data folder is in use', [...up, '--data', lyceum.data, '--port', '0'], new RegExp(`another Lyceum \\(process ${lyceum.pid}\\)`), /--data/);
  await refused('no Python', ['up', '--data', join(folder, 'b'), '--port', '0'], /no Python found/, /apt-get install python3|--jupyter-env/, {
    env: { ...process.env, PATH: '/nonexistent' },
  });
  await refused('no Jupyter where it is said to be', ['up', '--data', join(folder, 'c'), '--port', '0', '--jupyter-env', folder], /has no bin\/jupyterhub-singleuser/, /--jupyter-env/);

  // Root may write everywhere; nobody may not.
  const root = process.getuid() === 0;
  const wrapper = root ? ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'] : [];
  const program = join(folder, 'lyceum');
  await copyFile(BINARY, program);
  await chmod(program, 0o755);
  await chmod(folder, 0o755);
  const closed = join(folder, 'closed');
  await mkdir(closed, { mode: 0o555 });
  const how = { wrapper, program };
  await refused('the data folder can not be made', ['up', '--data', join(closed, 'data'), '--port', '0'], /data folder .*closed\/data can't be made: .*[Pp]ermission denied/, /--data/, how);
  const foreign = join(folder, 'foreign');
  if (root) {
    await mkdir(foreign, { mode: 0o700 });
    await refused('the data folder is somebody else\'s', ['up', '--data', foreign, '--port', '0'], /data folder .*foreign/, /--data/, how);
  }
  const open = join(folder, 'open');
  await mkdir(open);
  await chmod(open, 0o755);
  await refused('the data folder is open to others', ['up', '--data', open, '--port', '0'], /open to others \(mode 755\)/, /chmod 700/);
  await refused('the data folder is a file', ['up', '--data', program, '--port', '0'], /is not a folder/, /--data/);
  await refused('the data folder is below a file', ['up', '--data', join(program, 'data'), '--port', '0'], /on the way to it is a file/, /--data/);
});
