import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';

import { privateKeyFromProtobuf, privateKeyToProtobuf } from '@libp2p/crypto/keys';

import { newSwarmKey } from '../../membership/swarm-key.ts';
import { GREETINGS, until } from '../../testing/conformance/router.ts';
import { eventually } from '../../testing/eventually.ts';
import { TestNetwork } from '../../testing/test-network.ts';
import type { Libp2pRouter } from '../libp2p-router.ts';
import { createNode } from '../node/libp2p-node.ts';
import { loadIdentity } from '../node/identity.ts';

let network = new TestNetwork();

beforeEach(() => {
  network = new TestNetwork();
});

afterEach(() => network.stop());

const ask = async (from: Libp2pRouter, peerId: string): Promise<string> => {
  const signal = AbortSignal.timeout(5000);
  return Buffer.from(await from.ask(peerId, Buffer.from('one'), signal)).toString();
};

const protocolsOf = async (from: Libp2pRouter, peerId: string) =>
  (await from.closest('key', 20)).find((member) => member.peerId === peerId)?.protocols ?? [];

describe('questions between routers', () => {
  it('are answered by a node that has taken another identity, under that', async () => {
    const privateKey = await loadIdentity();
    const questions = GREETINGS;
    const one = await network.start([], { youngMs: 0, probeMs: 50 }, { privateKey, questions });
    const copy = privateKeyFromProtobuf(privateKeyToProtobuf(privateKey));
    const renewIdentity = async () => ({ privateKey: await loadIdentity(), replacedIn: '' });
    const init = { probeMs: 50 };
    const later = await network.start([one], init, { privateKey: copy, questions, renewIdentity });
    await until(() => later.peerId !== one.peerId && later.status().peers === 1);
    await eventually(async () => {
      assert.equal(await ask(one, later.peerId), `${one.peerId}: one`);
      assert.equal(await ask(later, one.peerId), `${later.peerId}: one`);
      assert.ok((await protocolsOf(one, later.peerId)).includes(GREETINGS.protocol));
    });
  });

  it('are neither asked nor answered by a node without a handler', async () => {
    const one = await network.start([], {}, { questions: GREETINGS });
    const plain = await network.start([one]);
    await until(() => [one, plain].every((router) => router.status().peers === 1));
    await assert.rejects(ask(plain, one.peerId), { name: 'NotAskedError' });
    await assert.rejects(ask(one, plain.peerId), { name: 'UnsupportedProtocolError' });
    await eventually(async () => {
      assert.ok((await protocolsOf(plain, one.peerId)).includes(GREETINGS.protocol));
    });
    assert.ok(!(await protocolsOf(one, plain.peerId)).includes(GREETINGS.protocol));
  });

  it('are not answered for a stranger in a closed cluster, nor over a connection that it cannot read', async (t) => {
    const keys = [newSwarmKey()];
    let answered = 0;
    const questions = {
      ...GREETINGS,
      answer: (from: string, message: Uint8Array) => {
        answered += 1;
        return GREETINGS.answer(from, message);
      },
    };
    const strangers: string[] = [];
    const swarm = {
      swarmKeys: { keys },
      isOpen: false,
      onStranger: (address: string) => strangers.push(address),
    };
    const member = await network.start([], {}, { questions, swarm });
    for (const other of [undefined, newSwarmKey()]) {
      const { node, start } = await createNode({
        privateKey: await loadIdentity(),
        serveDht: () => undefined,
        listen: ['/ip4/127.0.0.9/tcp/0'],
        ...(other !== undefined && {
          swarm: { swarmKeys: { keys: [other] }, isOpen: false, onStranger: () => undefined },
        }),
      });
      await start();
      t.after(() => node.stop());
      const signal = AbortSignal.timeout(5000);
      const before = strangers.length;
      const dialled = node.dialProtocol([...member.listening], GREETINGS.protocol, { signal });
      await assert.rejects(dialled);
      assert.ok(strangers.length > before, 'it is refused for its key');
    }
    assert.equal(answered, 0);
    const other = await network.start([member], {}, { questions, swarm });
    await until(() => other.status().peers === 1);
    assert.equal(await ask(other, member.peerId), `${other.peerId}: one`);
    assert.equal(answered, 1);
  });
});
