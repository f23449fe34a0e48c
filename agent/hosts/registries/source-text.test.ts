import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import fc from 'fast-check';

import { SourceText, indentOf } from './source-text.ts';

describe('SourceText', () => {
  it('finds line and index of every place, and the start of every line', () => {
    fc.assert(
      fc.property(fc.array(fc.string({ maxLength: 5 })), fc.nat(), (lines, at) => {
        const text = lines.join('\n');
        const source = new SourceText(text);
        const place = at % (text.length + 1);
        const { line, index } = source.locate(place);
        assert.equal(source.startOf(line) + index, place);
        assert.equal(line, text.slice(0, place).split('\n').length);
      }),
    );
  });

  it('applies an edit to the line of its finding, and not across lines', () => {
    const source = new SourceText('mirrors:\n  a.example:\n');
    const add = (from: number, to: number): void => {
      source.add({ code: 'x', at: 11, message: 'm', edit: { from, to, text: 'b.example' } });
    };
    add(11, 20);
    add(5, 20);
    const [first, second] = source.findings;
    assert.equal(first?.correction, '  b.example:');
    assert.deepEqual(
      [first.line, first.column, first.caret, first.source],
      [2, 3, 2, '  a.example:'],
    );
    assert.equal(second?.correction, undefined);
  });

  it('shows the original line of a corrected text, at the corresponding place', () => {
    const source = new SourceText(
      'mirrors:\n    - https://m.example',
      'mirrors:\n  -https://m.example',
    );
    source.add({ code: 'x', at: source.text.indexOf('https'), message: 'm' });
    const [finding] = source.findings;
    assert.equal(finding?.source, '  -https://m.example');
    assert.equal(finding.source.slice(finding.caret), 'https://m.example');
  });

  it('names a key only if it cannot be a credential', () => {
    const source = new SourceText('configs:\n  a.example:\n    auth:\n      hunter2: x\n');
    assert.equal(source.nameOf('a.example', 11), '"a.example"');
    assert.equal(source.nameOf('hunter2', source.text.indexOf('hunter2')), undefined);
  });

  it('keeps at most 100 findings, each once, and the first fatal one whenever it comes', () => {
    const source = new SourceText('a');
    for (let count = 0; count < 202; count++) {
      source.add({ code: 'x', at: 0, message: `m${count >> 1}` });
    }
    assert.equal(source.findings.length, 100);
    assert.equal(source.isFull, true);
    for (const code of ['y', 'z']) source.add({ code, at: 0, message: 'm', fatal: true });
    assert.equal(source.findings.length, 101);
    assert.equal(source.findings.at(-1)?.code, 'y');
  });

  it('has a text with its edits, except choices and those that overlap a later one', () => {
    const source = new SourceText('one two\nthree\n');
    const at = (word: string, text: string) => {
      const from = source.text.indexOf(word);
      return { code: word, at: from, message: 'm', edit: { from, to: from + word.length, text } };
    };
    source.add(at('three', '3'));
    source.add(at('one', '1'));
    source.add({ ...at('two', '2'), isChoice: true });
    source.add(at('ne tw', 'x'));
    source.add(at('two\nthree', 'x'));
    assert.equal(source.corrected(), 'oxo\n3\n');
  });
});

describe('indentOf', () => {
  it('counts white space at the start of a line', () => {
    assert.equal(indentOf('  \tkey: value'), 3);
    assert.equal(indentOf('key'), 0);
  });
});
