// A plain HTTP client with a cookie jar, as a script would be written: no
// browser, redirects followed by hand so that each can be looked at.

import assert from 'node:assert/strict';
import { lookup } from 'node:dns';
import { request as plain } from 'node:http';
import { request as secure } from 'node:https';
import WebSocket from 'ws';

const LIMIT_MS = 180_000;

export class Client {
  #cookies = new Map();

  constructor(base) {
    this.base = base;
  }

  /** One request. Paths are relative to the base; redirects are not followed. */
  async send(method, path, { headers = {}, token, form, json, timeout = LIMIT_MS } = {}) {
    const url = new URL(path, this.base);
    const all = { ...headers };
    const cookies = this.#cookiesFor(url);
    if (token) all.authorization = `token ${token}`;
    else if (cookies) all.cookie = cookies;
    let body;
    if (form) {
      body = new URLSearchParams(form).toString();
      all['content-type'] = 'application/x-www-form-urlencoded';
    }
    if (json !== undefined) {
      body = JSON.stringify(json);
      all['content-type'] = 'application/json';
    }
    if (body !== undefined) all['content-length'] = Buffer.byteLength(body);
    const answer = await exchange(url, { method, headers: all, signal: AbortSignal.timeout(timeout) }, body);
    for (const line of answer.headers['set-cookie'] ?? []) this.#keep(line, url);
    return answer;
  }

  /** As a browser goes to an address: through the redirects to where they end. */
  async follow(path) {
    const headers = { accept: 'text/html,*/*;q=0.8' };
    let answer = await this.send('GET', path, { headers });
    for (let turns = 0; [301, 302, 303, 307].includes(answer.status); turns += 1) {
      assert.ok(turns < 20, `${path} leads round and round, now to ${answer.headers.location}`);
      const next = new URL(answer.headers.location, answer.url);
      assert.ok(isOurs(next, this.base), `${path} leads away: ${next}`);
      answer = await this.send('GET', next.href, { headers });
    }
    return answer;
  }

  /** Sends, expects one of these statuses, gives the JSON (or null without one). */
  async expect(statuses, method, path, options) {
    const answer = await this.send(method, path, options);
    const { text } = answer;
    assert.ok([statuses].flat().includes(answer.status), `${method} ${path}: expected ${statuses}, got ${answer.status}: ${text.slice(0, 500)}`);
    return text.startsWith('{') || text.startsWith('[') ? JSON.parse(text) : null;
  }

  /** The value of a cookie; of the longest path when several of that name are sent to an address. */
  cookie(name, at = 'hub/') {
    const found = this.#sentTo(new URL(at, this.base)).filter((one) => one.name === name);
    return found.sort((a, b) => b.path.length - a.path.length)[0]?.value;
  }

  /** Through the form, as a browser does. */
  async logIn(account) {
    const page = await this.send('GET', 'hub/login');
    assert.equal(page.status, 200);
    const form = { username: account.name, password: account.password, _xsrf: this.cookie('_xsrf') };
    const answer = await this.send('POST', 'hub/login', { form });
    assert.equal(answer.status, 302, `log-in of ${account.name}: ${answer.text.slice(0, 500)}`);
    // The token against forgery changes with the log-in; the next page brings it.
    await this.send('GET', 'hub/home');
  }

  /** An API token, made the way the token page makes one. */
  async makeToken(account, note) {
    const headers = { 'X-XSRFToken': this.cookie('_xsrf'), referer: new URL('hub/token', this.base).href };
    const made = await this.expect([200, 201], 'POST', `hub/api/users/${account.name}/tokens`, { headers, json: { note, expires_in: 3600 } });
    assert.ok(made.token, 'a new token is told once');
    return made;
  }

  /** The data of a server-sent event stream, until the server ends it. */
  async readEvents(path, options) {
    const answer = await this.send('GET', path, { timeout: 120_000, headers: { accept: 'text/event-stream' }, ...options });
    const { text } = answer;
    assert.equal(answer.status, 200, text.slice(0, 500));
    assert.match(answer.headers['content-type'], /^text\/event-stream/);
    return text.split(/\r?\n/).filter((line) => line.startsWith('data:')).map((line) => JSON.parse(line.slice(5)));
  }

