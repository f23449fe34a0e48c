import { once } from 'node:events';
import { createServer } from 'node:http';
import { connect, type AddressInfo } from 'node:net';
import type { TestContext } from 'node:test';

/** A proxy of a test. */
export interface ConnectProxy {
  readonly origin: string;
  /** What it was asked for. */
  readonly asked: { readonly target: string; readonly user: string | undefined }[];
}

/** Starts a proxy that connects every name with one port of loopback, unless it answers with another status. */
export async function startProxy(t: TestContext, to: string, status = 200): Promise<ConnectProxy> {
  const asked: { target: string; user: string | undefined }[] = [];
  const proxy = createServer((_req, res) => res.writeHead(501).end());
  proxy.on('connect', ({ url = '', headers }, socket) => {
    asked.push({ target: url, user: headers['proxy-authorization'] });
    socket.on('error', () => undefined);
    if (status !== 200) {
      socket.end(`HTTP/1.1 ${status} No\r\n\r\n`);
      return;
    }
    const server = connect(Number(new URL(to).port), '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 OK\r\n\r\n');
      server.pipe(socket);
      socket.pipe(server);
    });
    server.on('error', () => undefined);
    t.after(() => {
      server.destroy();
      socket.destroy();
    });
  });
  proxy.listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  t.after(() => proxy.close());
  return { origin: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`, asked };
}
