import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { TlsMaterial } from '../../tls/tls-material.ts';
import { responseHead, startRogue } from '../../testing/rogue-peer.ts';
import { PeerAgents } from './peer-agents.ts';

const HTTP = new URL('http://10.0.0.1:5000');
const HTTPS = new URL('https://10.0.0.1:5000');
const times = { connectTimeout: 1_000, stallTimeout: 1_000 };

describe('PeerAgents', () => {
  it('uses one pool for plain HTTP, and two for TLS: large bodies and all others', async () => {
    const agents = new PeerAgents(times);
    assert.equal(agents.for(HTTP, 'peer', true), agents.for(HTTP, 'peer', false));
    assert.notEqual(agents.for(HTTPS, 'peer', true), agents.for(HTTPS, 'peer', false));
    assert.notEqual(agents.for(HTTPS, 'peer', true), agents.for(HTTP, 'peer', true));
    await agents.close();
  });

  it('uses new pools for TLS once the certificates are renewed', async () => {
    const listeners: ((material: TlsMaterial) => void)[] = [];
    const source = {
      current: {},
      onChange: (listener: (material: TlsMaterial) => void) => listeners.push(listener),
    };
    const agents = new PeerAgents({ ...times, tls: { source, serverName: '' } });
    const before = [
      agents.for(HTTP, 'peer', true),
      agents.for(HTTPS, 'peer', true),
      agents.for(HTTPS, 'peer', false),
    ];
    for (const renew of listeners) renew({});
    const now = [
      agents.for(HTTP, 'peer', true),
      agents.for(HTTPS, 'peer', true),
      agents.for(HTTPS, 'peer', false),
    ];
    assert.deepEqual(
      now.map((pool, index) => pool === before[index]),
      [true, false, false],
    );
    await agents.close();
  });

  const skip = process.env['PEERGLASS_TEST_TLS'] !== undefined;
  it('ends the requests in progress when it is closed', { skip }, async () => {
    await using peer = await startRogue((socket) => {
      socket.write(responseHead(200, { 'content-length': 10 }));
    });
    const agents = new PeerAgents(times);
    const url = new URL(peer.origin);
    const { body } = await agents
      .for(url, 'peer', true)
      .request({ origin: url.origin, path: '/', method: 'GET' });
    const failed = assert.rejects(body.text());
    await agents.close();
    await failed;
  });
});
