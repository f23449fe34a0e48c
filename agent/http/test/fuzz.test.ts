import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';

import { writeError } from '../error-answer.ts';
import { OciError } from '../../oci/errors.ts';
import { fuzzAsync } from '../../testing/fuzz/fuzz.ts';
import { parseResponses, received } from '../../testing/raw-http.ts';
import { HttpListener } from '../http-listener.ts';
import { MAX_HEADER_BYTES } from '../request-head.ts';

const CORPORA = join(import.meta.dirname, 'corpus');
/** For a head that does not end: the client says that nothing more comes, so it need not be waited for. */
const HEAD_MS = 2_000;
const DIGEST = `sha256:${'0123456789abcdef'.repeat(4)}`;

/** What one handler was called with. */
interface Seen {
  readonly url: string;
  readonly fields: readonly string[];
}

describe('what clients send to a listener', () => {
  let seen: Seen[] = [];
  let port: number;
  const listener = new HttpListener(
    { host: '127.0.0.1', port: 0 },
    '--x',
    ({ method, url = '', rawHeaders }, res) => {
      seen.push({ url, fields: rawHeaders });
      if (method === 'GET') res.writeHead(200, { 'content-length': 2 }).end('ok');
      else if (method === 'HEAD') res.writeHead(200, { 'content-length': 2 }).end();
      else writeError(res, new OciError('UNSUPPORTED', 'GET and HEAD only'));
      return Promise.resolve();
    },
    { headTimeout: HEAD_MS },
  );
  before(async () => {
    port = await listener.start();
  });
  after(() => listener.stop(0));

  /** Sends the bytes, and returns those that come until the listener has closed. */
  async function send(bytes: Uint8Array): Promise<string> {
    const socket = connect(port, '127.0.0.1');
    const answer = received(socket);
    socket.end(bytes);
    return await answer;
  }

  fuzzAsync(CORPORA, {
    name: 'request heads',
    seeds: [
      `GET /v2/library/alpine/manifests/3.20?ns=docker.io HTTP/1.1\r\nHost: a\r\nAccept: */*\r\n\r\n`,
      `HEAD /v2/team/app/blobs/${DIGEST} HTTP/1.1\r\nHost: a:5000\r\nRange: bytes=5-9\r\nConnection: close\r\n\r\n`,
      'GET / HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(3),
      'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello',
      'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n',
      'GET / HTTP/1.0\r\n\r\n',
      `GET / HTTP/1.1\r\nHost: a\r\nX: ${'a'.repeat(MAX_HEADER_BYTES)}\r\n\r\n`,
      'GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n',
      Buffer.from('16030100c8010000c40303', 'hex'),
      'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
    ],
    words: [
      '\r\n\r\n',
      '\r\n',
      '\n',
      ' HTTP/1.1',
      'Host: b\r\n',
      'Content-Length: 18446744073709551616\r\n',
      'Transfer-Encoding: chunked\r\n',
      'Transfer-Encoding: chunked, identity\r\n',
      'Connection: close\r\n',
      'Expect: 100-continue\r\n',
      'Signature: a=:AA==:\r\n',
      'http://a:b@c:1/',
      'CONNECT ',
      'ffffffffffffffff\r\n',
      '\0',
    ],
    errors: [],
    async parse(input) {
      seen = [];
      const answer = await send(input);
      const responses = parseResponses(answer);
      // What reaches a handler is one line, and no field has a part of another.
      for (const { url, fields } of seen) {
        assert.doesNotMatch(url, /[\r\n\0 ]/);
        for (const text of fields) assert.doesNotMatch(text, /[\r\n\0]/);
      }
      // An answer for each request at most, and one for what cannot be read.
      assert.ok(responses.length <= seen.length + 1, `${responses.length} of ${seen.length}`);
      // Inputs with other statuses, or in another order, are kept for more mutations.
      return Object.fromEntries(responses.map(({ status }, index) => [`${index}: ${status}`, '']));
    },
  });

  it('does not keep others from being served', async () => {
    const answer = await send(Buffer.from('GET / HTTP/1.1\r\nHost: a\r\n\r\n'));
    assert.deepEqual(
      parseResponses(answer).map(({ status }) => status),
      [200],
    );
  });
});
