import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { it } from 'node:test';

import fc from 'fast-check';

import { HostsWorld, REGISTRIES } from '../../testing/hosts-world.ts';

const registry = fc.constantFrom(...REGISTRIES);
const initial = fc.uniqueArray(
  fc.record({
    registry,
    hosts: fc.boolean(),
    certificate: fc.boolean(),
    mode: fc.constantFrom(0o700, 0o755),
  }),
  { selector: (each) => each.registry },
);
const run = fc.record({
  wanted: fc.option(fc.uniqueArray(registry, { minLength: 1 }), { nil: undefined, freq: 4 }),
  prepend: fc.boolean(),
  target: fc.constantFrom('http://127.0.0.1:5000', 'http://127.0.0.1:30020'),
  crashAt: fc.option(fc.nat(20), { nil: undefined }),
  done: fc.boolean(),
});
const act = fc.constantFrom('edit', 'replace', 'rewrite', 'remove', 'removeAll', 'other');
const step = fc.oneof(
  { weight: 3, arbitrary: fc.tuple(fc.constant('run' as const), run) },
  { weight: 2, arbitrary: fc.tuple(act, registry) },
);

it('HostsConfigurator.cleanup restores the tree of other programs after any runs, edits and crashes', async () => {
  const sequences = fc.tuple(initial, fc.array(step, { maxLength: 12 }));
  await fc.assert(
    fc.asyncProperty(sequences, async ([before, steps]) => {
      const parent = mkdtempSync(join(tmpdir(), 'peerglass-hosts-'));
      try {
        const world = new HostsWorld(parent, before);
        for (const [what, argument] of steps) {
          if (what === 'run') await world.run(argument);
          else world[what](argument);
        }
        await world.run({
          wanted: undefined,
          prepend: false,
          target: '',
          crashAt: undefined,
          done: false,
        });
        world.check();
      } finally {
        rmSync(parent, { recursive: true });
      }
    }),
    { numRuns: Number(process.env['PEERGLASS_TEST_RUNS'] ?? 100) },
  );
});
