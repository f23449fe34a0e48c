import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';

import fc from 'fast-check';

import { parseRange, resolveRange } from '../../oci/byte-range.ts';
import { eventually } from '../../testing/eventually.ts';
import { makeImage, putImage } from '../../testing/image.ts';
import { startMirror, type MirrorNode } from '../../testing/mirror-node.ts';
import {
  connectTo,
  exchange,
  parseResponses,
  received,
  type RawResponse,
} from '../../testing/raw-http.ts';
import { testTls } from '../../testing/test-tls.ts';
import { HttpListener } from '../../http/http-listener.ts';

const NAME = 'registry.example/team/app:1.0';
const image = makeImage(2_000);
const [layer = image.manifest.digest] = image.layers;
const layerText = (image.blobs.get(layer) ?? Buffer.alloc(0)).toString('latin1');
const manifestText = (image.blobs.get(image.manifest.digest) ?? Buffer.alloc(0)).toString('latin1');

/** The statuses of all answers: no request may lead to a server error, and none to 408 or 429. */
const STATUSES: ReadonlySet<number> = new Set([200, 206, 400, 404, 405, 416, 431]);

/** Sent last: a server that is still listening answers it and closes the connection. */
const LAST = 'GET /v2/ HTTP/1.1\r\nhost: last\r\nconnection: close\r\n\r\n';

/** Exchanges at once in one run of a property: a head that never ends waits for its timeout. */
const AT_ONCE = 25;

/** A request in bytes as they go over the wire. */
interface Shape {
  readonly method: string;
  readonly target: string;
  readonly version: string;
  readonly headers: readonly (readonly [string, string])[];
  readonly eol: string;
  readonly body: string;
}

const junk = fc.oneof(
  { weight: 4, arbitrary: fc.string({ unit: 'binary-ascii', maxLength: 40 }) },
  { weight: 8, arbitrary: fc.string({ maxLength: 40 }) },
  {
    weight: 4,
    arbitrary: fc.constantFrom(
      '',
      ' ',
      '\0',
      '\r',
      '\n',
      '\r\n',
      '\t',
      '%00',
      '%',
      '%ff',
      '..',
      '\x7f',
      '\xff',
    ),
  },
  { weight: 1, arbitrary: fc.constant('a'.repeat(40_000)) },
);
const method = fc.oneof(
  { weight: 20, arbitrary: fc.constantFrom('GET', 'HEAD') },
  {
    weight: 2,
    arbitrary: fc.constantFrom('POST', 'PUT', 'OPTIONS', 'CONNECT', 'TRACE', 'get', 'PRI', 'M-GET'),
  },
  { weight: 1, arbitrary: junk },
);
const segment = fc.oneof(
  fc.constantFrom('v2', 'team', 'app', 'manifests', 'blobs', '1.0', layer, image.manifest.digest),
  fc.constantFrom('registry.example', '%2e%2e', '..', '.', 'a%2Fb', 'sha256:', 'sha512:00', 'A'),
  junk,
);
const query = fc.oneof(
  fc.constantFrom('', '?ns=registry.example', '?ns=', '?', '?ns=a&ns=b', '?ns=[::1]:1', '?ns=%00'),
  junk.map((text) => `?ns=${text}`),
);
const good = fc.constantFrom(
  `/v2/team/app/blobs/${layer}`,
  `/v2/team/app/manifests/${image.manifest.digest}`,
  '/v2/team/app/manifests/1.0?ns=registry.example',
  '/v2/',
);
const path = fc.oneof(
  { weight: 2, arbitrary: good },
  {
    weight: 1,
    arbitrary: fc
      .tuple(fc.array(segment, { maxLength: 7 }), query)
      .map(([segments, text]) => `/${segments.join('/')}${text}`),
  },
);
const target = fc.oneof(
  { weight: 6, arbitrary: path },
  { weight: 1, arbitrary: fc.tuple(junk, path).map(([host, it]) => `http://${host}${it}`) },
  { weight: 1, arbitrary: fc.constantFrom('*', 'host:80', '//evil/v2/', 'ftp://a/', '?', '#') },
  { weight: 1, arbitrary: junk },
);
const range = fc.oneof(
  fc.tuple(fc.nat(3000), fc.nat(3000)).map(([from, to]) => `bytes=${from}-${to}`),
  fc.nat(3000).map((from) => `bytes=${from}-`),
  fc.nat(3000).map((length) => `bytes=-${length}`),
  fc.constantFrom('bytes=', 'bytes=-', 'bytes=0-0,5-6', 'bytes=99999999999999999999-', 'lines=1-2'),
  junk,
);
const framing = fc.constantFrom<(readonly [string, string])[]>(
  ['content-length', '0'],
  ['content-length', '5'],
  ['content-length', '-1'],
  ['content-length', '5, 5'],
  ['content-length', '99999999999999999999'],
  ['content-length', '0x5'],
  ['transfer-encoding', 'chunked'],
  ['transfer-encoding', 'chunked, identity'],
  ['transfer-encoding', 'xchunked'],
  ['transfer-encoding ', 'chunked'],
  ['transfer-encoding', '\r\n chunked'],
  ['Transfer-Encoding', '\x0bchunked'],
  ['expect', '100-continue'],
  ['expect', 'tea'],
  ['upgrade', 'h2c'],
  ['connection', 'upgrade'],
  ['connection', 'close'],
  ['connection', 'keep-alive, close, host'],
  ['te', 'trailers'],
  ['host', 'again'],
);
const named = fc.oneof(
  range.map((value) => ['range', value] as const),
  junk.map((value) => ['oci-namespace', value] as const),
  fc.constantFrom('true', 'false').map((value) => ['x-spegel-mirrored', value] as const),
);
const header = fc.oneof(
  { weight: 8, arbitrary: named },
  { weight: 2, arbitrary: framing },
  { weight: 1, arbitrary: fc.tuple(junk, junk) },
);
const shape: fc.Arbitrary<Shape> = fc.record({
  method,
  target,
  version: fc.oneof(
    { weight: 20, arbitrary: fc.constant('HTTP/1.1') },
    { weight: 1, arbitrary: fc.constantFrom('HTTP/1.0', 'HTTP/2.0', 'HTTP/0.9', 'http/1.1', '') },
  ),
  headers: fc.array(header, { maxLength: 3 }),
  eol: fc.oneof(
    { weight: 20, arbitrary: fc.constant('\r\n') },
    { weight: 1, arbitrary: fc.constantFrom('\n', '\r', '\r\n ', '\r\r\n') },
  ),
  body: fc.oneof(fc.constant(''), fc.constantFrom('5\r\nabcde\r\n0\r\n\r\n', 'abcde', LAST), junk),
});

