import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { pause } from '../../timing/pause.ts';
import { sha256 } from '../../testing/image.ts';
import { responseHead, startRogue } from '../../testing/rogue-peer.ts';
import { byHttp, bytesOf, requestFor, upstreamTo } from '../../testing/upstream-fixture.ts';

const BYTES = Buffer.from('the bytes of a blob');
const ANSWER = `${responseHead(200, { 'content-length': BYTES.length })}${String(BYTES)}`;
const { signal } = new AbortController();

describe('RegistryClient', () => {
  for (const how of ['destroy', 'end'] as const) {
    it(`asks for a blob once more where the connection ends before the answer (${how})`, async (t) => {
      let answers = 0;
      await using registry = await startRogue((socket) => {
        answers += 1;
        if (answers > 1) socket.write(ANSWER);
        else if (how === 'end') socket.end();
        else socket.resetAndDestroy();
      });
      const { source } = await upstreamTo(t, [byHttp(registry)]);
      const name = new URL(registry.origin).host;
      const request = requestFor(name, 'a', { blob: sha256(BYTES) });
      assert.ok((await bytesOf(await source.fetch(request, signal))).equals(BYTES));
      assert.equal(answers, 2);
    });
  }

  it('has no more connections than its bound for requests that begin together', async (t) => {
    await using registry = await startRogue((socket, text) => {
      // Only the first one is answered, so that all others find the connections of the registry made.
      if (text.includes('/first/')) socket.write(ANSWER);
    });
    const { source } = await upstreamTo(t, [byHttp(registry)]);
    const name = new URL(registry.origin).host;
    await source.fetch(requestFor(name, 'first', { blob: sha256(BYTES) }), signal);
    const ends = new AbortController();
    const asking = Array.from({ length: 200 }, () =>
      source.fetch(requestFor(name, 'a', { blob: sha256(BYTES) }), ends.signal),
    );
    for (let before = -1; registry.accepted !== before;) {
      before = registry.accepted;
      await pause(200, signal);
    }
    ends.abort(new Error('enough'));
    const results = await Promise.allSettled(asking);
    assert.ok(results.every(({ status }) => status === 'rejected'));
    assert.ok(registry.accepted >= 64 && registry.accepted <= 128, `${registry.accepted}`);
  });
});