  #keep(line, { hostname, pathname }) {
    const [pair, ...attributes] = line.split(';').map((part) => part.trim());
    const name = pair.slice(0, pair.indexOf('='));
    const value = pair.slice(pair.indexOf('=') + 1);
    const fields = new Map(attributes.map((one) => [one.split('=')[0].toLowerCase(), one.split('=').slice(1).join('=')]));
    const path = fields.get('path') ?? pathname.replace(/[^/]*$/, '');
    const host = fields.get('domain') ?? hostname;
    const key = `${name} ${host} ${path}`;
    const gone = fields.get('max-age') === '0' || (fields.has('expires') && new Date(fields.get('expires')) < new Date());
    if (gone) this.#cookies.delete(key);
    else this.#cookies.set(key, { name, value: value.replace(/^"(.*)"$/, '$1'), host, wide: fields.has('domain'), path });
  }

  #cookiesFor(url) {
    return this.#sentTo(url).map((one) => `${one.name}=${one.value}`).join('; ');
  }

  #sentTo({ hostname, pathname }) {
    const atHost = ({ host, wide }) => hostname === host || (wide && hostname.endsWith(`.${host}`));
    return [...this.#cookies.values()].filter((one) => atHost(one) && (pathname.startsWith(one.path) || `${pathname}/` === one.path));
  }
}

/** Whether an address is of the hub at `base`, or of a host below it, where people's servers are. */
export function isOurs(url, base) {
  const [here, hub] = [new URL(url, base), new URL(base)];
  const atHost = here.hostname === hub.hostname || here.hostname.endsWith(`.${hub.hostname}`);
  return atHost && here.protocol === hub.protocol && here.port === hub.port;
}

/** The text behind the escapes of a page. */
export function unescapeHtml(text) {
  const named = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };
  return text.replace(/&(?:#x([0-9a-f]+)|#(\d+)|(\w+));/gi, (whole, hex, decimal, name) => {
    if (name) return named[name] ?? whole;
    return String.fromCodePoint(hex ? Number.parseInt(hex, 16) : Number(decimal));
  });
}

/**
 * A request and the whole of its answer. Not `fetch`: that one adds the
 * `Sec-Fetch-*` headers of a browser, and a script is none.
 */
export function exchange(url, options, body) {
  return new Promise((resolve, reject) => {
    const sent = begin(url, options, (answer) => {
      const chunks = [];
      answer.on('data', (chunk) => chunks.push(chunk));
      answer.on('error', reject);
      answer.on('end', () => resolve({ url: url.href, status: answer.statusCode, headers: answer.headers, text: Buffer.concat(chunks).toString() }));
    });
    sent.on('error', (error) => reject(new Error(`${options.method} ${url}: ${error.message}`, { cause: error })));
    sent.end(body);
  });
}

/**
 * Events of a stream while they come. `look` is called with each; the first truthy answer ends the
 * reading and is given. A stream that ends, or breaks, before that gives null.
 */
export function firstEvent(base, path, token, look) {
  const url = new URL(path, base);
  const headers = { authorization: `token ${token}`, accept: 'text/event-stream' };
  return new Promise((resolve, reject) => {
    const sent = begin(url, { headers, signal: AbortSignal.timeout(LIMIT_MS) }, (answer) => {
      if (answer.statusCode !== 200) reject(new Error(`GET ${url}: ${answer.statusCode}`));
      let rest = '';
      answer.setEncoding('utf8').on('data', (text) => {
        const lines = `${rest}${text}`.split('\n');
        rest = lines.pop();
        for (const line of lines) {
          const found = line.startsWith('data:') && look(JSON.parse(line.slice(5)));
          if (!found) continue;
          resolve(found);
          sent.destroy();
          return;
        }
      });
      answer.on('error', () => resolve(null));
      answer.on('end', () => resolve(null));
    });
    sent.on('error', (error) => (error.name === 'TimeoutError' ? reject(error) : resolve(null)));
    sent.end();
  });
}

/** Runs code in a kernel over its WebSocket and gives the text of its result. */
export async function execute(base, account, kernel, token, code) {
  const channel = await openKernel(base, account, kernel, { authorization: `token ${token}` });
  try {
    return await channel.execute(code);
  } finally {
    channel.socket.terminate();
  }
}

