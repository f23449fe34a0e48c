import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { describe, it } from 'node:test';
import { promisify } from 'node:util';

const run = promisify(execFile);
const hooks = new URL('interning.ts', import.meta.url).href;
const client = new URL('../../routing/node/address-book.ts', import.meta.url).href;

/** Reads one address twice in a program of its own; whether both are one object. */
async function isShared(...options: string[]): Promise<unknown> {
  const program = `
    import { readAddress } from '${client}';
    const bytes = Uint8Array.from([4, 10, 0, 0, 7, 6, 19, 137]);
    const [[one], [other]] = [readAddress(bytes), readAddress(bytes)];
    console.log(JSON.stringify({ text: String(one), isShared: one === other }));`;
  const { stdout } = await run(process.execPath, [
    ...options,
    '--input-type=module',
    '-e',
    program,
  ]);
  return JSON.parse(stdout);
}

describe('interning', () => {
  it('has the code of the agent share objects', async () => {
    const text = '/ip4/10.0.0.7/tcp/5001';
    assert.deepEqual(await isShared(), { text, isShared: false });
    assert.deepEqual(await isShared('--import', hooks), { text, isShared: true });
  });
});
