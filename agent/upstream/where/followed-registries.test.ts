import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { pino } from 'pino';

import { parseRegistries } from '../../hosts/registries/parse-registries.ts';
import { eventually } from '../../testing/eventually.ts';
import { FollowedRegistries } from './followed-registries.ts';

const yaml = (registry: string): string => `mirrors: { ${registry}: {} }`;

/** Follows a text, each read of which is the next of these; the last one stays. */
function follow(texts: (string | Error)[]): {
  followed: FollowedRegistries;
  lines: string[];
  changes: string[];
  untilRead: () => Promise<void>;
  stop: () => Promise<void>;
} {
  const lines: string[] = [];
  const changes: string[] = [];
  const first = yaml('one.example');
  const followed = new FollowedRegistries(
    {
      read() {
        const text = texts.length > 1 ? texts.shift() : texts[0];
        if (text instanceof Error) throw text;
        return text ?? first;
      },
      parse(text) {
        if (text.includes('secret')) return Promise.reject(new Error('r.yaml:1:1: no map'));
        return Promise.resolve(parseRegistries(text).registries);
      },
      logger: pino({ level: 'info' }, { write: (line: string) => lines.push(line) }),
    },
    { current: parseRegistries(first).registries, text: first },
    { interval: 1, settle: 1 },
  );
  followed.onChange(() => changes.push([...followed.current.mirrors.keys()].join()));
  const stopping = new AbortController();
  const running = followed.run(stopping.signal);
  return {
    ...{ followed, lines, changes },
    untilRead: () =>
      eventually(() => {
        assert.equal(texts.length, 1);
      }),
    async stop() {
      stopping.abort();
      await running;
    },
  };
}

describe('FollowedRegistries', () => {
  it('use a changed file once two reads have found the same', async () => {
    const half = yaml('half.example');
    const { changes, stop } = follow([yaml('one.example'), half, yaml('two.example')]);
    await eventually(() => {
      assert.deepEqual(changes, ['two.example']);
    });
    await stop();
  });

  it('keep what was read before, where a file cannot be used or read, and say so once', async () => {
    const gone = new Error('r.yaml: cannot be read: ENOENT');
    const bad = 'a secret';
    const { followed, lines, changes, untilRead, stop } = follow([
      ...[bad, bad, bad, bad, bad, bad],
      ...[gone, gone, gone, gone, gone],
      yaml('one.example'),
    ]);
    await untilRead();
    await stop();
    assert.deepEqual(changes, []);
    assert.deepEqual([...followed.current.mirrors.keys()], ['one.example']);
    const text = lines.join('');
    assert.equal(text.match(/not used: r.yaml:1:1: no map/g)?.length, 1);
    assert.equal(text.match(/not used: r.yaml: cannot be read: ENOENT/g)?.length, 1);
    assert.ok(!text.includes('secret'));
  });

  it('do nothing while the file stays as it is', async () => {
    const same = yaml('one.example');
    const { changes, lines, untilRead, stop } = follow([same, same, same, same]);
    await untilRead();
    await stop();
    assert.deepEqual([changes, lines], [[], []]);
  });
});
