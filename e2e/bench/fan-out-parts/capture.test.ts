import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { arrivedAt, bodiesOf, readSegments, type Segment } from './capture.ts';

const HEAD = 'HTTP/1.1 200 OK\r\nContent-Length: 300\r\n\r\n';
const FLOW = '10.0.0.1:5000 10.0.0.2:40000';

function segment(at: number, sequence: number, length: number, text = ''): Segment {
  const payload = Buffer.from(text, 'latin1');
  return { at, from: '10.0.0.1', flow: FLOW, sequence, length, payload };
}

/** A packet as tcpdump writes it, with its payload cut off behind 20 bytes. */
function record(seconds: number, nanoseconds: number, sequence: number, payload: Buffer): Buffer {
  const packet = Buffer.alloc(14 + 20 + 20);
  packet.writeUInt16BE(0x0800, 12);
  packet.writeUInt8(0x45, 14);
  packet.writeUInt16BE(40 + payload.length, 16);
  packet.writeUInt8(6, 23);
  packet.set([10, 0, 0, 1], 26);
  packet.set([10, 0, 0, 2], 30);
  packet.writeUInt16BE(5000, 34);
  packet.writeUInt16BE(40_000, 36);
  packet.writeUInt32BE(sequence, 38);
  packet.writeUInt8(5 << 4, 46);
  const captured = Buffer.concat([packet, payload.subarray(0, 20)]);
  const head = Buffer.alloc(16);
  head.writeUInt32LE(seconds, 0);
  head.writeUInt32LE(nanoseconds, 4);
  head.writeUInt32LE(captured.length, 8);
  head.writeUInt32LE(packet.length + payload.length, 12);
  return Buffer.concat([head, captured]);
}

describe('a capture of bodies', () => {
  it('reads segments, and leaves other packets out', () => {
    const file = Buffer.alloc(24);
    file.writeUInt32LE(0xa1b23c4d, 0);
    const other = record(1, 0, 0, Buffer.alloc(0));
    other.writeUInt16BE(0x0806, 16 + 12);
    const segments = readSegments(
      Buffer.concat([file, other, record(2, 500_000, 77, Buffer.alloc(1000, 'a'))]),
    );
    assert.equal(segments.length, 1);
    const [{ payload, ...rest } = segment(0, 0, 0)] = segments;
    assert.deepEqual(rest, {
      at: 2000.5,
      from: '10.0.0.1',
      flow: FLOW,
      sequence: 77,
      length: 1000,
    });
    assert.equal(payload.toString(), 'a'.repeat(20));
    assert.throws(() => readSegments(Buffer.alloc(24)), /no capture/);
  });

  it('tells since when a byte was there, with segments late, twice and beyond the last sequence', () => {
    const first = 2 ** 32 - HEAD.length - 50;
    const [body, ...more] = bodiesOf(
      [
        segment(1, first, HEAD.length, HEAD),
        segment(2, 2 ** 32 - 50, 100),
        segment(3, 150, 100),
        segment(4, 2 ** 32 - 50, 100),
        segment(5, 50, 100),
      ],
      300,
    );
    assert.deepEqual(more, []);
    assert.equal(body?.headAt, 1);
    assert.deepEqual(body.steps, [
      [2, 100],
      [5, 300],
    ]);
    assert.deepEqual(
      [1, 100, 101, 300, 301].map((offset) => arrivedAt(body, offset)),
      [2, 2, 5, 5, undefined],
    );
  });

  it('takes the bodies of the content only, also those that begin in the middle', () => {
    const part = 'HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 100-299/300\r\n\r\n';
    const other = 'HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nabcdefg';
    const bodies = bodiesOf(
      [
        segment(1, 1000, other.length, other),
        segment(2, 2000, part.length + 10, `${part}0123456789`),
        segment(3, 2000 + part.length + 10, 190),
        segment(4, 3000, other.length, other),
        segment(5, 3000 + other.length, 100),
      ],
      300,
    );
    assert.deepEqual(
      bodies.map(({ start, steps }) => ({ start, steps })),
      [
        {
          start: 100,
          steps: [
            [2, 110],
            [3, 300],
          ],
        },
      ],
    );
  });
});
