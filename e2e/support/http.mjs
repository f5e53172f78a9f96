// A plain HTTP client with a cookie jar, as a script would be written: no
// browser, redirects followed by hand so that each can be looked at.

import assert from 'node:assert/strict';
import { request } from 'node:http';
import WebSocket from 'ws';

const LIMIT_MS = 60_000;

export class Client {
  #cookies = new Map();

  constructor(base) {
    this.base = base;
  }

  /** One request. Paths are relative to the base; redirects are not followed. */
  async send(method, path, { headers = {}, token, form, json, timeout = LIMIT_MS } = {}) {
    const url = new URL(path, this.base);
    const all = { ...headers };
    const cookies = this.#cookiesFor(url.pathname);
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
    for (const line of answer.headers['set-cookie'] ?? []) this.#keep(line, url.pathname);
    return answer;
  }

  /** Sends, expects one of these statuses, gives the JSON (or null without one). */
  async expect(statuses, method, path, options) {
    const answer = await this.send(method, path, options);
    const { text } = answer;
    assert.ok([statuses].flat().includes(answer.status), `${method} ${path}: expected ${statuses}, got ${answer.status}: ${text.slice(0, 500)}`);
    return text.startsWith('{') || text.startsWith('[') ? JSON.parse(text) : null;
  }

  /** The value of a cookie; of the longest path when several have that name. */
  cookie(name) {
    const found = [...this.#cookies.values()].filter((one) => one.name === name).sort((a, b) => b.path.length - a.path.length);
    return found[0]?.value;
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

  #keep(line, requestPath) {
    const [pair, ...attributes] = line.split(';').map((part) => part.trim());
    const name = pair.slice(0, pair.indexOf('='));
    const value = pair.slice(pair.indexOf('=') + 1);
    const fields = new Map(attributes.map((one) => [one.split('=')[0].toLowerCase(), one.split('=').slice(1).join('=')]));
    const path = fields.get('path') ?? requestPath.replace(/[^/]*$/, '');
    const gone = fields.get('max-age') === '0' || (fields.has('expires') && new Date(fields.get('expires')) < new Date());
    if (gone) this.#cookies.delete(`${name} ${path}`);
    else this.#cookies.set(`${name} ${path}`, { name, value: value.replace(/^"(.*)"$/, '$1'), path });
  }

  #cookiesFor(path) {
    const sent = [...this.#cookies.values()].filter((one) => path.startsWith(one.path) || `${path}/` === one.path);
    return sent.map((one) => `${one.name}=${one.value}`).join('; ');
  }
}

/**
 * A request and the whole of its answer. Not `fetch`: that one adds the
 * `Sec-Fetch-*` headers of a browser, and a script is none.
 */
export function exchange(url, options, body) {
  return new Promise((resolve, reject) => {
    const sent = request(url, options, (answer) => {
      const chunks = [];
      answer.on('data', (chunk) => chunks.push(chunk));
      answer.on('error', reject);
      answer.on('end', () => resolve({ status: answer.statusCode, headers: answer.headers, text: Buffer.concat(chunks).toString() }));
    });
    sent.on('error', (error) => reject(new Error(`${options.method} ${url}: ${error.message}`, { cause: error })));
    sent.end(body);
  });
}

/** Runs code in a kernel over its WebSocket and gives the text of its result. */
export async function execute(base, account, kernel, token, code) {
  const url = new URL(`user/${account.name}/api/kernels/${kernel}/channels?session_id=story`, base);
  url.protocol = url.protocol.replace('http', 'ws');
  const socket = new WebSocket(url, { headers: { authorization: `token ${token}` }, handshakeTimeout: LIMIT_MS });
  const id = `story-${process.pid}-${Date.now()}`;
  const request = {
    channel: 'shell',
    header: { msg_id: id, msg_type: 'execute_request', session: 'story', username: account.name, version: '5.3', date: new Date().toISOString() },
    parent_header: {},
    metadata: {},
    content: { code, silent: false, store_history: true, user_expressions: {}, allow_stdin: false, stop_on_error: true },
    buffers: [],
  };
  try {
    return await new Promise((resolve, reject) => {
      const late = setTimeout(() => reject(new Error(`no result of \`${code}\` after ${LIMIT_MS / 1000} s`)), LIMIT_MS);
      const settle = (how, value) => {
        clearTimeout(late);
        how(value);
      };
      socket.on('error', (error) => settle(reject, error));
      socket.on('close', (status) => settle(reject, new Error(`the WebSocket was closed (${status})`)));
      socket.on('unexpected-response', (_, answer) => settle(reject, new Error(`the WebSocket was answered with ${answer.statusCode}`)));
      socket.on('open', () => socket.send(JSON.stringify(request)));
      socket.on('message', (data) => {
        const message = JSON.parse(data);
        if (message.parent_header?.msg_id !== id) return;
        if (message.msg_type === 'execute_result') settle(resolve, message.content.data['text/plain']);
        if (message.msg_type === 'error') settle(reject, new Error(message.content.traceback.join('\n')));
      });
    });
  } finally {
    socket.terminate();
  }
}
