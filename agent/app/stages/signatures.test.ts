import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { makeSigningNode } from '../../testing/signing-nodes.ts';
import { signaturesStage } from './signatures.ts';

const request = { method: 'GET', target: '/v2/', range: undefined };

describe('signaturesStage', () => {
  it('lets nodes prove to each other who they are, also in an open cluster', async () => {
    const [a, b] = [await makeSigningNode([]), await makeSigningNode([])];
    const asker = signaturesStage({ identity: a }, { isOpen: true });
    const asked = signaturesStage({ identity: b }, { isOpen: true });
    assert.ok(asked.isOpen);
    const fields: Readonly<Record<string, string>> =
      asker.signer.sign(b.peerId, request)?.fields ?? {};
    const proof = asked.verifier.verify(request, (name) => fields[name]);
    assert.ok(proof.kind === 'proven');
    assert.equal(proof.peerId, a.peerId);
  });
});
