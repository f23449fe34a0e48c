import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { pino, type Logger } from 'pino';

import type { ContentRequest } from '../oci/content-request.ts';
import { eventually } from '../testing/eventually.ts';
import { makeImage, putImage } from '../testing/image.ts';
import { FixedRouter, providerOf, startMirror } from '../testing/mirror-node.ts';
import { PullLog } from './pull-log.ts';

type Line = Record<string, unknown> & { readonly level: number; readonly msg: string };

const INFO = 30;

function logTo(lines: Line[]): Logger {
  return pino({ level: 'debug' }, { write: (line) => lines.push(JSON.parse(line) as Line) });
}

const manifest = (reference: Partial<ContentRequest>): ContentRequest => ({
  kind: 'manifest',
  method: 'GET',
  registry: 'registry.example',
  repository: 'team/app',
  ...reference,
});
const DIGEST = `sha256:${'0'.repeat(64)}` as NonNullable<ContentRequest['digest']>;

describe('PullLog', () => {
  it('writes one line for an image, with its sources, bytes and fall-throughs', async () => {
    const lines: Line[] = [];
    const pulls = new PullLog(logTo(lines), 1);
    const requests = [
      pulls.begin(manifest({ tag: '1.0', method: 'HEAD' }), false),
      pulls.begin(manifest({ digest: DIGEST }), false),
      pulls.begin({ ...manifest({ digest: DIGEST }), kind: 'blob' }, false),
      pulls.begin({ ...manifest({ digest: DIGEST }), kind: 'blob' }, false),
    ] as const;
    requests[0].from('http://10.0.0.8:5000');
    requests[1].from('http://10.0.0.8:5000');
    requests[1].sent(100);
    requests[2].from('http://10.0.0.9:5000');
    requests[2].sent(1_000);
    requests[2].sent(1_000);
    requests[3].fellThrough('providers-busy');
    for (const request of requests) request.end();
    await eventually(() => {
      assert.equal(lines.filter(({ level }) => level === INFO).length, 1);
    });
    const line = lines.at(-1);
    assert.ok(line !== undefined);
    assert.equal(line['image'], 'registry.example/team/app:1.0');
    assert.deepEqual([line['bytes'], line['requests'], typeof line['ms']], [2_100, 4, 'number']);
    assert.deepEqual(line['from'], {
      'http://10.0.0.8:5000': 100,
      'http://10.0.0.9:5000': 2_000,
    });
    assert.deepEqual(line['fallThroughs'], { 'providers-busy': 1 });
    assert.equal(line.msg, 'image pulled through this node');
    assert.equal(lines.length, 5, 'and one at debug for each request');
    const [head] = lines;
    assert.deepEqual([head?.['method'], head?.['from']], ['HEAD', 'http://10.0.0.8:5000']);
  });

  it('says of an image that no source had that it was left to the registry', async () => {
    const lines: Line[] = [];
    const request = new PullLog(logTo(lines), 1).begin(manifest({ digest: DIGEST }), false);
    request.fellThrough('no-provider');
    request.end();
    await eventually(() => {
      assert.equal(lines.at(-1)?.msg, 'image left to the registry');
    });
    assert.equal(lines.at(-1)?.['image'], `registry.example/team/app@${DIGEST}`);
  });

  it('counts a reason that the source does not know, unless another source gave one', async () => {
    const lines: Line[] = [];
    const pulls = new PullLog(logTo(lines), 1);
    for (const reasons of [[undefined], ['no-provider', undefined]]) {
      const request = pulls.begin(manifest({ digest: DIGEST }), false);
      for (const reason of reasons) request.fellThrough(reason);
      request.end();
    }
    await eventually(() => {
      assert.deepEqual(lines.at(-1)?.['fallThroughs'], { unknown: 1, 'no-provider': 1 });
    });
  });

  it('writes at debug only of requests of peers, and of a tag that is only resolved', async () => {
    const lines: Line[] = [];
    const pulls = new PullLog(logTo(lines), 1);
    pulls.begin(manifest({ digest: DIGEST }), true).end();
    pulls.begin(manifest({ tag: '1', method: 'HEAD' }), false).end();
    await eventually(() => {
      assert.equal(lines.length, 3);
    });
    assert.ok(lines.every(({ level }) => level < INFO));
  });

  it('remembers a bounded number of images', () => {
    const lines: Line[] = [];
    const pulls = new PullLog(logTo(lines), 60_000);
    for (let count = 0; count < 300; count += 1) {
      pulls.begin(manifest({ repository: `app-${String(count)}`, tag: '1' }), false).end();
    }
    const images = lines.filter(({ level }) => level === INFO).map(({ image }) => image);
    assert.equal(images.length, 300 - 256);
    assert.equal(images[0], 'registry.example/app-0:1');
  });

  it('has a line for an image that comes through a mirror from a peer', async () => {
    const lines: Line[] = [];
    await using holder = await startMirror();
    const image = makeImage(1_000, 2_000);
    putImage(holder.store, image, 'registry.example/team/app:1');
    const router = new FixedRouter(providerOf('holder', holder));
    await using node = await startMirror({ router, logger: logTo(lines) });
    const paths = [
      'manifests/1',
      `manifests/${image.manifest.digest}`,
      `blobs/${image.config}`,
      ...image.layers.map((layer) => `blobs/${layer}`),
      `blobs/${DIGEST}`,
      'manifests/gone',
    ];
    let bytes = 0;
    for (const path of paths) {
      const method = path === 'manifests/gone' ? 'HEAD' : 'GET';
      const url = `${node.origin}/v2/team/app/${path}?ns=registry.example`;
      const answer = await fetch(url, { method });
      const body = await answer.arrayBuffer();
      if (answer.status === 200) bytes += body.byteLength;
    }
    await eventually(() => {
      const line = lines.find(({ level }) => level === INFO);
      assert.equal(line?.['image'], 'registry.example/team/app:1, registry.example/team/app:gone');
      assert.deepEqual(line['from'], { [holder.origin]: bytes });
      assert.deepEqual(line['fallThroughs'], { 'providers-failed': 1, unknown: 1 });
      assert.equal(line['requests'], paths.length);
    });
    assert.equal(lines.filter(({ msg }) => msg === 'request answered').length, paths.length);
  });
});
