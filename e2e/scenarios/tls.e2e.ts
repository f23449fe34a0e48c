import assert from 'node:assert/strict';
import { after, before, suite } from 'node:test';

import { Authority, noOpenssl } from '../../agent/testing/certificates.ts';
import { Cluster, type ClusterNode } from '../harness/cluster.ts';
import { SUITES } from '../harness/containerd-versions.ts';
import { makeImage, REGISTRY } from '../harness/fixtures.ts';
import { writeHostsToml } from '../harness/hosts-toml.ts';
import { assertHoldsImage } from '../harness/image-check.ts';
import { waitUntilVisible } from '../harness/mirror.ts';
import { untilSent } from '../harness/pull-progress.ts';
import { scenario } from '../harness/scenario.ts';

const MIB = 1 << 20;
const LAYER_BYTES = 24 * MIB;
/** At this speed the layer takes four seconds. */
const MBIT = 48;
/** One certificate for all nodes, as a chart has it: it cannot name their addresses. */
const NAMES = 'DNS:peerglass.example.test,IP:127.0.0.1';

const layers = [{ bytes: LAYER_BYTES, files: 1, compression: 'none' }] as const;

suite('agents with TLS', { skip: noOpenssl }, () => {
  let authority: Authority;
  let flags: string[];
  let cluster: Cluster;

  before(async () => {
    authority = await Authority.create('peerglass test');
    const files = await authority.issue('nodes', { names: NAMES });
    flags = [
      ...['--registry-tls-cert', files.cert, '--registry-tls-key', files.key],
      ...['--registry-tls-ca', authority.ca],
    ];
    cluster = await Cluster.start([
      ...SUITES.map((name) => ({ suite: name, flags })),
      { suite: 'forky', name: 'chunks', flags, fetchBufferBytes: MIB, fetchStreams: 8 },
    ]);
    for (const { containerd } of cluster.nodes) await useTls(containerd.certsDir);
  });
  after(async () => {
    await cluster[Symbol.asyncDispose]();
    await authority[Symbol.asyncDispose]();
  });

  const useTls = (certsDir: string): Promise<void> =>
    writeHostsToml(certsDir, '_default', undefined, ['https://127.0.0.1:5000'], authority.ca);

  scenario(
    'every containerd pulls over TLS, and the agents use HTTP/2 between them',
    () => cluster,
    async ({ nodes }, t) => {
      for (const receiver of nodes) {
        const name = `${REGISTRY}/tls/${receiver.name}:1.0`;
        const { image, archive } = await makeImage({ name, layers });
        const holder = nodes.find((node) => node !== receiver);
        assert.ok(holder !== undefined);
        await holder.containerd.importArchive(archive);
        await waitUntilVisible(receiver.agent, image);
        const [asked, sent] = [await byTls(receiver), await requests(holder, 'https')];
        await receiver.containerd.pull('cri', image.name);
        await assertHoldsImage(receiver.containerd, image);
        const askedNow = (await byTls(receiver)) - asked;
        const sentNow = (await requests(holder, 'https')) - sent;
        // Only its containerd sends requests to the receiver, so the HTTP/2 of both sides can be told apart.
        const h2 = await requests(receiver, 'h2');
        t.diagnostic(`${receiver.name}: ${askedNow} requests by TLS (h2 so far: ${h2})`);
        const least = receiver.name === 'chunks' ? LAYER_BYTES / MIB / 2 : 3;
        assert.ok(askedNow >= least, 'its containerd asks by TLS');
        assert.ok(sentNow > 0, 'its agent asks for blobs by https');
        assert.ok((await requests(holder, 'h2')) > 0, 'and for what is small by HTTP/2');
        assert.equal(await requests(receiver, 'http'), 0);
      }
    },
    { timeoutMs: 300_000 },
  );

  for (const name of ['forky', 'chunks']) {
    scenario(
      `${name} completes its pull when the serving agent is killed in the middle of a layer`,
      () => cluster,
      async ({ nodes }) => {
        const receiver = cluster.node(name);
        const { image, archive } = await makeImage({
          name: `${REGISTRY}/killed/${name}:1.0`,
          layers,
        });
        const holders = nodes.filter((it) => ['bookworm', 'trixie'].includes(it.name));
        for (const holder of holders) await holder.containerd.importArchive(archive);
        await waitUntilVisible(receiver.agent, image);
        await receiver.host.limitDownload(MBIT);
        const pull = receiver.containerd.pull('cri', image.name);
        let killed: ClusterNode | undefined;
        try {
          const hosts = holders.map(({ host }) => host);
          const sent = await untilSent(pull, hosts, LAYER_BYTES / 3);
          killed = holders[sent.indexOf(Math.max(...sent))];
          await killed?.agent.kill();
          await pull;
          await assertHoldsImage(receiver.containerd, image);
        } finally {
          await receiver.host.limitDownload(undefined);
          await killed?.agent.restart();
        }
      },
    );
  }

  scenario(
    'nodes with and without TLS serve each other',
    () => cluster,
    async () => {
      const plain = cluster.node('bookworm');
      const secure = cluster.node('trixie');
      await plain.agent.restart({ flags: [] });
      await writeHostsToml(plain.containerd.certsDir, '_default');
      try {
        for (const [holder, receiver] of [
          [plain, secure],
          [secure, plain],
        ] as const) {
          const name = `${REGISTRY}/mixed/${receiver.name}:1.0`;
          const { image, archive } = await makeImage({ name, layers });
          await holder.containerd.importArchive(archive);
          await waitUntilVisible(receiver.agent, image);
          await receiver.containerd.pull('cri', image.name);
          await assertHoldsImage(receiver.containerd, image);
        }
        assert.equal(await requests(plain, 'https'), 0);
        assert.ok((await requests(plain, 'http')) > 0);
      } finally {
        await plain.agent.restart({ flags });
        await useTls(plain.containerd.certsDir);
      }
    },
  );
});

async function byTls(node: ClusterNode): Promise<number> {
  return (await requests(node, 'https')) + (await requests(node, 'h2'));
}

function requests({ agent }: ClusterNode, protocol: string): Promise<number> {
  return agent.metric('peerglass_http_requests_total', { handler: 'registry', protocol });
}
