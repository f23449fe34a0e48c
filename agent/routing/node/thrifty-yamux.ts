import { yamux } from '@chainsafe/libp2p-yamux';
import type { YamuxMuxerInit } from '@chainsafe/libp2p-yamux';
import type { StreamMuxerFactory } from '@libp2p/interface';

/** States of a stream in which an update carries no flag that the peer waits for. */
const OPEN_STATES: readonly number[] = [1, 3];

/** The parts of libp2p-yamux's streams and muxers that its types do not show; version 8.0.1. */
interface Stream {
  /** SYNSent is 1, Established 3. */
  readonly state: number;
  readonly recvWindow: number;
  readonly recvWindowCapacity: number;
  sendWindowUpdate: () => void;
}
interface Muxer {
  _newStream: (...words: unknown[]) => Stream;
}

/**
 * yamux that tells its peer of room in a stream's window when half of it is used up, as Go's does, and not
 * after every message: each such word is a message of its own, to be encrypted, written and read, which made
 * two messages of a question and its answer into four (yamux specification, "Flow control").
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
      internals._newStream = (...words) => saveUpdates(newStream(...words));
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
