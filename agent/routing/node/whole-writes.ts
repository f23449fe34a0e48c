import type { Socket } from 'node:net';

import type { ConnectionEncrypter, MessageStream } from '@libp2p/interface';

/** Parts of a connection of @libp2p/tcp that are not in its types; version 11.0.28. */
interface TcpConnection {
  readonly socket?: Pick<Socket, 'cork' | 'uncork'>;
  sendData: (data: unknown) => unknown;
}

/**
 * Lets the connections of the encrypter write what they send at one time as a whole. libp2p's TCP transport makes a
 * write of each part of a message: the length of a noise message is one of two bytes, for which the peer wakes up, reads
 * and waits for the rest.
 */
export function withWholeWrites(encrypter: ConnectionEncrypter): ConnectionEncrypter {
  const secureOutbound = encrypter.secureOutbound.bind(encrypter);
  const secureInbound = encrypter.secureInbound.bind(encrypter);
  encrypter.secureOutbound = (stream, options) => {
    corkWrites(stream);
    return secureOutbound(stream, options);
  };
  encrypter.secureInbound = (stream, options) => {
    corkWrites(stream);
    return secureInbound(stream, options);
  };
  return encrypter;
}

/** The stream of a handshake is the connection itself. */
function corkWrites(stream: MessageStream): void {
  const connection = stream as unknown as TcpConnection;
  const { socket } = connection;
  if (socket === undefined) return;
  const sendData = connection.sendData.bind(connection);
  connection.sendData = (data) => {
    socket.cork();
    try {
      return sendData(data);
    } finally {
      socket.uncork();
    }
  };
}
