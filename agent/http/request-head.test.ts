import assert from 'node:assert/strict';
import type { Http2ServerRequest } from 'node:http2';
import { PassThrough } from 'node:stream';
import { describe, it } from 'node:test';

import {
  MAX_HEADER_BYTES,
  MAX_PIPELINED,
  isHandshake,
  isTooLarge,
  malformed,
  refuseFloods,
} from './request-head.ts';

const HEAD = 'GET / HTTP/1.1\r\nhost: a\r\n\r\n';

describe('refuseFloods', () => {
  const parsedOf = async (chunk: string): Promise<{ parsed: string; destroyed: boolean }> => {
    const socket = new PassThrough();
    let parsed = '';
    socket.on('data', (bytes: Buffer) => (parsed += bytes.toString()));
    refuseFloods(socket as never);
    socket.write(chunk);
    await new Promise(setImmediate);
    return { parsed, destroyed: socket.destroyed };
  };

  it('gives as many requests to the parser as may wait', async () => {
    const text = HEAD.repeat(MAX_PIPELINED + 1);
    assert.deepEqual(await parsedOf(text), { parsed: text, destroyed: false });
  });

  it('closes the connection when one chunk has more, and parses none of them', async () => {
    const text = HEAD.repeat(MAX_PIPELINED + 2);
    assert.deepEqual(await parsedOf(text), { parsed: '', destroyed: true });
  });
});

describe('isTooLarge', () => {
  it('compares the names and values of a head with the bound', () => {
    const head = (length: number): Http2ServerRequest =>
      ({ rawHeaders: ['x', 'a'.repeat(length - 1)] }) as unknown as Http2ServerRequest;
    assert.equal(isTooLarge(head(MAX_HEADER_BYTES)), false);
    assert.equal(isTooLarge(head(MAX_HEADER_BYTES + 1)), true);
  });
});

describe('malformed', () => {
  it('answers a head that is too large with 431, and anything else with 400', () => {
    const overflow = Object.assign(new Error('x'), { code: 'HPE_HEADER_OVERFLOW' });
    assert.equal(malformed(overflow).status, 431);
    assert.equal(malformed(new Error('x')).status, 400);
  });
});

describe('isHandshake', () => {
  it('recognizes the record of a TLS handshake by its type and version', () => {
    const errorOf = (...rawPacket: number[]): Error =>
      Object.assign(new Error('x'), { rawPacket: Buffer.from(rawPacket) });
    assert.equal(isHandshake(errorOf(22, 3, 1)), true);
    assert.equal(isHandshake(errorOf(22, 2)), false);
    assert.equal(isHandshake(errorOf(0x53, 0x53)), false);
    assert.equal(isHandshake(new Error('no packet')), false);
  });
});
