import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';

import { PROGRAMS, freePort, spawnProgram } from '../../testing/agent-program.ts';
import { eventually } from '../../testing/eventually.ts';

describe('an agent that ends', () => {
  let folder: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'peerglass-end-'));
  });
  after(() => {
    rmSync(folder, { recursive: true });
  });

  it('removes its hosts.toml first, while mirror, router and admin port still work', async (t) => {
    const certs = join(folder, 'certs.d');
    mkdirSync(certs);
    mkdirSync(join(folder, 'layout/blobs/sha256'), { recursive: true });
    const hosts = join(certs, '_default/hosts.toml');
    const [registry, metrics, identity] = [await freePort(), await freePort(), await freePort()];
    const child = spawnProgram(PROGRAMS.sources, [
      ...['registry', '--oci-layout', join(folder, 'layout'), '--registries-yaml', 'off'],
      ...['--registry-addr', `127.0.0.1:${registry}`, '--metrics-addr', `127.0.0.1:${metrics}`],
      ...['--router-addr', '127.0.0.1:0', '--http-bootstrap-addr', `127.0.0.1:${identity}`],
      ...['--configure', '--configure-remove-on-exit', '--shutdown-delay', '10m'],
      ...['--containerd-registry-config-path', certs],
    ]);
    child.stderr.resume();
    t.after(() => child.kill('SIGKILL'));
    const status = async (port: number, path: string): Promise<number> => {
      const response = await fetch(`http://127.0.0.1:${port}${path}`);
      await response.body?.cancel();
      return response.status;
    };
    await eventually(async () => {
      assert.ok(existsSync(hosts));
      assert.equal(await status(metrics, '/readyz'), 200);
    });
    child.kill('SIGTERM');
    await eventually(() => {
      assert.equal(existsSync(hosts), false);
    });
    assert.equal(await status(metrics, '/readyz'), 503);
    assert.equal(await status(registry, '/v2/'), 200);
    assert.equal(await status(identity, '/id'), 200);
    assert.equal(child.exitCode, null);
  });
});
