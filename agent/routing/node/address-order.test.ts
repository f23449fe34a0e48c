import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { multiaddr } from '@multiformats/multiaddr';

import { AddressOrder } from './address-order.ts';
import { announcedAddresses } from './announced-addresses.ts';
import { INTERFACE_RANK } from './interface-ranks.ts';

const bridges = Array.from({ length: 12 }, (_, i) => `172.${String(17 + i)}.0.1`);
const toSockets = (ips: readonly string[]) => ips.map((ip) => ({ ip, port: 5001 }));
const at = (ip: string) => multiaddr(`/${ip.includes(':') ? 'ip6' : 'ip4'}/${ip}/tcp/5001`);
const noRanks = (): ReadonlyMap<string, number> => new Map<string, number>();

describe('AddressOrder', () => {
  it('puts the address at which a peer sees this node first, so that it is announced', () => {
    const ips = [...bridges, '10.0.0.7', 'fd00::7'];
    const own = () => ips.map(at);
    const order = new AddressOrder(noRanks);
    const announced = (): string[] =>
      announcedAddresses(own(), undefined, (sockets) => order.sort(sockets)).map(String);
    assert.equal(announced().length, 8);
    assert.ok(!announced().includes('/ip4/10.0.0.7/tcp/5001'));
    assert.equal(order.observe(multiaddr('/ip4/10.0.0.7/tcp/40123'), own), true);
    assert.equal(order.observe(multiaddr('/ip6/fd00::7/tcp/40123/p2p-circuit'), own), true);
    assert.deepEqual(announced().slice(0, 2), ['/ip4/10.0.0.7/tcp/5001', '/ip6/fd00::7/tcp/5001']);
    assert.equal(announced().length, 8);
  });

  it('does not let a peer that lies push out an address with a default route', () => {
    const ips = [...bridges, '10.0.0.7', '10.0.0.8'];
    const ranks = new Map<string, number>(bridges.map((ip) => [ip, INTERFACE_RANK.bridge]));
    for (const ip of ['10.0.0.7', '10.0.0.8']) ranks.set(ip, INTERFACE_RANK.default);
    const own = () => ips.map(at);
    const order = new AddressOrder(() => ranks);
    for (const ip of bridges.slice(2)) assert.equal(order.observe(at(ip), own), true);
    const first = (): string[] =>
      order
        .sort(toSockets(ips))
        .slice(0, 3)
        .map(({ ip }) => ip);
    assert.deepEqual(first(), ['10.0.0.7', '10.0.0.8', '172.19.0.1']);
    assert.equal(order.observe(at('10.0.0.8'), own), true);
    assert.deepEqual(first(), ['10.0.0.8', '10.0.0.7', '172.19.0.1']);
  });

  it('ignores further observations when it remembers as many as it may', () => {
    const ips = Array.from({ length: 65 }, (_, i) => `10.1.0.${String(i + 1)}`);
    const own = () => ips.map(at);
    const order = new AddressOrder(noRanks);
    for (const ip of ips.slice(0, 64)) assert.equal(order.observe(at(ip), own), true);
    assert.equal(order.observe(at('10.1.0.65'), own), false);
    const [first] = order.sort(toSockets(['10.1.0.65', '10.1.0.1']));
    assert.equal(first?.ip, '10.1.0.1');
  });

  it('does not change for what it knows, nor for an address that the host does not have', () => {
    const own = () => [at('10.0.0.7'), at('10.0.0.8')];
    const order = new AddressOrder(noRanks);
    assert.equal(order.observe(multiaddr('/ip4/203.0.113.9/tcp/1'), own), false);
    assert.equal(order.observe(multiaddr('/dns4/node/tcp/1'), own), false);
    assert.equal(order.observe(multiaddr('/ip6/::ffff:10.0.0.8/tcp/1'), own), true);
    assert.equal(order.observe(multiaddr('/ip4/10.0.0.8/tcp/2'), own), false);
    const sorted = order.sort(toSockets(['10.0.0.7', '10.0.0.8']));
    assert.deepEqual(sorted, toSockets(['10.0.0.8', '10.0.0.7']));
  });

  it('orders by rank before any peer has seen the node, and lets the families take turns', () => {
    const many = Array.from({ length: 9 }, (_, i) => `10.0.0.${String(i + 1)}`);
    const ranks = new Map<string, number>();
    for (const ip of bridges) ranks.set(ip, INTERFACE_RANK.bridge);
    for (const ip of [...many, 'fd00::7']) ranks.set(ip, INTERFACE_RANK.default);
    const order = new AddressOrder(() => ranks);
    const sorted = order.sort(toSockets([...bridges, ...many, '10.9.0.1', 'fd00::7']));
    const [first, second, ...rest] = sorted.map(({ ip }) => ip);
    assert.deepEqual([first, second], ['10.0.0.1', 'fd00::7']);
    assert.deepEqual(rest, [...many.slice(1), '10.9.0.1', ...bridges]);
  });
});
