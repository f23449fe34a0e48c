/**
 * `node dns-answers.ts CORPUS-FOLDER`: has the bootstrap by DNS read mutated answers of a name server, which it is itself at
 * 127.0.0.1:53. It needs a network of its own, and that address in resolv.conf. Ends with 1 at the first answer
 * after which the bootstrap does anything but name peers or throw a `BootstrapError`; otherwise prints a summary.
 */
import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { BootstrapError, MAX_BOOTSTRAP_PEERS } from '../../routing/bootstrap/bootstrapper.ts';
import { DnsBootstrapper } from '../../routing/bootstrap/dns-bootstrapper.ts';
import { tcpAddress } from '../../routing/node/announced-addresses.ts';
import { mutate, SeededRandom } from './mutate.ts';

/** Answers in a run of the unit tests. */
const ANSWERS = 1000;
/** Names that are looked up at once: half of the threads of the pool look names up. */
const AT_ONCE = Number(process.env['UV_THREADPOOL_SIZE'] ?? 4) / 2;
const HEADER_BYTES = 12;
const ROUTER_PORT = 5001;

const A = Buffer.from('c00c0001000100000005000400000000', 'hex');
const AAAA = Buffer.from(`c00c001c0001000000050010${'00'.repeat(16)}`, 'hex');
const CNAME = Buffer.from('c00c000500010000000500080361616104666f6f00', 'hex');

const [folder = ''] = process.argv.slice(2);
const random = new SeededRandom(Number(process.env['FUZZ_SEED'] ?? 1));
const seconds = Number(process.env['FUZZ_SECONDS'] ?? 0);
const until = performance.now() + seconds * 1000;
const words = [A, AAAA, CNAME, Buffer.of(0xc0, 0x0c), Buffer.from('ffff', 'hex')];
/** How many records there are, in two bytes, and what comes behind the question. */
const pool = [
  answerOf(withAddress(A, '0a000007')),
  answerOf(withAddress(AAAA, 'fe800000000000000000000000000001')),
  answerOf(withAddress(A, '0a000007'), withAddress(AAAA, 'fd000000000000000000000000000007')),
  answerOf(...Array.from({ length: 200 }, (_, index) => withAddress(A, `0a0001${hexOf(index)}`))),
  answerOf(CNAME, withAddress(A, '0a000008')),
  answerOf(),
  ...(existsSync(folder)
    ? readdirSync(folder).map((file) => readFileSync(join(folder, file)))
    : []),
];

/** Answers by the name that is asked for. */
const answers = new Map<string, Buffer>();
const server = createSocket('udp4');
server.on('message', (query, { port, address }) => {
  const name = query.toString(
    'latin1',
    HEADER_BYTES + 1,
    HEADER_BYTES + 1 + query.readUInt8(HEADER_BYTES),
  );
  const answer = answers.get(name) ?? Buffer.alloc(0);
  const end = query.indexOf(0, HEADER_BYTES) + 5;
  const head = Buffer.from(query.subarray(0, end));
  // A response without an error: otherwise the resolver reads no further.
  head.writeUInt16BE(0x8580, 2);
  head.writeUInt16BE(answer.length < 2 ? 0 : answer.readUInt16BE(0), 6);
  head.writeUInt32BE(0, 8);
  server.send(Buffer.concat([head, answer.subarray(2)]), port, address);
});
server.bind(53, '127.0.0.1');
await once(server, 'listening');

const outcomes = new Map<string, number>();
let count = 0;
await Promise.all(Array.from({ length: AT_ONCE }, lookUp));
server.close();
const found = [...outcomes].map(([outcome, times]) => `${outcome}: ${times}`).join(', ');
process.stdout.write(`${count} answers; ${found}\n`);

async function lookUp(): Promise<void> {
  while (seconds > 0 ? performance.now() < until : count < ANSWERS) {
    const seed = pool[count];
    const name = `n${count++}`;
    const answer = seed ?? mutate(random.of(pool), { random, pool, words });
    answers.set(name, answer);
    const outcome = await find(`${name}.peers.test`).catch((error: unknown) => {
      throw new Error(`the answer in base64: ${answer.toString('base64')}`, { cause: error });
    });
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
  }
}

async function find(domain: string): Promise<string> {
  const bootstrapper = new DnsBootstrapper({ domain, port: ROUTER_PORT });
  try {
    const peers = await bootstrapper.find(new AbortController().signal);
    assert.ok(peers.length <= MAX_BOOTSTRAP_PEERS);
    for (const { multiaddrs, peerId } of peers) {
      assert.equal(peerId, undefined);
      for (const each of multiaddrs) assert.equal(tcpAddress(each)?.port, ROUTER_PORT);
    }
    return peers.length === 0 ? 'none' : 'peers';
  } catch (error) {
    if (error instanceof BootstrapError) return error.message.replace(/^.*: /, '');
    throw error;
  }
}

function answerOf(...records: readonly Buffer[]): Buffer {
  return Buffer.concat([Buffer.of(records.length >> 8, records.length & 0xff), ...records]);
}

function hexOf(byte: number): string {
  return byte.toString(16).padStart(2, '0');
}

/** The record with these bytes at its end. */
function withAddress(record: Buffer, hex: string): Buffer {
  const address = Buffer.from(hex, 'hex');
  return Buffer.concat([record.subarray(0, -address.length), address]);
}
