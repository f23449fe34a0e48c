import type { Socket } from 'node:net';

/** The connections of a listener, of which one address may have so many; further ones are closed. */
export class OpenConnections {
  readonly #most: number;
  readonly #sockets = new Set<Socket>();
  readonly #byAddress = new Map<string, number>();

  /** @param most connections of one address at once */
  constructor(most: number) {
    this.#most = most;
  }

  /** Counts a new one for as long as it is open. */
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
    if (open > this.#most) socket.destroy();
  }

  /** Closes all of them, those that are still at their handshake too. */
  destroy(): void {
    for (const socket of this.#sockets) socket.destroy();
  }
}
