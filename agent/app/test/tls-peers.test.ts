import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';

import { Agent, request } from 'undici';

import { PROGRAMS, freePort, spawnProgram } from '../../testing/agent-program.ts';
import { Authority, noOpenssl } from '../../testing/certificates.ts';
import { eventually } from '../../testing/eventually.ts';
import { makeImage, type TestImage } from '../../testing/image.ts';

const REGISTRY = 'registry.example.test';

/** An agent of its own process, over a layout that holds the image. */
interface RunningAgent {
  readonly process: ChildProcess;
  readonly mirror: string;
  readonly metrics: string;
  readonly router: string;
}

describe('agents with --registry-tls-peers-only', { skip: noOpenssl, timeout: 120_000 }, () => {
  let folder: string;
  let authority: Authority;
  let tls: string[];
  const running: RunningAgent[] = [];
  const client = new Agent({ connect: { rejectUnauthorized: false, timeout: 60_000 } });
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'peerglass-tls-'));
    authority = await Authority.create();
    const files = await authority.issue('nodes');
    tls = [
      ...['--registry-tls-cert', files.cert, '--registry-tls-key', files.key],
      ...['--registry-tls-ca', authority.ca],
    ];
  });
  after(async () => {
    for (const { process: child } of running) {
      child.kill('SIGKILL');
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    }
    await client.destroy();
    await rm(folder, { recursive: true });
    await authority[Symbol.asyncDispose]();
  });

  async function start(
    name: string,
    flags: readonly string[],
    image?: TestImage,
  ): Promise<RunningAgent> {
    const layout = join(folder, name);
    const { manifest, blobs } = image ?? { blobs: new Map<string, Buffer>() };
    await mkdir(join(layout, 'blobs/sha256'), { recursive: true });
    for (const [digest, bytes] of blobs) {
      await writeFile(join(layout, 'blobs/sha256', digest.slice('sha256:'.length)), bytes);
    }
    const annotations = { 'org.opencontainers.image.ref.name': `${REGISTRY}/team/${name}:1.0` };
    const manifests = manifest === undefined ? [] : [{ ...manifest, annotations }];
    await writeFile(join(layout, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}');
    await writeFile(join(layout, 'index.json'), JSON.stringify({ schemaVersion: 2, manifests }));
    const [mirror, router, metrics] = [await freePort(), await freePort(), await freePort()];
    const bootstrap = running.flatMap((it) => ['--static-bootstrap-peers', it.router]);
    const child = spawnProgram(PROGRAMS.sources, [
      ...['registry', '--oci-layout', layout, '--registry-addr', `127.0.0.1:${mirror}`],
      ...['--router-addr', `127.0.0.1:${router}`, '--metrics-addr', `127.0.0.1:${metrics}`],
      ...[...bootstrap, ...flags],
    ]);
    child.stderr.resume();
    child.stdout.resume();
    const agent = {
      process: child,
      mirror: `${flags.includes('--registry-tls-cert') ? 'https' : 'http'}://127.0.0.1:${mirror}`,
      metrics: `http://127.0.0.1:${metrics}`,
      router: `/ip4/127.0.0.1/tcp/${router}`,
    };
    running.push(agent);
    return agent;
  }

  async function pull({ mirror }: RunningAgent, image: TestImage): Promise<number[]> {
    const paths = [`manifests/${image.manifest.digest}`, `blobs/${image.layers[0] ?? ''}`];
    const statuses: number[] = [];
    for (const path of paths) {
      const url = `${mirror}/v2/team/app/${path}?ns=${REGISTRY}`;
      const { statusCode, body } = await request(url, { dispatcher: client });
      await body.dump();
      statuses.push(statusCode);
    }
    return statuses;
  }

  async function metric({ metrics }: RunningAgent, line: RegExp): Promise<number> {
    const { body } = await request(`${metrics}/metrics`, { dispatcher: client });
    return Number(line.exec(await body.text())?.[1] ?? 0);
  }

  it('ask only peers with TLS, and leave other content to the upstream registry', async () => {
    const [secret, open] = [makeImage(5_000_000), makeImage(5_000_000)];
    await start('with', tls, secret);
    const plain = await start('without', [], open);
    const mixed = await start('mixed', tls);
    const strict = await start('strict', [...tls, '--registry-tls-peers-only']);
    await eventually(async () => {
      assert.deepEqual(await pull(mixed, open), [200, 200]);
    });
    const asked = /^peerglass_http_requests_total\{handler="registry",protocol="http"\} (\d+)$/m;
    const before = await metric(plain, asked);
    assert.ok(before > 0);
    await eventually(async () => {
      assert.deepEqual(await pull(strict, secret), [200, 200]);
    });
    // The DHT is complete by now: the request before found a record in it.
    assert.deepEqual(await pull(strict, open), [404, 404]);
    assert.equal(await metric(plain, asked), before, 'the plain one was not asked');
    assert.equal(await metric(strict, /^peerglass_peer_failures_total\{reason="tls"\} (\d+)$/m), 0);
    const left = await metric(strict, /^peerglass_fall_throughs_total\{reason="[a-z-]+"\} (\d+)$/m);
    assert.ok(left >= 2);
  });
});
