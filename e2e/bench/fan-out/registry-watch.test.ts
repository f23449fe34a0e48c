import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { bytesByPeer } from './registry-watch.ts';

const SOCKETS = `0      2896   [::ffff:10.214.0.2]:5000 [::ffff:10.214.0.3]:41234 cubic wscale:7,7 bytes_sent:900 bytes_acked:800 segs_out:9
0      0      10.214.0.2:5000 10.214.0.3:41236 cubic bytes_acked:50 segs_out:2
0      0      10.214.0.2:5000 10.214.0.4:41000 cubic segs_out:2
`;

describe('bytesByPeer', () => {
  it('adds what the connections of an address have acknowledged', () => {
    assert.deepEqual([...bytesByPeer(SOCKETS)], [['10.214.0.3', 850]]);
  });
});
