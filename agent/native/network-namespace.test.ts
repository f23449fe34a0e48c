import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, it } from 'node:test';

import { requestFrom, requestHere } from './network-namespace.ts';

describe('requestFrom', () => {
  it('reaches a server in the namespace, like a request from this process', async (t) => {
    const server = createServer((req, res) => {
      res.sendDate = false; // so that both answers are equal
      res.end(`${req.method ?? ''} ${req.url ?? ''}`);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    t.after(() => server.close());
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/x`;
    const request = { url, method: 'GET', timeoutMs: 5_000 } as const;
    const here = await requestHere(request);
    assert.ok('status' in here);
    assert.deepEqual([here.status, here.body], [200, 'GET /x']);
    if (process.getuid?.() !== 0) return;
    assert.deepEqual(await requestFrom('/proc/self/ns/net', request), {
      ...here,
      headers: { ...here.headers },
    });
  });

  it('reports a timeout, a refused connection and a missing process', async (t) => {
    const server = createServer(() => undefined).listen(0, '127.0.0.1');
    await once(server, 'listening');
    t.after(() => {
      server.closeAllConnections();
      server.close();
    });
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
    const late = await requestHere({ url, method: 'GET', timeoutMs: 50 });
    assert.deepEqual(late, { error: 'TIMEOUT' });
    const closed = { url: 'http://127.0.0.1:1/', method: 'HEAD', timeoutMs: 5_000 } as const;
    assert.deepEqual(await requestHere(closed), { error: 'ECONNREFUSED' });
    await assert.rejects(requestFrom('/proc/0/ns/net', closed), { code: 'ENOENT' });
  });

  const why = process.getuid?.() === 0 ? false : 'needs root';
  it('does not reach a server of another namespace', { skip: why }, async (t) => {
    const server = createServer((_req, res) => res.end()).listen(0, '127.0.0.1');
    await once(server, 'listening');
    t.after(() => server.close());
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
    const other = spawn('unshare', ['--net', 'sh', '-c', 'echo up; exec sleep 60'], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    t.after(() => other.kill('SIGKILL'));
    const started = await Promise.race([once(other.stdout, 'data'), once(other, 'exit')]);
    if (!Buffer.isBuffer(started[0])) {
      t.skip('network namespaces are not available');
      return;
    }
    const request = { url, method: 'GET', timeoutMs: 5_000 } as const;
    const answer = await requestFrom(`/proc/${other.pid ?? 0}/ns/net`, request);
    // The loopback interface of a new namespace is down.
    assert.ok('error' in answer, JSON.stringify(answer));
    assert.ok('status' in (await requestHere(request)));
  });
});
