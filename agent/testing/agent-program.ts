import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';

const ROOT = join(import.meta.dirname, '../..');

/** The two forms of the program: the sources, and the bundle that `scripts/build` makes of them. */
export const PROGRAMS = {
  sources: join(ROOT, 'agent/main.ts'),
  bundle: join(ROOT, 'dist/peerglass.mjs'),
} as const;

/** What a program printed and how it ended. */
export interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the program until it exits. */
export async function runProgram(
  program: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
): Promise<Outcome> {
  const child = spawnProgram(program, args, env);
  const [stdout, stderr] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'close'),
  ]);
  return { code: child.exitCode, stdout, stderr };
}

/**
 * Starts the program. Its environment has `PATH`, the given variables, and the cache of compiled modules only, and agents
 * need no swarm key.
 */
export function spawnProgram(
  program: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
): ChildProcessByStdio<null, Readable, Readable> {
  const { PATH, NODE_COMPILE_CACHE } = process.env;
  if (!existsSync(program)) throw new Error(`no ${program}: scripts/build makes it`);
  return spawn(process.execPath, [program, ...args], {
    env: { PATH, NODE_COMPILE_CACHE, PEERGLASS_OPEN: 'true', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

/** A TCP port of 127.0.0.1 that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
