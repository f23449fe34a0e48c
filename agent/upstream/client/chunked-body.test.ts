import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { describe, it } from 'node:test';

import fc from 'fast-check';

import { PeerError } from '../../transfer/client/peer-error.ts';
import { ChunkedBody } from './chunked-body.ts';

/** The body of a connection that brings these parts. */
function bodyOf(parts: readonly (string | Buffer)[], { ends = true } = {}): ChunkedBody {
  const source = new PassThrough();
  const body = new ChunkedBody(source);
  for (const part of parts) source.write(part);
  if (ends) source.end();
  return body;
}

describe('ChunkedBody', () => {
  it('gives the content, whatever reads it arrives in, and needs no end of the connection', async () => {
    const chunks = fc.array(fc.uint8Array({ minLength: 1, maxLength: 300 }), { maxLength: 8 });
    const extension = fc.constantFrom('', ';a=b', ' ; x', ';"quoted"');
    const steps = fc.array(fc.integer({ min: 1, max: 64 }), { minLength: 1, maxLength: 20 });
    await fc.assert(
      fc.asyncProperty(chunks, extension, steps, async (contents, behind, sizes) => {
        const frames = contents.map((it) =>
          Buffer.concat([
            Buffer.from(`${it.length.toString(16)}${behind}\r\n`),
            it,
            Buffer.from('\r\n'),
          ]),
        );
        const bytes = Buffer.concat([...frames, Buffer.from(`0${behind}\r\ntrailer: x\r\n\r\n`)]);
        const parts: Buffer[] = [];
        for (let at = 0, turn = 0; at < bytes.length; turn += 1) {
          const next = at + (sizes[turn % sizes.length] ?? 1);
          parts.push(bytes.subarray(at, next));
          at = next;
        }
        assert.deepEqual(await buffer(bodyOf(parts, { ends: false })), Buffer.concat(contents));
      }),
      { numRuns: 200 },
    );
  });

  for (const text of [
    'hello\r\n',
    '5\nhello\r\n0\r\n',
    '5\r\nhello\n0\r\n',
    '5\r\nhelloo\r\n0\r\n',
    '5\r\nhello\r\n\r\n',
    '-5\r\nhello',
    '0x5\r\nhello',
    ' 5\r\nhello',
    '5\0\r\nhello',
    '+0\r\n',
    '\r\n0\r\n',
    'fffffffffffffffff\r\nhello',
    `5;${'e'.repeat(2_000)}\r\nhello\r\n0\r\n`,
    '0'.repeat(2_000),
  ]) {
    const shown = JSON.stringify(text.slice(0, 30));
    it(`refuses ${shown}, in one read and byte by byte`, async () => {
      for (const parts of [[text], text.split('')]) {
        await assert.rejects(buffer(bodyOf(parts, { ends: false })), { reason: 'protocol' });
      }
    });
  }

  it('has not ended where its connection ends before the last chunk', async () => {
    for (const text of ['', '5', '5\r\nhel', '5\r\nhello', '5\r\nhello\r\n', '5\r\nhello\r\n0']) {
      await assert.rejects(buffer(bodyOf([text])), { reason: 'body' }, JSON.stringify(text));
    }
  });

  it('fails with the reason of its connection, which ends with it', async () => {
    const source = new PassThrough();
    const failing = new ChunkedBody(source);
    source.destroy(new PeerError('timeout', 'silent'));
    await assert.rejects(buffer(failing), { reason: 'timeout' });
    const left = new PassThrough();
    new ChunkedBody(left).destroy();
    assert.ok(left.destroyed);
  });

  it('reads no more of its connection than its reader takes', async () => {
    const source = new PassThrough();
    const body = new ChunkedBody(source);
    const chunk = `10000\r\n${'a'.repeat(0x10000)}\r\n`;
    body.once('readable', () => undefined);
    let written = 0;
    while (source.write(chunk) || body.readableLength < 0x10000) {
      written += 1;
      assert.ok(written < 100, 'its bytes stay in the connection');
      await new Promise((resolve) => {
        setImmediate(resolve);
      });
    }
    assert.ok(body.readableLength <= 4 * 0x10000, `${body.readableLength} bytes`);
  });
});
