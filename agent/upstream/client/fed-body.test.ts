import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { fedBody } from './fed-body.ts';

async function* chunks(...texts: string[]): AsyncGenerator<Uint8Array> {
  for (const text of texts) yield await Promise.resolve(Buffer.from(text));
}

function tail(isWanted: boolean): {
  isWanted: boolean;
  append: (offset: number, bytes: Uint8Array) => void;
  [Symbol.dispose]: () => void;
  readonly events: string[];
} {
  const events: string[] = [];
  return {
    isWanted,
    events,
    append: (offset, bytes) => events.push(`${offset}:${String(bytes)}`),
    [Symbol.dispose]: () => events.push('end'),
  };
}

describe('fedBody', () => {
  it('gives each chunk to the tail before it forwards it, with its place in the content', async () => {
    const fed = tail(true);
    for await (const chunk of fedBody(chunks('ab', 'c'), fed, 7)) fed.events.push(String(chunk));
    assert.deepEqual(fed.events, ['7:ab', 'ab', '9:c', 'c', 'end']);
  });

  it('gives nothing that is not wanted, and ends with a reader that leaves', async () => {
    const fed = tail(false);
    for await (const chunk of fedBody(chunks('ab', 'c'), fed, 0)) {
      fed.events.push(String(chunk));
      break;
    }
    assert.deepEqual(fed.events, ['ab', 'end']);
  });
});
