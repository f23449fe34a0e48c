import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { multiaddr } from '@multiformats/multiaddr';

import { UNROUTABLE_ADDRESSES } from '../../testing/unroutable-addresses.ts';
import {
  announcedAddresses,
  announcesLoopback,
  dialable,
  isLoopback,
  isRegistryAddress,
  leadsToNode,
  registryScheme,
  tcpAddress,
} from './announced-addresses.ts';

function announce(listening: string[], port?: number, tls = false): string[] {
  const addresses = listening.map((text) => multiaddr(text));
  const registry = port === undefined ? undefined : { port, tls };
  return announcedAddresses(addresses, registry).map((address) => address.toString());
}

describe('announcedAddresses', () => {
  it('announces each routable address, with the registry beside it', () => {
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

  it('announces a registry with TLS as such, at the default port too', () => {
    assert.deepEqual(announce(['/ip4/10.0.0.7/tcp/5001', '/ip6/fd00::7/tcp/5001'], 5000, true), [
      '/ip4/10.0.0.7/tcp/5001',
      '/ip4/10.0.0.7/tcp/5000/tls/http',
      '/ip6/fd00::7/tcp/5001',
      '/ip6/fd00::7/tcp/5000/tls/http',
    ]);
  });

  it('announces loopback only when there is nothing else', () => {
    assert.deepEqual(announce(['/ip4/127.0.0.5/tcp/4001'], 4000), [
      '/ip4/127.0.0.5/tcp/4001',
      '/ip4/127.0.0.5/tcp/4000/http',
    ]);
    assert.deepEqual(announce(['/ip4/127.0.0.5/tcp/4001']), ['/ip4/127.0.0.5/tcp/4001']);
  });

  it('announces a bounded number of addresses', () => {
    const many = Array.from({ length: 50 }, (_, i) => `/ip4/10.0.0.${String(i)}/tcp/5001`);
    assert.equal(announce(many, 6000).length, 16);
  });

  it('announces no address at which no node can be', () => {
    for (const address of UNROUTABLE_ADDRESSES) {
      assert.deepEqual(announce([address, '/ip4/10.0.0.7/tcp/5001']), ['/ip4/10.0.0.7/tcp/5001']);
    }
  });
});

describe('leadsToNode', () => {
  it('refuses addresses at which no node can be, and ports out of range', () => {
    for (const address of UNROUTABLE_ADDRESSES) {
      const socket = tcpAddress(multiaddr(address));
      assert.ok(socket);
      assert.equal(leadsToNode(socket, false), false, address);
    }
    assert.equal(leadsToNode({ ip: '10.0.0.7', port: 65_536 }, true), false);
    assert.equal(leadsToNode({ ip: 'node', port: 1 }, true), false);
    assert.equal(leadsToNode({ ip: 'fd00::7', port: 65_535 }, false), true);
  });

  it('accepts loopback only when the caller allows it', () => {
    for (const ip of ['127.0.0.5', '::1']) {
      assert.equal(isLoopback(ip), true);
      assert.equal(leadsToNode({ ip, port: 1 }, false), false);
      assert.equal(leadsToNode({ ip, port: 1 }, true), true);
    }
  });
});

describe('dialable', () => {
  it('leaves out registries, and where no other node can be', () => {
    const given = (texts: readonly string[], loopback: boolean, names = false): string[] => {
      const addresses = texts.map((text) => multiaddr(text));
      return dialable(addresses, (socket) => leadsToNode(socket, loopback), names).map(String);
    };
    const [node, local, name] = [
      '/ip4/10.0.0.7/tcp/5001',
      '/ip4/127.0.0.1/tcp/5001',
      '/dns4/node/tcp/5001',
    ];
    const all = [
      ...UNROUTABLE_ADDRESSES,
      `${node}/http`,
      '/ip4/10.0.0.7/udp/5001/quic-v1',
      name,
      local,
      node,
    ];
    assert.deepEqual(given(all, false), [node]);
    assert.deepEqual(
      given(all, true, true).filter((text) => !UNROUTABLE_ADDRESSES.includes(text)),
      [name, local, node],
    );
    assert.equal(announcesLoopback([multiaddr(node)]), false);
    assert.equal(announcesLoopback([multiaddr(node), multiaddr(local)]), true);
  });
});

describe('registryScheme', () => {
  it('reads the scheme of the registry in each of its forms', () => {
    const scheme = (text: string) => registryScheme(multiaddr(`/ip4/10.0.0.7/tcp/5000${text}`));
    assert.deepEqual(['/http', '/tls/http', '/https'].map(scheme), ['http', 'https', 'https']);
    assert.deepEqual(['', '/tls', '/ws'].map(scheme), [undefined, undefined, undefined]);
    assert.equal(isRegistryAddress(multiaddr('/ip4/10.0.0.7/tcp/5000/http')), true);
    assert.equal(isRegistryAddress(multiaddr('/ip4/10.0.0.7/tcp/5001')), false);
  });
});

describe('tcpAddress', () => {
  it('reads IP and port, and nothing from other kinds of address', () => {
    const read = (text: string) => tcpAddress(multiaddr(text));
    assert.deepEqual(read('/ip6/fd00::7/tcp/5001/http'), { ip: 'fd00::7', port: 5001 });
    assert.equal(read('/dns4/node/tcp/5001'), undefined);
    assert.equal(read('/ip4/10.0.0.7/udp/5001/quic-v1'), undefined);
  });
});
