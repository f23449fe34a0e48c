import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { describe, it } from 'node:test';

import { errors, type Dispatcher } from 'undici';

import { UpstreamError } from '../upstream-error.ts';
import { failureOf, toUpstreamError } from './upstream-failure.ts';

const withCode = (code: string): Error => Object.assign(new Error('raw text'), { code });

describe('toUpstreamError', () => {
  for (const [error, reason, message] of [
    [withCode('ECONNREFUSED'), 'connect', 'no connection (ECONNREFUSED)'],
    [withCode('EAI_AGAIN'), 'connect', 'no connection (EAI_AGAIN)'],
    [
      withCode('UNABLE_TO_VERIFY_LEAF_SIGNATURE'),
      'connect',
      'TLS failed (UNABLE_TO_VERIFY_LEAF_SIGNATURE)',
    ],
    [
      withCode('ERR_TLS_CERT_ALTNAME_INVALID'),
      'connect',
      'TLS failed (ERR_TLS_CERT_ALTNAME_INVALID)',
    ],
    [new errors.BodyTimeoutError(), 'timeout', 'no more bytes in time'],
    [withCode('ERR_FORBIDDEN_ADDRESS'), 'redirect', 'names a host at an address that is not asked'],
    [withCode('HPE_INVALID_CONSTANT'), 'protocol', 'no HTTP/1.1'],
    [withCode('UND_ERR_SOCKET'), 'body', 'the connection broke (UND_ERR_SOCKET)'],
    [new Error('raw text'), 'body', 'the connection broke (unknown)'],
  ] as const) {
    it(`tells ${message}`, () => {
      const failure = toUpstreamError(error, 'body', 'ghcr.io');
      assert.equal(failure.reason, reason);
      assert.equal(failure.message, `ghcr.io: ${message}`);
    });
  }

  it('leaves one as it is', () => {
    const failure = new UpstreamError('digest', 'wrong');
    assert.equal(toUpstreamError(failure, 'body', 'ghcr.io'), failure);
  });
});

describe('failureOf', () => {
  const answer = (
    statusCode: number,
    retryAfter?: string,
  ): Pick<Dispatcher.ResponseData, 'statusCode' | 'headers' | 'body'> => ({
    statusCode,
    headers: { ...(retryAfter !== undefined && { 'retry-after': retryAfter }) },
    body: Readable.from([]) as unknown as Dispatcher.ResponseData['body'],
  });

  it('has the reason of the status', async () => {
    for (const [status, reason] of [
      [401, 'denied'],
      [403, 'denied'],
      [404, 'not-found'],
      [416, 'range'],
      [429, 'limited'],
      [500, 'status'],
      [302, 'status'],
    ] as const) {
      const failure = await failureOf(answer(status), 'ghcr.io');
      assert.equal(failure.reason, reason);
      assert.equal(failure.status, status);
      assert.equal(failure.message, `ghcr.io answers ${status}`);
    }
  });

  it('has how long the registry wants to be left alone, an hour at most', async () => {
    const retryAfter = async (status: number, text: string): Promise<number | undefined> =>
      (await failureOf(answer(status, text), 'ghcr.io')).retryAfter;
    assert.equal(await retryAfter(429, '30'), 30_000);
    assert.equal(await retryAfter(503, '86400'), 3_600_000);
    assert.equal(await retryAfter(429, 'soon'), undefined);
    assert.equal(await retryAfter(429, new Date(0).toUTCString()), 0);
    const inAMinute = await retryAfter(429, new Date(Date.now() + 60_000).toUTCString());
    assert.ok(inAMinute !== undefined && inAMinute > 0 && inAMinute <= 60_000);
    assert.equal(await retryAfter(500, '30'), undefined);
  });
});
