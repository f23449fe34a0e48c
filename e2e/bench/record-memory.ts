/**
 * Heap that a provider record takes: `node --expose-gc e2e/bench/record-memory.ts`. Prints one line of JSON,
 * bytes a record by how many holders each key has.
 */
import { randomBytes } from 'node:crypto';

import { routingKey } from '../../agent/routing/dht/key.ts';
import { ProviderRecords } from '../../agent/routing/dht/provider-records.ts';

const RECORDS = 100_000;
const PEERS = 100;

const bytes: Record<string, number> = {};
for (const holders of [1, 2, 10]) bytes[holders] = measure(holders);
process.stdout.write(`${JSON.stringify(bytes)}\n`);

function measure(holdersPerKey: number): number {
  // Strings as they come from the network: none is shared with another record but that of its peer.
  const peers = Array.from(
    { length: PEERS },
    () => `12D3KooW${randomBytes(33).toString('base64url')}`,
  );
  const records = new ProviderRecords({
    ownPeerId: 'self',
    maxRecords: RECORDS,
    maxRecordsPerPeer: RECORDS,
  });
  const before = heap();
  for (let key = 0; records.size < RECORDS; key++) {
    const name = `sha256:${randomBytes(32).toString('hex')}`;
    for (let holder = 0; holder < holdersPerKey; holder++) {
      const peer = peers[(key + holder) % PEERS] ?? '';
      // Anew for each record, as each comes in a message of its own.
      if (!records.add(routingKey(name).recordKey, peer)) throw new Error('no room');
    }
  }
  const taken = heap() - before;
  return Math.round(taken / records.size);
}

function heap(): number {
  if (globalThis.gc === undefined) throw new Error('run it with node --expose-gc');
  for (let round = 0; round < 3; round++) globalThis.gc();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}
