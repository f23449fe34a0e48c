import { StreamResetError, StreamStateError } from '@libp2p/interface';
import type { MessageStreamStatus, Stream } from '@libp2p/interface';

/** Listens to the events of a {@link SimulatedStream}. */
type Listener = (event: object) => void;

/** What a stream needs of its connection. */
export interface StreamCarrier {
  /** Calls back after the time that bytes take to the other side, unless they are lost. */
  carry(callback: () => void): void;
  /** Called with each write. */
  onSend(stream: SimulatedStream, data: Uint8Array): void;
  /** Called with all that arrives. */
  onReceive(stream: SimulatedStream): void;
  /** Called when the stream ends one of its sides or both, with a message to the other side. */
  onControl(): void;
  /** Called when both sides have ended. */
  onEnd(stream: SimulatedStream): void;
}

/**
 * One end of a stream between two simulated nodes: the part of libp2p's `Stream` that the routing uses. Bytes arrive in
 * order after the network's delay, in the chunks in which they were sent. There is no back-pressure. Its events are plain
 * objects: an `EventTarget` for each of a million streams would take most of the memory.
 */
export class SimulatedStream {
  readonly protocol: string;
  readonly direction: 'inbound' | 'outbound';
  readonly timeline = { open: Date.now() };
  status: MessageStreamStatus = 'open';
  readStatus: 'readable' | 'paused' | 'closed' = 'readable';
  writeStatus: 'writable' | 'closed' = 'writable';
  remoteWriteStatus: 'writable' | 'closed' = 'writable';
  #carrier: StreamCarrier;
  #far: SimulatedStream | undefined;
  #listeners: { readonly type: string; readonly listener: Listener }[] = [];
  #unread: Uint8Array[] = [];

  private constructor(protocol: string, direction: 'inbound' | 'outbound', carrier: StreamCarrier) {
    this.protocol = protocol;
    this.direction = direction;
    this.#carrier = carrier;
  }

  /** Makes both ends of a stream. */
  static pair(
    protocol: string,
    opener: StreamCarrier,
    listener: StreamCarrier,
  ): [near: SimulatedStream, far: SimulatedStream] {
    const near = new SimulatedStream(protocol, 'outbound', opener);
    const far = new SimulatedStream(protocol, 'inbound', listener);
    near.#far = far;
    far.#far = near;
    return [near, far];
  }

  /** The stream as libp2p's type. */
  get asStream(): Stream {
    return this as unknown as Stream;
  }

  get readBufferLength(): number {
    return this.#unread.reduce((total, { length }) => total + length, 0);
  }

  addEventListener(type: string, listener: Listener): void {
    this.#listeners.push({ type, listener });
    if (type === 'message' && this.#unread.length > 0) {
      queueMicrotask(() => {
        this.#dispatchUnread();
      });
    }
  }

  removeEventListener(type: string, listener: Listener): void {
    this.#listeners = this.#listeners.filter(
      (each) => each.type !== type || each.listener !== listener,
    );
  }

  /** @throws {StreamStateError} when this side has ended */
  send(data: Uint8Array): boolean {
    if (this.writeStatus !== 'writable') throw new StreamStateError('the stream is closed');
    this.#carrier.onSend(this, data);
    const far = this.#far;
    this.#carrier.carry(() => far?.receive(data));
    return true;
  }

  /** Resolves at once: there is no back-pressure. */
  onDrain(): Promise<void> {
    return Promise.resolve();
  }

  pause(): void {
    if (this.readStatus === 'readable') this.readStatus = 'paused';
  }

  resume(): void {
    if (this.readStatus !== 'paused') return;
    this.readStatus = 'readable';
    this.#dispatchUnread();
  }

  /** Ends this side. */
  close(): Promise<void> {
    if (this.writeStatus !== 'writable') return Promise.resolve();
    this.writeStatus = 'closed';
    this.#carrier.onControl();
    const far = this.#far;
    this.#carrier.carry(() => {
      far?.closeRemote();
    });
    if (this.remoteWriteStatus === 'closed') this.#end('closed');
    return Promise.resolve();
  }

  /** Ends both sides, without what is under way. */
  abort(error: Error): void {
    if (!this.#isOpen) return;
    this.#carrier.onControl();
    const far = this.#far;
    this.#carrier.carry(() => {
      far?.reset(new StreamResetError());
    });
    this.#end('aborted', error);
  }

  /** Called with bytes that arrive. */
  receive(data: Uint8Array): void {
    if (!this.#isOpen || this.remoteWriteStatus === 'closed') return;
    this.#carrier.onReceive(this);
    this.#unread.push(data);
    this.#dispatchUnread();
  }

  /** Called when the other side has ended. */
  closeRemote(): void {
    if (!this.#isOpen) return;
    this.remoteWriteStatus = 'closed';
    this.#dispatch('remoteCloseWrite', {});
    if (this.writeStatus === 'closed') this.#end('closed');
  }

  /** Called when the other side has aborted the stream, or the connection has ended. */
  reset(error: Error | undefined): void {
    if (this.#isOpen) this.#end(error === undefined ? 'closed' : 'reset', error);
  }

  get #isOpen(): boolean {
    return this.status === 'open';
  }

  #end(status: MessageStreamStatus, error?: Error): void {
    this.status = status;
    this.writeStatus = 'closed';
    this.remoteWriteStatus = 'closed';
    // What has arrived can still be read after a regular end.
    if (status !== 'closed' || this.#unread.length === 0) this.readStatus = 'closed';
    if (status !== 'closed') this.#unread = [];
    this.#carrier.onEnd(this);
    this.#dispatch('close', error === undefined ? {} : { error });
    this.#far = undefined;
  }

  #dispatchUnread(): void {
    if (this.readStatus !== 'readable') return;
    if (!this.#listeners.some(({ type }) => type === 'message')) return;
    const unread = this.#unread;
    this.#unread = [];
    for (const data of unread) this.#dispatch('message', { data });
    if (this.status !== 'open' && this.#unread.length === 0) this.readStatus = 'closed';
  }

  #dispatch(type: string, event: object): void {
    // Removing a listener replaces the array.
    for (const each of this.#listeners) if (each.type === type) each.listener(event);
  }
}
