import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { answer, ask, reader, request, signed } from '../testing/signed-exchange.ts';
import { clusterKeys, makeSigningNode } from '../testing/signing-nodes.ts';

describe('RequestSigner', () => {
  const changes: readonly [number, Readonly<Record<string, string>>][] = [
    [200, answer],
    [206, { ...answer, 'content-length': '8' }],
    [206, { ...answer, 'content-range': 'bytes 6-12/13' }],
    [206, { ...answer, 'docker-content-digest': 'sha256:abd' }],
    [206, { ...answer, 'retry-after': '1' }],
    [206, { ...answer, 'x-peerglass-alternatives': 'another' }],
  ];
  for (const [status, fields] of changes) {
    it(`does not believe an answer that was changed to ${status} ${JSON.stringify(fields)}`, async () => {
      const asker = await makeSigningNode(clusterKeys());
      const asked = await makeSigningNode(asker.swarmKeys);
      const { signature, proof } = ask(asker, asked);
      const original = signed(proof, 206, answer);
      assert.equal(signature.check(status, reader({ ...original, ...fields })), 'unproven');
    });
  }

  it('does not believe an answer to another request', async () => {
    const asker = await makeSigningNode(clusterKeys());
    const asked = await makeSigningNode(asker.swarmKeys);
    const earlier = signed(ask(asker, asked).proof, 206, answer);
    const { signature } = ask(asker, asked);
    assert.equal(signature.check(206, reader(earlier)), 'unproven');
  });

  it('does not believe an answer without a signature, unless the cluster is open', async () => {
    const asker = await makeSigningNode(clusterKeys());
    const asked = await makeSigningNode(asker.swarmKeys);
    assert.equal(ask(asker, asked).signature.check(200, reader(answer)), 'unproven');
    const open = await makeSigningNode(asker.swarmKeys, true);
    assert.equal(ask(open, asked).signature.check(200, reader(answer)), 'open');
    const stolen = { ...answer, 'signature-input': 'x', signature: 'y' };
    assert.equal(ask(open, asked).signature.check(200, reader(stolen)), 'unproven');
  });

  it('signs nothing for a peer without an ed25519 identity', async () => {
    const asker = await makeSigningNode(clusterKeys());
    assert.equal(asker.signer.sign('QmNotAnEd25519Identity', request), undefined);
  });
});
