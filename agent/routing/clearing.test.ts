import assert from 'node:assert/strict';
import { it } from 'node:test';

import { clearing } from './clearing.ts';
import { ProviderRecords } from './dht/provider-records.ts';
import { AddressBook } from './node/address-book.ts';
import { startRoutingNode } from '../testing/routing-node.ts';
import { silent } from '../testing/test-network.ts';

it('removes expired records each minute until it is stopped', async (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] });
  let now = 0;
  let swept = 0;
  const records = new ProviderRecords({ ownPeerId: 'own', validityMs: 1000, now: () => now });
  const { start, stop } = clearing({
    node: await startRoutingNode(t, '127.0.0.1'),
    records,
    held: { sweep: () => (swept += 1) },
    addressBook: new AddressBook(),
    logger: silent,
  });
  await start();
  records.add('key', 'peer');
  now = 2000;
  t.mock.timers.tick(60_000);
  assert.deepEqual([records.size, swept], [0, 1]);
  await stop();
  t.mock.timers.tick(60_000);
  assert.equal(swept, 1);
});
