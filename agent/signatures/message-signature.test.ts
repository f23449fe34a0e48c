import assert from 'node:assert/strict';
import { createHmac, createSecretKey } from 'node:crypto';
import { describe, it } from 'node:test';

import {
  answerBase,
  formatRequestInput,
  isSignatureOf,
  parseRequestInput,
  requestBase,
  signatureFields,
  withoutLabel,
} from './message-signature.ts';

const KEY_ID = '12D3KooWSNYMZVAi8JfcyuqXiifB6bMEN9ohz1ZYETMdPrSmmaFH';
const parameters = {
  created: 1_700_000_000,
  keyId: KEY_ID,
  noncePrefix: 'abcdefghijkl',
  counter: 7,
};
const request = { method: 'GET', target: '/v2/a/blobs/b?ns=c', range: 'bytes=0-' };

describe('the signature of a request', () => {
  it('is over the text that RFC 9421 prescribes', () => {
    const input = formatRequestInput(request, parameters);
    const stated = `("@method" "@path" "@query" "range");created=1700000000;keyid="${KEY_ID}";nonce="abcdefghijkl.7"`;
    assert.equal(input, stated);
    assert.equal(
      requestBase(request, input),
      [
        '"@method": GET',
        '"@path": /v2/a/blobs/b',
        '"@query": ?ns=c',
        '"range": bytes=0-',
        `"@signature-params": ${stated}`,
      ].join('\n'),
    );
    // Section 2.2.7: without a query the value is a question mark.
    assert.match(requestBase({ ...request, target: '/v2/' }, input), /^"@query": \?$/m);
  });

  it('is parsed as it was made, with and without a range', () => {
    for (const it of [request, { ...request, range: undefined }]) {
      assert.deepEqual(
        parseRequestInput(`peerglass=${formatRequestInput(it, parameters)}`, it),
        parameters,
      );
    }
  });

  it('must cover the range of a request, and no range where there is none', () => {
    const without = { ...request, range: undefined };
    const input = (it: typeof request | typeof without): string =>
      `peerglass=${formatRequestInput(it, parameters)}`;
    assert.equal(parseRequestInput(input(without), request), undefined);
    assert.equal(parseRequestInput(input(request), without), undefined);
  });
});

describe('the signature of an answer', () => {
  const fields: Readonly<Record<string, string>> = { 'content-length': '5', 'x-other': 'y' };

  it('covers the fields that are there, and the signature of the request', () => {
    const { input, base } = answerBase(200, (name) => fields[name], 'peerglass=:x:', KEY_ID);
    assert.equal(input, `("@status" "content-length" "signature";req);keyid="${KEY_ID}"`);
    assert.equal(
      base,
      [
        '"@status": 200',
        '"content-length": 5',
        '"signature";req: peerglass=:x:',
        `"@signature-params": ${input}`,
      ].join('\n'),
    );
  });
});

describe('the fields of a signature', () => {
  const key = createSecretKey(Buffer.alloc(32, 1));

  it('have label, parameters and the HMAC', () => {
    const fields = signatureFields('("x")', 'the text', key);
    const expected = createHmac('sha256', Buffer.alloc(32, 1)).update('the text').digest('base64');
    assert.deepEqual(fields, {
      'signature-input': 'peerglass=("x")',
      signature: `peerglass=:${expected}:`,
    });
    assert.equal(withoutLabel(fields['signature-input']), '("x")');
    assert.ok(isSignatureOf(fields.signature, 'the text', key));
    assert.ok(!isSignatureOf(fields.signature, 'the text.', key));
    assert.ok(!isSignatureOf(fields.signature, 'the text', createSecretKey(Buffer.alloc(32))));
    for (const malformed of [undefined, '', 'peerglass=::', `x${fields.signature}`]) {
      assert.ok(!isSignatureOf(malformed, 'the text', key));
    }
  });
});
