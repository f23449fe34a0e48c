/**
 * Moves this number of bodies between connections at once, none of which ends: `splicing-program.ts COUNT`. Prints the
 * sizes of its pipes in bytes, the number of bodies that got no pipe, and the sizes of pipes that another process of the
 * same user would get meanwhile.
 */
import { once } from 'node:events';
import { readdirSync, readlinkSync } from 'node:fs';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

import { openLibc } from '../native/foreign.ts';
import { Kernel } from '../native/kernel.ts';
import { Libc } from '../native/libc.ts';
import { Silence } from '../timing/silence.ts';

const F_GETPIPE_SZ = 1032;
const OTHERS = 50;
/** Bytes of a pipe that a process makes, unless its user has too many. */
const NORMAL = 64 * 1024;

/** What the program prints, as JSON. */
export interface SplicingReport {
  readonly pipes: readonly number[];
  readonly refused: number;
  readonly others: readonly number[];
}

const count = Number(process.argv[2]);
const [libc, fcntl] = [new Libc(), openLibc().find('int fcntl(int fd, int command, int value)')];
const kernel = new Kernel(libc);
const server = createServer({ pauseOnConnect: true }).listen(0, '127.0.0.1');
await once(server, 'listening');

async function connection(): Promise<{ readonly ours: Socket; readonly theirs: Socket }> {
  const theirs = connect((server.address() as AddressInfo).port, '127.0.0.1');
  const [[ours]] = (await Promise.all([once(server, 'connection'), once(theirs, 'connect')])) as [
    [Socket],
    unknown,
  ];
  return { ours, theirs };
}

function pipeSizes(): number[] {
  const sizes = new Map<string, number>();
  for (const fd of readdirSync('/proc/self/fd').map(Number)) {
    if (fd <= 2) continue;
    let name = '';
    try {
      name = readlinkSync(`/proc/self/fd/${fd}`);
    } catch {
      continue; // The descriptor that the folder was read by.
    }
    if (name.startsWith('pipe:')) sizes.set(name, fcntl(fd, F_GETPIPE_SZ, 0));
  }
  return [...sizes.values()];
}

/** Pipes that Node.js itself has, to wake its threads. */
const before = pipeSizes().length;
const never = new AbortController().signal;
let refused = 0;
for (let index = 0; index < count; index++) {
  const [from, to] = [await connection(), await connection()];
  from.theirs.write('some');
  const parts = { from: from.ours, to: to.ours, length: 1_000_000 };
  const silence = new Silence({ stallTimeout: 60_000 });
  const body = kernel.splice({ ...parts, silence }, never);
  await body.next().catch(() => refused++);
}
const pipes = pipeSizes().slice(before);
const others = Array.from({ length: OTHERS }, () =>
  fcntl(libc.pipe(NORMAL).writeEnd, F_GETPIPE_SZ, 0),
);
process.stdout.write(JSON.stringify({ pipes, refused, others } satisfies SplicingReport));
process.exit();
