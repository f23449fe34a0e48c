import type { AbortOptions, MultiaddrConnection } from '@libp2p/interface';
import { AbstractMultiaddrConnection } from '@libp2p/utils';

import type { KeyStream } from './key-stream.ts';

type SendResult = ReturnType<AbstractMultiaddrConnection['sendData']>;

/** A connection whose bytes are encrypted both ways. */
export class ProtectedConnection extends AbstractMultiaddrConnection {
  readonly #connection: MultiaddrConnection;
  readonly #outbound: KeyStream;

  constructor(connection: MultiaddrConnection, inbound: KeyStream, outbound: KeyStream) {
    const { remoteAddr, direction } = connection;
    super({ remoteAddr, direction, log: connection.log.newScope('swarm-key') });
    this.#connection = connection;
    this.#outbound = outbound;
    connection.addEventListener('message', ({ data }) => {
      this.onData(inbound.xor(data.subarray()));
    });
    connection.addEventListener('drain', () => {
      this.onMuxerDrain();
    });
    connection.addEventListener('close', ({ error, local }) => {
      if (error === undefined) this.onTransportClosed();
      else if (local === true) this.abort(error);
      else this.onRemoteReset();
    });
  }

  async sendClose(options?: AbortOptions): Promise<void> {
    await this.#connection.close(options);
  }

  sendData(data: Parameters<AbstractMultiaddrConnection['sendData']>[0]): SendResult {
    // One buffer is one write: the peer does not wake up for the two bytes of a length, see `whole-writes.ts`.
    const canSendMore = this.#connection.send(this.#outbound.xor(data.subarray()));
    return { sentBytes: data.byteLength, canSendMore };
  }

  sendReset(error: Error): void {
    this.#connection.abort(error);
  }

  sendPause(): void {
    this.#connection.pause();
  }

  sendResume(): void {
    this.#connection.resume();
  }
}
