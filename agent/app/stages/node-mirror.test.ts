import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { describe, it } from 'node:test';

import { pino } from 'pino';

import { createMetrics, type Metrics } from '../../metrics/metrics.ts';
import { DataPlane } from '../../native/data-plane.ts';
import { SharePolicy } from '../../oci/share-policy.ts';
import { MemoryStore } from '../../store/memory-store.ts';
import { eventually } from '../../testing/eventually.ts';
import { quiet } from '../../testing/quiet.ts';
import { received } from '../../testing/raw-http.ts';
import { registryConfig } from '../../testing/registry-config.ts';
import { mirrorStage } from './mirror.ts';
import { RefusalLog } from '../refusal-log.ts';
import { nodeMirrorPort } from './node-mirror.ts';

/** A line of the log, as far as the tests look at it. */
interface Line {
  readonly level: number;
  readonly reason?: string;
  readonly address?: string;
  readonly msg: string;
}

/** Opens the port for this node, whose clients are those with the local ports of the set. */
async function start(flags: Record<string, string>, isLocal: (address?: string) => boolean) {
  const metrics = createMetrics();
  const lines: Line[] = [];
  const write = (line: string): void => void lines.push(JSON.parse(line) as Line);
  const port = nodeMirrorPort(registryConfig({ 'mirror-addr': '127.0.0.1:0', ...flags }), {
    listener: { isLocal },
    refusals: new RefusalLog({ metrics, logger: pino({ level: 'warn' }, { write }) }),
    metrics,
  });
  assert.ok(port !== undefined);
  const number = await port.start();
  const { node } = mirrorStage({
    store: new MemoryStore(),
    remote: [],
    policy: new SharePolicy(),
    sharesDigest: () => true,
    holders: () => [],
    dataPlane: new DataPlane({ logger: quiet }, 'stream'),
    metrics,
    logger: quiet,
  });
  port.serve(node);
  return { port, number, metrics, lines };
}

/** What the server sends to a request for the version check. */
async function answerAt(port: number): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  const answer = received(socket);
  socket.write('GET /v2/ HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n');
  return await answer;
}

async function refusals(metrics: Metrics): Promise<number> {
  const { values } = await metrics.refused.get();
  return values.find(({ labels }) => labels.reason === 'client')?.value ?? 0;
}

describe('nodeMirrorPort', () => {
  it('is none without --mirror-addr', () => {
    const components = { listener: { isLocal: () => true }, metrics: createMetrics() };
    assert.equal(
      nodeMirrorPort(registryConfig({}), { ...components, refusals: { refused: () => undefined } }),
      undefined,
    );
  });

  it('serves clients on this node', async () => {
    const { port, number, metrics, lines } = await start({}, () => true);
    assert.match(await answerAt(number), /^HTTP\/1\.1 200 /);
    assert.equal(await refusals(metrics), 0);
    assert.deepEqual(lines, []);
    await port.stop();
  });

  it('closes the connections of others, counts them, and logs an address once with the remedy', async () => {
    const asked: (string | undefined)[] = [];
    const { port, number, metrics, lines } = await start({}, (address) => {
      asked.push(address);
      return false;
    });
    for (let index = 0; index < 5; index++) assert.equal(await answerAt(number), '');
    await eventually(async () => {
      assert.equal(await refusals(metrics), 5);
    });
    assert.equal(asked[0], '127.0.0.1');
    const [line, ...more] = lines;
    assert.deepEqual(more, []);
    assert.equal(line?.reason, 'client');
    assert.match(line.address ?? '', /^127\.0\.0\.1:\d+$/);
    assert.match(line.msg, /--node-ip/);
    await port.stop();
  });

  it('serves others with --mirror-clients any', async () => {
    const { port, number, metrics } = await start({ 'mirror-clients': 'any' }, () => false);
    assert.match(await answerAt(number), /^HTTP\/1\.1 200 /);
    assert.equal(await refusals(metrics), 0);
    await port.stop();
  });
});
