import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';

import { eventually } from '../testing/eventually.ts';
import { quiet } from '../testing/quiet.ts';
import { registryConfig } from '../testing/registry-config.ts';
import { startAgent } from './agent.ts';

/** Listeners, connections, timers and threads of this process, by kind, those of the test runner included. */
function resources(): string[] {
  const kinds = ['TCPServerWrap', 'TCPSocketWrap', 'PipeWrap', 'Timeout', 'MessagePort', 'FSEvent'];
  return process
    .getActiveResourcesInfo()
    .filter((kind) => kinds.includes(kind))
    .sort();
}

describe('startAgent', () => {
  let folder: string;
  let taken: { readonly address: string; close(): void };
  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'peerglass-agent-'));
    writeFileSync(join(folder, 'file'), 'nonsense');
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    taken = { address: `127.0.0.1:${port}`, close: () => server.close() };
  });
  after(() => {
    taken.close();
    rmSync(folder, { recursive: true });
  });
  const layout = (): Record<string, string> => ({ 'oci-layout': join(folder, 'layout') });

  for (const [stage, flags, error] of [
    ['configuration', () => ({ 'hold-back-size': '128MiB' }), /--hold-back-size must not be more/],
    ['configuration', () => ({ 'bootstrap-kind': 'dns' }), /needs --dns-bootstrap-domain/],
    ['identity', () => ({ 'data-dir': join(folder, 'file') }), /data-dir|private\.key|ENOTDIR/],
    [
      'store',
      () => ({ 'oci-layout': '', 'containerd-sock': join(folder, 'file') }),
      /--containerd-sock .*not a socket/,
    ],
    ['admin port', () => ({ 'metrics-addr': taken.address }), /--metrics-addr .*port in use/],
    ['mirror port', () => ({ 'registry-addr': taken.address }), /--registry-addr .*port in use/],
    ['router', () => ({ 'router-addr': taken.address }), /--router-addr .*port in use/],
    [
      'identity port',
      () => ({ 'http-bootstrap-addr': taken.address }),
      /--http-bootstrap-addr .*port in use/,
    ],
    [
      'hosts keeper',
      () => ({ configure: 'true', 'disable-default-registry-endpoint': 'true' }),
      /needs --registries-yaml/,
    ],
  ] as const) {
    it(`leaves nothing running when it fails at the ${stage}: ${String(error)}`, async () => {
      const before = resources();
      await assert.rejects(startAgent(registryConfig({ ...layout(), ...flags() }), quiet), error);
      await eventually(() => {
        assert.deepEqual(resources(), before);
      });
    });
  }

  it('leaves nothing running when it has stopped', async () => {
    const before = resources();
    const agent = await startAgent(
      registryConfig({ ...layout(), 'http-bootstrap-addr': '127.0.0.1:0' }),
      quiet,
    );
    assert.notDeepEqual(resources(), before);
    await agent.stop();
    await eventually(() => {
      assert.deepEqual(resources(), before);
    });
  });
});
