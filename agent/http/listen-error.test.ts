import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { listenError } from './listen-error.ts';

describe('listenError', () => {
  for (const [code, advice] of [
    ['EADDRINUSE', /port in use; see who holds it/],
    ['EADDRNOTAVAIL', /not an address of this host; name one of it/],
    ['ENOTFOUND', /no such host name; name an IP address/],
    ['EAI_AGAIN', /cannot be looked up now; name an IP address/],
  ] as const) {
    it(`names the address, and what to do about ${code}`, () => {
      const { message } = listenError('--registry-addr', 'node:5000', code, undefined);
      assert.match(message, /^--registry-addr node:5000: /);
      assert.match(message, advice);
    });
  }
});
