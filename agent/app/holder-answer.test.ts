import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { freePort } from '../testing/agent-program.ts';
import { makeImage } from '../testing/image.ts';
import { startMirror } from '../testing/mirror-node.ts';
import { clusterKeys, makeSigningNode } from '../testing/signing-nodes.ts';
import { testTls } from '../testing/test-tls.ts';
import { PeerClient } from '../transfer/client/peer-client.ts';
import { holderAnswer } from './holder-answer.ts';

const image = makeImage(100);
const never = new AbortController().signal;
const question = {
  kind: 'blob',
  registry: 'registry.example',
  repository: 'team/app',
  reference: image.config,
} as const;

describe('holderAnswer', { skip: testTls !== undefined && 'plain HTTP only' }, () => {
  it('asks with a signature, and says what the holder answered', async () => {
    const [own, node] = [await makeSigningNode(clusterKeys()), await makeSigningNode([])];
    node.swarmKeys = own.swarmKeys;
    await using holder = await startMirror({ identity: node, isLocal: () => false });
    const client = new PeerClient({ userAgent: 'test', signer: own.signer });
    const ask = (peerId: string, origin: string): Promise<string> =>
      holderAnswer(client, { peerId, origins: [origin] }, question, never);
    assert.equal(await ask(node.peerId, holder.origin), 'does not have it');
    holder.store.putBlob(image.blobs.get(image.config) ?? Buffer.alloc(0), image.config);
    assert.equal(await ask(node.peerId, holder.origin), 'has it');
    const { peerId } = await makeSigningNode([]);
    assert.equal(await ask(peerId, holder.origin), 'does not prove that it is this peer');
    const closed = `http://127.0.0.1:${await freePort()}`;
    assert.match(await ask(node.peerId, closed), /^cannot be asked \(connect: ECONNREFUSED\)$/);
    await client.close();
  });
});
