// A real JupyterHub, from the environment the stories have, with Lyceum's proxy
// in place of configurable-http-proxy. Everybody may log in with one password,
// and servers run under the account of whoever runs the story.

import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Client } from './http.mjs';
import { BINARY, JUPYTER_ENV, findProcesses } from './lyceum.mjs';
import { freePorts } from './ports.mjs';
import { until } from './story.mjs';

const KEPT_LINES = 400;
const STOP_LIMIT_MS = 180_000;

/**
 * Starts it with further lines of `jupyterhub_config.py` (or a function that makes them of the folder
 * and the ports); resolves when its log-in page is there. With a `host` of more than one label each
 * person gets a name below it.
 */
export async function startJupyterHub({ config = '', host = '127.0.0.1' } = {}) {
  const folder = await mkdtemp(join(tmpdir(), 'lyceum-e2e-hub-'));
  const hub = new JupyterHub(folder, host, await freePorts(4));
  try {
    await hub.configure(config);
    await hub.start();
  } catch (error) {
    await hub.end();
    throw error;
  }
  return hub;
}

class JupyterHub {
  #process;
  #lines = [];

  constructor(folder, host, [port, apiPort, hubPort, serverPort]) {
    this.folder = folder;
    this.ports = { port, apiPort, hubPort, serverPort };
    this.host = host;
    this.url = `http://${host}:${port}/`;
    this.account = { name: 'ada', password: 'e2e-password' };
    this.pidFile = join(folder, 'proxy.pid');
  }

  async configure(further) {
    const { port, apiPort, hubPort, serverPort } = this.ports;
    await mkdir(join(this.folder, 'homes'));
    const root = process.getuid() === 0;
    const lines = [
      `c.JupyterHub.bind_url = 'http://127.0.0.1:${port}'`,
      `c.JupyterHub.hub_bind_url = 'http://127.0.0.1:${hubPort}'`,
      `c.JupyterHub.db_url = 'sqlite:///hub.sqlite'`,
      `c.JupyterHub.authenticator_class = 'dummy'`,
      `c.JupyterHub.spawner_class = 'simple'`,
      `c.DummyAuthenticator.password = '${this.account.password}'`,
      `c.Authenticator.allow_all = True`,
      `c.ConfigurableHTTPProxy.command = ['${BINARY}', 'proxy']`,
      `c.ConfigurableHTTPProxy.api_url = 'http://127.0.0.1:${apiPort}'`,
      `c.ConfigurableHTTPProxy.pid_file = '${this.pidFile}'`,
      `c.ConfigurableHTTPProxy.check_running_interval = 1`,
      `c.SimpleLocalProcessSpawner.home_dir_template = '${join(this.folder, 'homes')}/{username}'`,
      `c.Spawner.port = ${serverPort}`,
      `c.Spawner.cmd = ['${join(JUPYTER_ENV, 'bin/jupyterhub-singleuser')}']`,
      // Jupyter itself asks for this word when root runs it.
      ...(root ? [`c.Spawner.args = ['--allow-root']`] : []),
      ...(this.host === '127.0.0.1' ? [] : [`c.JupyterHub.subdomain_host = 'http://${this.host}:${port}'`]),
      typeof further === 'function' ? further({ folder: this.folder, ...this.ports }) : further,
    ];
    await writeFile(join(this.folder, 'jupyterhub_config.py'), `${lines.join('\n')}\n`);
  }

  async start() {
    const program = join(JUPYTER_ENV, 'bin/jupyterhub');
    const { CONFIGPROXY_AUTH_TOKEN, ...others } = process.env;
    const env = { ...others, PATH: `${join(JUPYTER_ENV, 'bin')}:${process.env.PATH}` };
    this.#process = spawn(program, ['-f', 'jupyterhub_config.py'], { cwd: this.folder, stdio: ['ignore', 'pipe', 'pipe'], env });
    for (const stream of [this.#process.stdout, this.#process.stderr]) {
      createInterface(stream).on('line', (line) => this.#keep(line));
    }
    this.ended = new Promise((resolve) => {
      this.#process.once('error', (error) => resolve(`could not be started: ${error.message}`));
      this.#process.once('exit', (code, signal) => resolve(signal ? `ended by ${signal}` : `ended with status ${code}`));
    });
    let over;
    this.ended.then((how) => (over = how));
    await until('JupyterHub shows its log-in page', async () => {
      if (over) throw new Error(`JupyterHub ${over}; its output:\n${this.output()}`);
      const page = await new Client(this.url).send('GET', 'hub/login').catch(() => null);
      return page?.status === 200;
    });
  }

  async proxyPid() {
    return Number(await readFile(this.pidFile, 'utf8'));
  }

  output() {
    return this.#lines.join('\n');
  }

  #keep(line) {
    this.#lines.push(line);
    if (this.#lines.length > KEPT_LINES) this.#lines.shift();
  }

  /** SIGTERM; gives how it ended. */
  async stop() {
    this.#process.kill('SIGTERM');
    const late = new Promise((resolve) => setTimeout(resolve, STOP_LIMIT_MS, 'did not end').unref());
    return Promise.race([this.ended, late]);
  }

  /** After whatever happened: nothing that was started stays. */
  async end() {
    for (const { pid } of await findProcesses(this.folder)) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch (error) {
        if (error.code !== 'ESRCH') throw error;
      }
    }
    await this.ended;
    await rm(this.folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** A DELETE may be answered while the server still ends; a hub that stops then leaves it alone. */
export async function endServer(script, user, token) {
  await script.expect([202, 204], 'DELETE', `${user}/server`, { token });
  await until('the server has ended', async () => {
    const { servers } = await script.expect(200, 'GET', user, { token });
    return Object.keys(servers).length === 0;
  });
}
