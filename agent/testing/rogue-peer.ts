import { once } from 'node:events';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';

import { testTls } from './test-tls.ts';

/** A misbehaving peer on a real socket. */
export interface RoguePeer extends AsyncDisposable {
  readonly origin: string;
  /** Heads of the requests that it received. */
  readonly requests: string[];
  /** Open connections to it. */
  readonly open: number;
  /** Connections that it has accepted. */
  readonly accepted: number;
}

/**
 * Starts a server that passes each request, as text, to `behave`, which then uses the socket as a broken or hostile
 * peer would. It uses TLS when {@link testTls} is set.
 */
export async function startRogue(
  behave: (socket: Socket, request: string) => void,
): Promise<RoguePeer> {
  const sockets = new Set<Socket>();
  let accepted = 0;
  const requests: string[] = [];
  const serve = (socket: Socket): void => {
    accepted += 1;
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => undefined);
    let text = '';
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1');
      if (!text.includes('\r\n\r\n')) return;
      requests.push(text);
      behave(socket, text);
      text = '';
    });
  };
  const { cert, key } = testTls?.material.identity ?? {};
  const server =
    testTls === undefined ? createServer(serve) : withResets(createTlsServer({ cert, key }), serve);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    origin: `${testTls === undefined ? 'http' : 'https'}://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    get open() {
      return sockets.size;
    },
    get accepted() {
      return accepted;
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

/** Resets the TCP connection below TLS, which a TLS socket of Node.js cannot do. */
function withResets(server: Server, serve: (socket: Socket) => void): Server {
  const below = new Map<number | undefined, Socket>();
  server.on('connection', (socket: Socket) => {
    const { remotePort } = socket;
    below.set(remotePort, socket);
    socket.once('close', () => below.delete(remotePort));
  });
  server.on('secureConnection', (socket: Socket) => {
    const connection = below.get(socket.remotePort);
    socket.resetAndDestroy = () => {
      connection?.resetAndDestroy();
      return socket;
    };
    serve(socket);
  });
  return server;
}

/** The head of an HTTP response, ready to be sent. */
export function responseHead(status: number, headers: Record<string, string | number>): string {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return `HTTP/1.1 ${status} X\r\n${lines.join('')}\r\n`;
}
