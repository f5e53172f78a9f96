// The same requests about groups, roles and services to a JupyterHub and to
// Lyceum, with the same configuration. What they answer is compared; where it
// differs, docs/developer/differences.md says why.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'node:test';
import { readDifferences } from './support/differences.mjs';
import { Client } from './support/http.mjs';
import { startJupyterHub } from './support/jupyterhub.mjs';
import { runsElsewhere, startLyceum } from './support/lyceum.mjs';
import { tellIn } from './support/story.mjs';

const skip = runsElsewhere && 'a Lyceum that runs elsewhere is configured by others';

const LOAD = {
  // In the order of their names, which is Lyceum's; JupyterHub takes that of the file.
  load_groups: { everybody: ['cleo'], lab: { users: ['ada'], properties: { room: '12' } }, old: ['ben'] },
  custom_scopes: {
    'custom:grades:read': { description: 'Read grades' },
    'custom:grades:write': { description: 'Write grades', subscopes: ['custom:grades:read'] },
  },
  load_roles: [
    { name: 'scripts', scopes: ['admin:users', 'admin:groups', 'list:services', 'read:services', 'read:roles', 'admin:services', 'tokens', 'custom:grades:write'], services: ['script'] },
    { name: 'keeps', scopes: ['groups!group=lab', 'read:users!group=lab'], services: ['keeper'], groups: ['old'] },
    { name: 'holds', scopes: ['groups!group=lab', 'servers!group=lab'], services: ['holder'] },
    { name: 'names', scopes: ['read:groups:name', 'list:groups!group=lab', 'read:services:name!service=script'], services: ['namer'] },
  ],
};
const SERVICES = ['script', 'keeper', 'namer', 'holder', 'idle'];