/** The WebSocket of a kernel, open. `execute(code)` gives the text of the result. */
export async function openKernel(base, account, kernel, headers) {
  const path = `user/${account.name}/api/kernels/${kernel}/channels?session_id=story`;
  const { socket, closed } = await openSocket(base, path, headers);
  return { socket, closed, execute: (code) => executeOn(socket, account, code) };
}

/** What a line typed into a new terminal makes it show, up to what matches. */
export async function typeInTerminal(base, account, token, line, pattern) {
  const headers = { authorization: `token ${token}` };
  const client = new Client(base);
  const terminals = `user/${account.name}/api/terminals`;
  const { name } = await client.expect(200, 'POST', terminals, { token });
  const { socket, closed } = await openSocket(base, `user/${account.name}/terminals/websocket/${name}`, headers);
  let shown = '';
  try {
    return await new Promise((resolve, reject) => {
      const late = setTimeout(() => reject(new Error(`the terminal shows only: ${shown}`)), LIMIT_MS);
      closed.then(() => reject(new Error(`the terminal ended: ${shown}`))).finally(() => clearTimeout(late));
      socket.on('message', (data) => {
        const [kind, text] = JSON.parse(data);
        if (kind === 'stdout') shown += text;
        const found = shown.match(pattern);
        if (found) resolve(found);
      });
      socket.send(JSON.stringify(['stdin', `${line}\r`]));
    });
  } finally {
    socket.terminate();
    await client.expect(204, 'DELETE', `${terminals}/${name}`, { token });
  }
}

async function openSocket(base, path, headers) {
  const url = new URL(path, base);
  url.protocol = url.protocol.replace('http', 'ws');
  const socket = new WebSocket(url, { headers, handshakeTimeout: LIMIT_MS });
  const closed = new Promise((resolve) => socket.once('close', resolve));
  await new Promise((resolve, reject) => {
    socket.once('open', resolve);
    socket.on('error', reject);
    socket.once('unexpected-response', (_, answer) => {
      reject(new Error(`the WebSocket was answered with ${answer.statusCode}`));
      socket.terminate();
    });
  });
  return { socket, closed };
}

let requests = 0;

function executeOn(socket, account, code) {
  requests += 1;
  const id = `story-${process.pid}-${Date.now()}-${requests}`;
  const message = {
    channel: 'shell',
    header: { msg_id: id, msg_type: 'execute_request', session: 'story', username: account.name, version: '5.3', date: new Date().toISOString() },
    parent_header: {},
    metadata: {},
    content: { code, silent: false, store_history: true, user_expressions: {}, allow_stdin: false, stop_on_error: true },
    buffers: [],
  };
  return new Promise((resolve, reject) => {
    const late = setTimeout(() => settle(reject, new Error(`no result of \`${code}\` after ${LIMIT_MS / 1000} s`)), LIMIT_MS);
    const closed = (status) => settle(reject, new Error(`the WebSocket was closed (${status})`));
    const settle = (how, value) => {
      clearTimeout(late);
      socket.off('close', closed);
      socket.off('message', hear);
      how(value);
    };
    const hear = (data) => {
      const answer = JSON.parse(data);
      if (answer.parent_header?.msg_id !== id) return;
      if (answer.msg_type === 'execute_result') settle(resolve, answer.content.data['text/plain']);
      if (answer.msg_type === 'error') settle(reject, new Error(answer.content.traceback.join('\n')));
    };
    socket.on('close', closed);
    socket.on('message', hear);
    socket.send(JSON.stringify(message));
  });
}

function begin(url, options, then) {
  const { protocol } = new URL(url);
  return (protocol === 'https:' ? secure : plain)(url, { lookup: lookUp, ...options }, then);
}

/** Every name below localhost is this machine, as browsers have it and some systems don't. */
function lookUp(name, options, then) {
  if (!name.endsWith('.localhost')) lookup(name, options, then);
  else if (options.all) then(null, [{ address: '127.0.0.1', family: 4 }]);
  else then(null, '127.0.0.1', 4);
}
