import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server } from 'node:net';
import { after, describe, it } from 'node:test';

import { received } from '../testing/raw-http.ts';
import { testTls } from '../testing/test-tls.ts';
import { admitOnly } from './admission.ts';
import { HttpListener } from './http-listener.ts';

describe('admitOnly', () => {
  const servers: Server[] = [];
  after(() => {
    for (const server of servers) server.close();
  });

  async function listen(server: Server): Promise<number> {
    servers.push(server);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return (server.address() as AddressInfo).port;
  }

  it('lets the listeners of the server see only what is admitted, and closes the rest', async () => {
    const seen: (number | undefined)[] = [];
    const server = createServer((socket) => {
      seen.push(socket.remotePort);
      socket.end('served');
    });
    let admitted = false;
    admitOnly(server, () => (admitted = !admitted));
    const port = await listen(server);
    const ports: (number | undefined)[] = [];
    const answers: string[] = [];
    for (let index = 0; index < 4; index++) {
      const socket = connect(port, '127.0.0.1');
      const answer = received(socket);
      await once(socket, 'connect');
      ports.push(socket.localPort);
      answers.push(await answer);
    }
    assert.deepEqual(answers, ['served', '', 'served', '']);
    assert.deepEqual(seen, [ports[0], ports[2]]);
  });

  it('counts no connection that it refused, and reads none of its bytes', async () => {
    const refused: unknown[] = [];
    const listener = new HttpListener(
      { host: '127.0.0.1', port: 0 },
      '--mirror-addr',
      (_, res) => {
        res.end('served');
        return Promise.resolve();
      },
      {
        // Two connections at most: the refused ones would take them.
        connections: { max: 1, maxLocal: 1 },
        admits: () => refused.length >= 20 || refused.push(1) === 0,
        ...(testTls && {
          tls: { ...testTls, onFailure: (why) => assert.fail(`a handshake was begun: ${why}`) },
        }),
      },
    );
    const port = await listener.start();
    try {
      for (let index = 0; index < 20; index++) {
        const socket = connect(port, '127.0.0.1');
        const answer = received(socket);
        socket.write('GET / HTTP/1.1\r\nhost: a\r\n\r\n');
        assert.equal(await answer, '');
      }
      const scheme = testTls ? 'https' : 'http';
      const response = await fetch(`${scheme}://127.0.0.1:${port}/`);
      assert.equal(await response.text(), 'served');
    } finally {
      await listener.stop(0);
    }
  });
});
