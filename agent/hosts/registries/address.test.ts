import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import fc from 'fast-check';

import { isAddress, redactAddress, showAddress } from './address.ts';

describe('isAddress', () => {
  it('accepts hosts and URLs, and nothing that may be a credential', () => {
    for (const text of [
      'm.example',
      'm.example:5000/v2',
      'localhost',
      '10.0.0.5:80',
      'https://m',
      'https://[::1]:5000/v2/x',
    ]) {
      assert.equal(isAddress(text), true, text);
    }
    for (const text of [
      'hunter2',
      'https://u:p@m.example',
      'https://m.example?t=1',
      'm.example#x',
      '',
    ]) {
      assert.equal(isAddress(text), false, text);
    }
  });
});

describe('redactAddress', () => {
  it('hides user, password, query and fragment', () => {
    assert.equal(
      redactAddress('https://u:p@m.example/v2?t=1#f'),
      'https://[hidden]@m.example/v2?[hidden]',
    );
    assert.equal(redactAddress('https://m.example#f'), 'https://m.example?[hidden]');
    assert.equal(redactAddress('hunter2'), undefined);
  });

  it('shows no user information of any URL', () => {
    const part = fc.stringMatching(/^[a-z0-9]{8,12}$/);
    fc.assert(
      fc.property(part, part, part, (user, password, query) => {
        const shown = showAddress(`https://${user}:${password}@m.example?${query}`);
        for (const secret of [user, password, query]) assert.ok(!shown.includes(secret), shown);
      }),
    );
  });
});

describe('showAddress', () => {
  it('quotes an address, and shows nothing of any other text', () => {
    assert.equal(showAddress('m.example:5000'), '"m.example:5000"');
    assert.equal(showAddress('hunter2'), 'this value');
  });
});