const G = 'hub/api/groups';
const S = 'hub/api/services';
/** Who asks what. `{token}` in a body is a new one. */
const REQUESTS = [
  ...SERVICES.map((name) => [name, 'GET', 'hub/api/user']),
  ['script', 'GET', G], ['keeper', 'GET', G], ['namer', 'GET', G], ['idle', 'GET', G], [null, 'GET', G],
  ...SERVICES.flatMap((name) => [[name, 'GET', `${G}/lab`], [name, 'GET', `${G}/old`], [name, 'GET', `${G}/none`]]),
  ['script', 'GET', `${G}?limit=1`], ['script', 'GET', `${G}?offset=1`], ['script', 'GET', `${G}?limit=0`], ['script', 'GET', `${G}?offset=-1`],
  ['script', 'GET', `${G}?limit=x`], ['script', 'GET', `${G}?offset=1.5`],
  // Made
  ['script', 'POST', G, { groups: ['one', 'two'], users: ['ada'] }],
  ['script', 'POST', G, { groups: ['one'] }], ['script', 'POST', G, { groups: [] }], ['script', 'POST', G, {}], ['script', 'POST', G, []],
  ['script', 'POST', G, { groups: ['x'], colour: 'red' }], ['script', 'POST', G, { groups: ['y'], users: ['nobody'] }],
  ['script', 'POST', G, { groups: ['z'], users: 'ada' }],
  ['keeper', 'POST', G, { groups: ['k'] }], ['idle', 'POST', G, { groups: ['k'] }], [null, 'POST', G, { groups: ['k'] }],
  ['script', 'POST', `${G}/three`], ['script', 'POST', `${G}/three`, {}], ['script', 'POST', `${G}/four`, { users: ['ben', 'ada'], name: 'else', roles: [] }],
  ['script', 'POST', `${G}/five`, { users: ['nobody'] }], ['script', 'POST', `${G}/six`, { propertis: {} }], ['script', 'POST', `${G}/seven`, []],
  ['keeper', 'POST', `${G}/lab`, {}], ['keeper', 'POST', `${G}/new`, {}], ['idle', 'POST', `${G}/new`, {}],
  ['script', 'GET', `${G}/four`], ['script', 'GET', `${G}/five`],
  // People in and out
  ['script', 'POST', `${G}/three/users`, { users: ['ada', 'ben'] }], ['script', 'POST', `${G}/three/users`, { users: ['ben'] }],
  ['script', 'POST', `${G}/three/users`, { users: [] }], ['script', 'POST', `${G}/three/users`, {}], ['script', 'POST', `${G}/three/users`, { users: ['nobody'] }],
  ['script', 'POST', `${G}/three/users`, { people: [] }], ['script', 'POST', `${G}/three/users`, []], ['script', 'POST', `${G}/none/users`, { users: ['ada'] }],
  ['script', 'POST', `${G}/three/users`, { users: ['ADA'] }],
  ['script', 'DELETE', `${G}/three/users`, { users: ['ada', 'cleo'] }], ['script', 'DELETE', `${G}/three/users`, {}], ['script', 'DELETE', `${G}/three/users`, { users: ['nobody'] }],
  ['keeper', 'POST', `${G}/lab/users`, { users: ['cleo'] }], ['keeper', 'GET', 'hub/api/users/cleo'], ['keeper', 'DELETE', `${G}/lab/users`, { users: ['cleo'] }],
  ['keeper', 'GET', 'hub/api/users/cleo'], ['keeper', 'POST', `${G}/old/users`, { users: ['cleo'] }], ['keeper', 'DELETE', `${G}/three/users`, { users: ['ben'] }],
  ['namer', 'POST', `${G}/lab/users`, { users: ['cleo'] }], ['idle', 'DELETE', `${G}/lab/users`, { users: ['ada'] }],
  ['script', 'GET', `${G}/lab`], ['holder', 'POST', `${G}/lab/users`, { users: ['cleo'] }], ['holder', 'DELETE', `${G}/lab/users`, { users: ['cleo'] }],
  // What is noted
  ['script', 'PUT', `${G}/three/properties`, { a: [1, { b: null }] }], ['script', 'PUT', `${G}/three/properties`, []], ['script', 'PUT', `${G}/three/properties`, 'x'],
  ['script', 'PUT', `${G}/none/properties`, {}], ['keeper', 'PUT', `${G}/lab/properties`, { room: '13' }], ['keeper', 'PUT', `${G}/old/properties`, {}], ['namer', 'PUT', `${G}/lab/properties`, {}],
  ['script', 'GET', `${G}/three`],
  // Deleted
  ['keeper', 'DELETE', `${G}/lab`], ['namer', 'DELETE', `${G}/lab`], ['script', 'DELETE', `${G}/two`], ['script', 'DELETE', `${G}/two`], ['script', 'GET', `${G}/two`],
  // Services
  ['script', 'GET', S], ['keeper', 'GET', S], ['namer', 'GET', S], ['idle', 'GET', S], [null, 'GET', S],
  ...SERVICES.flatMap((name) => [[name, 'GET', `${S}/script`], [name, 'GET', `${S}/none`]]),
  ['script', 'POST', `${S}/script`, { display: false }], ['keeper', 'POST', `${S}/made`, { display: false }],
  ['script', 'POST', `${S}/made`, {}], ['script', 'POST', `${S}/made`, []], ['script', 'POST', `${S}/made`, { command: ['x'] }], ['script', 'POST', `${S}/made`, { colour: 1 }],
  ['script', 'POST', `${S}/made`, { admin: true }], ['script', 'POST', `${S}/made`, { admin: 'yes' }], ['script', 'POST', `${S}/made`, { oauth_client_allowed_scopes: ['shutdown'] }],
  ['script', 'POST', `${S}/made`, { oauth_client_id: 'mine' }], ['script', 'POST', `${S}/made`, { url: 'ftp://x' }],
  ['script', 'POST', `${S}/made`, { api_token: '{token}', info: { a: 1 }, oauth_client_allowed_scopes: ['read:users:name'] }],
  ['script', 'GET', `${S}/made`], ['script', 'POST', `${S}/made`, { display: false }], ['script', 'GET', S],
  ['keeper', 'DELETE', `${S}/made`], ['script', 'DELETE', `${S}/none`], ['script', 'DELETE', `${S}/keeper`], ['script', 'DELETE', `${S}/made`], ['script', 'GET', `${S}/made`],
  // Tokens with roles and scopes of one's own
  ['script', 'POST', 'hub/api/users/ben/tokens', { scopes: ['custom:grades:read!group=lab'] }], ['script', 'POST', 'hub/api/users/ben/tokens', { scopes: ['custom:grades:write'] }],
  ['script', 'POST', 'hub/api/users/ben/tokens', { scopes: ['custom:none:such'] }], ['script', 'POST', 'hub/api/users/ben/tokens', { scopes: ['groups!group=lab'] }],
  ['script', 'POST', 'hub/api/users/ben/tokens', { scopes: ['read:users!user=ada'] }], ['script', 'POST', 'hub/api/users/ben/tokens', { scopes: ['read:users!user=cleo'] }],
  ['script', 'POST', 'hub/api/users/ben/tokens', { roles: ['nobodys'] }], ['script', 'POST', 'hub/api/users/ben/tokens', { roles: ['scripts'] }],
];

