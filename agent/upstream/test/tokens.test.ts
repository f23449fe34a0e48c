import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';

import type { ContentRequest } from '../../oci/content-request.ts';
import { eventually } from '../../testing/eventually.ts';
import { send, sendError, serve, TokenRegistry } from '../../testing/token-registry.ts';
import type { TokenServer } from '../auth/authorizer.ts';
import { byHttp, bytesOf, requestFor, upstreamTo } from '../../testing/upstream-fixture.ts';

const signal = new AbortController().signal;
const USER = { username: 'team', password: 'a:b' } as const;

function configs(registry: TokenRegistry, auth: string): string {
  return `configs: { "${registry.name}": { auth: ${auth} } }`;
}

async function configFile(t: TestContext, auths: unknown): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'peerglass-config-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const file = join(folder, 'config.json');
  await writeFile(file, JSON.stringify({ auths }));
  return file;
}

describe('authentication at a registry', () => {
  it('shows the credentials of registries.yaml to the token server, and the token to the registry', async (t) => {
    const registry = await TokenRegistry.start(t, { user: USER });
    const blob = registry.addBlob(randomBytes(1000));
    const yaml = configs(registry, '{ username: team, password: "a:b" }');
    const { source } = await upstreamTo(t, [byHttp(registry)], { yaml });
    await bytesOf(await source.fetch(requestFor(registry.name, 'team/app', { blob }), signal));
    const [token] = registry.seen.filter(({ at }) => at === 'token');
    assert.equal(token?.authorization, `Basic ${btoa('team:a:b')}`);
    assert.match(token.url, /service=test/);
    assert.match(token.url, /scope=repository%3Ateam%2Fapp%3Apull/);
    for (const { at, authorization = '' } of registry.seen) {
      if (at !== 'token') assert.ok(!authorization.startsWith('Basic'), at);
    }
  });

  it('gets a new token when one expires in the middle of an image, and asks with it again', async (t) => {
    const registry = await TokenRegistry.start(t);
    const blobs = [1, 2, 3].map((seed) => registry.addBlob(Buffer.alloc(1000, seed)));
    const { source } = await upstreamTo(t, [byHttp(registry)]);
    for (const blob of blobs) {
      await bytesOf(await source.fetch(requestFor(registry.name, 'a', { blob }), signal));
      registry.revokeTokens();
    }
    assert.equal(registry.requests('token').length, 3);
  });

  it('asks for one token for all requests of a repository at once, and for another one for each other repository', async (t) => {
    const registry = await TokenRegistry.start(t);
    const blobs = Array.from({ length: 12 }, (_, seed) =>
      registry.addBlob(Buffer.alloc(100, seed)),
    );
    const { source } = await upstreamTo(t, [byHttp(registry)]);
    const held = Promise.withResolvers<undefined>();
    registry.faults.token = (_req, res) => {
      void held.promise.then(() => {
        send(res, 200, 'application/json', Buffer.from('{}'));
      });
      return true;
    };
    const pulls = blobs.map((blob) =>
      source.fetch(requestFor(registry.name, 'a', { blob }), signal),
    );
    await eventually(() => {
      assert.equal(registry.requests('registry').length, 12);
    });
    assert.equal(registry.requests('token').length, 1);
    registry.faults = {};
    held.resolve(undefined);
    // All of them fail with it, and the next ones ask again.
    const results = await Promise.allSettled(pulls);
    assert.ok(results.every(({ status }) => status === 'rejected'));
    for (const repository of ['a', 'b']) {
      const [blob] = blobs;
      assert.ok(blob);
      await bytesOf(await source.fetch(requestFor(registry.name, repository, { blob }), signal));
    }
    assert.equal(registry.requests('token').length, 3);
  });

  it('takes access_token, a missing life, and a life of nothing', async (t) => {
    const registry = await TokenRegistry.start(t);
    const blob = registry.addBlob(Buffer.alloc(10));
    registry.expiresIn = undefined;
    const { source } = await upstreamTo(t, [byHttp(registry)]);
    await bytesOf(await source.fetch(requestFor(registry.name, 'a', { blob }), signal));
    registry.expiresIn = 0;
    registry.revokeTokens();
    await bytesOf(await source.fetch(requestFor(registry.name, 'a', { blob }), signal));
    await bytesOf(await source.fetch(requestFor(registry.name, 'a', { blob }), signal));
    assert.equal(registry.requests('token').length, 2, 'each is taken to hold for a minute');
  });

  it('uses Basic all the way where the registry wants that, and no credentials at storage', async (t) => {
    const registry = await TokenRegistry.start(t, { user: USER, scheme: 'basic' });
    const layer = randomBytes(1000);
    const blob = registry.addBlob(layer);
    const yaml = configs(registry, `{ auth: ${btoa('team:a:b')} }`);
    const { source } = await upstreamTo(t, [byHttp(registry)], { yaml });
    assert.deepEqual(
      await bytesOf(await source.fetch(requestFor(registry.name, 'a', { blob }), signal)),
      layer,
    );
    assert.deepEqual(registry.requests('token'), []);
  });

  it('gives up after one new try with wrong credentials, with the words of the registry', async (t) => {
    const registry = await TokenRegistry.start(t, { user: USER });
    const blob = registry.addBlob(Buffer.alloc(10));
    const yaml = configs(registry, '{ username: team, password: guessed }');
    const { source } = await upstreamTo(t, [byHttp(registry)], { yaml });
    await assert.rejects(source.fetch(requestFor(registry.name, 'a', { blob }), signal), {
      code: 'DENIED',
      message: /UNAUTHORIZED: incorrect username or password/,
    });
    assert.equal(registry.seen.length, 2);
    const basic = await TokenRegistry.start(t, { user: USER, scheme: 'basic' });
    const { source: other } = await upstreamTo(t, [byHttp(basic)], {
      yaml: configs(basic, '{ username: team, password: guessed }'),
    });
    await assert.rejects(other.fetch(requestFor(basic.name, 'a', { blob }), signal), {
      code: 'DENIED',
    });
    assert.equal(basic.seen.length, 2);
  });

  it('without credentials at a private registry fails with the reason', async (t) => {
    const registry = await TokenRegistry.start(t, { user: USER, scheme: 'basic' });
    const { source } = await upstreamTo(t, [byHttp(registry)]);
    await assert.rejects(source.fetch(requestFor(registry.name, 'a', { tag: '1' }), signal), {
      code: 'DENIED',
      message: /wants credentials/,
    });
  });

  it('posts a refresh token, and asks by GET where that is refused', async (t) => {
    const registry = await TokenRegistry.start(t, { user: USER });
    const blob = registry.addBlob(Buffer.alloc(10));
    const bodies: string[] = [];
    registry.faults.token = (req, res) => {
      if (req.method !== 'POST') return false;
      void (async () => {
        let body = '';
        for await (const chunk of req) body += String(chunk);
        bodies.push(body);
        sendError(res, 405, 'UNSUPPORTED', 'no');
      })();
      return true;
    };
    const credentialsFile = await configFile(t, {
      [registry.name]: { auth: btoa('team:a:b'), identitytoken: 'refresh-me' },
    });
    const { source } = await upstreamTo(t, [byHttp(registry)], { credentialsFile });
    await bytesOf(await source.fetch(requestFor(registry.name, 'a', { blob }), signal));
    assert.match(bodies[0] ?? '', /grant_type=refresh_token&refresh_token=refresh-me/);
    assert.deepEqual(registry.requests('token'), ['POST /token', 'GET /token']);
  });

  it('does not give credentials to a token server of another domain, which may be asked for an anonymous token', async (t) => {
    const registry = await TokenRegistry.start(t);
    const blob = registry.addBlob(Buffer.alloc(10));
    // `localhost` is another host than 127.0.0.1.
    registry.tokenOrigin = registry.tokenOrigin.replace('127.0.0.1', 'localhost');
    const yaml = configs(registry, '{ username: team, password: "a:b" }');
    const { source } = await upstreamTo(t, [byHttp(registry)], { yaml });
    await bytesOf(await source.fetch(requestFor(registry.name, 'a', { blob }), signal));
    const [token] = registry.seen.filter(({ at }) => at === 'token');
    assert.equal(token?.authorization, undefined);
    registry.faults.token = (_req, res) => {
      sendError(res, 401, 'UNAUTHORIZED', 'no');
      return true;
    };
    registry.revokeTokens();
    await assert.rejects(source.fetch(requestFor(registry.name, 'a', { blob }), signal), {
      message: /it got no credentials, as it is not of the domain of/,
    });
  });

  it('gives them to a token server of another domain that the options name, and to no other port or host', async (t) => {
    const registry = await TokenRegistry.start(t, { user: USER });
    const blob = registry.addBlob(Buffer.alloc(10));
    registry.tokenOrigin = registry.tokenOrigin.replace('127.0.0.1', 'localhost');
    const { host } = new URL(registry.tokenOrigin);
    const yaml = configs(registry, '{ username: team, password: "a:b" }');
    const fetchWith = async (...tokenServers: TokenServer[]): Promise<unknown> => {
      const { source } = await upstreamTo(t, [byHttp(registry)], { yaml, tokenServers });
      return bytesOf(await source.fetch(requestFor(registry.name, 'a', { blob }), signal));
    };
    await fetchWith({ registry: 'other.example', host }, { registry: registry.name, host });
    const credentials = `Basic ${btoa('team:a:b')}`;
    const shown = (): number =>
      registry.seen.filter(({ authorization }) => authorization === credentials).length;
    assert.equal(shown(), 1);
    for (const wrong of [
      { registry: registry.name, host: 'localhost' },
      { registry: registry.name, host: 'localhost:1' },
      { registry: registry.name, host: `a.${host}` },
      { registry: 'other.example', host },
    ]) {
      await assert.rejects(fetchWith(wrong), {
        code: 'DENIED',
        message: /--upstream-token-servers/,
      });
    }
    assert.equal(shown(), 1);
  });

  it('is left alone for the login that it limits, and asked for another one and for none', async (t) => {
    const registry = await TokenRegistry.start(t, { scheme: 'none' });
    const limited = `Basic ${btoa('team:a')}`;
    registry.faults.registry = (req, res) => {
      const { authorization } = req.headers;
      if (req.url?.includes('/team/') === true && authorization === undefined) {
        res.setHeader('WWW-Authenticate', 'Basic realm="test"');
        sendError(res, 401, 'UNAUTHORIZED', 'authentication required');
        return true;
      }
      if (authorization !== limited) return false;
      res.setHeader('Retry-After', '3600');
      sendError(res, 429, 'TOOMANYREQUESTS', 'too many pulls of this login');
      return true;
    };
    for (const repository of ['team/one', 'team/other/app', 'open']) {
      registry.addImage(repository, '1', []);
    }
    const credentialsFile = await configFile(t, {
      [`${registry.name}/team`]: { username: 'team', password: 'a' },
      [`${registry.name}/team/other`]: { username: 'other', password: 'b' },
    });
    const { source, mayFetch } = await upstreamTo(t, [byHttp(registry)], { credentialsFile });
    const [own, others, open] = ['team/one', 'team/other/app', 'open'].map((repository) =>
      requestFor(registry.name, repository, { tag: '1' }),
    ) as [ContentRequest, ContentRequest, ContentRequest];
    await assert.rejects(source.fetch(own, signal), { code: 'TOOMANYREQUESTS' });
    const asked = registry.seen.length;
    await assert.rejects(source.fetch(own, signal), { message: /too many pulls of this login/ });
    assert.equal(registry.seen.length, asked, 'it is left alone');
    assert.deepEqual([own, others, open].map(mayFetch), [false, true, true]);
    for (const request of [others, open]) await bytesOf(await source.fetch(request, signal));
  });

  it('shows the credentials of one registry to no other', async (t) => {
    const first = await TokenRegistry.start(t, { user: USER, scheme: 'basic' });
    const second = await TokenRegistry.start(t, { user: USER, scheme: 'basic' });
    const yaml = configs(first, '{ username: team, password: "a:b" }');
    const { source } = await upstreamTo(t, [byHttp(first), byHttp(second)], { yaml });
    await assert.rejects(source.fetch(requestFor(second.name, 'a', { tag: '1' }), signal));
    assert.ok(second.seen.every(({ authorization }) => authorization === undefined));
  });

  it('names a token server that answers with a page, with no token, with too much, or by a redirect', async (t) => {
    const registry = await TokenRegistry.start(t);
    const { source } = await upstreamTo(t, [byHttp(registry)]);
    const elsewhere = await serve(t, (_req, res) => {
      send(res, 200, 'application/json', Buffer.from('{"token":"stolen"}'));
    });
    for (const [answer, message] of [
      [{ type: 'text/html', body: '<html>' }, /HTML page/],
      [{ type: 'application/json', body: '{"access_token":"line\\nbreak"}' }, /no token/],
      [{ type: 'application/json', body: '[' }, /no JSON/],
      [{ type: 'application/json', body: `{"token":"${'x'.repeat(100_000)}"}` }, /no JSON/],
      [{ status: 302, type: 'text/plain', body: '' }, /answers 302/],
    ] as const) {
      registry.faults.token = (_req, res) => {
        res.setHeader('Location', elsewhere);
        send(res, 'status' in answer ? answer.status : 200, answer.type, Buffer.from(answer.body));
        return true;
      };
      await assert.rejects(source.fetch(requestFor(registry.name, 'a', { tag: '1' }), signal), {
        code: 'UNAVAILABLE',
        message,
      });
    }
  });

  it('uses changed credentials of config.json without a restart', async (t) => {
    const registry = await TokenRegistry.start(t, { user: USER, scheme: 'basic' });
    const { bytes } = registry.addImage('a', '1', []);
    const file = await configFile(t, { [registry.name]: { auth: btoa('team:of-before') } });
    const { source, credentials } = await upstreamTo(t, [byHttp(registry)], {
      credentialsFile: file,
    });
    const stop = new AbortController();
    const running = credentials.run(stop.signal);
    const fetchTag = async (): Promise<Buffer> =>
      bytesOf(await source.fetch(requestFor(registry.name, 'a', { tag: '1' }), signal));
    await assert.rejects(fetchTag(), { code: 'DENIED' });
    await writeFile(
      `${file}.new`,
      JSON.stringify({ auths: { [registry.name]: { auth: btoa('team:a:b') } } }),
    );
    await rename(`${file}.new`, file);
    await eventually(async () => {
      assert.deepEqual(await fetchTag(), bytes);
    });
    stop.abort();
    await running;
  });
});
