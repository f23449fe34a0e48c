import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { PeerError, toPeerError } from './peer-error.ts';

function withCode(code: string): Error {
  return Object.assign(new Error('free text of a peer'), { code });
}

describe('toPeerError', () => {
  it('returns a PeerError as it is', () => {
    const error = new PeerError('digest', 'wrong');
    assert.equal(toPeerError(error, 'body'), error);
  });

  const reasons = {
    ECONNREFUSED: 'connect',
    EHOSTUNREACH: 'connect',
    UND_ERR_CONNECT_TIMEOUT: 'connect',
    ETIMEDOUT: 'connect',
    UND_ERR_BODY_TIMEOUT: 'timeout',
    HPE_INVALID_CONSTANT: 'protocol',
    CERT_HAS_EXPIRED: 'tls',
    ERR_TLS_CERT_ALTNAME_INVALID: 'tls',
    DEPTH_ZERO_SELF_SIGNED_CERT: 'tls',
    EPROTO: 'tls',
    ECONNRESET: 'body',
  } as const;
  for (const [code, reason] of Object.entries(reasons)) {
    it(`reads ${code} as ${reason}`, () => {
      const cause = withCode(code);
      const error = toPeerError(cause, 'body');
      assert.equal(error.reason, reason);
      assert.equal(error.message, code, 'the message holds no text of the peer');
      assert.equal(error.cause, cause);
    });
  }

  it('takes the fallback for an error without a code', () => {
    const error = toPeerError(new Error('free text of a peer'), 'connect');
    assert.equal(error.reason, 'connect');
    assert.equal(error.message, 'exchange failed');
    assert.equal(toPeerError('no error at all', 'body').reason, 'body');
  });
});
