import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { HostsTomlError, TableReader, lineOf, parseToml } from './toml-table.ts';

function readerOf(text: string): TableReader {
  return new TableReader(text, parseToml(text));
}

describe('parseToml', () => {
  it('reports the line of a mistake, without an excerpt of the file', () => {
    assert.throws(
      () => parseToml('a = 1\npassword = "c2VjcmV0\n'),
      (error) => {
        assert.ok(error instanceof HostsTomlError);
        assert.equal(error.line, 2);
        assert.doesNotMatch(error.message, /c2VjcmV0/);
        return true;
      },
    );
  });
});

describe('lineOf', () => {
  it('finds the first line with a text after another text', () => {
    const text = 'key\nsection\nkey\n';
    assert.equal(lineOf(text, 'key'), 1);
    assert.equal(lineOf(text, 'key', 'section'), 3);
    assert.equal(lineOf(text, 'missing'), undefined);
  });
});

describe('TableReader', () => {
  it('reads a single value and a list of strings alike', () => {
    const reader = readerOf('one = "a"\nmany = ["a", "b"]\n');
    assert.deepEqual(reader.strings('one'), ['a']);
    assert.deepEqual(reader.strings('many'), ['a', 'b']);
    assert.equal(reader.strings('missing'), undefined);
  });

  it('reads client certificates with and without keys', () => {
    const reader = readerOf('a = "x"\nb = ["x", "y"]\nc = [["x", "y"], ["z", ""]]\n');
    assert.deepEqual(reader.pairs('a'), [['x']]);
    assert.deepEqual(reader.pairs('b'), [['x'], ['y']]);
    assert.deepEqual(reader.pairs('c'), [['x', 'y'], ['z']]);
  });

  it('rejects a value of another type, with its line', () => {
    const reader = readerOf('\nvalue = 1\n');
    for (const read of [
      () => reader.string('value'),
      () => reader.boolean('value'),
      () => reader.table('value'),
      () => reader.strings('value'),
      () => reader.list('value'),
      () => reader.pairs('value'),
    ]) {
      assert.throws(
        read,
        (error) =>
          error instanceof HostsTomlError && error.message.startsWith('line 2: value must be'),
      );
    }
  });

  it('finds the line of a key in its own table, not in an earlier one', () => {
    const text = '[a]\nkey = true\n[b]\nkey = 1\n';
    const reader = new TableReader(text, { key: 1 }, '[b]');
    assert.throws(() => reader.boolean('key'), /^HostsTomlError: line 4:/);
  });

  it('does not read properties of every object as keys', () => {
    assert.equal(readerOf('').string('constructor'), undefined);
  });
});
