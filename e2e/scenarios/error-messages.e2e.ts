import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, suite } from 'node:test';

import { Cluster } from '../harness/cluster.ts';
import { SUITES } from '../harness/containerd-versions.ts';
import { writeHostsToml } from '../harness/hosts-toml.ts';
import { scenario } from '../harness/scenario.ts';
import type { Upstream } from '../harness/upstream.ts';

/** A mirror and a registry that nothing listens for. */
const NO_MIRROR = 'http://127.0.0.1:5999';
const NO_REGISTRY = 'http://127.0.0.1:5998';

suite('what a pod shows when an image cannot be pulled, as docs/TROUBLESHOOTING.md says', () => {
  let cluster: Cluster;
  let upstream: Upstream;

  before(async () => {
    cluster = await Cluster.start(SUITES.map((name) => ({ suite: name })));
    upstream = await cluster.addUpstream();
  });
  after(async () => {
    await cluster[Symbol.asyncDispose]();
  });

  for (const name of SUITES) {
    scenario(
      `the errors of the containerd of ${name}, and its log, which names both hosts`,
      () => cluster,
      async () => {
        const { containerd, host } = cluster.node(name);
        const { isV2 } = containerd.release;
        const image = `${upstream.registry}/team/absent:1.0`;
        const reads = async (server: string, mirrors?: readonly string[]): Promise<string> => {
          await writeHostsToml(containerd.certsDir, upstream.registry, server, mirrors);
          const error = await containerd.pullWithCri(image).catch((it: unknown) => it);
          assert.ok(error instanceof Error, 'nothing has the image');
          return error.message;
        };
        const notFound = /absent:1\.0: not found$/;
        const refused = (origin: string): RegExp =>
          new RegExp(`Head "${origin}/v2/team/absent/manifests/1.0.*connection refused$`);

        const absent = await reads(upstream.origin, [NO_MIRROR]);
        assert.match(absent, isV2 ? notFound : refused(NO_MIRROR));
        assert.match(await reads(NO_REGISTRY, [NO_MIRROR]), refused(NO_MIRROR));
        // The agent answers 404, as no peer has it either.
        assert.match(await reads(NO_REGISTRY), isV2 ? notFound : refused(NO_REGISTRY));
        assert.match(await reads(upstream.origin), notFound);

        const log = await readFile(join(host.directory, 'containerd.log'), 'utf8');
        const tried = log.split('\n').filter((it) => /trying next host|fetch failed/.test(it));
        for (const origin of [NO_MIRROR, NO_REGISTRY]) {
          assert.ok(
            tried.some((line) => line.includes(origin.slice(7)) && line.includes('refused')),
            `${origin}: ${tried.join('\n')}`,
          );
        }
      },
    );
  }
});
