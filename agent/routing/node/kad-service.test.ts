import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';

import { generateKeyPair } from '@libp2p/crypto/keys';
import type { StreamHandler } from '@libp2p/interface';

import { until } from '../../testing/conformance/router.ts';
import { createNode, routingTableOf } from './libp2p-node.ts';
import type { RoutingNode } from './libp2p-node.ts';

/** What kad-dht does at intervals. */
interface Upkeep {
  readonly routingTableRefresh: { _generateRandomPeerId: (prefixLength: number) => unknown };
  readonly routingTable: {
    readonly closestPeerTagger: {
      readonly closestPeers: object;
      readonly updatePeerTags: () => Promise<void>;
    };
  };
}

/** Answers the PING that kad-dht verifies a peer by: the same message. */
const answering: StreamHandler = (stream) => {
  stream.addEventListener('message', ({ data }) => {
    stream.send(data);
  });
};

async function startNode(t: TestContext): Promise<RoutingNode> {
  const { node, start } = await createNode({
    privateKey: await generateKeyPair('Ed25519'),
    serveDht: answering,
    listen: ['/ip4/127.0.0.1/tcp/0'],
  });
  await start();
  t.after(() => node.stop());
  return node;
}

function upkeepOf(node: RoutingNode): Upkeep {
  return node.services.dht as unknown as Upkeep;
}

describe('kadService', () => {
  it('looks up no keys for the buckets of the table of kad-dht, even when it is to', async (t) => {
    const [a, b] = [await startNode(t), await startNode(t)];
    await a.dial(b.getMultiaddrs());
    await until(() => routingTableOf(a).size === 1);
    const { mock } = t.mock.method(upkeepOf(a).routingTableRefresh, '_generateRandomPeerId');
    await a.services.dht.refreshRoutingTable();
    assert.equal(mock.callCount(), 0);
  });

  it('updates the tags of the closest peers once after a peer has answered', async (t) => {
    const [a, b] = [await startNode(t), await startNode(t)];
    const { closestPeerTagger } = upkeepOf(a).routingTable;
    const initial = closestPeerTagger.closestPeers;
    await closestPeerTagger.updatePeerTags();
    assert.equal(closestPeerTagger.closestPeers, initial, 'nothing has happened');

    await a.dial(b.getMultiaddrs());
    await until(() => routingTableOf(a).size === 1);
    await closestPeerTagger.updatePeerTags();
    const updated = closestPeerTagger.closestPeers;
    assert.notEqual(updated, initial);
    const { tags } = await a.peerStore.get(b.peerId);
    assert.ok(tags.has('kad-close'), [...tags.keys()].join(' '));
    await closestPeerTagger.updatePeerTags();
    assert.equal(closestPeerTagger.closestPeers, updated, 'nothing has happened since');
  });
});
