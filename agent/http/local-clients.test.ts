import assert from 'node:assert/strict';
import { networkInterfaces } from 'node:os';
import { describe, it } from 'node:test';

import { LocalClients, isOnLoopback, parseGateways } from './local-clients.ts';

/** Which of these addresses are local. */
const localOf = (clients: LocalClients, ...addresses: string[]): string[] =>
  addresses.filter(clients.has);

describe('LocalClients', () => {
  const interfaces = (): string[] => ['127.0.0.1', '10.42.1.7', 'fd00:42::7', 'fe80::1'];
  const gateways = (): string[] => ['10.42.1.1', 'fd00:42::1'];
  const foreign = ['10.0.0.8', '10.42.1.8', 'fd00:42::8', '::ffff:10.0.0.8', 'not an address', ''];

  it('has loopback, and the addresses of its own interfaces, in all their forms', () => {
    const clients = new LocalClients({ interfaces, gateways });
    for (const address of [
      ...['127.0.0.1', '127.9.9.9', '::1', '::ffff:127.0.0.1', '10.42.1.7', '::ffff:10.42.1.7'],
      ...['fd00:42::7', 'fd00:42:0::7', 'fe80::1%eth0'],
    ]) {
      assert.equal(clients.has(address), true, address);
    }
    assert.deepEqual(localOf(clients, ...foreign, '10.42.1.1'), []);
    assert.equal(clients.has(undefined), false);
  });

  it('has, in a pod, the IP of the node and the gateway of the pod', () => {
    const clients = new LocalClients({ interfaces, gateways }, { nodeAddresses: ['10.0.0.7'] });
    const node = ['10.0.0.7', '::ffff:10.0.0.7', '10.42.1.1', 'fd00:42::1'];
    assert.deepEqual(localOf(clients, ...node, ...foreign), node);
  });

  it('has no gateway on the node itself, where it is the router of the network', () => {
    const own = (): string[] => ['10.0.0.7'];
    const components = { interfaces: own, gateways: () => ['10.0.0.1'] };
    const clients = new LocalClients(components, { nodeAddresses: ['10.0.0.7'] });
    assert.deepEqual(localOf(clients, '10.0.0.7', '10.0.0.1'), ['10.0.0.7']);
  });

  it('notices a new address of its own after ten seconds', () => {
    let now = 0;
    const own: string[] = [];
    const clients = new LocalClients({ interfaces: () => own, now: () => now });
    assert.equal(clients.has('10.0.0.7'), false);
    own.push('10.0.0.7');
    now = 9_999;
    assert.equal(clients.has('10.0.0.7'), false);
    now = 10_000;
    assert.equal(clients.has('10.0.0.7'), true);
  });

  it('reads the addresses of this host', () => {
    const own = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
    const clients = new LocalClients({}, { nodeAddresses: ['203.0.113.1'] });
    for (const { address } of own) assert.equal(clients.has(address), true, address);
    assert.deepEqual(localOf(clients, '203.0.113.1', '203.0.113.2'), ['203.0.113.1']);
  });
});

describe('parseGateways', () => {
  it('finds the gateways of default routes, and of no others', () => {
    const v4 = [
      'Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT',
      'eth0\t00000000\t01012A0A\t0003\t0\t0\t0\t00000000\t0\t0\t0',
      'eth0\t00002A0A\t01012A0A\t0003\t0\t0\t0\t0000FFFF\t0\t0\t0',
      'eth1\t00000000\t00000000\t0001\t0\t0\t0\t00000000\t0\t0\t0',
      '',
    ].join('\n');
    const zero = '0'.repeat(32);
    const gateway = 'fd000042000000000000000000000001';
    const rest = '00000400 00000001 00000000 00000003     eth0';
    const v6 = [
      `${zero} 00 ${zero} 00 ${gateway} ${rest}`,
      `${zero} 00 ${zero} 00 ${zero} ${rest}`,
      `fd000042${'0'.repeat(24)} 40 ${zero} 00 ${gateway} ${rest}`,
      '',
    ].join('\n');
    assert.deepEqual(parseGateways(v4, v6), ['10.42.1.1', 'fd00:42::1']);
    assert.deepEqual(parseGateways('', 'garbage'), []);
  });
});

describe('isOnLoopback', () => {
  it('is true for loopback in all its forms only', () => {
    for (const address of ['127.0.0.1', '127.9.9.9', '::1', '::ffff:127.0.0.1']) {
      assert.equal(isOnLoopback(address), true, address);
    }
    const own = Object.values(networkInterfaces()).flatMap((it) => it ?? []);
    const others = own.filter(({ internal }) => !internal).map(({ address }) => address);
    for (const address of [...others, '10.0.0.1', 'fd00::1', '::ffff:10.0.0.1', '', undefined]) {
      assert.equal(isOnLoopback(address), false, address);
    }
  });
});
