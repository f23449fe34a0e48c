import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { describe, it } from 'node:test';
import { text } from 'node:stream/consumers';

const MODULE = new URL('./end-signal.ts', import.meta.url).href;

/** A program that prints why its signal was aborted, and goes on after that. */
const PROGRAM = `
  import { endSignal } from '${MODULE}';
  const signal = endSignal();
  signal.addEventListener('abort', () => console.log(signal.reason.message));
  setInterval(() => undefined, 1000);
  console.log('ready');
`;

describe('endSignal', () => {
  for (const name of ['SIGTERM', 'SIGINT'] as const) {
    it(`aborts on ${name}, and a second ${name} ends the process at once`, async (t) => {
      const flags = ['--input-type=module', '--eval', PROGRAM];
      const child = spawn(process.execPath, flags, { stdio: ['ignore', 'pipe', 'inherit'] });
      t.after(() => child.kill('SIGKILL'));
      await once(child.stdout, 'data');
      child.kill(name);
      const [reason] = (await once(child.stdout, 'data')) as [Buffer];
      assert.equal(reason.toString(), `ended by ${name}\n`);
      child.kill(name);
      const [rest] = await Promise.all([text(child.stdout), once(child, 'close')]);
      assert.equal(rest, '');
      assert.equal(child.signalCode, name);
    });
  }
});
