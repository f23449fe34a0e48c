import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import fc from 'fast-check';

import { PeerError } from '../peer-error.ts';
import { parseResponseHead } from './response-head.ts';

describe('parseResponseHead', () => {
  it('reads fields of any case, and a repeated field as a list', () => {
    const { statusCode, headers, keepAlive, length } = parseResponseHead(
      'HTTP/1.1 206 Partial Content\r\nContent-LENGTH:  7 \r\nx-a: 1\r\nX-A: 2\r\nX-Empty:',
    );
    assert.equal(statusCode, 206);
    assert.deepEqual({ ...headers }, { 'content-length': '7', 'x-a': ['1', '2'], 'x-empty': '' });
    assert.equal(keepAlive, true);
    assert.equal(length, 7);
  });

  for (const text of [
    'HTTP/2 200 OK',
    'HTTP/1.1 20 OK',
    'HTTP/1.1 200 OK\r\nno colon',
    'HTTP/1.1 200 OK\r\nname : value',
    'HTTP/1.1 200 OK\r\na: 1\r\n folded',
    'HTTP/1.1 200 OK\r\na: 1\nb: 2',
    'HTTP/1.1 200 OK\r\na: \0',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5',
    '',
  ]) {
    it(`refuses ${JSON.stringify(text)}`, () => {
      assert.throws(() => parseResponseHead(text), { reason: 'protocol' });
    });
  }

  it('gives a length only for exactly one Content-Length of plain digits', () => {
    for (const field of ['5, 5', '+5', '0x5', '5\r\nContent-Length: 5', '']) {
      const head = parseResponseHead(`HTTP/1.1 200 OK\r\nContent-Length: ${field}`);
      assert.equal(head.length, undefined, field);
    }
  });

  it('gives no length for a status that has no body', () => {
    for (const status of [101, 204, 304]) {
      const head = parseResponseHead(`HTTP/1.1 ${status} X\r\nContent-Length: 5`);
      assert.equal(head.length, undefined, String(status));
    }
  });

  it('has a body of unknown length only where that is taken, of a status that has one', () => {
    for (const [lines, isUnsized] of [
      ['1 200 X\r\nTransfer-Encoding: Chunked', true],
      ['1 200 X', true],
      ['0 200 X', true],
      ['1 404 X\r\nTransfer-Encoding: chunked', true],
      ['1 204 X', false],
      ['1 200 X\r\nContent-Length: 5', false],
      ['1 200 X\r\nContent-Length: 5, 5', false],
    ] as const) {
      assert.equal(parseResponseHead(`HTTP/1.${lines}`, true).isUnsized, isUnsized, lines);
    }
    assert.equal(parseResponseHead('HTTP/1.1 200 X').isUnsized, false);
    for (const lines of [
      '1 200 X\r\nTransfer-Encoding: gzip, chunked',
      '1 200 X\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked',
      '1 200 X\r\nTransfer-Encoding: chunked\r\nContent-Length: 5',
      '0 200 X\r\nTransfer-Encoding: chunked',
      '1 204 X\r\nTransfer-Encoding: chunked',
    ]) {
      const parse = (): unknown => parseResponseHead(`HTTP/1.${lines}`, true);
      assert.throws(parse, { reason: 'protocol' }, lines);
    }
  });

  it('ends the connection when the peer asks for that, or speaks HTTP/1.0', () => {
    const ends = ['HTTP/1.0 200 OK', 'HTTP/1.1 200 OK\r\nConnection: x, Close'];
    for (const text of ends) assert.equal(parseResponseHead(text).keepAlive, false);
  });

  it('reads every well-formed head as it was written', () => {
    const name = fc.stringMatching(/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,20}$/);
    const value = fc.stringMatching(/^(?:[!-~](?:[ -~]{0,20}[!-~])?)?$/);
    const field = fc
      .tuple(name, value)
      .filter(([it]) => !/^(?:transfer-encoding|content-length|connection)$/i.test(it));
    const fields = fc.uniqueArray(field, { selector: ([it]) => it.toLowerCase(), maxLength: 10 });
    fc.assert(
      fc.property(fc.integer({ min: 200, max: 599 }), fields, (status, given) => {
        const lines = given.map(([key, text]) => `${key}: ${text}`);
        const head = parseResponseHead([`HTTP/1.1 ${status} X`, ...lines].join('\r\n'));
        const expected = Object.fromEntries(given.map(([key, text]) => [key.toLowerCase(), text]));
        assert.equal(head.statusCode, status);
        assert.deepEqual(Object.entries(head.headers).sort(), Object.entries(expected).sort());
      }),
    );
  });

  it('throws nothing but a PeerError, and gives no control characters, whatever a peer sends', () => {
    const part = fc.oneof(
      fc.string({ unit: 'binary-ascii', maxLength: 40 }),
      fc.constantFrom('\r\n', 'HTTP/1.1 200 OK', ': ', 'content-length: 5', '\0', '\x7f', '\n'),
    );
    fc.assert(
      fc.property(fc.array(part, { maxLength: 12 }), fc.boolean(), (parts, isPlausible) => {
        const text = `${isPlausible ? 'HTTP/1.1 200 OK\r\n' : ''}${parts.join('')}`;
        try {
          const { headers, length = 0 } = parseResponseHead(text);
          assert.ok(Number.isSafeInteger(length) && length >= 0);
          for (const value of Object.values(headers).flat()) {
            assert.doesNotMatch(value ?? '', /[\0-\x08\x0a-\x1f\x7f]/);
          }
        } catch (error) {
          assert.ok(error instanceof PeerError && error.reason === 'protocol', String(error));
        }
      }),
      { numRuns: 1_000 },
    );
  });
});