function toText({ method, target, version, headers, eol, body }: Shape): string {
  const lines = headers.map(([name, value]) => `${name}: ${value}${eol}`).join('');
  return `${method} ${target} ${version}${eol}host: mirror${eol}${lines}${eol}${body}`;
}

const get = (path: string, ...headers: string[]): string =>
  `${[`GET ${path} HTTP/1.1`, 'host: mirror', ...headers].join('\r\n')}\r\n\r\n`;

/** Asserts that each answer is the right content, or an error in the form of the specification. */
function assertAnswers(responses: readonly RawResponse[]): void {
  for (const { status, headers, body } of responses) {
    assert.ok(STATUSES.has(status), `status ${status}`);
    if (status >= 400 && body !== '') {
      const { errors } = JSON.parse(body) as { errors: { code: string; message: string }[] };
      assert.match(errors[0]?.code ?? '', /^[A-Z_]+$/);
    } else if (status === 200 && body !== '') {
      assert.ok(['{}', layerText, manifestText].includes(body));
    } else if (status === 206) {
      const [, from, to] = /^bytes (\d+)-(\d+)\//.exec(headers.get('content-range') ?? '') ?? [];
      const part = [layerText, manifestText].map((it) => it.slice(Number(from), Number(to) + 1));
      assert.ok(part.includes(body));
    }
  }
}

