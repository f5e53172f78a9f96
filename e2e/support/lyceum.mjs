// The real program, started on a free port with a data folder of its own.
//
// The contract: `lyceum up … --json` prints one JSON object per line; the one
// with `"event":"ready"` has `url` and the demo's `accounts`. A Lyceum (or any
// hub) that already runs can be used instead: LYCEUM_E2E_URL and
// LYCEUM_E2E_ACCOUNTS, a JSON list of {name, password, role}.

import { spawn } from 'node:child_process';
import { mkdtemp, readdir, readFile, readlink, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const BINARY = process.env.LYCEUM_BIN ?? join(ROOT, 'target/debug/lyceum');
export const JUPYTER_ENV = process.env.LYCEUM_TEST_JUPYTER_ENV ?? join(ROOT, '.cache/jupyter-env');

const START_LIMIT_MS = 120_000;
const STOP_LIMIT_MS = 60_000;
const KEPT_LINES = 400;

/** Starts Lyceum; resolves when it accepts requests. */
export async function startLyceum({ jupyterEnv = JUPYTER_ENV } = {}) {
  if (process.env.LYCEUM_E2E_URL) return useRunning();
  const data = await mkdtemp(join(tmpdir(), 'lyceum-e2e-'));
  const lyceum = new Lyceum(data, jupyterEnv);
  try {
    await lyceum.start();
  } catch (error) {
    await lyceum.end();
    throw error;
  }
  return lyceum;
}

class Lyceum {
  #process;
  #lines = [];

  constructor(data, jupyterEnv) {
    this.data = data;
    this.jupyterEnv = jupyterEnv;
  }

  async start() {
    const args = ['up', '--demo', '--json', '--data', this.data, '--listen', '127.0.0.1:0', '--jupyter-env', this.jupyterEnv];
    this.#process = spawn(BINARY, args, { stdio: ['ignore', 'pipe', 'pipe'] });
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
  }

  account(role) {
    return findAccount(this.accounts, role);
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
    let result;
    let left;
    try {
      this.#process.kill('SIGINT');
      const late = timer(STOP_LIMIT_MS);
      result = await Promise.race([this.ended, late.over]);
      late.cancel();
      left = await findProcesses(this.data);
    } finally {
      await this.end();
    }
    if (result !== 'ended with status 0') throw new Error(`interrupted, Lyceum ${result}; its output:\n${this.output()}`);
    if (left.length > 0) throw new Error(`processes left behind:\n${left.map((one) => `${one.pid} ${one.command}`).join('\n')}\n${this.output()}`);
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
async function findProcesses(folder) {
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
