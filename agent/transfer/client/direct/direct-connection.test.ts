import assert from 'node:assert/strict';
import { buffer } from 'node:stream/consumers';
import { describe, it } from 'node:test';

import { eventually } from '../../../testing/eventually.ts';
import { responseHead, startRogue, type RoguePeer } from '../../../testing/rogue-peer.ts';
import { DirectConnection } from './direct-connection.ts';

const REQUEST = 'GET / HTTP/1.1\r\nHost: x\r\n\r\n';
const OK = `${responseHead(200, { 'content-length': 2 })}ok`;

function connect(peer: Pick<RoguePeer, 'origin'>, connectTimeout = 2_000) {
  const { hostname, port } = new URL(peer.origin);
  const events: string[] = [];
  const connection = new DirectConnection({
    host: hostname,
    port: Number(port),
    connectTimeout,
    stallTimeout: 2_000,
    firstByteTimeout: 2_000,
    onFree: () => events.push('free'),
    onClose: () => events.push('close'),
  });
  return { connection, events };
}

/** Plain HTTP also where the other tests use TLS: that is all that this connection speaks. */
const skip = process.env['PEERGLASS_TEST_TLS'] !== undefined;

describe('DirectConnection', { skip }, () => {
  it('is free for the next request after a complete response', async () => {
    await using peer = await startRogue((socket) => socket.write(OK));
    const { connection, events } = connect(peer);
    for (let count = 1; count <= 2; count += 1) {
      const { statusCode, body } = await connection.request(REQUEST);
      assert.equal(statusCode, 200);
      assert.equal((await buffer(body)).toString(), 'ok');
      assert.equal(connection.isReused, count > 1);
      assert.deepEqual(events, Array<string>(count).fill('free'));
    }
    connection.destroy();
    await eventually(() => {
      assert.equal(events.at(-1), 'close');
    });
  });

  for (const [why, head] of [
    ['the peer closes it', { 'content-length': 2, connection: 'close' }],
    ['the length is not stated', {}],
  ] as const) {
    it(`closes after the response when ${why}`, async () => {
      await using peer = await startRogue((socket) => socket.write(responseHead(200, head)));
      const { connection, events } = connect(peer);
      const { body } = await connection.request(REQUEST);
      body.destroy();
      await eventually(() => {
        assert.deepEqual(events, ['close']);
      });
    });
  }

  it('is silent until the first byte of an answer', async () => {
    await using peer = await startRogue((socket) => socket.destroy());
    const { connection } = connect(peer);
    await assert.rejects(connection.request(REQUEST), { reason: 'body' });
    assert.ok(connection.isSilent);
  });

  it('refuses a head of more than 16 KiB', async () => {
    await using peer = await startRogue((socket) => {
      socket.write(responseHead(200, { 'x-filler': 'a'.repeat(17_000) }));
    });
    const { connection } = connect(peer);
    await assert.rejects(connection.request(REQUEST), { reason: 'protocol' });
  });

  it('closes when the peer sends bytes without a request', async () => {
    await using peer = await startRogue((socket) => {
      socket.write(OK, () => setTimeout(() => socket.write('unsolicited'), 20));
    });
    const { connection, events } = connect(peer);
    await buffer((await connection.request(REQUEST)).body);
    connection.setIdle();
    await eventually(() => {
      assert.deepEqual(events, ['free', 'close']);
    });
  });

  it('reports the error of a refused connection', async () => {
    const peer = await startRogue(() => undefined);
    await peer[Symbol.asyncDispose]();
    await assert.rejects(connect(peer).connection.request(REQUEST), { code: 'ECONNREFUSED' });
  });
});
