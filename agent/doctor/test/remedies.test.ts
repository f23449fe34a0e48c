import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, rmSync } from 'node:fs';
import { describe, it, type TestContext } from 'node:test';

import { seal } from '../../hosts/marker.ts';
import { freePort, PROGRAMS } from '../../testing/agent-program.ts';
import { doctorStage, serve, serveAgent } from '../../testing/doctor-facts.ts';
import { remedyScript } from '../../testing/remedy-script.ts';
import { CHECKS } from '../checks.ts';
import { Facts } from '../facts.ts';
import type { Finding } from '../report.ts';
import { runChecks } from '../run-checks.ts';

const CACHE = "[host.'https://cache.example']\ncapabilities = ['pull']\n";
const HUB = "server = 'https://registry-1.docker.io'\n";

/** The checks whose remedies are commands that need nothing but the files. */
const FOLLOWED: ReadonlySet<string> = new Set([
  'hosts-file',
  'hosts-hidden',
  'hosts-valid',
  'mirror-port',
]);
/** Upper bound for the remedies that are followed one after the other. */
const MAX_STEPS = 4;

/** Files below certs.d by name; an empty text makes a folder. */
type Files = Readonly<Record<string, string>>;

interface Node {
  /** Puts the folder back as the scenario has it. */
  readonly reset: () => void;
  /** All findings that are not ok. */
  readonly findings: () => Promise<Finding[]>;
}

/** A node with a mirror that listens, an agent that says where, and these files. */
async function nodeWith(
  t: TestContext,
  files: (mirror: string, dead: string) => Files,
  { version = '2.1.9', registries = [] as readonly string[] } = {},
): Promise<Node> {
  const port = await serve(t, (req, res) => res.writeHead(req.url === '/v2/' ? 200 : 404).end());
  const status = { settings: { registryPort: port, registries: [] } };
  const metricsAddress = await serveAgent(t, { '/debug/status': status });
  const stage = await doctorStage(t, { version }, { metricsAddress, registries });
  const wanted = files(`http://127.0.0.1:${port}`, `http://127.0.0.1:${await freePort()}`);
  return {
    reset: () => {
      rmSync(stage.init.certsFolder, { recursive: true, force: true });
      for (const [name, text] of Object.entries(wanted)) {
        if (text === '') mkdirSync(stage.path(`certs.d/${name}`), { recursive: true });
        else stage.write(`certs.d/${name}`, text);
      }
    },
    findings: async () => {
      using facts = new Facts(stage.init);
      const checks = CHECKS.filter(({ id }) => FOLLOWED.has(id));
      const all = await runChecks(checks, facts);
      return all.filter(({ outcome }) => outcome === 'failure' || outcome === 'warning');
    },
  };
}

/** Runs the command of a remedy as a shell would. */
function run(finding: Finding): void {
  const script = remedyScript(finding, PROGRAMS.sources);
  const { status, stderr } = spawnSync('sh', ['-ec', script], { encoding: 'utf8' });
  assert.equal(status, 0, `${script}\n${stderr}`);
}

const named = (...urls: readonly string[]): string =>
  urls.map((url) => `[host.'${url}']\ncapabilities = ['pull', 'resolve']\n`).join('');
const ours = (folder: string, text: string): string =>
  seal(text, { folder, madeFolder: true, k3s: false });

describe('each remedy of the hosts.toml checks ends its finding, and leads to none', () => {
  for (const [what, files, expected, options] of [
    ['no folder', () => ({}), ['hosts-file']],
    [
      'a cache for docker.io beside _default',
      (mirror) => ({
        '_default/hosts.toml': ours('_default', named(mirror)),
        'docker.io/hosts.toml': HUB + CACHE,
      }),
      ['hosts-hidden'],
    ],
    [
      'a cache for docker.io, a folder of certificates and an empty one, and no _default',
      () => ({
        'docker.io/hosts.toml': HUB + CACHE,
        'quay.io/ca.crt': 'a certificate',
        'ghcr.io': '',
      }),
      ['hosts-file', 'hosts-hidden'],
    ],
    [
      'a cache on loopback for docker.io',
      (mirror, other) => ({
        '_default/hosts.toml': named(mirror),
        'docker.io/hosts.toml': HUB + named(other),
      }),
      ['hosts-hidden'],
    ],
    [
      'a registry that was named before, beside one that was not',
      (mirror) => ({
        '_default/hosts.toml': ours('_default', named(mirror)),
        'ghcr.io/hosts.toml': ours('ghcr.io', named(mirror, 'https://cache.example')),
        'ghcr.io/hosts.toml.before-peerglass': CACHE,
        'docker.io/hosts.toml': HUB + CACHE,
      }),
      ['hosts-hidden'],
    ],
    [
      'other hosts before the mirror',
      (mirror) => ({
        '_default/hosts.toml': CACHE + named(mirror),
        'docker.io/hosts.toml': CACHE + named(mirror),
      }),
      ['hosts-file'],
    ],
    [
      'a broken file',
      (mirror) => ({
        '_default/hosts.toml': named(mirror),
        'docker.io/hosts.toml': named(mirror).replace('resolve', 'resolv'),
      }),
      ['hosts-valid'],
    ],
    [
      'a broken file beside one that hides',
      () => ({ 'docker.io/hosts.toml': 'nonsense', '10.0.0.9_5000_/hosts.toml': CACHE }),
      ['hosts-file', 'hosts-hidden', 'hosts-valid'],
    ],
    [
      'a byte order mark, for containerd 2.1',
      (mirror) => ({ '_default/hosts.toml': `\uFEFF${named(mirror)}` }),
      ['hosts-valid'],
    ],
    [
      'an IPv6 address, for containerd 1.7',
      () => ({ '_default/hosts.toml': named('http://[fd88::2]:5000') }),
      ['hosts-valid'],
      { version: '1.7.24' },
    ],
    [
      'a mirror that is not in a table of its own, for containerd 2.1',
      (mirror) => ({ '_default/hosts.toml': `[host]\n'${mirror}' = {}\n` }),
      ['hosts-valid'],
    ],
    [
      'registries that are named one by one',
      (mirror) => ({ 'docker.io/hosts.toml': CACHE, '_default/hosts.toml': CACHE + named(mirror) }),
      ['hosts-file'],
      { registries: ['docker.io', 'ghcr.io'] },
    ],
    [
      'a mirror at another port than the agent listens on',
      (_mirror, dead) => ({ '_default/hosts.toml': ours('_default', named(dead)) }),
      ['mirror-port'],
    ],
  ] as readonly [
    string,
    (mirror: string, other: string) => Files,
    readonly string[],
    Parameters<typeof nodeWith>[2]?,
  ][]) {
    it(`for ${what}`, async (t) => {
      const node = await nodeWith(t, files, options);
      node.reset();
      const first = await node.findings();
      assert.deepEqual(
        first.map(({ id }) => id),
        expected,
        JSON.stringify(first, undefined, 1),
      );
      for (const finding of first) {
        node.reset();
        let before = first;
        let next: Finding | undefined = finding;
        for (let step = 0; next !== undefined && step < MAX_STEPS; step++) {
          run(next);
          const after = await node.findings();
          assert.ok(after.length < before.length, `${next.remedy ?? ''}\n${JSON.stringify(after)}`);
          before = after;
          [next] = after;
        }
        assert.deepEqual(before, []);
      }
    });
  }
});
