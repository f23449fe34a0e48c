import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it, type TestContext } from 'node:test';

import type { ImageReport } from '../../doctor/image/image-report.ts';
import type { Finding, Report } from '../../doctor/report.ts';
import { LayoutUnderTest } from '../../testing/layout-fixture.ts';
import { PROGRAMS, freePort, runProgram, spawnProgram } from '../../testing/agent-program.ts';
import { Authority, noOpenssl } from '../../testing/certificates.ts';
import { eventually } from '../../testing/eventually.ts';
import { makeImage } from '../../testing/image.ts';

const IMAGE = 'registry.example/team/app:1.0';

/** Real agents that require client certificates, and the doctor on the same node. */
describe('peerglass doctor on a node with TLS', { skip: noOpenssl }, () => {
  let folder: string;
  let authority: Authority;
  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'peerglass-doctor-tls-'));
    authority = await Authority.create();
  });
  after(async () => {
    rmSync(folder, { recursive: true });
    await authority[Symbol.asyncDispose]();
  });

  interface Node {
    readonly words: readonly string[];
    readonly metricsPort: number;
    readonly registryPort: number;
    readonly certs: string;
    readonly peer: string;
  }

  /** Starts an agent that configures a folder of its own. */
  async function start(t: TestContext, layout: string, words: readonly string[]): Promise<Node> {
    const [metricsPort, registryPort] = [await freePort(), await freePort()];
    const certs = mkdtempSync(join(folder, 'certs.d-'));
    const child = spawnProgram(PROGRAMS.sources, [
      ...['registry', '--configure', '--containerd-registry-config-path', certs],
      ...['--oci-layout', layout, '--router-addr', '127.0.0.1:0'],
      ...['--metrics-addr', `127.0.0.1:${metricsPort}`],
      ...['--registry-addr', `127.0.0.1:${registryPort}`, ...words],
    ]);
    child.stderr.resume();
    t.after(() => child.kill('SIGKILL'));
    let peer = '';
    await eventually(async () => {
      const answer = await fetch(`http://127.0.0.1:${metricsPort}/debug/status`);
      const { peerId, listening } = (await answer.json()) as {
        peerId: string;
        listening: string[];
      };
      assert.ok(listening.length > 0);
      peer = `${listening[0]?.replace(/\/p2p\/.*/, '') ?? ''}/p2p/${peerId}`;
    });
    return { words, metricsPort, registryPort, certs, peer };
  }

  async function doctor(
    node: Node,
    ...words: string[]
  ): Promise<{ code: number | null; json: unknown }> {
    const { code, stdout, stderr } = await runProgram(PROGRAMS.sources, [
      ...['doctor', '--output', 'json', '--metrics-addr', `127.0.0.1:${node.metricsPort}`],
      ...['--containerd-registry-config-path', node.certs, '--registries-yaml', 'off'],
      ...['--containerd-sock', join(folder, 'none.sock'), ...words],
    ]);
    assert.equal(stderr, '');
    return { code, json: JSON.parse(stdout) };
  }

  async function find(node: Node, id: string, ...words: string[]): Promise<Finding> {
    const { checks } = (await doctor(node, ...words)).json as Report;
    const finding = checks.find((check) => check.id === id);
    assert.ok(finding !== undefined);
    return finding;
  }

  it('sends its certificate to the mirror and to the peers, also when it follows an image', async (t) => {
    const { cert, key } = await authority.issue('node');
    const identity = ['--registry-tls-cert', cert, '--registry-tls-key', key];
    const tls = [...identity, '--registry-tls-ca', authority.ca];
    const required = [...tls, '--registry-tls-client-auth', 'require'];
    await using full = await (await LayoutUnderTest.create()).begin();
    await using empty = await (await LayoutUnderTest.create()).begin();
    const { blobs, manifest } = makeImage(1000);
    for (const bytes of blobs.values()) await full.putBlob(bytes);
    await full.putImage(IMAGE, manifest);
    const one = await start(t, full.path, required);
    const two = await start(t, empty.path, [...required, '--static-bootstrap-peers', one.peer]);
    await eventually(async () => {
      assert.equal((await find(two, 'mirror-port')).outcome, 'ok');
      assert.match((await find(two, 'peer-registry', ...tls)).reason, /mirrors of 1 peers answer/);
    });
    assert.equal((await find(two, 'clock-skew', ...tls)).outcome, 'ok');
    const certificates = await find(two, 'certificates');
    assert.equal(certificates.outcome, 'warning');
    assert.match(certificates.details?.join() ?? '', /node\.crt: expires/);

    await eventually(async () => {
      const { code, json } = await doctor(two, ...tls, '--image', IMAGE);
      const { parts, reason } = json as ImageReport;
      assert.match(reason, /0 parts from this node, \d+ from peers/, JSON.stringify(parts));
      assert.equal(code, 0);
    });
  });

  it('finds a certificate that containerd refuses', async (t) => {
    const { cert, key } = await authority.issue('elsewhere', { names: 'DNS:node.example' });
    const layout = join(folder, 'layout');
    mkdirSync(layout, { recursive: true });
    const tls = ['--registry-tls-cert', cert, '--registry-tls-key', key];
    const node = await start(t, layout, [...tls, '--registry-tls-ca', authority.ca]);
    await eventually(async () => {
      const { outcome, details = [] } = await find(node, 'mirror-port');
      assert.equal(outcome, 'failure');
      assert.match(details.join(), /does not accept its certificate \(.*ALTNAME/);
    });
    const { cert: good, key: goodKey } = await authority.issue('good');
    const own = ['--registry-tls-cert', good, '--registry-tls-key', goodKey];
    // No hosts.toml names the authority.
    const unknown = await start(t, layout, own);
    await eventually(async () => {
      const { details = [] } = await find(unknown, 'mirror-port');
      assert.match(details.join(), /does not accept its certificate \(UNABLE/);
    });
    const target = `https://127.0.0.1:${unknown.registryPort}`;
    const certs = join(folder, 'with-authority');
    mkdirSync(join(certs, '_default'), { recursive: true });
    writeFileSync(
      join(certs, '_default', 'hosts.toml'),
      `[host.'${target}']\nskip_verify = true\n`,
    );
    assert.equal((await find({ ...unknown, certs }, 'mirror-port')).outcome, 'ok');
  });
});
