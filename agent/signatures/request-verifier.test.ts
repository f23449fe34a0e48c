import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { answer, ask, reader, request, signed } from '../testing/signed-exchange.ts';
import { clusterKeys, makeSigningNode } from '../testing/signing-nodes.ts';
import type { SignedRequest } from './message-signature.ts';
import { RequestVerifier } from './request-verifier.ts';

describe('RequestVerifier', () => {
  it('knows who asks, and its answer proves who answers', async () => {
    const asker = await makeSigningNode(clusterKeys());
    const asked = await makeSigningNode(asker.swarmKeys);
    const { signature, proof } = ask(asker, asked);
    assert.equal(proof.kind, 'proven');
    assert.ok('peerId' in proof && proof.peerId === asker.peerId);
    assert.equal(signature.check(206, reader(signed(proof, 206, answer))), 'proven');
  });

  it('follows HTTP Message Signatures', async () => {
    const asker = await makeSigningNode(clusterKeys());
    const asked = await makeSigningNode(asker.swarmKeys);
    const { fields } = ask(asker, asked);
    assert.match(
      fields['signature-input'] ?? '',
      /^peerglass=\("@method" "@path" "@query" "range"\);created=\d+;keyid="12D3KooW\w+";nonce="[\w-]{12}\.1"$/,
    );
    assert.match(fields['signature'] ?? '', /^peerglass=:[A-Za-z0-9+/]{43}=:$/);
  });

  const changes: readonly Partial<SignedRequest>[] = [
    { method: 'HEAD' },
    { target: '/v2/team/app/blobs/sha256:abd?ns=registry.example' },
    { target: '/v2/team/app/blobs/sha256:abc?ns=registry.other' },
    { target: '/v2/team/app/blobs/sha256:abc' },
    { range: 'bytes=6-' },
    { range: undefined },
  ];
  for (const changed of changes) {
    it(`does not accept a request that was changed to ${JSON.stringify(changed)}`, async () => {
      const asker = await makeSigningNode(clusterKeys());
      const asked = await makeSigningNode(asker.swarmKeys);
      assert.equal(ask(asker, asked, changed).proof.kind, 'wrong');
    });
  }

  it('accepts a signature once', async () => {
    const asker = await makeSigningNode(clusterKeys());
    const asked = await makeSigningNode(asker.swarmKeys);
    const { fields } = ask(asker, asked);
    assert.equal(asked.verifier.verify(request, reader(fields)).kind, 'stale');
    assert.equal(ask(asker, asked).proof.kind, 'proven');
  });

  it('does not accept at one node what was signed for another', async () => {
    const asker = await makeSigningNode(clusterKeys());
    const [asked, other] = [
      await makeSigningNode(asker.swarmKeys),
      await makeSigningNode(asker.swarmKeys),
    ];
    const { fields } = ask(asker, asked);
    assert.equal(other.verifier.verify(request, reader(fields)).kind, 'wrong');
    // Nor as a request of the node that was asked.
    assert.equal(asker.verifier.verify(request, reader(fields)).kind, 'wrong');
  });

  it('does not accept another identity in the place of the signer', async () => {
    const asker = await makeSigningNode(clusterKeys());
    const [asked, other] = [
      await makeSigningNode(asker.swarmKeys),
      await makeSigningNode(asker.swarmKeys),
    ];
    const signature = asker.signer.sign(asked.peerId, request);
    assert.ok(signature !== undefined);
    const input = signature.fields['signature-input'] ?? '';
    const stolen = { 'signature-input': input.replace(asker.peerId, other.peerId) };
    const fields = { ...signature.fields, ...stolen };
    assert.equal(asked.verifier.verify(request, reader(fields)).kind, 'wrong');
  });

  it('does not accept a node with another swarm key, or without one', async () => {
    const asked = await makeSigningNode(clusterKeys());
    for (const keys of [clusterKeys(), []]) {
      assert.equal(ask(await makeSigningNode(keys), asked).proof.kind, 'wrong');
    }
    assert.equal(asked.verifier.verify(request, reader({})).kind, 'unsigned');
  });

  it('accepts each of its swarm keys, and answers with the one of the request', async () => {
    const [old] = clusterKeys();
    const [next] = clusterKeys();
    assert.ok(old !== undefined && next !== undefined);
    const asker = await makeSigningNode([old, next]);
    const asked = await makeSigningNode([next, old]);
    for (const [one, other] of [
      [asker, asked],
      [asked, asker],
    ] as const) {
      const { signature, proof } = ask(one, other);
      assert.equal(signature.check(206, reader(signed(proof, 206, answer))), 'proven');
    }
  });

  it('tells a node with a wrong clock the time, so that it asks again with the right one', async () => {
    const asker = await makeSigningNode(clusterKeys());
    const asked = await makeSigningNode(asker.swarmKeys);
    for (const ahead of [3_600, -3_600, 0]) {
      asker.ahead = ahead;
      const { signature, proof } = ask(asker, asked);
      assert.ok(proof.kind === 'stale');
      const fields = signed(proof, 401, { 'x-peerglass-time': String(proof.time) });
      assert.equal(signature.check(401, reader(fields)), 'other-clock');
      assert.equal(ask(asker, asked).proof.kind, 'proven');
    }
  });

  it('does not believe a time that is not signed', async () => {
    const asker = await makeSigningNode(clusterKeys());
    const asked = await makeSigningNode(asker.swarmKeys);
    const { signature } = ask(asker, asked);
    assert.equal(signature.check(401, reader({ 'x-peerglass-time': '1' })), 'unproven');
    assert.equal(ask(asker, asked).proof.kind, 'proven');
  });

  it('does not accept a request from before its start, which may have been used then', async () => {
    const asker = await makeSigningNode(clusterKeys());
    const asked = await makeSigningNode(asker.swarmKeys);
    asker.ahead = -20;
    assert.equal(ask(asker, asked).proof.kind, 'stale');
  });

  it('bounds the work for invented peers, and serves those that it knows', async () => {
    const asker = await makeSigningNode(clusterKeys());
    const asked = await makeSigningNode(asker.swarmKeys);
    assert.equal(ask(asker, asked).proof.kind, 'proven');
    const { fields } = ask(await makeSigningNode([]), asked);
    const kinds = new Set<string>();
    for (let count = 0; count < 1_500; count += 1) {
      kinds.add(asked.verifier.verify(request, reader(fields), '10.0.0.9').kind);
    }
    // A part of them was verified, and the others say why they were not.
    assert.deepEqual([...kinds], ['wrong', 'unverified']);
    assert.equal(ask(asker, asked).proof.kind, 'proven');
    // Also one that it does not know yet, from another address.
    assert.equal(ask(await makeSigningNode(asker.swarmKeys), asked).proof.kind, 'proven');
  });

  it('counts the addresses of an IPv6 host as one', async () => {
    // The bound is for each second of the clock, which stands still here.
    const now = Date.now();
    const own = await makeSigningNode(clusterKeys());
    const verifier = new RequestVerifier(own.keys, () => now);
    const signature = (await makeSigningNode([])).signer.sign(own.peerId, request);
    assert.ok(signature !== undefined);
    const kind = (address: string): string =>
      verifier.verify(request, reader(signature.fields), address).kind;
    const kinds = Array.from({ length: 65 }, (_, host) => kind(`fd00:1:2:3::${host.toString(16)}`));
    assert.deepEqual([...new Set(kinds)], ['wrong', 'unverified']);
    assert.equal(kinds.indexOf('unverified'), 64);
    assert.equal(kind('fd00:1:2:4::1'), 'wrong');
  });

  for (const malformed of [
    '',
    'peerglass=',
    'other=("@method" "@path" "@query" "range");created=1;keyid="x";nonce="y.1"',
    'peerglass=("@method");created=1;keyid="x";nonce="y.1"',
  ]) {
    it(`does not accept ${JSON.stringify(malformed)}`, async () => {
      const asker = await makeSigningNode(clusterKeys());
      const asked = await makeSigningNode(asker.swarmKeys);
      const { proof } = ask(asker, asked, {}, { 'signature-input': malformed });
      assert.equal(proof.kind, 'wrong');
    });
  }
});
