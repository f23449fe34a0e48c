import { after, before, suite } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import { PORTS } from '../harness/agent-process.ts';
import { Cluster } from '../harness/cluster.ts';
import { makeImage } from '../harness/fixtures.ts';
import { writeHostsToml } from '../harness/hosts-toml.ts';
import { blobPathOf, waitUntilVisible } from '../harness/mirror.ts';
import { scenario } from '../harness/scenario.ts';
import type { Upstream } from '../harness/upstream.ts';

const MIB = 1 << 20;
const LAYER_BYTES = 1 << 30;

/**
 * Figures, printed and never judged; run by name: `e2e/run e2e/bench/figures.bench.ts`. To be compared with
 * each other within one run only.
 */
void suite('figures', () => {
  let cluster: Cluster;
  let upstream: Upstream;

  before(async () => {
    cluster = await Cluster.start([
      { suite: 'forky', name: 'a' },
      { suite: 'forky', name: 'b' },
    ]);
    upstream = await cluster.addUpstream();
  });
  after(async () => {
    await cluster[Symbol.asyncDispose]();
  });

  scenario(
    'start-up, idle memory, and one layer of 1 GiB',
    () => cluster,
    async (_, t) => {
      const [a, b] = [cluster.node('a'), cluster.node('b')];
      const started = performance.now();
      await b.agent.restart();
      t.diagnostic(`from exec to /readyz 200: ${Math.round(performance.now() - started)} ms`);
      await sleep(5000);
      const { rssBytes, anonymousBytes } = await b.agent.stats();
      t.diagnostic(`idle: RSS ${mib(rssBytes)} MiB, ${mib(anonymousBytes)} of it anonymous`);

      const name = `${upstream.registry}/figures/large:1.0`;
      const layers = [{ bytes: LAYER_BYTES, files: 1, compression: 'none' }] as const;
      const { image, archive, layout } = await makeImage({ name, layers });
      await upstream.push(layout, image);
      await a.containerd.importArchive(archive);
      await waitUntilVisible(b.agent, image);
      const layer = image.manifests[0]?.layers[0]?.descriptor;
      if (layer === undefined) throw new Error('the image has no layer');

      const path = blobPathOf(image, layer.digest);
      const urls = {
        'docker-registry': `${upstream.origin}/v2/figures/large/blobs/${layer.digest}`,
        'agent of a, directly': `http://${a.host.address}:${PORTS.registry}${path}`,
        'agent of b, from a': `http://127.0.0.1:${PORTS.registry}${path}`,
      };
      const rates = new Rates(layer.size);
      for (let round = 0; round < 3; round++) {
        for (const [what, url] of Object.entries(urls)) {
          await rates.measure(`curl, ${what}`, async () => {
            await b.host.execute(['curl', '-sSf', '-o', '/dev/null', url]);
          });
        }
        await writeHostsToml(b.containerd.certsDir, upstream.registry, upstream.origin, []);
        await rates.measure('CRI pull with unpacking, docker-registry', async () => {
          await b.containerd.pullWithCri(name);
        });
        await b.containerd.removeImage();
        await writeHostsToml(b.containerd.certsDir, upstream.registry, upstream.origin);
        await rates.measure('CRI pull with unpacking, from a peer', async () => {
          await b.containerd.pullWithCri(name);
        });
        await b.containerd.removeImage();
      }
      for (const line of rates.report('docker-registry')) t.diagnostic(line);
    },
    { timeoutMs: 600_000 },
  );
});

function mib(bytes: number): number {
  return Math.round(bytes / MIB);
}

/** Throughputs of one run by name, and their ratios to that of the peer in the same kind of measurement. */
class Rates {
  readonly #bytes: number;
  readonly #seconds = new Map<string, number[]>();

  constructor(bytes: number) {
    this.#bytes = bytes;
  }

  async measure(what: string, work: () => Promise<void>): Promise<void> {
    const start = performance.now();
    await work();
    const taken = (performance.now() - start) / 1000;
    this.#seconds.set(what, [...(this.#seconds.get(what) ?? []), taken]);
  }

  /** One line a name: the median, all of them, and the ratio of the medians. */
  report(peer: string): string[] {
    const median = (times: readonly number[]): number =>
      times.toSorted((one, other) => one - other)[Math.floor(times.length / 2)] ?? NaN;
    return [...this.#seconds].map(([what, times]) => {
      const [kind = ''] = what.split(', ');
      const reference = median(this.#seconds.get(`${kind}, ${peer}`) ?? []);
      const speed = mib(this.#bytes / median(times));
      const all = times.map((time) => time.toFixed(2)).join(' ');
      const ratio = (reference / median(times)).toFixed(2);
      return `${what}: ${speed} MiB/s, ${ratio} of ${peer}'s (seconds: ${all})`;
    });
  }
}
