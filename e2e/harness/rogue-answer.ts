import { createReadStream } from 'node:fs';
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

import { parseRange, rangeLength, resolveRange } from '../../agent/oci/byte-range.ts';
import { ZONE_HEADER } from '../../agent/transfer/client/peer-report.ts';
import type { RogueBehaviour, RogueContent, RogueEnd } from './rogue-behaviour.ts';

/** The parts of a request that decide the answer. */
interface Asked {
  readonly method: string;
  /** The `Range` header, empty if there was none. */
  readonly range: string;
  /** The zone to claim, if any. */
  readonly zone: string | undefined;
}

/** Writes the head of an answer, signed. */
export type WriteHead = (status: number, fields: Readonly<Record<string, string | number>>) => void;

/** Where an answer goes. */
interface Answer {
  readonly socket: Socket;
  readonly writeHead: WriteHead;
}

const PIECE_BYTES = 64 * 1024;
/** Chunks a second of a slow body. */
const PIECES_PER_SECOND = 10;
/** Between two fields of a head without end, in milliseconds. */
const FIELD_PAUSE_MS = 5;

/** Answers one request for the content in the given way; resolves when nothing more will be sent. */
export async function answerAsRogue(
  answer: Answer,
  content: RogueContent,
  asked: Asked,
  behaviour: RogueBehaviour,
): Promise<void> {
  if (behaviour.kind === 'silent') return;
  if (behaviour.kind === 'status') {
    const { status, headers } = behaviour;
    answer.writeHead(status, { 'content-length': 0, ...headers });
  } else if (behaviour.kind === 'endless-head') {
    await sendHeadWithoutEnd(answer.socket);
  } else {
    await answerWithBody(answer, content, asked, behaviour);
  }
}

async function sendHeadWithoutEnd(socket: Socket): Promise<void> {
  socket.write('HTTP/1.1 200 X\r\n');
  for (let field = 0; !socket.destroyed; field++) {
    socket.write(`x-${field}: ${'a'.repeat(100)}\r\n`);
    await sleep(FIELD_PAUSE_MS);
  }
}

async function answerWithBody(
  { socket, writeHead }: Answer,
  { digest, mediaType, size, file }: RogueContent,
  { method, range, zone }: Asked,
  behaviour: RogueBehaviour,
): Promise<void> {
  const claimed = size + excess(behaviour, method);
  const request = behaviour.kind === 'ignore-range' ? undefined : parseRange(range);
  const found = request && resolveRange(request, claimed);
  if (request !== undefined && found === undefined) {
    writeHead(416, { 'content-length': 0, 'content-range': `bytes */${claimed}` });
    return;
  }
  const { start, end } = found ?? { start: 0, end: claimed - 1 };
  writeHead(found === undefined ? 200 : 206, {
    'content-type': mediaType,
    'docker-content-digest': digest,
    'content-length': rangeLength({ start, end }),
    ...(zone !== undefined && { [ZONE_HEADER]: zone }),
    ...(found && { 'content-range': `bytes ${start}-${end}/${claimed}` }),
  });
  if (method === 'HEAD') return;
  const breaks = behaviour.kind === 'break' || behaviour.kind === 'wrong-once';
  const until = breaks ? Math.min(end + 1, start + behaviour.after) : end + 1;
  for await (const { chunk, position } of chunks(file, start, until, behaviour)) {
    if (behaviour.kind === 'wrong-bytes') {
      alter(chunk, behaviour.offset - position, behaviour.count);
    }
    if (behaviour.kind === 'wrong-once') alter(chunk, 0, 1);
    if (!socket.write(chunk)) await drained(socket);
    if (socket.destroyed) return;
  }
  if (breaks) breakOff(socket, behaviour.kind === 'break' ? behaviour.how : 'end');
}

/** How many bytes more than there are the answer states. */
function excess(behaviour: RogueBehaviour, method: string): number {
  if (behaviour.kind === 'wrong-length') return behaviour.by;
  return behaviour.kind === 'wrong-head' && method === 'HEAD' ? behaviour.by : 0;
}

/** The bytes of the interval, zeros behind the end of the file, at the speed that the behaviour allows. */
async function* chunks(
  file: string,
  start: number,
  until: number,
  behaviour: RogueBehaviour,
): AsyncGenerator<{ chunk: Buffer; position: number }> {
  if (until <= start) return;
  const perSecond = behaviour.kind === 'slow' ? behaviour.bytesPerSecond : Infinity;
  const highWaterMark = Math.min(
    PIECE_BYTES,
    Math.max(1, Math.floor(perSecond / PIECES_PER_SECOND)),
  );
  let position = start;
  const stream = createReadStream(file, { start, end: until - 1, highWaterMark });
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    yield { chunk, position };
    position += chunk.length;
    if (perSecond < Infinity) await sleep((chunk.length / perSecond) * 1000);
  }
  if (position < until) yield { chunk: Buffer.alloc(until - position), position };
}

/** Inverts the bytes of the interval that lie in the chunk. The start is relative to the chunk. */
function alter(chunk: Buffer, start: number, count: number): void {
  for (let at = Math.max(0, start); at < Math.min(chunk.length, start + count); at++) {
    chunk.writeUInt8(chunk.readUInt8(at) ^ 0xff, at);
  }
}

function breakOff(socket: Socket, how: RogueEnd): void {
  if (how === 'end') socket.end();
  else if (how === 'reset') socket.resetAndDestroy();
}

function drained(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      socket.off('drain', done).off('close', done);
      resolve();
    };
    socket.on('drain', done).on('close', done);
    if (socket.destroyed) done();
  });
}
