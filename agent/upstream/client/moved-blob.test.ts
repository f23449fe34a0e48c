import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { ServerOptions } from 'node:https';
import { after, before, describe, it, mock, type TestContext } from 'node:test';

import { parseRange, resolveRange } from '../../oci/byte-range.ts';
import { Authority, noOpenssl } from '../../testing/certificates.ts';
import { sha256 } from '../../testing/image.ts';
import { TokenRegistry, type TokenRegistryInit } from '../../testing/token-registry.ts';
import { eventually } from '../../testing/eventually.ts';
import { byHttp, bytesOf, requestFor, upstreamTo } from '../../testing/upstream-fixture.ts';
import { upstreamMirror, type MovedAnswer } from '../../testing/upstream-mirror.ts';

/** Enough for the thread that hashes. */
const SIZE = 33 * 1024 * 1024;
const BYTES = randomBytes(SIZE);
const DIGEST = sha256(BYTES);
const signal = new AbortController().signal;

interface Stage {
  readonly registry: TokenRegistry;
  /** Bodies that the kernel has begun to move. */
  readonly moves: () => number;
  readonly ask: () => Promise<MovedAnswer>;
}

async function stage(
  t: TestContext,
  {
    isVerifiedByClient = false,
    timeout = 20_000,
    ca,
    ...init
  }: TokenRegistryInit & {
    /** File that the certificate of a registry by https is checked with. */
    readonly ca?: string | undefined;
    readonly isVerifiedByClient?: boolean;
    readonly timeout?: number;
  } = {},
): Promise<Stage> {
  const registry = await TokenRegistry.start(t, init);
  registry.addBlob(BYTES);
  const yaml = ca && `configs: { "${registry.name}": { tls: { ca_file: "${ca}" } } }`;
  const { source, dataPlane } = await upstreamTo(t, [byHttp(registry)], {
    ...{ isVerifiedByClient, timeout },
    ...(yaml !== undefined && { yaml }),
  });
  const kernel = dataPlane.kernel();
  assert.ok(kernel, 'the kernel can move bodies here');
  const spy = mock.method(kernel, 'splice');
  const mirror = await upstreamMirror(t, source);
  const request = requestFor(registry.name, 'a', { blob: DIGEST });
  return { registry, moves: () => spy.mock.callCount(), ask: () => mirror(request) };
}

/** Sends the asked part of these bytes up to an offset, then breaks off or falls silent. */
function until(end: number, how: 'break' | 'silence' | 'go on', bytes = BYTES) {
  return (req: IncomingMessage, res: ServerResponse): boolean => {
    const asked = parseRange(req.headers.range);
    const { start } = (asked && resolveRange(asked, SIZE)) ?? { start: 0 };
    const head = { 'Content-Length': SIZE - start };
    const range = { 'Content-Range': `bytes ${start}-${SIZE - 1}/${SIZE}` };
    if (asked === undefined) res.writeHead(200, head);
    else res.writeHead(206, { ...head, ...range });
    res.write(bytes.subarray(start, end), () => {
      if (how === 'break') res.destroy();
      if (how === 'go on') res.end();
    });
    return true;
  };
}

/** Answers of the registry, or its storage, one after the other; then its own. */
function answers(...all: readonly ReturnType<typeof until>[]) {
  const left = [...all];
  return (req: IncomingMessage, res: ServerResponse): boolean => left.shift()?.(req, res) ?? false;
}

