import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';

import { INTERFACE_RANK, interfaceRanks } from './interface-ranks.ts';

const ROUTES = [
  'Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT',
  'bond0.7\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0',
  'docker0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0',
];
const NOWHERE = '0'.repeat(32);
const ROUTES_6 = [
  `${NOWHERE} 00 ${NOWHERE} 00 fe800000000000000000000000000001 00000400 2 0 00000003     eth6`,
  `${NOWHERE} 00 ${NOWHERE} 00 ${NOWHERE} ffffffff 1 0 00200200       lo`,
];

describe('interfaceRanks', () => {
  let folder: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'peerglass-net-'));
    mkdirSync(join(folder, 'mybridge', 'bridge'), { recursive: true });
    writeFileSync(join(folder, 'route'), `${ROUTES.join('\n')}\n`);
    writeFileSync(join(folder, 'ipv6_route'), `${ROUTES_6.join('\n')}\n`);
  });
  after(() => {
    rmSync(folder, { recursive: true });
  });

  it('ranks interfaces with a default route first, and bridges of container networks last', () => {
    const interfaces = {
      lo: [{ address: '127.0.0.1' }],
      docker0: [{ address: '172.17.0.1' }],
      'br-0a1b2c': [{ address: '172.18.0.1' }],
      'kube-ipvs0': [{ address: '10.96.0.1' }, { address: '10.96.0.10' }],
      mybridge: [{ address: '192.168.122.1' }],
      ens3: [{ address: '10.1.0.7' }, { address: 'fd01::7' }],
      'bond0.7': [{ address: '10.0.0.7' }, { address: '10.0.0.8' }],
      eth6: [{ address: 'fd00::7' }],
    };
    const ranks = interfaceRanks(interfaces, { proc: folder, sys: folder });
    const of = (rank: number): string[] =>
      [...ranks].flatMap(([address, its]) => (its === rank ? [address] : []));
    assert.deepEqual(of(INTERFACE_RANK.default), ['10.0.0.7', '10.0.0.8', 'fd00::7']);
    assert.deepEqual(of(INTERFACE_RANK.other), ['127.0.0.1', '10.1.0.7', 'fd01::7']);
    assert.deepEqual(of(INTERFACE_RANK.bridge), [
      '172.17.0.1',
      '172.18.0.1',
      '10.96.0.1',
      '10.96.0.10',
      '192.168.122.1',
    ]);
  });

  it('ranks a bridge with the default route first: it is the one of the host', () => {
    writeFileSync(join(folder, 'route'), ROUTES.join('\n').replace('bond0.7', 'mybridge'));
    const ranks = interfaceRanks(
      { mybridge: [{ address: '10.0.0.7' }] },
      { proc: folder, sys: folder },
    );
    assert.equal(ranks.get('10.0.0.7'), INTERFACE_RANK.default);
  });

  it('ranks each address of this host, and all without tables of routes too', () => {
    const own = Object.values(networkInterfaces()).flatMap((all = []) =>
      all.map(({ address }) => address),
    );
    for (const folders of [{}, { proc: '/nonexistent', sys: '/nonexistent' }]) {
      const ranks = interfaceRanks(undefined, folders);
      assert.deepEqual(new Set(ranks.keys()), new Set(own));
    }
  });
});
