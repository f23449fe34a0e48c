import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { digestOf } from '../testing/conformance/content-store.ts';
import { ingestsConformance } from '../testing/conformance/ingests.ts';
import { MemoryIngests } from './memory-ingests.ts';

ingestsConformance('MemoryIngests', () => {
  const ingests = new MemoryIngests();
  return Promise.resolve({
    ingests,
    begin: (digest, total) => {
      const download = ingests.begin(digest, total);
      const end = (): void => {
        download.end();
      };
      const now = (act: () => void): Promise<void> => {
        act();
        return Promise.resolve();
      };
      return Promise.resolve({
        write: (bytes) =>
          now(() => {
            download.write(bytes);
          }),
        restart: () =>
          now(() => {
            download.restart();
          }),
        commit: () => now(end),
        abort: () => now(end),
      });
    },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  });
});

describe('MemoryIngests', () => {
  it('ends a download that a new one of the same digest replaces', async () => {
    const ingests = new MemoryIngests();
    const digest = digestOf(Buffer.from('blob'));
    ingests.begin(digest, 4);
    const before = await ingests.open(digest);
    ingests.begin(digest, 4);
    assert.equal(await before?.state(), 'removed');
    assert.equal(await ingests.has(digest), true);
  });
});
