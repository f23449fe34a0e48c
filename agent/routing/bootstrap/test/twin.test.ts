import assert from 'node:assert/strict';
import { test } from 'node:test';

import { pino } from 'pino';

import { until } from '../../../testing/conformance/router.ts';
import type { RoutingNode } from '../../node/libp2p-node.ts';
import { AddressBook } from '../../node/address-book.ts';
import { BootstrapLoop } from '../bootstrap-loop.ts';
import { StaticBootstrapper } from '../static-bootstrapper.ts';

/** Runs rounds against addresses that all turn out to be ourselves; the warnings. */
async function warningsFor(addresses: readonly string[]): Promise<string[]> {
  const warnings: string[] = [];
  let dials = 0;
  const node = {
    peerId: 'me',
    addEventListener: () => undefined,
    removeEventListener: () => undefined,
    getConnections: () => [],
    getPeers: () => [],
    services: { listening: { addresses: () => [] } },
    dial: () => {
      dials++;
      return Promise.reject(new Error('Tried to dial self'));
    },
  };
  const logger = pino(
    { level: 'warn' },
    { write: (line) => warnings.push((JSON.parse(line) as { msg: string }).msg) },
  );
  const loop = new BootstrapLoop({
    addressBook: new AddressBook(),
    node: node as unknown as RoutingNode,
    bootstrapper: new StaticBootstrapper(addresses),
    logger,
  });
  loop.start();
  await until(() => dials === addresses.length);
  await until(() => loop.status.bootstrapped);
  await loop.stop();
  return warnings;
}

test('a node with our identity on another host is told of once, with what to do', async () => {
  const warnings = await warningsFor(['/ip4/192.0.2.1/tcp/5001', '/ip4/192.0.2.2/tcp/5001']);
  assert.equal(warnings.length, 1);
  assert.match(warnings[0] ?? '', /identity.*private\.key/);
});

test('an address of this host that leads to ourselves is nothing to tell of', async () => {
  assert.deepEqual(await warningsFor(['/ip4/127.0.0.1/tcp/5001', '/dns4/node/tcp/5001']), []);
});
