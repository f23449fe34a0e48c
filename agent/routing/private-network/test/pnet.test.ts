import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';

import { noise } from '@chainsafe/libp2p-noise';
import { yamux } from '@chainsafe/libp2p-yamux';
import type { Libp2p } from '@libp2p/interface';
import { ping, type Ping } from '@libp2p/ping';
import { preSharedKey } from '@libp2p/pnet';
import { tcp } from '@libp2p/tcp';
import { createLibp2p } from 'libp2p';

import { formatSwarmKey, parseSwarmKeys } from '../../../membership/swarm-key.ts';
import { readSwarmKeys } from '../../../membership/swarm-key-keeper.ts';
import { echoOver, startSwarmNode } from '../../../testing/swarm-nodes.ts';

const PASSPHRASE = 'the passphrase of another cluster, long enough';
const hex = randomBytes(32).toString('hex');
/** As go-libp2p and kubo write it, and as it is written by hand without a line feed at the end. */
const FILES = {
  'with a line feed at the end': `/key/swarm/psk/1.0.0/\n/base16/\n${hex}\n`,
  'without one': `/key/swarm/psk/1.0.0/\n/base16/\n${hex}`,
  'of Windows': `/key/swarm/psk/1.0.0/\r\n/base16/\r\n${hex.toUpperCase()}\r\n`,
};

async function keyFile(t: TestContext, text: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'pnet-'));
  t.after(() => rm(folder, { recursive: true }));
  const path = join(folder, 'swarm.key');
  await writeFile(path, text);
  return path;
}

/** A node of js-libp2p as others build it, with libp2p's own private network. */
async function startPlain(t: TestContext, path: string): Promise<Libp2p<{ readonly ping: Ping }>> {
  const node = await createLibp2p({
    addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
    transports: [tcp()],
    connectionProtector: preSharedKey({ psk: await readFile(path) }),
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    services: { ping: ping() },
  });
  t.after(() => node.stop());
  return node;
}

describe('a private network of libp2p', () => {
  for (const [which, text] of Object.entries(FILES)) {
    it(`has nodes of both kinds with one key file, ${which}`, async (t) => {
      const path = await keyFile(t, text);
      const ours = await startSwarmNode(t, await readSwarmKeys('--swarm-key-file', path));
      const plain = await startPlain(t, path);
      const connection = await plain.dial(ours.node.getMultiaddrs());
      assert.equal(await echoOver(connection, 100_000), 100_000);
      await connection.close();
      await ours.node.dial(plain.getMultiaddrs());
      assert.ok((await plain.services.ping.ping(ours.node.peerId)) >= 0);
      assert.deepEqual(ours.strangers, []);
    });
  }

  it('has the key of a passphrase, in the form that `peerglass swarm-key --from` prints', async (t) => {
    const keys = parseSwarmKeys(PASSPHRASE);
    const [key] = keys;
    assert.ok(key !== undefined);
    const ours = await startSwarmNode(t, keys);
    const plain = await startPlain(t, await keyFile(t, formatSwarmKey(key)));
    assert.equal(await echoOver(await plain.dial(ours.node.getMultiaddrs()), 1000), 1000);
  });

  it('keeps out a node with the key of another cluster, in whichever form each has its own', async (t) => {
    const file = await keyFile(t, FILES['with a line feed at the end']);
    const fromFile = await startSwarmNode(t, await readSwarmKeys('--swarm-key-file', file));
    const fromPassphrase = await startSwarmNode(t, parseSwarmKeys(PASSPHRASE));
    for (const [from, to] of [
      [fromFile, fromPassphrase],
      [fromPassphrase, fromFile],
    ] as const) {
      await assert.rejects(from.node.dial(to.node.getMultiaddrs()));
      assert.equal(to.node.getConnections().length, 0);
      assert.equal(to.strangers.length, 1);
    }
    const plain = await startPlain(t, file);
    await assert.rejects(plain.dial(fromPassphrase.node.getMultiaddrs()));
    await assert.rejects(fromPassphrase.node.dial(plain.getMultiaddrs()));
    assert.equal(plain.getConnections().length, 0);
    assert.equal(fromPassphrase.strangers.length, 2);
  });
});
