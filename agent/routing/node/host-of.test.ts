import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { multiaddr } from '@multiformats/multiaddr';

import { hostOf, remoteHostOf } from './host-of.ts';

describe('hostOf', () => {
  const sameHost = (one: string, other: string): boolean =>
    hostOf(multiaddr(one)) === hostOf(multiaddr(other));

  it('is the IPv4 address, whatever the port', () => {
    assert.ok(sameHost('/ip4/10.0.0.1/tcp/5001', '/ip4/10.0.0.1/tcp/40000'));
    assert.ok(!sameHost('/ip4/10.0.0.1/tcp/5001', '/ip4/10.0.0.2/tcp/5001'));
  });

  it('is the /64 of an IPv6 address, and all of one that contains an IPv4 address', () => {
    assert.ok(sameHost('/ip6/fd00:1:2:3::1/tcp/1', '/ip6/fd00:1:2:3:4:5:6:7/tcp/1'));
    assert.ok(!sameHost('/ip6/fd00:1:2:3::1/tcp/1', '/ip6/fd00:1:2:4::1/tcp/1'));
    assert.ok(!sameHost('/ip6/::ffff:10.0.0.1/tcp/1', '/ip6/::ffff:10.0.0.2/tcp/1'));
  });

  it('takes each name for a host of its own', () => {
    assert.ok(!sameHost('/dns4/a.example/tcp/1', '/dns4/b.example/tcp/1'));
  });
});

describe('remoteHostOf', () => {
  it('is the host, and none for an address at this host itself', () => {
    assert.equal(remoteHostOf(multiaddr('/ip4/10.0.0.1/tcp/5001')), '10.0.0.1');
    for (const ip of ['/ip4/127.0.0.2', '/ip6/::1', '/ip6/::ffff:127.0.0.1']) {
      assert.equal(remoteHostOf(multiaddr(`${ip}/tcp/5001`)), undefined);
    }
  });
});
