import type { Server, Socket } from 'node:net';

/**
 * Lets a server see only some of its connections. The others are closed at once: before a byte is read, before a TLS
 * handshake, and without a place among the connections that are counted.
 *
 * @param server has all its listeners for connections already: those that are added later see every connection
 * @param admits called once for each new connection
 */
export function admitOnly(server: Server, admits: (socket: Socket) => boolean): void {
  const listeners = server.listeners('connection');
  server.removeAllListeners('connection');
  server.on('connection', (socket: Socket) => {
    if (!admits(socket)) {
      socket.on('error', () => undefined); // The client may have reset the connection meanwhile.
      socket.destroy();
      return;
    }
    for (const listener of listeners) listener.call(server, socket);
  });
}
