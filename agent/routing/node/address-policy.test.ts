import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { multiaddr } from '@multiformats/multiaddr';

import { UNROUTABLE_ADDRESSES } from '../../testing/unroutable-addresses.ts';
import { AddressPolicy, serviceNetworks, type AddressPolicyInit } from './address-policy.ts';

const OWN = [
  { cidr: '10.0.0.7/24', internal: false },
  { cidr: 'fd00::7/64', internal: false },
  { cidr: null, internal: false },
  { cidr: 'fe80::1%eth0/64', internal: false },
  { cidr: '127.0.0.1/8', internal: true },
];

function policyOf(init: Partial<AddressPolicyInit> = {}) {
  const refused: string[] = [];
  const policy = new AddressPolicy({
    loopback: () => false,
    interfaces: () => OWN,
    onRefused: (address) => refused.push(address),
    ...init,
  });
  return { policy, refused };
}

const allows = (policy: AddressPolicy, ip: string, port = 5000) => policy.allows({ ip, port });

describe('AddressPolicy', () => {
  it('refuses where no node can be, and reports it', () => {
    const { policy, refused } = policyOf();
    for (const text of UNROUTABLE_ADDRESSES) {
      assert.equal(policy.allowsDial(multiaddr(text)), false, text);
    }
    assert.equal(refused.length, UNROUTABLE_ADDRESSES.length);
    assert.ok(refused.includes('169.254.169.254:80'));
  });

  for (const ip of [
    '100.100.100.200',
    '168.63.129.16',
    '192.0.0.192',
    'fd00:ec2::254',
    'fd00:ec2::23',
    'fd20:ce::254',
    'fd00:100::100:200',
    'fd00:c1::a9fe:a9fe',
    'fd00:42::42',
    'fd00:a9fe:a9fe::1',
    '64:ff9b::169.254.169.254',
    '64:ff9b::a9fe:a9fe',
    '64:ff9b:1::a9fe:a9fe',
    '2002:a9fe:a9fe::1',
    '2001:0:a9fe:a9fe::1',
  ]) {
    it(`refuses ${ip}`, () => {
      assert.equal(allows(policyOf().policy, ip), false);
    });
  }

  it('allows addresses of nodes', () => {
    const { policy, refused } = policyOf();
    for (const ip of [
      '10.0.0.8',
      '192.168.1.1',
      '100.64.0.1',
      '203.0.113.1',
      'fd00::8',
      '2a00::1',
    ]) {
      assert.equal(allows(policy, ip), true, ip);
    }
    assert.equal(policy.allowsDial(multiaddr('/dns4/node-1/tcp/5001')), true);
    assert.deepEqual(refused, []);
  });

  it('allows what is in a network of this host, unless it is refused by itself', () => {
    const interfaces = () => [{ cidr: '100.100.100.1/24', internal: false }, ...OWN];
    const { policy } = policyOf({ interfaces, refused: ['10.0.0.0/8', '10.0.0.9'] });
    assert.equal(allows(policy, '100.100.100.200'), true);
    assert.equal(allows(policy, '10.0.0.8'), true);
    assert.equal(allows(policy, '10.0.1.8'), false);
    assert.equal(allows(policy, '10.0.0.9'), false);
  });

  it('takes a /32 for a single address of IPv4 only', () => {
    const interfaces = () => [
      { cidr: '10.0.0.7/24', internal: false },
      { cidr: '2a00:1::7/64', internal: false },
    ];
    const { policy } = policyOf({
      interfaces,
      refused: ['10.0.0.9/32', '2a00:1::/32', '2a00:1::9/128'],
    });
    assert.equal(allows(policy, '10.0.0.9'), false);
    assert.equal(allows(policy, '2a00:1::9'), false);
    // In the network of this host, nodes may be.
    assert.equal(allows(policy, '2a00:1::8'), true);
    assert.equal(allows(policy, '2a00:1:1::8'), false);
  });

  it('refuses the networks of the Services', () => {
    const { policy } = policyOf({ refused: serviceNetworks('10.96.0.1') });
    assert.equal(allows(policy, '10.96.0.1', 443), false);
    assert.equal(allows(policy, '10.96.0.10', 53), false);
    assert.equal(allows(policy, '10.97.0.1'), true);
    const six = policyOf({ refused: serviceNetworks('fd00:10:96::1') }).policy;
    assert.equal(allows(six, 'fd00:10:96::a'), false);
    assert.equal(allows(six, 'fd00:10:97::a'), true);
    assert.deepEqual(serviceNetworks(undefined), []);
    assert.deepEqual(serviceNetworks('kubernetes.default'), []);
  });

  it('allows loopback where this node announces it, and to dial what an administrator has named', () => {
    assert.equal(allows(policyOf({ loopback: () => true }).policy, '127.0.0.2'), true);
    const { policy } = policyOf();
    const [named, other] = ['/ip4/127.0.0.2/tcp/5001', '/ip4/127.0.0.3/tcp/5001'].map((text) =>
      multiaddr(text),
    );
    assert.ok(named !== undefined && other !== undefined);
    policy.configure(named);
    assert.equal(policy.allowsDial(named), true);
    assert.equal(policy.allowsDial(other), false);
    assert.equal(allows(policy, '127.0.0.2'), false);
  });

  it('does not accept what is no network', () => {
    assert.throws(() => policyOf({ refused: ['10.0.0.0/33'] }));
    assert.throws(() => policyOf({ refused: ['nowhere'] }));
  });
});
