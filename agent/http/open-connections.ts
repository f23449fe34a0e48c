import type { Socket } from 'node:net';

/** The open connections of a listener. Those of one address beyond a bound are closed. */
export class OpenConnections {
  readonly #max: number;
  readonly #sockets = new Set<Socket>();
  readonly #byAddress = new Map<string, number>();

  /** @param max connections at once of one address */
  constructor(max: number) {
    this.#max = max;
  }

  /** Counts a connection until it is closed. Closes it at once when its address has too many. */
  add(socket: Socket): void {
    const { remoteAddress = '' } = socket;
    const open = (this.#byAddress.get(remoteAddress) ?? 0) + 1;
    this.#byAddress.set(remoteAddress, open);
    this.#sockets.add(socket);
    socket.once('close', () => {
      this.#sockets.delete(socket);
      const left = (this.#byAddress.get(remoteAddress) ?? 0) - 1;
      if (left > 0) this.#byAddress.set(remoteAddress, left);
      else this.#byAddress.delete(remoteAddress);
    });
    if (open > this.#max) socket.destroy();
  }

  /** Closes all connections, including those whose TLS handshake goes on. */
  destroy(): void {
    for (const socket of this.#sockets) socket.destroy();
  }
}
