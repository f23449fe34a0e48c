import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import { Agent } from 'undici';

import { Authority, noOpenssl } from '../../testing/certificates.ts';
import { eventually } from '../../testing/eventually.ts';
import { makeImage, type TestImage } from '../../testing/image.ts';
import { LayoutAgents, metricOf, pullFrom, type LayoutAgent } from '../../testing/layout-agents.ts';

describe('agents with --registry-tls-peers-only', { skip: noOpenssl, timeout: 300_000 }, () => {
  let agents: LayoutAgents;
  let authority: Authority;
  let tls: string[];
  const client = new Agent({ connect: { rejectUnauthorized: false, timeout: 60_000 } });
  before(async () => {
    agents = await LayoutAgents.create();
    authority = await Authority.create();
    const files = await authority.issue('nodes');
    tls = [
      ...['--registry-tls-cert', files.cert, '--registry-tls-key', files.key],
      ...['--registry-tls-ca', authority.ca],
    ];
  });
  after(async () => {
    await agents[Symbol.asyncDispose]();
    await client.destroy();
    await authority[Symbol.asyncDispose]();
  });

  const pull = (agent: LayoutAgent, image: TestImage): Promise<number[]> =>
    pullFrom(agent, image, client);

  it('ask only peers with TLS, and leave other content to the upstream registry', async () => {
    const [secret, open] = [makeImage(5_000_000), makeImage(5_000_000)];
    await agents.start('with', { flags: tls, image: secret });
    const plain = await agents.start('without', { flags: [], image: open });
    const mixed = await agents.start('mixed', { flags: tls });
    const strict = await agents.start('strict', { flags: [...tls, '--registry-tls-peers-only'] });
    await eventually(async () => {
      assert.deepEqual(await pull(mixed, open), [200, 200]);
    });
    const asked = /^peerglass_http_requests_total\{handler="registry",protocol="http"\} (\d+)$/gm;
    const before = await metricOf(plain, asked);
    assert.ok(before > 0);
    await eventually(async () => {
      assert.deepEqual(await pull(strict, secret), [200, 200]);
    });
    // The DHT is complete by now: the request before found a record in it.
    assert.deepEqual(await pull(strict, open), [404, 404]);
    assert.equal(await metricOf(plain, asked), before, 'the plain one was not asked');
    const refused = /^peerglass_peer_failures_total\{reason="tls"\} (\d+)$/gm;
    assert.equal(await metricOf(strict, refused), 0);
    const fallThroughs = /^peerglass_fall_throughs_total\{reason="[a-z-]+"\} (\d+)$/gm;
    assert.ok((await metricOf(strict, fallThroughs)) >= 2);
  });
});
