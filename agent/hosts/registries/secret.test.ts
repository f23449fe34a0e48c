import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { inspect } from 'node:util';

import { WHOLE_REGISTRIES } from '../../testing/registry-findings.ts';
import { parseRegistries } from './parse-registries.ts';
import { Secret } from './secret.ts';

describe('Secret', () => {
  it('is hidden in every conversion to text, also within a parsed file', () => {
    const secret = new Secret('hunter2');
    assert.equal(secret.reveal(), 'hunter2');
    const registries = parseRegistries(WHOLE_REGISTRIES).registries;
    for (const text of [
      String(secret),
      // The test does what happens by accident.
      // eslint-disable-next-line @typescript-eslint/restrict-template-expressions
      `${secret}`,
      JSON.stringify({ secret }),
      inspect({ secret }, { depth: 9, showHidden: true }),
      inspect(registries, { depth: 20, showHidden: true }),
      JSON.stringify([...registries.configs]),
      JSON.stringify(structuredClone(secret)),
    ]) {
      assert.doesNotMatch(text, /hunter2|aHVudGVy/);
    }
    assert.match(inspect(registries, { depth: 20 }), /\[hidden\]/);
  });
});
