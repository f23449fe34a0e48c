import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { describe, it, type TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';

import type { Content, ContentSource } from '../../content/content-source.ts';
import { parseRange, resolveRange } from '../../oci/byte-range.ts';
import type { Digest } from '../../oci/digest.ts';
import { MEDIA_TYPE } from '../../oci/media-type.ts';
import { send, sendError, serve, TokenRegistry } from '../../testing/token-registry.ts';
import { byHttp, bytesOf, requestFor, upstreamTo } from '../../testing/upstream-fixture.ts';

const signal = new AbortController().signal;
const LAYER = randomBytes(1_000_000);
const BLOB = `sha256:${createHash('sha256').update(LAYER).digest('hex')}` as Digest;

/** A registry without tokens that has the layer itself, and whose first answers for it are these. */
async function registryWith(
  t: TestContext,
  faults: ((req: IncomingMessage, res: ServerResponse) => void)[],
  timeout = 20_000,
): Promise<{
  registry: TokenRegistry;
  fetchLayer: (start?: number) => Promise<Content | undefined>;
}> {
  const registry = await TokenRegistry.start(t, { scheme: 'none', redirects: false });
  registry.addBlob(LAYER);
  registry.faults.registry = (req, res) => {
    const fault = faults.shift();
    fault?.(req, res);
    return fault !== undefined;
  };
  const { source } = await upstreamTo(t, [byHttp(registry)], { timeout });
  return {
    registry,
    fetchLayer: (start) => {
      const range = start === undefined ? {} : ({ range: { kind: 'from', start } } as const);
      return source.fetch(requestFor(registry.name, 'a', { blob: BLOB }, range), signal);
    },
  };
}

/** Sends the asked part up to a byte of the layer, then breaks off or falls silent. */
function until(end: number, how: 'break' | 'silence') {
  return (req: IncomingMessage, res: ServerResponse): void => {
    const asked = parseRange(req.headers.range);
    const { start } = (asked && resolveRange(asked, LAYER.length)) ?? { start: 0 };
    const head = { 'Content-Length': LAYER.length - start };
    const range = `bytes ${start}-${LAYER.length - 1}/${LAYER.length}`;
    if (asked === undefined) res.writeHead(200, head);
    else res.writeHead(206, { ...head, 'Content-Range': range });
    res.write(LAYER.subarray(start, end), () => {
      if (how === 'break') res.destroy();
    });
  };
}

describe('a body of a registry', () => {
  it('goes on at the same byte after it broke off, however often that brings it on', async (t) => {
    const ends = [100_000, 100_001, 300_000, 500_000, 700_000, 900_000];
    const { registry, fetchLayer } = await registryWith(
      t,
      ends.map((end) => until(end, 'break')),
    );
    assert.deepEqual(await bytesOf(await fetchLayer()), LAYER);
    const ranges = registry.seen.map(({ range }) => range);
    assert.equal(ranges[0], undefined);
    for (const range of ranges.slice(1)) assert.match(range ?? '', /^bytes=\d+-999999$/);
    assert.equal(ranges.length, ends.length + 1);
  });

  it('goes on after a silence', async (t) => {
    const { fetchLayer } = await registryWith(t, [until(400_000, 'silence')], 4_000);
    assert.deepEqual(await bytesOf(await fetchLayer(100)), LAYER.subarray(100));
  });

  it('waits for a client that does not read for longer than a registry may be silent', async (t) => {
    const registry = await TokenRegistry.start(t, { scheme: 'none', redirects: false });
    const large = randomBytes(40_000_000);
    const blob = registry.addBlob(large);
    const { source } = await upstreamTo(t, [byHttp(registry)], { timeout: 4_000 });
    const content = await source.fetch(requestFor(registry.name, 'a', { blob }), signal);
    assert.equal(content?.kind, 'stream');
    const read: Uint8Array[] = [];
    for await (const chunk of content.body) {
      if (read.length === 3) await delay(6_000);
      read.push(chunk);
    }
    assert.ok(Buffer.concat(read).equals(large));
    assert.equal(registry.seen.length, 1, 'it was not asked again');
  });

  it('goes on through the registry, when the address of storage has expired', async (t) => {
    const registry = await TokenRegistry.start(t);
    registry.addBlob(LAYER);
    let answers = 0;
    registry.faults.storage = (req, res) => {
      answers += 1;
      if (answers > 1) return false;
      until(500_000, 'break')(req, res);
      return true;
    };
    const { source } = await upstreamTo(t, [byHttp(registry)]);
    const content = await source.fetch(requestFor(registry.name, 'a', { blob: BLOB }), signal);
    assert.deepEqual(await bytesOf(content), LAYER);
    assert.equal(registry.requests('storage').length, 2);
    assert.equal(registry.requests('registry').length, 3, 'a challenge, and each time the address');
  });

  it('ends when the registry always breaks off at the same byte', async (t) => {
    const { registry, fetchLayer } = await registryWith(
      t,
      Array.from({ length: 20 }, () => until(1000, 'break')),
    );
    await assert.rejects(bytesOf(await fetchLayer()), { code: 'ERR_UPSTREAM', reason: 'body' });
    assert.ok(registry.seen.length <= 6, String(registry.seen.length));
  });

  it('goes on with a registry that knows no ranges, which sends all of it again', async (t) => {
    const whole = (_req: IncomingMessage, res: ServerResponse): void => {
      send(res, 200, MEDIA_TYPE.binary, LAYER);
    };
    const { fetchLayer } = await registryWith(t, [until(600_000, 'break'), whole]);
    assert.deepEqual(await bytesOf(await fetchLayer()), LAYER);
    const { fetchLayer: fetchPart } = await registryWith(t, [whole]);
    assert.deepEqual(await bytesOf(await fetchPart(999_990)), LAYER.subarray(999_990));
  });

  it('ends when the rest has another size, or is refused', async (t) => {
    const shorter = (_req: IncomingMessage, res: ServerResponse): void => {
      send(res, 200, MEDIA_TYPE.binary, LAYER.subarray(1));
    };
    const gone = (_req: IncomingMessage, res: ServerResponse): void => {
      sendError(res, 404, 'BLOB_UNKNOWN', 'gone');
    };
    for (const [second, reason] of [
      [shorter, 'protocol'],
      [gone, 'not-found'],
    ] as const) {
      const { registry, fetchLayer } = await registryWith(t, [until(10, 'break'), second]);
      await assert.rejects(bytesOf(await fetchLayer()), { reason });
      assert.equal(registry.seen.length, 2);
    }
  });

  it('is refused when it is encoded, a page, or of another range', async (t) => {
    const answers: readonly (readonly [
      string,
      (req: IncomingMessage, res: ServerResponse) => void,
    ])[] = [
      [
        'encoded',
        (_req, res) => {
          res.setHeader('Content-Encoding', 'gzip');
          send(res, 200, MEDIA_TYPE.binary, gzipSync(LAYER));
        },
      ],
      [
        'HTML page',
        (_req, res) => {
          send(res, 200, 'text/html; charset=utf-8', Buffer.from('<html>please log in'));
        },
      ],
      [
        'another range',
        (_req, res) => {
          res.setHeader('Content-Range', `bytes 0-${LAYER.length - 1}/${LAYER.length}`);
          send(res, 206, MEDIA_TYPE.binary, LAYER);
        },
      ],
      [
        'no usable Content-Range',
        (_req, res) => {
          send(res, 206, MEDIA_TYPE.binary, LAYER);
        },
      ],
    ];
    for (const [what, answer] of answers) {
      const { fetchLayer } = await registryWith(t, [answer]);
      await assert.rejects(fetchLayer(100), { code: 'UNAVAILABLE', message: new RegExp(what) });
    }
  });
});

describe('a manifest of a registry', () => {
  it('is refused when it is wrong, a page, no manifest, or too large', async (t) => {
    const registry = await TokenRegistry.start(t, { scheme: 'none' });
    const { digest, bytes } = registry.addImage('a', '1', []);
    const { source } = await upstreamTo(t, [byHttp(registry)]);
    for (const [type, body, message] of [
      [MEDIA_TYPE.ociManifest, Buffer.from(`${bytes.toString()} `), /other bytes/],
      ['text/html', Buffer.from('<html>'), /HTML page/],
      [MEDIA_TYPE.ociManifest, Buffer.alloc(5 * 1024 * 1024, ' '), /too large/],
    ] as const) {
      registry.faults.registry = (_req, res) => {
        send(res, 200, type, body);
        return true;
      };
      await assert.rejects(
        source.fetch(requestFor(registry.name, 'a', { manifest: digest }), signal),
        {
          code: 'UNAVAILABLE',
          message,
        },
      );
    }
    registry.faults.registry = (_req, res) => {
      send(res, 200, MEDIA_TYPE.ociManifest, Buffer.from('{"message":"welcome"}'));
      return true;
    };
    await assert.rejects(source.fetch(requestFor(registry.name, 'a', { tag: '1' }), signal), {
      message: /no manifest/,
    });
  });
});

describe('a manifest of a registry in other forms', () => {
  for (const [what, answer, message] of [
    [
      'encoded',
      (res: ServerResponse, bytes: Buffer) => {
        res.setHeader('Content-Encoding', 'gzip');
        send(res, 200, MEDIA_TYPE.ociManifest, gzipSync(bytes));
      },
      /an encoded body/,
    ],
    [
      'shorter than it says',
      (res: ServerResponse, bytes: Buffer) => {
        res.writeHead(200, { 'Content-Length': bytes.length + 10 });
        res.write(bytes, () => res.destroy());
      },
      /the connection broke/,
    ],
    [
      'a part of it',
      (res: ServerResponse, bytes: Buffer) => {
        res.setHeader('Content-Range', `bytes 0-9/${bytes.length}`);
        send(res, 206, MEDIA_TYPE.ociManifest, bytes.subarray(0, 10));
      },
      /with a part/,
    ],
  ] as const) {
    it(`is refused when it is ${what}`, async (t) => {
      const registry = await TokenRegistry.start(t, { scheme: 'none' });
      const { bytes } = registry.addImage('a', '1', []);
      registry.faults.registry = (_req, res) => {
        answer(res, bytes);
        return true;
      };
      const { source } = await upstreamTo(t, [byHttp(registry)]);
      const request = requestFor(registry.name, 'a', { tag: '1' });
      await assert.rejects(source.fetch(request, signal), { code: 'UNAVAILABLE', message });
    });
  }

  it('is taken in chunks', async (t) => {
    const registry = await TokenRegistry.start(t, { scheme: 'none' });
    const { bytes } = registry.addImage('a', '1', []);
    registry.faults.registry = (_req, res) => {
      res.writeHead(200, { 'Content-Type': MEDIA_TYPE.ociManifest });
      res.write(bytes.subarray(0, 10));
      res.end(bytes.subarray(10));
      return true;
    };
    const { source } = await upstreamTo(t, [byHttp(registry)]);
    const content = await source.fetch(requestFor(registry.name, 'a', { tag: '1' }), signal);
    assert.deepEqual(await bytesOf(content), bytes);
  });
});

describe('a redirect of a registry', () => {
  const redirecting = async (
    t: TestContext,
    location: (origin: string) => string,
  ): Promise<Promise<unknown>> => {
    const registry = await TokenRegistry.start(t, { scheme: 'none' });
    registry.faults.registry = (_req, res) => {
      res.writeHead(307, { Location: location(registry.origin) }).end();
      return true;
    };
    const { source } = await upstreamTo(t, [byHttp(registry)], { timeout: 5_000 });
    return source.fetch(requestFor(registry.name, 'a', { blob: BLOB }), signal);
  };

  for (const [what, location, message] of [
    ['to a file', () => 'file:///etc/passwd', /redirects by file:/],
    ['to the metadata of a cloud', () => 'http://169.254.169.254/latest', /is not asked/],
    [
      'to a private address, of a registry that is not there',
      () => 'http://10.0.0.1/',
      /is not asked/,
    ],
    ['to an address inside of IPv6', () => 'http://[::ffff:10.0.0.1]/', /is not asked/],
    ['with a password', () => 'http://u:p@127.0.0.1:1/', /with a password/],
    ['in a loop', (origin: string) => `${origin}/v2/a/blobs/${BLOB}`, /in a loop/],
    ['without end', (origin: string) => `${origin}/${String(Math.random())}`, /more than 5 times/],
    ['to nowhere', () => 'http://[', /to no address/],
  ] as const) {
    it(`${what} is not followed`, async (t) => {
      await assert.rejects(redirecting(t, location), { code: 'UNAVAILABLE', message });
    });
  }
});

describe('a registry', () => {
  const manifestOf = (source: ContentSource, name: string, tag = '1'): Promise<unknown> =>
    source.fetch(requestFor(name, 'a', { tag }), signal);

  it('that limits is left alone for as long as it asks for, with the same words; its blobs are asked for', async (t) => {
    const registry = await TokenRegistry.start(t, { scheme: 'none' });
    registry.addBlob(LAYER);
    const { source } = await upstreamTo(t, [byHttp(registry)]);
    registry.faults.registry = (req, res) => {
      if (req.url?.includes('/blobs/') === true) return false;
      res.setHeader('Retry-After', '3600');
      sendError(res, 429, 'TOOMANYREQUESTS', 'You have reached your pull rate limit.');
      return true;
    };
    for (const tag of ['1', '2', '3']) {
      await assert.rejects(manifestOf(source, registry.name, tag), {
        code: 'TOOMANYREQUESTS',
        status: 503,
        message: /answers 429: TOOMANYREQUESTS: You have reached your pull rate limit/,
      });
    }
    assert.equal(registry.seen.length, 1);
    const content = await source.fetch(requestFor(registry.name, 'a', { blob: BLOB }), signal);
    assert.deepEqual(await bytesOf(content), LAYER);
  });

  it('that limits says how much is left', async (t) => {
    const registry = await TokenRegistry.start(t, { scheme: 'none' });
    registry.addImage('a', '1', []);
    registry.faults.registry = (_req, res) => {
      res.setHeader('RateLimit-Remaining', '76;w=21600');
      return false;
    };
    const { source, metrics } = await upstreamTo(t, [byHttp(registry)]);
    await manifestOf(source, registry.name);
    const { values } = await metrics.upstreamRemaining.get();
    assert.deepEqual(values, [{ value: 76, labels: { registry: registry.name } }]);
  });

  it('that is down fails with the reason, at once for those that ask next', async (t) => {
    const origin = 'http://127.0.0.1:1';
    const { source } = await upstreamTo(t, [byHttp({ origin }), { registry: 'no-such.invalid' }]);
    for (let asked = 0; asked < 3; asked += 1) {
      await assert.rejects(manifestOf(source, '127.0.0.1:1'), {
        code: 'UNAVAILABLE',
        message: /no connection \(ECONNREFUSED\)/,
      });
    }
    await assert.rejects(manifestOf(source, 'no-such.invalid'), {
      message: /no connection \((?:ENOTFOUND|EAI_AGAIN)\)/,
    });
  });

  it('that never answers fails in bounded time', async (t) => {
    const origin = await serve(t, () => undefined);
    const { source } = await upstreamTo(t, [byHttp({ origin })], { timeout: 500 });
    await assert.rejects(manifestOf(source, new URL(origin).host), {
      code: 'UNAVAILABLE',
      message: /no answer in 500 ms/,
    });
  });

  it('that fails tells its reason, in bounded length and in printable characters', async (t) => {
    const registry = await TokenRegistry.start(t, { scheme: 'none' });
    const { source } = await upstreamTo(t, [byHttp(registry)]);
    for (const [status, code, message, expected] of [
      [500, 'UNKNOWN', 'a\u001b[31m\nb', /answers 500: UNKNOWN: a \[31m b$/],
      [403, 'DENIED', 'x'.repeat(1000), /^.{0,50}.*x{100,200}\.\.\.$/],
      [
        404,
        'MANIFEST_UNKNOWN',
        'manifest unknown',
        /answers 404: MANIFEST_UNKNOWN: manifest unknown$/,
      ],
    ] as const) {
      registry.faults.registry = (_req, res) => {
        sendError(res, status, code, message);
        return true;
      };
      await assert.rejects(manifestOf(source, registry.name), { message: expected });
    }
  });

  it('is not asked any more when the client has left', async (t) => {
    const origin = await serve(t, () => undefined);
    const { source } = await upstreamTo(t, [byHttp({ origin })]);
    const left = new AbortController();
    const name = new URL(origin).host;
    const fetching = source.fetch(requestFor(name, 'a', { blob: BLOB }), left.signal);
    left.abort(new Error('left'));
    await assert.rejects(fetching, /left/);
  });
});
