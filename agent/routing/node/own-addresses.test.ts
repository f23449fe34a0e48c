import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';

import { generateKeyPair } from '@libp2p/crypto/keys';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';
import { multiaddr } from '@multiformats/multiaddr';

import { OwnAddresses } from './own-addresses.ts';

const CHECK_MS = 10_000;

/** The addresses of a node whose host has those that the test gives it. */
async function start(t: TestContext) {
  t.mock.timers.enable({ apis: ['setInterval'] });
  const peerId = peerIdFromPrivateKey(await generateKeyPair('Ed25519'));
  const host = { addresses: ['/ip4/10.0.0.7/tcp/5001'] };
  const stored: string[][] = [];
  let changes = 0;
  const addresses = new OwnAddresses(
    {
      peerId,
      getMultiaddrs: () => host.addresses.map((text) => multiaddr(text)),
      peerStore: {
        patch: (_id: unknown, { multiaddrs }: { multiaddrs: unknown[] }) => {
          stored.push(multiaddrs.map(String));
          return Promise.resolve();
        },
      },
    } as never,
    () => changes++,
  );
  await addresses.start();
  t.after(() => {
    addresses.stop();
  });
  const check = async () => {
    t.mock.timers.tick(CHECK_MS);
    await turn();
  };
  return { addresses, host, stored, check, changes: () => changes };
}

describe('OwnAddresses', () => {
  it('has the addresses of the host, and puts them where identify reads them', async (t) => {
    const { addresses, host, stored, changes } = await start(t);
    assert.deepEqual(addresses.current().map(String), host.addresses);
    assert.deepEqual(stored, [host.addresses]);
    assert.equal(changes(), 0);
  });

  it('follows a change of the host, and reports it', async (t) => {
    const { addresses, host, stored, check, changes } = await start(t);
    const before = addresses.wire;
    await check();
    assert.equal(changes(), 0);
    assert.equal(addresses.wire, before);
    host.addresses = ['/ip4/10.0.0.8/tcp/5001'];
    await check();
    assert.equal(changes(), 1);
    assert.deepEqual(addresses.current().map(String), host.addresses);
    assert.deepEqual(stored.at(-1), host.addresses);
    assert.ok(Buffer.from(addresses.wire).includes(Buffer.from([10, 0, 0, 8])));
  });

  it('reads no more after its stop', async (t) => {
    const { addresses, host, check, changes } = await start(t);
    addresses.stop();
    host.addresses = ['/ip4/10.0.0.8/tcp/5001'];
    await check();
    assert.equal(changes(), 0);
  });
});
