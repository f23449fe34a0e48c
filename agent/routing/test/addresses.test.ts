import assert from 'node:assert/strict';
import { test } from 'node:test';

import { multiaddr } from '@multiformats/multiaddr';

import { announcedAddresses } from '../node/announced-addresses.ts';
import { providerFromPeer } from '../lookup/provider-origins.ts';
import type { ProviderFromPeerOptions } from '../lookup/provider-origins.ts';

function announce(listening: string[], port?: number, tls = false): string[] {
  const addresses = listening.map((text) => multiaddr(text));
  const registry = port === undefined ? undefined : { port, tls };
  return announcedAddresses(addresses, registry).map((address) => address.toString());
}

test('each routable address is announced, with the registry beside it', () => {
  assert.deepEqual(
    announce(
      [
        '/ip4/127.0.0.1/tcp/5001',
        '/ip4/10.0.0.7/tcp/5001',
        '/ip6/::1/tcp/5001',
        '/ip6/fd00::7/tcp/5001',
        '/ip6/fe80::1/tcp/5001',
        '/ip4/169.254.3.4/tcp/5001',
      ],
      6000,
    ),
    [
      '/ip4/10.0.0.7/tcp/5001',
      '/ip4/10.0.0.7/tcp/6000/http',
      '/ip6/fd00::7/tcp/5001',
      '/ip6/fd00::7/tcp/6000/http',
    ],
  );
  assert.deepEqual(
    announce(['/ip4/10.0.0.7/tcp/5001'], 5000),
    ['/ip4/10.0.0.7/tcp/5001'],
    'the default port goes without saying: another address would cost Spegel 15 ms',
  );
});

test('a registry with TLS is announced as such, at the default port too', () => {
  assert.deepEqual(announce(['/ip4/10.0.0.7/tcp/5001', '/ip6/fd00::7/tcp/5001'], 5000, true), [
    '/ip4/10.0.0.7/tcp/5001',
    '/ip4/10.0.0.7/tcp/5000/tls/http',
    '/ip6/fd00::7/tcp/5001',
    '/ip6/fd00::7/tcp/5000/tls/http',
  ]);
});

test('loopback is announced when there is nothing else', () => {
  assert.deepEqual(announce(['/ip4/127.0.0.5/tcp/4001'], 4000), [
    '/ip4/127.0.0.5/tcp/4001',
    '/ip4/127.0.0.5/tcp/4000/http',
  ]);
  assert.deepEqual(announce(['/ip4/127.0.0.5/tcp/4001']), ['/ip4/127.0.0.5/tcp/4001']);
});

test('a node of many addresses announces a bounded number', () => {
  const many = Array.from({ length: 50 }, (_, i) => `/ip4/10.0.0.${String(i)}/tcp/5001`);
  assert.equal(announce(many, 6000).length, 16);
});

function origins(
  multiaddrs: string[],
  options: Partial<ProviderFromPeerOptions> = {},
): readonly string[] | undefined {
  return providerFromPeer(
    { peerId: 'a', multiaddrs: multiaddrs.map((text) => multiaddr(text)) },
    { registryPort: 5000, loopback: false, ...options },
  )?.origins;
}

test('a peer that announces its registry is asked there', () => {
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

test('a peer with TLS is asked by https, in whichever form it says so', () => {
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
  assert.deepEqual(origins(both), ['https://10.0.0.7:5443', 'http://10.0.0.7:5000']);
});

test('peers without TLS can be left out', () => {
  assert.equal(origins(['/ip4/10.0.0.7/tcp/5001'], { tlsOnly: true }), undefined);
  assert.deepEqual(
    origins(['/ip4/10.0.0.7/tcp/6000/http', '/ip4/10.0.0.7/tcp/5000/tls/http'], { tlsOnly: true }),
    ['https://10.0.0.7:5000'],
  );
});

test('a peer that does not is assumed to use our port', () => {
  assert.deepEqual(
    origins(['/ip6/fd00::7/tcp/5001', '/ip4/10.0.0.7/tcp/5001', '/ip4/10.0.0.7/udp/5001/quic-v1']),
    ['http://[fd00::7]:5000', 'http://10.0.0.7:5000'],
  );
});

test('a peer that does not may also be one that uses the default port, when we do not', () => {
  assert.deepEqual(origins(['/ip4/10.0.0.7/tcp/5001'], { registryPort: 6000 }), [
    'http://10.0.0.7:6000',
    'http://10.0.0.7:5000',
  ]);
});

test('the address that we are connected with comes first', () => {
  const addresses = ['/ip4/172.17.0.1/tcp/5000/http', '/ip4/10.0.0.7/tcp/5000/http'];
  assert.equal(origins(addresses, { connectedIp: '10.0.0.7' })?.[0], 'http://10.0.0.7:5000');
});

test('loopback leads nowhere, unless we are on loopback ourselves', () => {
  assert.equal(origins(['/ip4/127.0.0.1/tcp/5000/http', '/dns4/node/tcp/5000/http']), undefined);
  assert.deepEqual(origins(['/ip4/127.0.0.1/tcp/5000/http'], { loopback: true }), [
    'http://127.0.0.1:5000',
  ]);
});

test('the number of origins is bounded', () => {
  const many = Array.from({ length: 50 }, (_, i) => `/ip4/10.0.0.${String(i)}/tcp/5000/http`);
  assert.equal(origins(many)?.length, 4);
});

test('addresses at which no node can be are neither believed nor announced', () => {
  const nowhere = [
    '/ip4/0.0.0.0/tcp/9090',
    '/ip4/169.254.169.254/tcp/80',
    '/ip4/224.0.0.1/tcp/5',
    '/ip4/255.255.255.255/tcp/5',
    '/ip4/127.0.0.1/tcp/9090',
    '/ip6/::/tcp/9090',
    '/ip6/::1/tcp/9090',
    '/ip6/::ffff:127.0.0.1/tcp/9090',
    '/ip6/::ffff:7f00:1/tcp/9090',
    '/ip6/::7f00:1/tcp/9090',
    '/ip6/fe80::1/tcp/80',
    '/ip6/ff02::1/tcp/80',
    '/ip4/10.0.0.9/tcp/0',
  ];
  for (const address of nowhere) {
    assert.equal(origins([`${address}/http`]), undefined, address);
    assert.deepEqual(announce([address, '/ip4/10.0.0.7/tcp/5001']), ['/ip4/10.0.0.7/tcp/5001']);
  }
  assert.equal(origins(['/ip4/169.254.169.254/tcp/5001']), undefined);
  assert.equal(origins(['/ip4/0.0.0.0/tcp/80/http'], { loopback: true }), undefined);
});
