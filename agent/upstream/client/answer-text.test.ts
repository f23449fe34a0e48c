import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { describe, it } from 'node:test';

import { discard, isHtml, readJson, single, wordsOf } from './answer-text.ts';

const body = (text: string): Readable => Readable.from([Buffer.from(text)]);
const json = { 'content-type': 'application/json' };

describe('wordsOf', () => {
  it('has code and message of the first error, or what other servers say', async () => {
    for (const [text, words] of [
      ['{"errors":[{"code":"DENIED","message":"no access"}]}', ': DENIED: no access'],
      ['{"errors":[{"code":"DENIED"}]}', ': DENIED'],
      ['{"details":"incorrect username or password"}', ': incorrect username or password'],
      ['{"message":"over quota"}', ': over quota'],
      ['{"errors":{}}', ''],
      ['{"errors":[null]}', ''],
      ['not json', ''],
      ['', ''],
    ] as const) {
      assert.equal(await wordsOf({ headers: json, body: body(text) }), words, text);
    }
  });

  it('does not repeat a page for people', async () => {
    const page = { headers: { 'content-type': 'text/html' }, body: body('<h1>secret</h1>') };
    assert.equal(await wordsOf(page), ' with an HTML page');
  });
});

describe('readJson', () => {
  it('reads an object, and nothing that is too long or no object', async () => {
    assert.deepEqual(await readJson(body('{"a":1}')), { a: 1 });
    assert.equal(await readJson(body(`{"a":"${'x'.repeat(70_000)}"}`)), undefined);
    assert.equal(await readJson(body('3')), undefined);
    const failing = new Readable({
      read() {
        this.destroy(new Error('broken'));
      },
    });
    assert.equal(await readJson(failing), undefined);
  });
});

describe('isHtml', () => {
  it('goes by the type that is stated', () => {
    assert.ok(isHtml({ 'content-type': 'Text/HTML; charset=utf-8' }));
    assert.ok(!isHtml({ 'content-type': 'application/json' }));
    assert.ok(!isHtml({}));
  });
});

describe('single', () => {
  it('takes a header that is repeated for none', () => {
    assert.equal(single(['a', 'b']), undefined);
    assert.equal(single('a'), 'a');
  });
});

describe('discard', () => {
  it('ends a body', () => {
    const stream = body('a');
    discard(stream);
    assert.ok(stream.destroyed);
  });
});
