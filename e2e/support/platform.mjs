// A learning platform that speaks LTI 1.3 and 1.1, on an origin of its own: pages with a link to the tool, also
// with a frame, the log-in that the link begins, and what people pick for links. It refuses what a strict one
// refuses.

import assert from 'node:assert/strict';
import { createHmac, createPublicKey, createSign, createVerify, generateKeyPairSync, randomUUID } from 'node:crypto';
import { createServer } from 'node:http';

export const TOOL = '10000000000003';
export const DEPLOYMENT = '1';
const CLAIM = 'https://purl.imsglobal.org/spec/lti/claim/';
const DL = 'https://purl.imsglobal.org/spec/lti-dl/claim/';
const MEMBERSHIP = 'http://purl.imsglobal.org/vocab/lis/v2/membership';

/** `people`: by their marks, each with `name`, `username` and `roles` (`Learner`, `Instructor`). */
export async function startPlatform({ people }) {
  const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const jwk = { ...publicKey.export({ format: 'jwk' }), kid: 'first', use: 'sig', alg: 'RS256' };
  const nonces = new Set();
  const platform = { people, begin: '', keys: '', old: {}, redirectUris: [], refused: [], picked: [], context: { id: '42', label: 'BIO-101', title: 'Biology' } };

  const sign = (claims) => {
    const coded = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
    const text = `${coded({ alg: 'RS256', kid: 'first', typ: 'JWT' })}.${coded(claims)}`;
    return `${text}.${createSign('RSA-SHA256').update(text).sign(privateKey, 'base64url')}`;
  };
  const launch = (mark, nonce, target, pick) => {
    const person = people[mark];
    const now = Math.floor(Date.now() / 1000);
    const kind = pick ? {
      [`${CLAIM}message_type`]: 'LtiDeepLinkingRequest',
      [`${DL}deep_linking_settings`]: {
        deep_link_return_url: `${platform.issuer}/picked`, data: `of ${mark}`,
        accept_types: ['ltiResourceLink'], accept_presentation_document_targets: ['iframe', 'window'],
      },
    } : {
      [`${CLAIM}message_type`]: 'LtiResourceLinkRequest',
      [`${CLAIM}target_link_uri`]: target,
      [`${CLAIM}resource_link`]: { id: 'link 1' },
    };
    return {
      ...kind,
      iss: platform.issuer, aud: TOOL, sub: mark, nonce, iat: now, exp: now + 60, name: person.name,
      [`${CLAIM}version`]: '1.3.0',
      [`${CLAIM}deployment_id`]: DEPLOYMENT,
      [`${CLAIM}context`]: platform.context,
      [`${CLAIM}roles`]: person.roles.map((role) => `${MEMBERSHIP}#${role}`),
      [`${CLAIM}ext`]: { user_username: person.username },
    };
  };
  const ofTool = async (token) => {
    const [head, claims, signature] = token.split('.');
    const read = (part) => JSON.parse(Buffer.from(part, 'base64url').toString());
    assert.equal(read(head).alg, 'RS256');
    const { keys } = await (await fetch(platform.keys)).json();
    const key = createPublicKey({ key: keys.find(({ kid }) => kid === read(head).kid), format: 'jwk' });
    assert.ok(createVerify('RSA-SHA256').update(`${head}.${claims}`).verify(key, signature, 'base64url'), 'signature');
    return read(claims);
  };
  // By RFC 5849, section 3.4.
  const signed = (to, fields, { key, secret }) => {
    const all = {
      ...fields, oauth_version: '1.0', oauth_signature_method: 'HMAC-SHA1', oauth_consumer_key: key,
      oauth_nonce: randomUUID(), oauth_timestamp: String(Math.floor(Date.now() / 1000)),
    };
    const code = (text) => encodeURIComponent(text).replace(/[!'()*]/g, (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`);
    const pairs = Object.entries(all).map(([name, value]) => `${code(name)}=${code(value)}`).sort();
    const text = ['POST', to, pairs.join('&')].map(code).join('&');
    return { ...all, oauth_signature: createHmac('sha1', `${code(secret)}&`).update(text).digest('base64') };
  };
  const escaped = (text) => text.replaceAll('&', '&amp;').replaceAll('"', '&quot;').replaceAll('<', '&lt;');
  const form = (action, fields, more = '') => `<form method="post" action="${escaped(action)}" ${more}>${Object.entries(fields)
    .map(([name, value]) => `<input type="hidden" name="${name}" value="${escaped(value)}">`).join('')}<button>Notebooks</button></form>`;

  const routes = {
    '/lms/keys': () => ({ json: { keys: [jwk] } }),
    // A course with its link; `frame`: the tool is shown inside the page.
    '/lms/course': (query) => {
      const target = query.get('target');
      const hint = { mark: query.get('who'), target, pick: query.get('pick') };
      const fields = { iss: platform.issuer, login_hint: hint.mark, target_link_uri: target, lti_message_hint: JSON.stringify(hint), client_id: TOOL, lti_deployment_id: DEPLOYMENT };
      const framed = query.get('frame') ? '<iframe name="tool" title="Tool" width="600" height="400"></iframe>' : '';
      return { html: `<h1>Biology</h1>${form(platform.begin, fields, framed && 'target="tool"')}${framed}` };
    },
    '/lms/auth': (query) => {
      const names = [...query.keys()];
      assert.equal(new Set(names).size, names.length, 'a parameter is said twice');
      const wanted = { scope: 'openid', response_type: 'id_token', response_mode: 'form_post', prompt: 'none', client_id: TOOL };
      for (const [name, value] of Object.entries(wanted)) assert.equal(query.get(name), value, name);
      const back = query.get('redirect_uri');
      assert.ok(platform.redirectUris.includes(back), `${back} is not registered`);
      const { mark, target, pick } = JSON.parse(query.get('lti_message_hint'));
      assert.equal(query.get('login_hint'), mark);
      const [state, nonce] = [query.get('state'), query.get('nonce')];
      assert.ok(state && nonce && !nonces.has(nonce), 'state or nonce');
      nonces.add(nonce);
      const fields = { state, id_token: sign(launch(mark, nonce, target, pick)) };
      return { html: `${form(back, fields)}<script>document.forms[0].requestSubmit()</script>` };
    },
    // What somebody has picked, as her browser brings it.
    '/lms/picked': async (_, posted) => {
      const said = await ofTool(posted.get('JWT'));
      const now = Date.now() / 1000;
      assert.deepEqual([said.iss, said.aud], [TOOL, [platform.issuer]]);
      assert.ok(said.iat <= now + 5 && said.exp > now && said.exp < now + 301 && !nonces.has(said.nonce), 'not for now');
      nonces.add(said.nonce);
      assert.equal(said[`${CLAIM}message_type`], 'LtiDeepLinkingResponse');
      assert.equal(said[`${CLAIM}version`], '1.3.0');
      assert.equal(said[`${CLAIM}deployment_id`], DEPLOYMENT);
      const items = said[`${DL}content_items`];
      platform.picked.push({ data: said[`${DL}data`], items });
      return { html: `<h1>Added ${escaped(items[0].title)}</h1>` };
    },
    // The course at a time when there was no LTI 1.3.
    '/lms/old': (query) => {
      const mark = query.get('who');
      const person = people[mark];
      const fields = {
        lti_message_type: 'basic-lti-launch-request', lti_version: 'LTI-1p0', resource_link_id: 'link 1', user_id: mark,
        context_id: platform.context.id, roles: person.roles.join(','), lis_person_name_full: person.name,
        custom_login: `old-${person.username}`, custom_next: query.get('next'),
      };
      return { html: `<h1>Biology</h1>${form(platform.old.to, signed(platform.old.to, fields, platform.old))}` };
    },
  };
  const server = createServer(async (request, response) => {
    const url = new URL(request.url, platform.issuer);
    let answer = { status: 404, html: 'nothing here' };
    try {
      let body = '';
      for await (const piece of request) body += piece;
      answer = await routes[url.pathname]?.(url.searchParams, new URLSearchParams(body)) ?? answer;
    } catch (error) {
      platform.refused.push(error.message);
      answer = { status: 400, html: `refused: ${escaped(error.message)}` };
    }
    const type = answer.json ? 'application/json' : 'text/html; charset=utf-8';
    response.writeHead(answer.status ?? 200, { 'content-type': type, 'cache-control': 'no-store' });
    response.end(answer.json ? JSON.stringify(answer.json) : `<!doctype html><html lang="en"><title>Platform ${randomUUID().slice(0, 4)}</title>${answer.html}`);
  });
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  platform.issuer = `http://127.0.0.1:${server.address().port}/lms`;
  /** The page of a course as somebody sees it who is logged in there. */
  platform.course = (who, target, more = {}) => `${platform.issuer}/course?${new URLSearchParams({ who, target, ...more })}`;
  platform.close = () => new Promise((done) => {
    server.close(done);
    server.closeAllConnections();
  });
  return platform;
}
