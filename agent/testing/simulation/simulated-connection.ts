import { ConnectionClosedError, UnsupportedProtocolError } from '@libp2p/interface';
import type { Connection, PeerId } from '@libp2p/interface';
import type { Multiaddr } from '@multiformats/multiaddr';

import { raceSignal } from '../../timing/race-signal.ts';
import type { SimulatedNode } from './simulated-node.ts';
import { SimulatedStream, type StreamCarrier } from './simulated-stream.ts';
import { kindOf, MESSAGE_BYTES, STREAM_OPEN } from './traffic.ts';

/** Inbound streams of a protocol on a connection, when its handler names no other number: libp2p's default. */
const DEFAULT_MAX_INBOUND_STREAMS = 32;
let connections = 0;

/** One end of a connection between two simulated nodes: the part of libp2p's `Connection` that the routing uses. */
export class SimulatedConnection implements StreamCarrier {
  readonly id = String(++connections);
  readonly near: SimulatedNode;
  readonly far: SimulatedNode;
  readonly direction: 'inbound' | 'outbound';
  readonly timeline = { open: Date.now() };
  readonly streams: SimulatedStream[] = [];
  status: 'open' | 'closed' = 'open';
  /** The other end. */
  #other: SimulatedConnection | undefined;
  /** Whether bytes were sent that were lost: keep-alive does not probe while bytes are not confirmed. */
  isStalled = false;
  /** When bytes came last, as by `performance.now`. */
  heardAt = performance.now();

  private constructor(near: SimulatedNode, far: SimulatedNode, direction: 'inbound' | 'outbound') {
    this.near = near;
    this.far = far;
    this.direction = direction;
  }

  /** Makes both ends of a connection. */
  static pair(
    dialler: SimulatedNode,
    listener: SimulatedNode,
  ): [near: SimulatedConnection, far: SimulatedConnection] {
    const near = new SimulatedConnection(dialler, listener, 'outbound');
    const far = new SimulatedConnection(listener, dialler, 'inbound');
    near.#other = far;
    far.#other = near;
    return [near, far];
  }

  /** Connects two nodes at once: each has identified the other. Nothing of it counts as traffic. */
  static establish(dialler: SimulatedNode, listener: SimulatedNode): void {
    const [near, far] = SimulatedConnection.pair(dialler, listener);
    dialler.onConnectionOpen(near, true);
    listener.onConnectionOpen(far, true);
  }

  /** The connection as libp2p's type. */
  get asConnection(): Connection {
    return this as unknown as Connection;
  }

  get remotePeer(): PeerId {
    return this.far.peerId;
  }

  get remoteAddr(): Multiaddr {
    return this.direction === 'outbound' ? this.far.address : this.far.ephemeralAddress;
  }

  /**
   * Opens a stream: the opener sends the name of the protocol, and the listener confirms it.
   *
   * @throws {UnsupportedProtocolError} when the other side has no handler for the protocol
   * @throws {ConnectionClosedError} when the connection has ended
   */
  async newStream(protocol: string, signal?: AbortSignal): Promise<SimulatedStream> {
    const other = this.#other;
    if (this.status !== 'open' || other === undefined) throw closedError();
    const { promise, resolve, reject } = Promise.withResolvers<SimulatedStream>();
    const [near, far] = SimulatedStream.pair(protocol, this, other);
    this.streams.push(near);
    const onClose = (): void => {
      reject(closedError());
    };
    near.addEventListener('close', onClose);
    const opening = { ...STREAM_OPEN.opener };
    opening.bytes += protocol.length;
    this.#count('opened streams', opening);
    this.carry(() => {
      const isAccepted = other.#accept(protocol, far);
      other.carry(() => {
        if (isAccepted) resolve(near);
        else reject(new UnsupportedProtocolError(`no handler for ${protocol}`));
      });
    });
    try {
      return await raceSignal(promise, signal);
    } catch (error) {
      near.abort(error instanceof Error ? error : new Error('the stream was not opened'));
      promise.catch(() => undefined);
      throw error;
    } finally {
      near.removeEventListener('close', onClose);
    }
  }

  #accept(protocol: string, stream: SimulatedStream): boolean {
    const handler = this.near.handlerOf(protocol);
    if (this.status !== 'open' || handler === undefined || stream.status !== 'open') return false;
    this.streams.push(stream);
    const answer = { ...STREAM_OPEN.listener };
    answer.bytes += protocol.length;
    this.#count('opened streams', answer);
    const { maxInboundStreams = DEFAULT_MAX_INBOUND_STREAMS } = handler.options;
    const present = this.streams.filter(
      (each) => each.direction === 'inbound' && each.protocol === protocol,
    );
    if (present.length > maxInboundStreams) stream.abort(new Error('too many inbound streams'));
    else void handler.handler(stream.asStream, this.asConnection);
    return true;
  }

  /** Ends the connection. */
  close(): Promise<void> {
    this.abort(undefined);
    return Promise.resolve();
  }

  abort(error: Error | undefined): void {
    if (this.status !== 'open') return;
    const other = this.#other;
    this.onControl();
    this.carry(() => {
      other?.break(error === undefined ? undefined : new Error('the connection was reset'));
    });
    this.break(error);
  }

  /** Ends this end only. */
  break(error: Error | undefined): void {
    if (this.status !== 'open') return;
    this.status = 'closed';
    for (const stream of this.streams.slice()) stream.reset(error);
    this.near.onConnectionEnd(this);
  }

  /** Ends the other end: the process of this one has ended. */
  breakOther(): void {
    this.#other?.break(new Error('the connection was reset'));
  }

  /** Called when keep-alive has had no answer. It does not probe while bytes are not confirmed. */
  breakUnlessStalled(): void {
    for (const end of [this, this.#other]) {
      if (end?.isStalled === false) end.break(new Error('the host does not answer'));
    }
  }

  carry(callback: () => void): void {
    const { near, far } = this;
    if (near.isOffline || far.isOffline) {
      this.isStalled = true;
      return;
    }
    near.network.after(near.network.delayMs, () => {
      if (near.isOffline || far.isOffline) return;
      if (this.#other !== undefined) this.#other.heardAt = performance.now();
      callback();
    });
  }

  onSend(stream: SimulatedStream, data: Uint8Array): void {
    const kind = kindOf(stream.protocol, data);
    this.#count(kind, { messages: 1, bytes: data.length + MESSAGE_BYTES });
    for (const trace of this.near.traces) trace.sent(stream, data);
  }

  onReceive(stream: SimulatedStream): void {
    for (const trace of this.near.traces) trace.received(stream);
  }

  onControl(): void {
    this.#count('ended streams', { messages: 1, bytes: MESSAGE_BYTES });
  }

  onEnd(stream: SimulatedStream): void {
    const at = this.streams.indexOf(stream);
    if (at !== -1) this.streams.splice(at, 1);
  }

  #count(kind: string, amount: { readonly messages: number; readonly bytes: number }): void {
    this.near.network.count(kind, this.near.traffic, this.far.traffic, amount);
  }
}

function closedError(): ConnectionClosedError {
  return new ConnectionClosedError('the connection has ended');
}
