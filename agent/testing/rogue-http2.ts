import { once } from 'node:events';
import type { AddressInfo, Socket } from 'node:net';
import { createServer } from 'node:tls';

import type { TlsMaterial } from '../tls/tls-material.ts';

/** Types of frames: RFC 9113, section 6. */
export const FRAME = {
  data: 0,
  headers: 1,
  reset: 3,
  settings: 4,
  pushPromise: 5,
  ping: 6,
  goAway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const;

/** Flags of frames, as far as tests need them. */
export const FLAG = { none: 0, endStream: 1, ack: 1, endHeaders: 4 } as const;

/** A frame, which need not be valid. */
export function frame(type: number, flags: number, stream: number, payload: Uint8Array): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

/** A field of four bytes. */
export function word(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

/** Header fields in HPACK: literal, not indexed, not compressed (RFC 7541, section 6.2.2). */
export function fields(values: Readonly<Record<string, string | number>>): Buffer {
  return Buffer.concat(
    Object.entries(values).flatMap(([name, value]) => [
      Buffer.from([0]),
      text(name),
      text(String(value)),
    ]),
  );
}

/** The head of a response in one frame. */
export function head(stream: number, values: Readonly<Record<string, string | number>>): Buffer {
  return frame(FRAME.headers, FLAG.endHeaders, stream, fields(values));
}

function text(value: string): Buffer {
  if (value.length > 126) throw new RangeError('a text must be at most 126 bytes long');
  return Buffer.concat([Buffer.from([value.length]), Buffer.from(value, 'latin1')]);
}

/** A peer that negotiates HTTP/2 and then misbehaves. */
export interface RogueHttp2 extends AsyncDisposable {
  readonly origin: string;
  /** Open connections to it. */
  readonly open: number;
  /** Requests that it received. */
  readonly requests: number;
}

const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';

/**
 * Starts a peer that sends its settings as any peer does, and calls `behave` for each request.
 *
 * @param greet sends something else instead of the settings
 */
export async function startRogueHttp2(
  { identity }: TlsMaterial,
  behave: (socket: Socket, stream: number) => void,
  greet: (socket: Socket) => void = (socket) =>
    socket.write(frame(FRAME.settings, FLAG.none, 0, Buffer.alloc(0))),
): Promise<RogueHttp2> {
  const sockets = new Set<Socket>();
  let requests = 0;
  const server = createServer({ cert: identity?.cert, key: identity?.key, ALPNProtocols: ['h2'] });
  server.on('tlsClientError', () => undefined);
  server.on('secureConnection', (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket)).on('error', () => undefined);
    greet(socket);
    let unread = Buffer.alloc(0);
    let isBegun = false;
    socket.on('data', (chunk: Buffer) => {
      unread = Buffer.concat([unread, chunk]);
      if (!isBegun) {
        if (unread.length < PREFACE.length) return;
        isBegun = true;
        unread = unread.subarray(PREFACE.length);
      }
      while (unread.length >= 9) {
        const end = 9 + unread.readUIntBE(0, 3);
        if (unread.length < end) return;
        const [type, flags, stream] = [unread[3], unread[4], unread.readUInt32BE(5)];
        unread = unread.subarray(end);
        if (type === FRAME.settings && flags !== FLAG.ack) {
          socket.write(frame(FRAME.settings, FLAG.ack, 0, Buffer.alloc(0)));
        }
        if (type !== FRAME.headers) continue;
        requests += 1;
        behave(socket, stream);
      }
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    origin: `https://127.0.0.1:${(server.address() as AddressInfo).port}`,
    get open() {
      return sockets.size;
    },
    get requests() {
      return requests;
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

/** Writes the bytes repeatedly, as fast as the connection takes them, until it ends. */
export async function pour(socket: Socket, bytes: Buffer): Promise<void> {
  while (!socket.destroyed && socket.writable) {
    if (socket.write(bytes)) await new Promise(setImmediate);
    else {
      await new Promise<void>((resolve) => {
        const go = (): void => {
          socket.off('drain', go).off('close', go);
          resolve();
        };
        socket.once('drain', go).once('close', go);
      });
    }
  }
}