for (const scheme of ['http', 'https'] as const) {
  const skip = scheme === 'https' && noOpenssl;
  describe(`a body that is moved to the client, by ${scheme}`, { skip }, () => {
    let authority: Authority | undefined;
    /** What the registry is started and asked with. */
    let secure: { tls?: ServerOptions; ca?: string } = {};
    before(async () => {
      if (scheme === 'http') return;
      authority = await Authority.create();
      const { cert, key } = await authority.issue('registry');
      const tls = { cert: await readFile(cert), key: await readFile(key) };
      secure = { tls, ca: authority.ca };
    });
    after(() => authority?.[Symbol.asyncDispose]());

    for (const isVerifiedByClient of [true, false]) {
      const what = isVerifiedByClient ? 'that the client verifies' : 'that is hashed';

      it(`arrives whole, ${what}, through token and redirect`, async (t) => {
        const { registry, moves, ask } = await stage(t, { ...secure, isVerifiedByClient });
        const { bytes, error } = await (await ask()).done;
        assert.equal(error, undefined);
        assert.ok(bytes.equals(BYTES));
        assert.equal(moves(), scheme === 'http' ? 1 : 0);
        const { authorization } = registry.seen.find(({ at }) => at === 'storage') ?? {};
        assert.equal(authorization, undefined);
      });

      it(`goes on at the byte where it broke off, ${what}, with a new address`, async (t) => {
        const { registry, moves, ask } = await stage(t, { ...secure, isVerifiedByClient });
        registry.faults.storage = answers(until(5_000_000, 'break'), until(9_000_000, 'break'));
        const { bytes, error } = await (await ask()).done;
        assert.equal(error, undefined);
        assert.ok(bytes.equals(BYTES));
        assert.equal(moves(), scheme === 'http' ? 3 : 0);
        assert.equal(registry.requests('storage').length, 3);
        const addresses = registry.requests('registry').length;
        assert.equal(addresses, 4, 'a challenge, and each time the address');
      });

      it(`goes on, ${what}, where the rest comes with all that was there before`, async (t) => {
        const init = { ...secure, scheme: 'none', redirects: false, isVerifiedByClient } as const;
        const { registry, ask } = await stage(t, init);
        const whole = (_req: IncomingMessage, res: ServerResponse): boolean => {
          res.writeHead(200, { 'Content-Length': SIZE }).end(BYTES);
          return true;
        };
        registry.faults.registry = answers(until(5_000_000, 'break'), whole);
        const { bytes, error } = await (await ask()).done;
        assert.equal(error, undefined);
        assert.ok(bytes.equals(BYTES));
      });
    }

    it('goes on after a silence', async (t) => {
      const init = { ...secure, scheme: 'none', redirects: false, timeout: 4_000 } as const;
      const { registry, ask } = await stage(t, init);
      registry.faults.registry = answers(until(5_000_000, 'silence'));
      const { bytes, error } = await (await ask()).done;
      assert.equal(error, undefined);
      assert.ok(bytes.equals(BYTES));
      assert.equal(registry.seen.length, 2);
    });

    for (const [where, offset] of [
      ['in the middle', SIZE / 2],
      ['at the end', SIZE - 1],
    ] as const) {
      it(`is not completed with a wrong byte ${where}, nor asked for again`, async (t) => {
        const wrong = Buffer.from(BYTES);
        wrong.writeUInt8(wrong.readUInt8(offset) ^ 1, offset);
        const { registry, ask } = await stage(t, { ...secure, scheme: 'none', redirects: false });
        registry.faults.registry = answers(until(SIZE, 'go on', wrong));
        const { bytes, error } = await (await ask()).done;
        assert.ok(bytes.length < SIZE, `${bytes.length} bytes`);
        assert.ok(error instanceof Error && 'reason' in error);
        assert.equal(error.reason, 'digest');
        assert.equal(registry.seen.length, 1);
      });
    }

    it('ends with the client', async (t) => {
      const { registry, ask } = await stage(t, { ...secure, scheme: 'none', redirects: false });
      let hasClosed = false;
      registry.faults.registry = (req, res) => {
        res.once('close', () => {
          hasClosed = true;
        });
        return until(5_000_000, 'silence')(req, res);
      };
      const { socket, done } = await ask();
      await eventually(() => {
        assert.ok(socket.bytesRead > 0);
      });
      socket.destroy();
      await done;
      await eventually(() => {
        assert.ok(hasClosed, 'the connection with the registry');
      });
      assert.equal(registry.seen.length, 1);
    });
  });
}

describe('a body by http that is read as a stream', () => {
  for (const dataPlane of ['auto', 'stream'] as const) {
    it(`is the same with the data plane ${dataPlane}`, async (t) => {
      const registry = await TokenRegistry.start(t);
      const blob = registry.addBlob(BYTES);
      const { source } = await upstreamTo(t, [byHttp(registry)], { dataPlane });
      registry.faults.storage = answers(until(5_000_000, 'break'));
      const content = await source.fetch(requestFor(registry.name, 'a', { blob }), signal);
      assert.ok((await bytesOf(content)).equals(BYTES));
      assert.equal(registry.requests('storage').length, 2);
    });
  }
});
