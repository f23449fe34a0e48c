import { yamux } from '@chainsafe/libp2p-yamux';
import type { YamuxMuxerInit } from '@chainsafe/libp2p-yamux';
import type { StreamMuxerFactory } from '@libp2p/interface';

/** States of a stream in which a window update carries no flag that the peer waits for. */
const OPEN_STATES: readonly number[] = [1, 3];

/** Parts of libp2p-yamux's streams and muxers that are not in its types; version 8.0.1. */
interface Stream {
  /** SYNSent is 1, Established 3. */
  readonly state: number;
  readonly recvWindow: number;
  readonly recvWindowCapacity: number;
  sendWindowUpdate: () => void;
}
interface Muxer {
  _newStream: (...args: unknown[]) => Stream;
}

/**
 * A yamux that sends a window update when half of a stream's window is used up, as Go's does, and not after every
 * message (yamux specification, "Flow control"). Each update is a message of its own, which is encrypted, written and
 * read. With one after every message, a request and its answer took four messages.
 */
export function thriftyYamux(
  init: YamuxMuxerInit,
): (...components: Parameters<ReturnType<typeof yamux>>) => StreamMuxerFactory {
  return (...components) => {
    const factory = yamux(init)(...components);
    const create = factory.createStreamMuxer.bind(factory);
    factory.createStreamMuxer = (connection) => {
      const muxer = create(connection);
      const internals = muxer as unknown as Muxer;
      const newStream = internals._newStream.bind(muxer);
      internals._newStream = (...args) => saveUpdates(newStream(...args));
      return muxer;
    };
    return factory;
  };
}

function saveUpdates(stream: Stream): Stream {
  const send = stream.sendWindowUpdate.bind(stream);
  stream.sendWindowUpdate = () => {
    const isOpen = OPEN_STATES.includes(stream.state);
    if (!isOpen || stream.recvWindowCapacity <= stream.recvWindow / 2) send();
  };
  return stream;
}
