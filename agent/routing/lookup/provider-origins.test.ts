import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { multiaddr } from '@multiformats/multiaddr';

import { UNROUTABLE_ADDRESSES } from '../../testing/unroutable-addresses.ts';
import { endpointOf, providerFromPeer } from './provider-origins.ts';
import type { ProviderFromPeerOptions } from './provider-origins.ts';
import { leadsToNode } from '../node/announced-addresses.ts';

function origins(
  multiaddrs: string[],
  options: Partial<ProviderFromPeerOptions> = {},
): readonly string[] | undefined {
  return providerFromPeer(
    { peerId: 'a', multiaddrs: multiaddrs.map((text) => multiaddr(text)) },
    { registryPort: 5000, allows: (socket) => leadsToNode(socket, false), ...options },
  )?.origins;
}

describe('providerFromPeer', () => {
  it('takes the addresses of the registry that a peer announces', () => {
    assert.deepEqual(
      origins([
        '/ip4/10.0.0.7/tcp/5001',
        '/ip4/10.0.0.7/tcp/30020/http',
        '/ip6/fd00::7/tcp/30020/http',
        '/ip4/10.0.0.7/tcp/30020/http',
      ]),
      ['http://10.0.0.7:30020', 'http://[fd00::7]:30020'],
    );
  });

  it('takes https for a peer with TLS, in each form of announcing it', () => {
    assert.deepEqual(
      origins([
        '/ip4/10.0.0.7/tcp/5001',
        '/ip4/10.0.0.7/tcp/5000/tls/http',
        '/ip6/fd00::7/tcp/5000/https',
        '/ip4/10.0.0.8/tcp/5000/tls',
      ]),
      ['https://10.0.0.7:5000', 'https://[fd00::7]:5000'],
    );
    const both = ['/ip4/10.0.0.7/tcp/5000/http', '/ip4/10.0.0.7/tcp/5443/tls/http'];
    assert.deepEqual(origins(both), ['https://10.0.0.7:5443'], 'not asked without TLS');
  });

  it('leaves out peers without TLS on request', () => {
    assert.equal(origins(['/ip4/10.0.0.7/tcp/5001'], { tlsOnly: true }), undefined);
    assert.deepEqual(
      origins(['/ip4/10.0.0.7/tcp/6000/http', '/ip4/10.0.0.7/tcp/5000/tls/http'], {
        tlsOnly: true,
      }),
      ['https://10.0.0.7:5000'],
    );
  });

  it('assumes our registry port for a peer that announces no registry', () => {
    assert.deepEqual(
      origins([
        '/ip6/fd00::7/tcp/5001',
        '/ip4/10.0.0.7/tcp/5001',
        '/ip4/10.0.0.7/udp/5001/quic-v1',
      ]),
      ['http://[fd00::7]:5000', 'http://10.0.0.7:5000'],
    );
  });

  it('assumes the default port too, when ours is another', () => {
    assert.deepEqual(origins(['/ip4/10.0.0.7/tcp/5001'], { registryPort: 6000 }), [
      'http://10.0.0.7:6000',
      'http://10.0.0.7:5000',
    ]);
  });

  it('puts the IP of the connection first', () => {
    const addresses = ['/ip4/172.17.0.1/tcp/5000/http', '/ip4/10.0.0.7/tcp/5000/http'];
    assert.equal(origins(addresses, { connectedIp: '10.0.0.7' })?.[0], 'http://10.0.0.7:5000');
  });

  it('ignores loopback, unless this node is on loopback itself', () => {
    assert.equal(origins(['/ip4/127.0.0.1/tcp/5000/http', '/dns4/node/tcp/5000/http']), undefined);
    assert.deepEqual(
      origins(['/ip4/127.0.0.1/tcp/5000/http'], { allows: (socket) => leadsToNode(socket, true) }),
      ['http://127.0.0.1:5000'],
    );
  });

  it('names a bounded number of origins', () => {
    const many = Array.from({ length: 50 }, (_, i) => `/ip4/10.0.0.${String(i)}/tcp/5000/http`);
    assert.equal(origins(many)?.length, 4);
  });

  it('ignores addresses at which no node can be', () => {
    for (const address of UNROUTABLE_ADDRESSES)
      assert.equal(origins([`${address}/http`]), undefined, address);
    assert.equal(origins(['/ip4/169.254.169.254/tcp/5001']), undefined);
    assert.equal(
      origins(['/ip4/0.0.0.0/tcp/80/http'], { allows: (socket) => leadsToNode(socket, true) }),
      undefined,
    );
  });
});

describe('endpointOf', () => {
  it('reads the origins that are made of addresses', () => {
    const made = origins(
      [
        '/ip4/10.0.0.7/tcp/80/http',
        '/ip4/10.0.0.7/tcp/443/tls/http',
        '/ip6/fd00::7/tcp/6000/tls/http',
      ],
      {},
    );
    assert.ok(made !== undefined && made.length > 0);
    for (const origin of made) assert.ok(endpointOf(origin) !== undefined, origin);
    assert.deepEqual(endpointOf('https://[fd00::7]:6000'), {
      scheme: 'https',
      ip: 'fd00::7',
      port: 6000,
    });
    assert.deepEqual(endpointOf('http://10.0.0.7'), { scheme: 'http', ip: '10.0.0.7', port: 80 });
  });

  it('reads nothing else', () => {
    const others = [
      'http://10.0.0.7:5000/',
      'http://10.0.0.7:5000/v2',
      'http://10.0.0.7:5000?a',
      'http://a@10.0.0.7:5000',
      'HTTP://10.0.0.7:5000',
      'http://167772167:5000',
      'http://0x0a.0.0.7:5000',
      'http://localhost:5000',
      'ws://10.0.0.7:5000',
      'http://10.0.0.7:99999',
      'http://10.0.0.7:5000\n',
      '10.0.0.7:5000',
      '',
    ];
    for (const origin of others) assert.equal(endpointOf(origin), undefined, origin);
  });
});
