import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import { until } from '../../testing/conformance/router.ts';
import { startRoutingNode } from '../../testing/routing-node.ts';
import { silent } from '../../testing/test-network.ts';
import type { RoutingNode } from '../node/libp2p-node.ts';
import { dhtPeer } from '../node/membership.ts';
import { routingKey } from './key.ts';
import { ProviderRecords } from './provider-records.ts';
import { MAX_WITHDRAWALS_PER_STREAM, WithdrawProtocol } from './withdraw-protocol.ts';

const TIMEOUT_MS = 5000;
const PROTOCOL = '/peerglass/withdraw/1.0.0';

interface Side {
  readonly node: RoutingNode;
  readonly records: ProviderRecords;
  readonly protocol: WithdrawProtocol;
}

async function startSide(t: TestContext, host: string): Promise<Side> {
  const node = await startRoutingNode(t, host);
  const records = new ProviderRecords({ ownPeerId: node.peerId.toString() });
  const protocol = new WithdrawProtocol({ node, records, logger: silent });
  t.after(() => protocol.stop());
  return { node, records, protocol };
}

/** Connects the sides and waits until the first knows what the second speaks. */
async function connect(from: Side, to: Side): Promise<void> {
  await from.node.dial(to.node.services.listening.addresses());
  await until(async () => {
    const { protocols } = await from.node.peerStore.get(to.node.peerId);
    return protocols.length > 0;
  });
}

const [one, two] = [routingKey('one'), routingKey('two')];

describe('WithdrawProtocol', () => {
  it("deletes the sender's records of the keys, and no others", async (t) => {
    const [sender, receiver] = [await startSide(t, '127.0.0.46'), await startSide(t, '127.0.0.47')];
    await receiver.protocol.start();
    await connect(sender, receiver);
    const id = sender.node.peerId.toString();
    receiver.records.add(one.recordKey, id);
    receiver.records.add(two.recordKey, id);
    receiver.records.add(one.recordKey, 'another peer');
    const peer = dhtPeer(receiver.node.peerId);
    assert.equal(await sender.protocol.send(peer, [one.multihash], TIMEOUT_MS), true);
    assert.deepEqual(receiver.records.providers(one.recordKey, 10), ['another peer']);
    assert.deepEqual(receiver.records.providers(two.recordKey, 10), [id]);
  });

  it('sends nothing to a peer that does not speak the protocol', async (t) => {
    const [sender, receiver] = [await startSide(t, '127.0.0.46'), await startSide(t, '127.0.0.47')];
    await connect(sender, receiver);
    const peer = dhtPeer(receiver.node.peerId);
    assert.equal(await sender.protocol.send(peer, [one.multihash], TIMEOUT_MS), false);
  });

  it('refuses a stream with more withdrawals than the bound', async (t) => {
    const [sender, receiver] = [await startSide(t, '127.0.0.46'), await startSide(t, '127.0.0.47')];
    await receiver.protocol.start();
    await connect(sender, receiver);
    const tooMany = new Array<Uint8Array>(MAX_WITHDRAWALS_PER_STREAM + 1).fill(one.multihash);
    await assert.rejects(sender.protocol.send(dhtPeer(receiver.node.peerId), tooMany, TIMEOUT_MS));
  });

  it('fails when the peer does not confirm in time', async (t) => {
    const [sender, receiver] = [await startSide(t, '127.0.0.46'), await startSide(t, '127.0.0.47')];
    await receiver.node.handle(PROTOCOL, () => undefined);
    await connect(sender, receiver);
    await assert.rejects(
      sender.protocol.send(dhtPeer(receiver.node.peerId), [one.multihash], 100),
      /did not answer in time/,
    );
  });
});
