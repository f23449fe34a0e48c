import assert from 'node:assert/strict';
import { once } from 'node:events';
import {
  connect as connectTcp,
  createServer as createTcpServer,
  type AddressInfo,
  type Server,
} from 'node:net';
import { createServer, type TLSSocket } from 'node:tls';
import { after, before, describe, it } from 'node:test';

import { Authority, noOpenssl } from '../../testing/certificates.ts';
import type { TlsMaterial } from '../../tls/tls-material.ts';
import { tlsConnector, type TlsConnectorInit } from './tls-connector.ts';

describe('tlsConnector', { skip: noOpenssl, timeout: 300_000 }, () => {
  let material: TlsMaterial;
  before(async () => {
    await using authority = await Authority.create();
    material = await authority.material('peer');
  });

  const servers: Server[] = [];
  after(() => {
    for (const server of servers) server.close();
  });

  async function listen(server: Server): Promise<number> {
    servers.push(server.listen(0, '127.0.0.1'));
    await once(server, 'listening');
    return (server.address() as AddressInfo).port;
  }

  function startPeer(protocols: string[]): Promise<number> {
    const { cert, key } = material.identity ?? {};
    const peer = createServer({ cert, key, ALPNProtocols: protocols });
    peer.on('secureConnection', (socket) => socket.on('error', () => undefined));
    return listen(peer);
  }

  /** Connects, and gives the protocol of the connection and those that were reported as HTTP/2. */
  async function connect(
    port: number,
    init: Partial<TlsConnectorInit>,
  ): Promise<{ readonly protocol: string | false | null; readonly reported: string[] }> {
    const reported: string[] = [];
    const connector = tlsConnector({
      tls: { rejectUnauthorized: false },
      connectTimeout: 5_000,
      http2: true,
      onHttp2: (origin) => reported.push(origin),
      ...init,
    });
    const socket = await new Promise<TLSSocket>((resolve, reject) => {
      const host = `127.0.0.1:${port}`;
      const options = { hostname: '127.0.0.1', host, protocol: 'https:', port: String(port) };
      connector(options, (error, connected) => {
        if (error === null) resolve(connected as TLSSocket);
        else reject(error);
      });
    });
    const protocol = socket.alpnProtocol;
    socket.destroy();
    return { protocol, reported };
  }

  it('uses HTTP/2 where the peer supports it, and reports each such connection', async () => {
    const port = await startPeer(['h2', 'http/1.1']);
    const { protocol, reported } = await connect(port, {});
    assert.equal(protocol, 'h2');
    assert.deepEqual(reported, [`https://127.0.0.1:${port}`]);
  });

  it('offers HTTP/1.1 alone when HTTP/2 is not wanted', async () => {
    const { protocol, reported } = await connect(await startPeer(['h2', 'http/1.1']), {
      http2: false,
    });
    assert.equal(protocol, 'http/1.1');
    assert.deepEqual(reported, []);
  });

  it('gives the handshake more time than the connection', async () => {
    const peer = await startPeer(['h2']);
    const slow = createTcpServer((client) => {
      client.on('error', () => undefined).pause();
      setTimeout(() => {
        const server = connectTcp(peer, '127.0.0.1').on('error', () => undefined);
        server.pipe(client).pipe(server);
      }, 300);
    });
    const { protocol } = await connect(await listen(slow), { connectTimeout: 100 });
    assert.equal(protocol, 'h2');
  });
});