describe('a hostile client', { timeout: 240_000 }, () => {
  let node: MirrorNode;
  const rejections: unknown[] = [];
  const onRejection = (reason: unknown): void => {
    rejections.push(reason);
  };
  before(async () => {
    process.on('unhandledRejection', onRejection);
    // It bounds the handshake too, and many handshakes at once take long.
    const headTimeout = testTls === undefined ? 300 : 3_000;
    node = await startMirror({ listener: { headTimeout, connectionsPerAddress: 200 } });
    putImage(node.store, image, NAME);
  });
  after(async () => {
    await node[Symbol.asyncDispose]();
    process.off('unhandledRejection', onRejection);
    assert.deepEqual(rejections, []);
  });

  /** Asserts that the mirror still answers other clients. */
  async function assertServes(): Promise<void> {
    const response = await fetch(`${node.origin}/v2/team/app/blobs/${layer}`);
    assert.equal(response.status, 200);
    assert.equal(Buffer.from(await response.arrayBuffer()).toString('latin1'), layerText);
  }

  it('gets well-formed answers or none, whatever it sends', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(shape, { minLength: AT_ONCE, maxLength: AT_ONCE }),
        async (shapes) => {
          const texts = shapes.map((it) => toText(it));
          const answers = await Promise.all(texts.map((it) => exchange(node.origin, it, LAST)));
          for (const answer of answers) assertAnswers(parseResponses(answer));
          await assertServes();
        },
      ),
      { numRuns: 40, interruptAfterTimeLimit: 60_000 },
    );
  });

  it('gets the bytes that its range names, or an error when there are none', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(range, { minLength: 20, maxLength: 20 }), async (ranges) => {
        const ask = async (text: string): Promise<void> => {
          const request = get(`/v2/team/app/blobs/${layer}`, `range: ${text}`, 'connection: close');
          const [response] = parseResponses(await exchange(node.origin, request));
          if (response === undefined || response.status === 400 || response.status === 431) return;
          const asked = parseRange(text.trim());
          const part = asked && resolveRange(asked, layerText.length);
          if (asked === undefined) assert.equal(response.body, layerText);
          else if (part === undefined) assert.equal(response.status, 416);
          else assert.equal(response.body, layerText.slice(part.start, part.end + 1));
        };
        await Promise.all(ranges.map(ask));
      }),
      { numRuns: 20 },
    );
  });

  it('gets no second answer to one request, however it declares the length', async () => {
    const smuggled = get('/v2/team/app/manifests/smuggled?ns=registry.example');
    const chunk = `${smuggled.length.toString(16)}\r\n${smuggled}\r\n0\r\n\r\n`;
    const shapes: Record<string, string> = {
      'CL.TE': get('/v2/', 'content-length: 4', 'transfer-encoding: chunked') + chunk,
      'TE.CL': get('/v2/', 'transfer-encoding: chunked', 'content-length: 4') + chunk,
      'a chunk': get('/v2/', 'transfer-encoding: chunked') + chunk,
      'behind chunks': get('/v2/', 'transfer-encoding: chunked') + '0\r\n\r\n' + smuggled,
      'behind a body': get('/v2/', 'content-length: 1') + 'a' + smuggled,
      'two lengths': get('/v2/', 'content-length: 0', 'content-length: 4') + smuggled,
      'a list of lengths': get('/v2/', 'content-length: 0, 4') + smuggled,
      'a sign': get('/v2/', 'content-length: +0') + smuggled,
      'a length too long': get('/v2/', `content-length: ${'9'.repeat(30)}`) + smuggled,
      'a blank before the colon': get('/v2/', 'content-length : 4') + smuggled,
      'a folded line': get('/v2/', 'transfer-encoding:\r\n chunked') + chunk,
      'a bare CR': get('/v2/', 'x: a\rcontent-length: 4') + smuggled,
      'a bare LF': get('/v2/', 'x: a\ncontent-length: 400') + smuggled,
      'a zero byte': get('/v2/', 'x: a\0', 'content-length: 4') + smuggled,
      'an unknown coding': get('/v2/', 'transfer-encoding: xchunked') + chunk,
      'chunked is not last': get('/v2/', 'transfer-encoding: chunked, gzip') + chunk,
      'chunked twice': get('/v2/', 'transfer-encoding: chunked', 'transfer-encoding: a') + chunk,
      'a chunk of no number':
        get('/v2/', 'transfer-encoding: chunked') + 'zz\r\n' + smuggled + '\r\n0\r\n\r\n',
      'a chunk too large':
        get('/v2/', 'transfer-encoding: chunked') + 'fffffffffffffffff\r\n' + smuggled,
      'an expectation': get('/v2/', 'expect: 100-continue', 'content-length: 4') + smuggled,
      'a protocol':
        get('/v2/', 'connection: upgrade', 'upgrade: h2c', 'content-length: 1') + smuggled,
    };
    for (const [name, text] of Object.entries(shapes)) {
      const responses = parseResponses(await exchange(node.origin, text, LAST));
      assert.equal(responses.length, 1, `${name}: ${responses.map(({ status }) => status).join()}`);
      assertAnswers(responses);
    }
    await assertServes();
  });

  it('gets an answer or an error for the other forms of a request target', async () => {
    const ask = async (line: string): Promise<RawResponse | undefined> => {
      const text = `${line} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n`;
      return parseResponses(await exchange(node.origin, text))[0];
    };
    assert.equal((await ask(`GET http://x:1/v2/team/app/blobs/${layer}`))?.body, layerText);
    assert.equal((await ask('GET http://x'))?.status, 404);
    assert.equal((await ask('GET x:80'))?.status, 400);
    assert.equal((await ask('GET *'))?.status, 400);
    assert.equal((await ask('OPTIONS *'))?.status, 405);
    assert.equal(await ask('CONNECT x:80'), undefined);
    assert.equal((await ask('GET ftp://x/v2/'))?.status, 400);
  });

  it('gets errors in the form of the specification, also for requests that the HTTP parser refuses', async () => {
    const codes = async (text: string): Promise<unknown> => {
      const [response] = parseResponses(await exchange(node.origin, text));
      const body = JSON.parse(response?.body ?? '') as { errors: { code: string }[] };
      return [response?.status, body.errors[0]?.code];
    };
    assert.deepEqual(await codes('SSH-2.0-x\r\n\r\n'), [400, 'REQUEST_INVALID']);
    assert.deepEqual(await codes('GET /v2/ HTTP/1.1\r\n\r\n'), [400, 'REQUEST_INVALID']);
    const large = get('/v2/', `x: ${'a'.repeat(20_000)}`);
    assert.deepEqual(await codes(large), [431, 'REQUEST_TOO_LARGE']);
    const text = await exchange(node.origin, get('/v2/', 'expect: tea', 'connection: close'));
    assert.equal(parseResponses(text)[0]?.status, 200);
    const body = get('/v2/', 'expect: 100-continue', 'content-length: 5');
    assert.ok(!(await exchange(node.origin, body)).includes(' 100 '), 'no body is asked for');
  });

  it('does not get an error into the middle of another answer', async () => {
    const large = makeImage(20_000_000);
    const [digest = layer] = large.layers;
    putImage(node.store, large);
    const socket = await connectTo(node.origin);
    socket.write(get(`/v2/team/app/blobs/${digest}`));
    await once(socket, 'readable');
    socket.write('GARBAGE\r\n\r\n');
    const responses = parseResponses(await received(socket));
    assert.equal(responses.length, 1);
    assert.equal(responses[0]?.body, large.blobs.get(digest)?.toString('latin1'));
  });

  it('cannot make the mirror work on answers after it has left', async () => {
    const asked: string[] = [];
    const listener = new HttpListener({ host: '127.0.0.1', port: 0 }, '--x', async (req, res) => {
      asked.push(req.url ?? '');
      await delay(20);
      res.end('{}');
    });
    const origin = `http://127.0.0.1:${await listener.start()}`;
    const first = get('/first', 'content-length: 1');
    const responses = parseResponses(await exchange(origin, `${first}a${get('/second')}`));
    assert.equal(responses.length, 1);
    await listener.stop(0);
    assert.deepEqual(asked, ['/first']);
  });

  it('is cut off after 16 KiB of a head of 1 MiB', async () => {
    const line = `x-${'a'.repeat(1000)}: ${'b'.repeat(1000)}\r\n`;
    const heads = [
      `GET /v2/ HTTP/1.1\r\nhost: a\r\n${line.repeat(512)}\r\n`,
      `GET /v2/${'a'.repeat(1 << 20)} HTTP/1.1\r\nhost: a\r\n\r\n`,
      'G'.repeat(1 << 20),
      `GET /v2/ HTTP/1.1\r\nhost: a\r\n${'a: b\r\n'.repeat(200_000)}\r\n`,
      `${get('/v2/', 'transfer-encoding: chunked')}0\r\n${line.repeat(512)}\r\n`,
      `${get('/v2/', 'transfer-encoding: chunked')}1;${'e'.repeat(1 << 20)}\r\na\r\n0\r\n\r\n`,
    ];
    await Promise.all(
      heads.map(async (head) => {
        assertAnswers(parseResponses(await exchange(node.origin, head)));
      }),
    );
    await assertServes();
  });

  it('is closed when it sends head or body slowly, and does not delay other clients', async () => {
    const drips = [
      'GET /v2/ HTTP/1.1\r\nhost: a\r\nx: ',
      get('/v2/', 'content-length: 9'),
      '',
      'G',
    ];
    const sockets = await Promise.all(
      Array.from({ length: 40 }, async (_, index) => {
        const socket = await connectTo(node.origin);
        const drip = setInterval(() => socket.write('a'), 20);
        socket.on('close', () => {
          clearInterval(drip);
        });
        const start = drips[index % drips.length] ?? '';
        if (start !== '') socket.write(start);
        return { socket, answer: received(socket) };
      }),
    );
    await assertServes();
    for (const { answer } of sockets) assertAnswers(parseResponses(await answer));
  });

  it('cannot open more connections than the bound, which are free again when it leaves', async () => {
    // Another node, because connections of earlier tests may still be open to the first one.
    await using alone = await startMirror({ listener: { connectionsPerAddress: 50 } });
    const sockets: Socket[] = [];
    for (let index = 0; index < 50; index++) {
      const socket = await connectTo(alone.origin);
      sockets.push(socket);
      socket.write(get('/v2/'));
      assert.match(String((await once(socket, 'data'))[0]), /^HTTP\/1.1 200 /);
    }
    assert.equal(await exchange(alone.origin, get('/v2/')), '');
    for (const socket of sockets) socket.destroy();
    await eventually(async () => {
      assert.match(await exchange(alone.origin, get('/v2/', 'connection: close')), / 200 /);
    });
  });
});
