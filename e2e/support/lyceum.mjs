// The real program, started on a free port with a data folder of its own.
//
// The contract: `lyceum up … --json` prints one JSON object per line; the one
// with `"event":"ready"` has `url` and the demo's `accounts`. A Lyceum (or any
// hub) that already runs can be used instead: LYCEUM_E2E_URL and
// LYCEUM_E2E_ACCOUNTS, a JSON list of {name, password, role}.

import { spawn } from 'node:child_process';
import { mkdtemp, readdir, readFile, readlink, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { Client } from './http.mjs';
import { until } from './story.mjs';

const ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
export const BINARY = resolve(process.env.LYCEUM_BIN ?? join(ROOT, 'target/debug/lyceum'));
export const JUPYTER_ENV = resolve(process.env.LYCEUM_TEST_JUPYTER_ENV ?? join(ROOT, '.cache/jupyter-env'));
/** Those with a `jupyterhub-singleuser` of an older line. */
export const JUPYTER_ENV_4 = resolve(process.env.LYCEUM_TEST_JUPYTER_ENV_4 ?? join(ROOT, '.cache/jupyter-env-4'));
export const JUPYTER_ENV_5 = resolve(process.env.LYCEUM_TEST_JUPYTER_ENV_5 ?? join(ROOT, '.cache/jupyter-env-5'));

const START_LIMIT_MS = 240_000;
const STOP_LIMIT_MS = 180_000;
const COMMAND_LIMIT_MS = 180_000;
const KEPT_LINES = 400;

/** Whether a Lyceum that runs elsewhere is used: it can be neither killed nor reconfigured. */
export const runsElsewhere = Boolean(process.env.LYCEUM_E2E_URL);

/**
 * Starts Lyceum; resolves when it accepts requests. `config` is the text of its `lyceum.yaml`; with
 * null there is none yet. `restored` is a backup that its data folder is filled from first.
 */
export async function startLyceum({ jupyterEnv = JUPYTER_ENV, config = '', restored } = {}) {
  if (runsElsewhere) return useRunning();
  const data = await mkdtemp(join(tmpdir(), 'lyceum-e2e-'));
  const lyceum = new Lyceum(data, jupyterEnv, config !== null);
  try {
    if (config !== null) await lyceum.configure(config);
    if (restored) await lyceum.run(['restore', restored]);
    await lyceum.start();
  } catch (error) {
    await lyceum.end();
    throw error;
  }
  return lyceum;
}

/** Sends a signal to those of these processes that are still there. */
export function signal(processes, name) {
  for (const { pid } of processes) {
    try {
      process.kill(pid, name);
    } catch (error) {
      if (error.code !== 'ESRCH') throw error;
    }
  }
}

class Lyceum {
  #process;
  #lines = [];
  #metricsToken;

  constructor(data, jupyterEnv, named) {
    this.data = data;
    this.configFile = join(data, 'lyceum.yaml');
    this.named = named;
    this.jupyterEnv = jupyterEnv;
    this.listen = '127.0.0.1:0';
  }

  /** Writes `lyceum.yaml`; a Lyceum that runs reads it by itself. */
  async configure(text) {
    await writeFile(this.configFile, text);
  }

  /** The same, and waits until it is in force. */
  async reconfigure(text) {
    const before = await this.metric('lyceum_config_generation');
    await this.configure(text);
    this.signal('SIGHUP');
    await until('the new configuration is in force', async () => (await this.metric('lyceum_config_generation')) > before);
  }

  /** A figure that it publishes for Prometheus. */
  async metric(name) {
    if (!this.#metricsToken) {
      const made = await this.run(['token', 'create', this.account('admin').name, '--scope', 'read:metrics']);
      this.#metricsToken = made.stdout.trim();
    }
    const { text } = await new Client(this.url).send('GET', 'hub/metrics', { token: this.#metricsToken });
    const line = text.split('\n').find((one) => one.startsWith(`${name} `));
    if (!line) throw new Error(`no metric ${name} in:\n${text}`);
    return Number(line.split(' ')[1]);
  }

  async start({ env = {} } = {}) {
    const args = ['up', '--demo', '--json', '--listen', this.listen, '--jupyter-env', this.jupyterEnv];
    this.#process = spawn(BINARY, args, { cwd: this.data, stdio: ['ignore', 'pipe', 'pipe'], env: { ...this.#environment(), ...env } });
    this.ended = new Promise((resolve) => {
      this.#process.once('error', (error) => resolve(`could not be started: ${error.message}`));
      this.#process.once('exit', (code, signal) => resolve(signal ? `ended by ${signal}` : `ended with status ${code}`));
    });
    createInterface(this.#process.stderr).on('line', (line) => this.#keep(line));
    const ready = new Promise((resolve) => {
      createInterface(this.#process.stdout).on('line', (line) => {
        this.#keep(line);
        const event = parse(line);
        if (event?.event === 'ready') resolve(event);
      });
    });
    const late = timer(START_LIMIT_MS);
    const first = await Promise.race([ready, this.ended, late.over]);
    late.cancel();
    if (typeof first === 'string') throw new Error(`${BINARY} ${args.join(' ')}\n${first} before it was ready; its output:\n${this.output()}`);
    this.url = first.url;
    this.accounts = first.accounts;
    this.adopted = first.adopted;
    // Another start listens where this one did: browsers and servers know the address.
    this.listen = `127.0.0.1:${new URL(this.url).port}`;
  }

  #environment() {
    const { LYCEUM_CONFIG, ...others } = process.env;
    return { ...others, LYCEUM_DATA: this.data, ...(this.named && { LYCEUM_CONFIG: this.configFile }) };
  }

  get pid() {
    return this.#process.pid;
  }

  account(role) {
    return findAccount(this.accounts, role);
  }

  /** Another command on the same data folder; gives what it printed. */
  async run(args, { input = '', statuses = [0] } = {}) {
    const answer = await runLyceum(args, { input, cwd: this.data, env: this.#environment() });
    if (!statuses.includes(answer.status)) {
      throw new Error(`lyceum ${args.join(' ')} ended with status ${answer.status}:\n${answer.stdout}${answer.stderr}`);
    }
    return answer;
  }

  signal(name) {
    this.#process.kill(name);
  }

  /** kill -9: no chance to tidy up. */
  async crash() {
    this.#process.kill('SIGKILL');
    const how = await this.ended;
    if (how !== 'ended by SIGKILL') throw new Error(`killed, Lyceum ${how}; its output:\n${this.output()}`);
  }

  /** Ctrl-C, and nothing else: servers go on. Gives the milliseconds it took. */
  async interrupt() {
    const since = performance.now();
    this.#process.kill('SIGINT');
    const late = timer(STOP_LIMIT_MS);
    const result = await Promise.race([this.ended, late.over]);
    late.cancel();
    if (result !== 'ended with status 0') throw new Error(`interrupted, Lyceum ${result}; its output:\n${this.output()}`);
    return performance.now() - since;
  }

  /** What runs because of this data folder, Lyceum itself left out. */
  async processes() {
    return (await findProcesses(this.data)).filter((one) => one.pid !== this.#process.pid);
  }

  /** The last lines it printed. */
  output() {
    return this.#lines.join('\n');
  }

  #keep(line) {
    this.#lines.push(line);
    if (this.#lines.length > KEPT_LINES) this.#lines.shift();
  }

  /** Ctrl-C. It must end cleanly, and a story that stopped its servers must leave no process. */
  async stop() {
    let left;
    try {
      await this.interrupt();
      left = await findProcesses(this.data);
    } finally {
      await this.end();
    }
    if (left.length > 0) throw new Error(`processes left behind:\n${left.map((one) => `${one.pid} ${one.command}`).join('\n')}\n${this.output()}`);
  }

  /** Until no server is left. */
  async untilQuiet() {
    await until('no server is left', async () => (await this.processes()).length === 0);
  }

  /** After whatever happened: nothing that was started stays. */
  async end() {
    if (this.#process && this.#process.exitCode === null && this.#process.signalCode === null) {
      this.#process.kill('SIGKILL');
      await this.ended;
    }
    for (const { pid } of await findProcesses(this.data)) kill(pid);
    await rm(this.data, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** A command of the real program, to its end. */
export function runLyceum(args, { input = '', env = process.env, wrapper = [], program = BINARY, cwd } = {}) {
  const [first, ...rest] = [...wrapper, program, ...args];
  return new Promise((resolve, reject) => {
    const child = spawn(first, rest, { env, cwd, stdio: ['pipe', 'pipe', 'pipe'], timeout: COMMAND_LIMIT_MS });
    const said = { stdout: '', stderr: '' };
    child.stdout.on('data', (chunk) => (said.stdout += chunk));
    child.stderr.on('data', (chunk) => (said.stderr += chunk));
    child.once('error', reject);
    child.once('close', (status, signal) => resolve({ status: status ?? signal, ...said }));
    // A command that ends without reading its input is no fault.
    child.stdin.on('error', () => {});
    child.stdin.end(input);
  });
}

function useRunning() {
  const accounts = JSON.parse(process.env.LYCEUM_E2E_ACCOUNTS);
  return {
    url: process.env.LYCEUM_E2E_URL,
    accounts,
    account: (role) => findAccount(accounts, role),
    output: () => '(runs elsewhere)',
    stop: async () => {},
  };
}

function findAccount(accounts, role) {
  const account = accounts.find((one) => one.role === role);
  if (!account) throw new Error(`no account with role ${role} among ${accounts.map((one) => `${one.name} (${one.role})`).join(', ')}`);
  return account;
}

function parse(line) {
  try {
    return JSON.parse(line);
  } catch {
    return null;
  }
}

export function timer(milliseconds) {
  let id;
  const over = new Promise((resolve) => {
    id = setTimeout(() => resolve(`said nothing more for ${milliseconds / 1000} s`), milliseconds);
  });
  return { over, cancel: () => clearTimeout(id) };
}

/** Processes that work in the folder or were told of it: user servers and their kernels. */
export async function findProcesses(folder) {
  const found = [];
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name) || Number(name) === process.pid) continue;
    // A process may end while it is looked at, or be someone else's.
    const environment = await readFile(`/proc/${name}/environ`, 'latin1').catch(() => '');
    const cwd = await readlink(`/proc/${name}/cwd`).catch(() => '');
    const command = await readFile(`/proc/${name}/cmdline`, 'latin1').catch(() => '');
    if (environment.includes(folder) || cwd.startsWith(folder) || command.includes(folder)) {
      found.push({ pid: Number(name), command: command.replaceAll('\0', ' ') });
    }
  }
  return found;
}

function kill(pid) {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if (error.code !== 'ESRCH') throw error;
  }
}
