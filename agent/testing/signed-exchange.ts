import assert from 'node:assert/strict';

import type { FieldReader, SignedRequest } from '../signatures/message-signature.ts';
import type { RequestSignature } from '../signatures/request-signer.ts';
import type { RequestProof } from '../signatures/request-verifier.ts';
import type { SigningNode } from './signing-nodes.ts';

/** A request for a part of a blob. */
export const request: SignedRequest = {
  method: 'GET',
  target: '/v2/team/app/blobs/sha256:abc?ns=registry.example',
  range: 'bytes=5-',
};
/** Fields of the answer to it. */
export const answer = {
  'content-length': '7',
  'content-range': 'bytes 5-11/12',
  'docker-content-digest': 'sha256:abc',
};

/** Reads fields from an object. */
export function reader(fields: Readonly<Record<string, string>>): FieldReader {
  return (name) => fields[name];
}

/** One node's signed request, and how the other one takes it. */
export function ask(
  asker: SigningNode,
  asked: SigningNode,
  changed: Partial<SignedRequest> = {},
  others: Readonly<Record<string, string>> = {},
): {
  readonly signature: RequestSignature;
  readonly fields: Readonly<Record<string, string>>;
  readonly proof: RequestProof;
} {
  const signature = asker.signer.sign(asked.peerId, request);
  assert.ok(signature !== undefined);
  const fields = { ...signature.fields, ...others };
  const proof = asked.verifier.verify({ ...request, ...changed }, reader(fields));
  return { signature, fields, proof };
}

/** The fields of an answer, signed. */
export function signed(
  proof: RequestProof,
  status: number,
  fields: Readonly<Record<string, string>>,
): Readonly<Record<string, string>> {
  assert.ok('signAnswer' in proof);
  return { ...fields, ...proof.signAnswer(status, reader(fields)) };
}
