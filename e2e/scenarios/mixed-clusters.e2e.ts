import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';

import { buildImage, type BuiltImage } from '../images/image.ts';
import { agentEnvironment, OPEN_ENVIRONMENT, PORTS, PROGRAM } from '../harness/agent-process.ts';
import type { Child } from '../harness/child.ts';
import { REGISTRY } from '../harness/fixtures.ts';
import { allPaths } from '../harness/mirror.ts';
import { sumOfSamples } from '../harness/metric-text.ts';
import { Network, type Host } from '../harness/namespaces.ts';
import { waitFor } from '../harness/wait.ts';

const NODE_PORT = 30_020;
const PATIENCE = { timeout: 240_000 };

/** Kinds of nodes: whether they have the swarm key, and whether they are open, and their TLS. */
const KINDS = {
  tls: { flags: ['--registry-tls', 'auto'], env: agentEnvironment() },
  'tls-only': {
    flags: ['--registry-tls', 'auto', '--registry-tls-peers-only'],
    env: agentEnvironment(),
  },
  plain: { flags: [], env: agentEnvironment() },
  'key-and-open': { flags: ['--open'], env: agentEnvironment() },
  open: { flags: [], env: OPEN_ENVIRONMENT },
} as const;

type Kind = keyof typeof KINDS;

/** Who gets content of whom: the table of docs/MEMBERSHIP.md. */
const SERVES: Readonly<Record<Kind, readonly Kind[]>> = {
  tls: ['tls-only', 'plain', 'key-and-open'],
  'tls-only': ['tls'],
  plain: ['tls', 'tls-only', 'key-and-open'],
  'key-and-open': ['tls', 'tls-only', 'plain', 'open'],
  open: ['key-and-open'],
};

/** One node of each kind, with an image of its own. */
suite('a mixed cluster', () => {
  let network: Network;
  const hosts = new Map<Kind, Host>();
  const images = new Map<Kind, BuiltImage>();
  const agents: Child[] = [];

  before(async () => {
    network = await Network.create();
    const kinds = Object.keys(KINDS) as Kind[];
    for (const kind of kinds) hosts.set(kind, await network.addHost(kind));
    for (const kind of kinds) {
      const layers = [{ bytes: 3_000_000, compression: 'none' as const }];
      const name = `${REGISTRY}/team/${kind}:1.0`;
      images.set(kind, await buildImage(join(hostOf(kind).directory, 'layout'), { name, layers }));
      start(kind);
    }
  });
  after(async () => {
    for (const agent of agents) await agent.stop();
    await network[Symbol.asyncDispose]();
  });

  function hostOf(kind: Kind): Host {
    const host = hosts.get(kind);
    assert.ok(host !== undefined);
    return host;
  }

  function start(kind: Kind): void {
    const host = hostOf(kind);
    const { flags, env } = KINDS[kind];
    const others = [...hosts.values()].filter((it) => it !== host);
    const bootstrap = others.flatMap(({ address }) => [
      '--static-bootstrap-peers',
      `/ip4/${address}/tcp/${PORTS.router}`,
    ]);
    const agent = host.start('agent', {
      command: [
        process.execPath,
        ...[PROGRAM, 'registry', '--oci-layout', join(host.directory, 'layout')],
        ...['--registry-addr', `:${PORTS.registry}`, '--router-addr', `:${PORTS.router}`],
        ...['--metrics-addr', `:${PORTS.metrics}`, '--data-dir', join(host.directory, 'agent')],
        ...['--mirror-addr', `127.0.0.1:${NODE_PORT}`, '--bootstrap-kind', 'static'],
        ...[...bootstrap, ...flags],
      ],
      env,
    });
    agents.push(agent);
  }

  /** The statuses of all requests of a pull, as the containerd of the node asks. */
  async function pull(asker: Kind, holder: Kind): Promise<ReadonlySet<number>> {
    const image = images.get(holder);
    assert.ok(image !== undefined);
    const statuses = new Set<number>();
    for (const path of allPaths(image)) {
      const url = `http://127.0.0.1:${NODE_PORT}${path}`;
      const response = await hostOf(asker).fetch(url);
      await response.arrayBuffer();
      statuses.add(response.status);
    }
    return statuses;
  }

  async function requests(kind: Kind, protocol: string): Promise<number> {
    const url = `http://127.0.0.1:${PORTS.metrics}/metrics`;
    const text = await (await hostOf(kind).fetch(url)).text();
    return sumOfSamples(text, 'peerglass_http_requests_total', { handler: 'registry', protocol });
  }

  for (const asker of Object.keys(SERVES) as Kind[]) {
    test(`${asker} gets content of ${SERVES[asker].join(', ')}`, PATIENCE, async () => {
      for (const holder of SERVES[asker]) {
        await waitFor(`${asker} gets the image of ${holder}`, async () => {
          const statuses = await pull(asker, holder);
          return statuses.size === 1 && statuses.has(200);
        });
      }
    });
  }

  // Last: all that is found has been found by now.
  for (const asker of Object.keys(SERVES) as Kind[]) {
    const others = (Object.keys(KINDS) as Kind[]).filter(
      (it) => it !== asker && !SERVES[asker].includes(it),
    );
    test(`${asker} gets nothing of ${others.join(', ')}`, PATIENCE, async () => {
      for (const holder of others) {
        assert.deepEqual([...(await pull(asker, holder))], [404], holder);
      }
    });
  }

  test('who has TLS is asked by TLS only', PATIENCE, async () => {
    for (const kind of ['tls', 'tls-only'] as const) {
      assert.ok((await requests(kind, 'h2')) + (await requests(kind, 'https')) > 0, kind);
    }
  });
});