const show = ([who, method, path, body]) => `${who ?? 'nobody'} ${method} ${path}${body === undefined ? '' : ` ${JSON.stringify(body)}`}`;

/** What is compared: not times, ids, secrets and words, nor the order of lists that have none. */
function normal(text) {
  if (!text.startsWith('{') && !text.startsWith('[')) return text.length > 0;
  const walk = (value, key) => {
    if (['created', 'last_activity', 'expires_at', 'id', 'token', 'token_id', 'message', 'note', 'user_info'].includes(key)) return '…';
    if (Array.isArray(value)) {
      const all = value.map((one) => walk(one));
      return ['users', 'scopes', 'roles', 'groups'].includes(key) ? all.sort() : all;
    }
    if (value && typeof value === 'object') return Object.fromEntries(Object.keys(value).sort().map((one) => [one, walk(value[one], one)]));
    return value;
  };
  return walk(JSON.parse(text));
}

test('groups, roles and services answer as in a JupyterHub', { timeout: 900_000, skip }, async (t) => {
  const step = tellIn(t);
  const secrets = Object.fromEntries(SERVICES.map((name) => [name, randomBytes(24).toString('hex')]));
  const services = SERVICES.map((name) => ({ name, api_token: secrets[name], display: name !== 'idle' }));
  const python = (value) => `__import__('json').loads(${JSON.stringify(JSON.stringify(value))})`;
  const theirs = await startJupyterHub({
    config: [...Object.entries(LOAD), ['services', services]].map(([key, value]) => `c.JupyterHub.${key} = ${python(value)}`).join('\n'),
  });
  t.after(() => theirs.end());
  const ours = await startLyceum();
  t.after(() => ours.stop());
  for (const name of SERVICES) await writeFile(join(ours.data, name), secrets[name]);
  const referred = services.map((service) => ({ ...service, api_token: `file:${service.name}` }));
  await ours.reconfigure(JSON.stringify({ ...LOAD, services: referred }));

  const ask = async (url, [who, method, path, body]) => {
    const json = body === undefined ? undefined : JSON.parse(JSON.stringify(body).replace('{token}', randomBytes(16).toString('hex')));
    const { status, text } = await new Client(url).send(method, path, { token: who && secrets[who], json });
    return { status, body: normal(text) };
  };
  const known = await readDifferences('Groups, roles and services');
  const unlike = [];
  await step('each request is answered alike', async () => {
    for (const request of REQUESTS) {
      const [there, here] = [await ask(theirs.url, request), await ask(ours.url, request)];
      // Of a refusal the status is what programs go by.
      const same = there.status === here.status && (there.status >= 400 || JSON.stringify(there.body) === JSON.stringify(here.body));
      if (!same && !known.covers(show(request), there.status, here.status)) unlike.push(`${show(request)}\n  JupyterHub ${JSON.stringify(there)}\n  Lyceum     ${JSON.stringify(here)}`);
    }
    assert.equal(unlike.length, 0, `\n${unlike.join('\n')}`);
    assert.deepEqual(known.unseen(), [], 'each difference is met');
  });
});
