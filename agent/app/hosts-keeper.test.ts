import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { get } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, describe, it, type TestContext } from 'node:test';

import { parseHostsToml, type HostsFile } from '../hosts/hosts-toml.ts';
import { PROGRAMS, freePort, spawnProgram } from '../testing/agent-program.ts';
import { Authority, noOpenssl } from '../testing/certificates.ts';
import { mirrorEntry } from '../testing/certs-folder.ts';
import { eventually } from '../testing/eventually.ts';
import { fileTree } from '../testing/file-tree.ts';

// What ships. program.test.ts shows that the sources are the same program.
const program = PROGRAMS.bundle;

describe('hostsKeeperPart, in an agent with --configure', () => {
  let folder: string;
  let certs: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'peerglass-keep-'));
    certs = join(folder, 'certs.d');
  });
  beforeEach(() => {
    rmSync(certs, { recursive: true, force: true });
    mkdirSync(certs);
  });
  after(() => {
    rmSync(folder, { recursive: true });
  });
  const parsed = (name: string): HostsFile =>
    parseHostsToml(readFileSync(join(certs, name, 'hosts.toml'), 'utf8'));

  /** Starts an agent, and gives the port of its mirror and its log. */
  async function start(
    t: TestContext,
    words: readonly string[],
  ): Promise<{ port: number; log: () => string; exit: Promise<unknown> }> {
    const port = await freePort();
    const agent = spawnProgram(program, [
      ...['registry', '--configure', '--containerd-registry-config-path', certs],
      ...['--oci-layout', join(folder, 'layout'), '--registry-addr', `:${port}`],
      ...['--router-addr', '127.0.0.1:0', '--metrics-addr', '127.0.0.1:0', ...words],
    ]);
    t.after(() => agent.kill('SIGKILL'));
    let log = '';
    agent.stderr.on('data', (chunk: Buffer) => {
      log += chunk.toString();
    });
    return { port, log: () => log, exit: once(agent, 'close') };
  }

  it(
    'names the authority of a mirror with TLS, so that containerd can trust it',
    { skip: noOpenssl },
    async (t) => {
      await using authority = await Authority.create();
      const { cert, key } = await authority.issue('node');
      const tls = ['--registry-tls-cert', cert, '--registry-tls-key', key];
      const { port, log } = await start(t, [...tls, '--registry-tls-ca', authority.ca]);
      const url = `https://127.0.0.1:${port}`;
      const common = { url, capabilities: ['pull', 'resolve'], dialTimeout: '2s' };
      await eventually(() => {
        assert.deepEqual(parsed('_default'), { hosts: [{ ...common, ca: [authority.ca] }] });
      });
      // As containerd does it, with nothing but the file.
      const [{ ca: [file = ''] = [] } = {}] = parsed('_default').hosts;
      const asked = get(`${url}/v2/`, { ca: readFileSync(file) });
      const [answer] = (await once(asked, 'response')) as [{ statusCode: number; resume(): void }];
      answer.resume();
      assert.equal(answer.statusCode, 200);
      assert.doesNotMatch(log(), /is not for the address/);
    },
  );

  it('names the port of --mirror-addr, and both ports serve', async (t) => {
    const own = await freePort();
    const { port } = await start(t, ['--mirror-addr', `127.0.0.1:${own}`]);
    await eventually(() => {
      assert.deepEqual(parsed('_default'), { hosts: [mirrorEntry(`http://127.0.0.1:${own}`)] });
    });
    for (const each of [own, port]) {
      const answer = await fetch(`http://127.0.0.1:${each}/v2/`);
      assert.equal(answer.status, 200);
      await answer.body?.cancel();
    }
  });

  it('has the credentials of clients, and changed ones soon', async (t) => {
    const users = mkdtempSync(join(folder, 'users-'));
    const write = (password: string): void => {
      writeFileSync(join(users, 'username'), 'mirror');
      writeFileSync(join(users, 'password'), password);
    };
    write('first');
    const { port, log } = await start(t, ['--basic-auth-dir', users]);
    const named = (): string => parsed('_default').hosts[0]?.header?.['Authorization']?.[0] ?? '';
    const statusWith = async (headers: Record<string, string>): Promise<number> => {
      const answer = await fetch(`http://127.0.0.1:${port}/v2/`, { headers });
      await answer.body?.cancel();
      return answer.status;
    };
    const expected = (password: string): string =>
      `Basic ${Buffer.from(`mirror:${password}`).toString('base64')}`;
    await eventually(() => {
      assert.equal(named(), expected('first'));
    });
    assert.equal(await statusWith({}), 401);
    assert.equal(await statusWith({ authorization: named() }), 200);
    write('second');
    // The files are read every ten seconds, and hosts.toml is checked when they have changed.
    await eventually(() => {
      assert.equal(named(), expected('second'));
    });
    assert.equal(await statusWith({ authorization: named() }), 200);
    assert.doesNotMatch(log(), /first|second|bWlycm9y/);
  });

  it('names a client certificate where the mirror requires one', { skip: noOpenssl }, async (t) => {
    await using authority = await Authority.create();
    const { cert, key } = await authority.issue('node', { names: 'DNS:node.example' });
    const { log } = await start(t, [
      ...['--registry-tls-cert', cert, '--registry-tls-key', key],
      ...['--registry-tls-ca', authority.ca, '--registry-tls-client-auth', 'require'],
      ...['--mirror-target-ca', '/host/ca.crt'],
    ]);
    await eventually(() => {
      const [host] = parsed('_default').hosts;
      assert.deepEqual(host?.client, [[cert, key]]);
      assert.deepEqual(host.ca, ['/host/ca.crt'], 'where containerd sees it');
    });
    assert.match(log(), /"level":"warn".*"host":"127\.0\.0\.1".*is not for the address/);
  });

  it(
    'names the client certificate of the agent where it has one of its own',
    { skip: noOpenssl },
    async (t) => {
      await using authority = await Authority.create();
      const { cert, key } = await authority.issue('node');
      const shown = await authority.issue('shown', { names: '' });
      await start(t, [
        ...['--registry-tls-cert', cert, '--registry-tls-key', key],
        ...['--registry-tls-client-cert', shown.cert, '--registry-tls-client-key', shown.key],
        ...['--registry-tls-client-ca', authority.ca, '--registry-tls-client-auth', 'require'],
        ...['--registry-tls-ca', authority.ca],
      ]);
      await eventually(() => {
        const [host] = parsed('_default').hosts;
        assert.deepEqual(host?.client, [[shown.cert, shown.key]]);
        assert.deepEqual(host.ca, [authority.ca]);
      });
    },
  );

  it('writes what a registries.yaml asks for', async (t) => {
    const file = join(folder, 'registries.yaml');
    const lines = [
      'mirrors:',
      '  docker.io:',
      '    endpoint: [https://m.example]',
      'configs:',
      '  m.example: {tls: {ca_file: /nowhere/ca.crt}}',
    ];
    writeFileSync(file, `${lines.join('\n')}\n`);
    const { port } = await start(t, ['--registries-yaml', file]);
    const own = {
      url: `http://127.0.0.1:${port}`,
      capabilities: ['pull', 'resolve'],
      dialTimeout: '2s',
    };
    const ca = ['/nowhere/ca.crt'];
    const endpoint = { url: 'https://m.example', capabilities: ['pull', 'resolve'], ca };
    await eventually(() => {
      assert.deepEqual(parsed('docker.io'), {
        server: 'https://registry-1.docker.io',
        hosts: [own, endpoint],
      });
    });
    assert.throws(() => parsed('_default'), 'only what is shared is mirrored');
  });

  it('leaves out the upstream registries with --disable-default-registry-endpoint', async (t) => {
    const file = join(folder, 'closed.yaml');
    writeFileSync(file, 'mirrors: {"*": {endpoint: [https://m.example]}}\n');
    const { port } = await start(t, [
      ...['--registries-yaml', file, '--disable-default-registry-endpoint'],
    ]);
    await eventually(() => {
      assert.equal(parsed('_default').server, `http://127.0.0.1:${port}`);
      assert.equal(parsed('_default').hosts[1]?.url, 'https://m.example');
    });
    const other = await start(t, ['--disable-default-registry-endpoint']);
    await other.exit;
    assert.match(other.log(), /needs --registries-yaml/);
  });

  it('writes the files once the mirror listens, and restores the folder at the end', async (t) => {
    const tree = fileTree(certs);
    const [metricsPort, registryPort] = [await freePort(), await freePort()];
    const agent = spawnProgram(program, [
      'registry',
      ...['--oci-layout', join(folder, 'layout'), '--router-addr', '127.0.0.1:0'],
      ...['--metrics-addr', `127.0.0.1:${metricsPort}`],
      ...['--registry-addr', `:${registryPort}`, '--mirrored-registries', '*', 'quay.io'],
      ...['--containerd-registry-config-path', certs, '--configure', '--configure-remove-on-exit'],
    ]);
    agent.stderr.resume();
    t.after(() => agent.kill('SIGKILL'));
    const hosts = [mirrorEntry(`http://127.0.0.1:${registryPort}`)];
    const configured = (): Promise<void> =>
      eventually(() => {
        assert.deepEqual(parsed('_default'), { hosts });
        assert.deepEqual(parsed('quay.io'), { server: 'https://quay.io', hosts });
      });
    await configured();
    const answer = await fetch(`http://127.0.0.1:${registryPort}/v2/`);
    assert.equal(answer.status, 200, 'it listens when a file names it');
    await answer.body?.cancel();
    // They are counted when both are written, and the lock of the folder is released.
    await eventually(async () => {
      const metrics = await fetch(`http://127.0.0.1:${metricsPort}/metrics`);
      assert.match(await metrics.text(), /^peerglass_hosts_files_written_total 2$/m);
    });
    agent.kill('SIGTERM');
    const [code] = (await once(agent, 'exit')) as [number];
    assert.equal(code, 0);
    assert.deepEqual(fileTree(certs), tree);
  });
});
