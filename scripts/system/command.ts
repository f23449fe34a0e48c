import { execFile } from 'node:child_process';
import timers from 'node:timers/promises';

/** Options of {@link runCommand}. */
export interface CommandOptions {
  readonly cwd?: string;
  /** Variables added to the environment of this process. */
  readonly env?: Readonly<Record<string, string>>;
  /** Milliseconds until the command is killed and the call rejects; default ten minutes. */
  readonly timeoutMs?: number;
}

/** Maximum output of a command, in bytes. */
const MAX_OUTPUT = 64 << 20;

/**
 * Runs a command to its end.
 *
 * @returns its standard output
 * @throws Error with the command and all of its output, when it fails
 */
export function runCommand(
  [command, ...args]: readonly [string, ...string[]],
  { cwd, env, timeoutMs = 600_000 }: CommandOptions = {},
): Promise<string> {
  const options = {
    env: { ...process.env, ...env },
    timeout: timeoutMs,
    maxBuffer: MAX_OUTPUT,
    ...(cwd === undefined ? {} : { cwd }),
  };
  return new Promise((resolve, reject) => {
    execFile(command, args, options, (error, stdout, stderr) => {
      if (error === null) {
        resolve(stdout);
        return;
      }
      const output = [stderr, stdout].filter(Boolean).join('\n').trim();
      reject(new Error(`${[command, ...args].join(' ')} failed: ${output}`, { cause: error }));
    });
  });
}

/** Runs something that depends on the network up to three times, 2 and 4 seconds apart. */
export async function retry<T>(work: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work();
    } catch (error) {
      if (attempt === 3) throw error;
      await timers.setTimeout(attempt * 2000);
    }
  }
}
