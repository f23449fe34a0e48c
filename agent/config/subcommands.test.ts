import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { environmentName, type OptionTable } from './options.ts';
import { resolveOptions } from './resolve.ts';
import { SUBCOMMANDS, type Subcommand } from './subcommands.ts';

describe('SUBCOMMANDS', () => {
  for (const [name, subcommand] of Object.entries<Subcommand>(SUBCOMMANDS)) {
    it(`have defaults that parse, a variable for each option and short summaries: ${name}`, () => {
      const { options }: { options: OptionTable } = subcommand;
      assert.doesNotThrow(() => resolveOptions(options, {}, {}));
      const variables = Object.entries(options).map(([flag, row]) => environmentName(flag, row));
      assert.equal(new Set(variables).size, variables.length);
      for (const [flag, { summary }] of Object.entries(options)) {
        assert.match(summary, /^\S.*[^.\s]$/, flag);
      }
    });
  }

  it('have sections with all of their options', () => {
    for (const { options, sections } of Object.values<Subcommand>(SUBCOMMANDS)) {
      if (sections === undefined) continue;
      const flags = Object.values(sections).flatMap((table) => Object.keys(table));
      assert.deepEqual(flags.toSorted(), Object.keys(options).toSorted());
    }
  });
});
