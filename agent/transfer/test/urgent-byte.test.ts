import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';

import { DataPlane } from '../../native/data-plane.ts';
import { openLibc } from '../../native/foreign.ts';
import { socketDescriptor } from '../../native/kernel.ts';
import { sha256 } from '../../testing/image.ts';
import { FixedRouter, providerOf, startMirror } from '../../testing/mirror-node.ts';
import { quiet } from '../../testing/quiet.ts';
import { responseHead, startRogue } from '../../testing/rogue-peer.ts';

const SIZE = 8_000_000;
const FIRST = 1_000;
const CUT = 1_000_000;
/** From sys/socket.h. */
const MSG_OOB = 1;

const bytes = randomBytes(SIZE);

/** The head of the answer to a request for all bytes from an offset on. */
function headFrom(start: number): string {
  return responseHead(206, {
    'content-length': SIZE - start,
    'content-range': `bytes ${start}-${SIZE - 1}/${SIZE}`,
  });
}

describe('a peer that marks a byte of a body as urgent', () => {
  it('counts as silent, since splice(2) stops there, and another peer delivers the rest', async () => {
    const send = openLibc().find('int64_t send(int fd, void *bytes, size_t length, int flags)');
    await using rogue = await startRogue((socket) => {
      socket.write(headFrom(FIRST));
      socket.write(bytes.subarray(FIRST, CUT), () => {
        assert.equal(send(socketDescriptor(socket), Buffer.from('!'), 1, MSG_OOB), 1);
        // With bytes behind the urgent one, the connection stays readable for ever.
        socket.write(bytes.subarray(CUT, 2 * CUT));
      });
    });
    await using holder = await startRogue((socket, request) => {
      const start = Number(/range: bytes=(\d+)-/i.exec(request)?.[1]);
      socket.write(headFrom(start));
      socket.write(bytes.subarray(start));
    });
    const router = new FixedRouter(providerOf('rogue', rogue), providerOf('holder', holder));
    const dataPlane = new DataPlane({ logger: quiet });
    await using node = await startMirror({ router, dataPlane, stallTimeout: 300 });
    const response = await fetch(`${node.origin}/v2/team/app/blobs/${sha256(bytes)}`, {
      headers: { range: `bytes=${FIRST}-` },
      signal: AbortSignal.timeout(20_000), // without the bound on silence it would never end
    });
    assert.equal(response.status, 206);
    assert.ok(bytes.subarray(FIRST).equals(Buffer.from(await response.arrayBuffer())));
    assert.equal(rogue.requests.length, 1);
    assert.match(holder.requests[0] ?? '', new RegExp(`range: bytes=${CUT}-`));
  });
});
