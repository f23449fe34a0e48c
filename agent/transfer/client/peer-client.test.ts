import assert from 'node:assert/strict';
import { buffer } from 'node:stream/consumers';
import { describe, it } from 'node:test';

import type { ContentRequest } from '../../oci/content-request.ts';
import { NotThereError } from '../../routing/node/not-there-error.ts';
import { eventually } from '../../testing/eventually.ts';
import { sha256 } from '../../testing/image.ts';
import { responseHead, startRogue } from '../../testing/rogue-peer.ts';
import { testTls } from '../../testing/test-tls.ts';
import { PeerClient, type PeerClientInit } from './peer-client.ts';
import { PeerError } from './peer-error.ts';

const bytes = Buffer.from('the content');
const never = new AbortController().signal;
const request: ContentRequest = {
  kind: 'blob',
  method: 'GET',
  registry: 'registry.example',
  repository: 'team/app',
  digest: sha256(bytes),
};
const head = responseHead(200, { 'content-length': bytes.length });

function startClient(init: Partial<PeerClientInit> = {}): PeerClient & AsyncDisposable {
  const client = new PeerClient({ userAgent: 'test/1', ...(testTls && { tls: testTls }), ...init });
  return Object.assign(client, { [Symbol.asyncDispose]: () => client.close() });
}

describe('PeerClient', () => {
  it('marks its requests, and returns an answer whose body has begun', async () => {
    await using peer = await startRogue((socket) => socket.write(`${head}${bytes.toString()}`));
    await using client = startClient();
    const response = await client.fetch(
      { origin: peer.origin, peerId: 'peer' },
      request,
      undefined,
      never,
    );
    assert.ok((await buffer(response.body)).equals(bytes));
    assert.equal(response.descriptor.size, bytes.length);
    const [text = ''] = peer.requests;
    assert.match(text, /^GET \/v2\/team\/app\/blobs\/sha256:\w+\?ns=registry\.example HTTP/);
    assert.match(text, /^x-spegel-mirrored: true\r$/im);
    assert.match(text, /^user-agent: test\/1\r$/im);
    assert.doesNotMatch(text, /^range:/im);
  });

  for (const [isOther, reason] of [
    [true, 'identity'],
    [false, 'connect'],
  ] as const) {
    it(`sends nothing where ${isOther ? 'another peer is' : 'the peer was not found'}`, async () => {
      await using peer = await startRogue((socket) => socket.write(`${head}${bytes.toString()}`));
      const confirm = () => Promise.reject(new NotThereError('not there', isOther));
      await using client = startClient({ confirm });
      const to = { origin: peer.origin, peerId: 'peer' };
      await assert.rejects(client.fetch(to, request, undefined, never), { reason });
      assert.deepEqual(peer.requests, []);
    });
  }

  it('waits for the proof that the peer is there, within the time for an answer', async () => {
    await using peer = await startRogue((socket) => socket.write(`${head}${bytes.toString()}`));
    let prove = (): void => undefined;
    const proof = new Promise<void>((resolve) => {
      prove = resolve;
    });
    await using client = startClient({ confirm: () => proof });
    const to = { origin: peer.origin, peerId: 'peer' };
    await assert.rejects(client.fetch(to, request, 20, never), { reason: 'timeout' });
    assert.deepEqual(peer.requests, []);
    prove();
    const { body } = await client.fetch(to, request, undefined, never);
    assert.ok((await buffer(body)).equals(bytes));
  });

  it('sends a range with GET, and none with HEAD', async () => {
    await using peer = await startRogue((socket, text) => {
      if (text.startsWith('HEAD')) socket.write(head);
      else {
        const headers = { 'content-length': 4, 'content-range': `bytes 0-3/${bytes.length}` };
        socket.write(`${responseHead(206, headers)}the `);
      }
    });
    await using client = startClient();
    const range = { kind: 'between', start: 0, end: 3 } as const;
    const part = await client.fetch(
      { origin: peer.origin, peerId: 'peer' },
      { ...request, range },
      undefined,
      never,
    );
    assert.equal((await buffer(part.body)).toString(), 'the ');
    await client.fetch(
      { origin: peer.origin, peerId: 'peer' },
      { ...request, range, method: 'HEAD' },
      undefined,
      never,
    );
    assert.match(peer.requests[0] ?? '', /^range: bytes=0-3\r$/im);
    assert.doesNotMatch(peer.requests[1] ?? '', /^range:/im);
  });

  for (const [what, behaviour] of [
    ['an answer', ''],
    ['the first byte of the body', head],
  ] as const) {
    it(`gives up a peer that accepts the connection and does not send ${what}`, async () => {
      await using peer = await startRogue((socket) => socket.write(behaviour));
      await using client = startClient({ headTimeout: 60_000 });
      await assert.rejects(
        client.fetch({ origin: peer.origin, peerId: 'peer' }, request, 50, never),
        { reason: 'timeout' },
      );
      await eventually(() => {
        assert.equal(peer.open, 0, 'its connection is closed');
      });
    });
  }

  it('fails with the reason of its signal', async () => {
    await using peer = await startRogue(() => undefined);
    await using client = startClient();
    const leaving = new AbortController();
    const fetching = client.fetch(
      { origin: peer.origin, peerId: 'peer' },
      request,
      undefined,
      leaving.signal,
    );
    const failed = assert.rejects(fetching, { message: 'the client has left' });
    await eventually(() => {
      assert.equal(peer.requests.length, 1);
    });
    leaving.abort(new Error('the client has left'));
    await failed;
  });

  it('keeps the report of a refusal, and the connection', async () => {
    await using peer = await startRogue((socket) => {
      const headers = { 'content-length': 2, 'retry-after': 1, 'x-peerglass-load': '3/3' };
      socket.write(`${responseHead(503, headers)}no`);
    });
    await using client = startClient();
    for (let count = 0; count < 2; count += 1) {
      const failure: unknown = await client
        .fetch({ origin: peer.origin, peerId: 'peer' }, request, undefined, never)
        .catch((error: unknown) => error);
      assert.ok(failure instanceof PeerError && failure.reason === 'busy');
      assert.deepEqual(failure.report?.load, { uploads: 3, max: 3 });
      // The rest of an error is read after it is reported.
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    assert.equal(peer.accepted, 1);
  });

  it('closes the connection of an error whose body does not end', async () => {
    await using peer = await startRogue((socket) => {
      socket.write(responseHead(500, { 'content-length': 1_000_000 }));
      socket.write(Buffer.alloc(100_000));
    });
    await using client = startClient();
    await assert.rejects(
      client.fetch({ origin: peer.origin, peerId: 'peer' }, request, undefined, never),
      {
        reason: 'status',
      },
    );
    await eventually(() => {
      assert.equal(peer.open, 0);
    });
  });

  it('reports a peer that nothing listens for as connect', async () => {
    const peer = await startRogue(() => undefined);
    await peer[Symbol.asyncDispose]();
    await using client = startClient();
    await assert.rejects(
      client.fetch({ origin: peer.origin, peerId: 'peer' }, request, undefined, never),
      {
        reason: 'connect',
      },
    );
  });
});
