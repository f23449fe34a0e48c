import assert from 'node:assert/strict';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, it } from 'node:test';

import packageJson from '../package.json' with { type: 'json' };
import { environmentName, type OptionTable } from '../agent/config/options.ts';
import { SUBCOMMANDS } from '../agent/config/subcommands.ts';
import { CHECKS } from '../agent/doctor/checks.ts';
import { labelsOf, METRICS, type MetricRow } from '../agent/metrics/table.ts';
import { undeclaredMatchers } from './monitoring/label-values.ts';

const root = join(import.meta.dirname, '..');
const pages = globSync('{*.md,docs/{,design/}*.md,charts/{,*/}*.md,e2e/{,*/}*.md}', { cwd: root });
const read = (page: string): string => readFileSync(join(root, page), 'utf8');
const everything = pages.map(read).join('\n');

/** The options of all subcommands. */
const OPTIONS: OptionTable = Object.assign(
  {},
  ...Object.values(SUBCOMMANDS).map(({ options }) => options),
) as OptionTable;

describe('the documentation', () => {
  for (const page of pages) {
    it(`${page} links to files that exist`, () => {
      for (const [, target = ''] of read(page).matchAll(/\]\(([^)#:]+)(?:#[^)]*)?\)/g)) {
        assert.ok(existsSync(join(root, dirname(page), target)), target);
      }
    });

    it(`${page} names scripts that exist`, () => {
      for (const [, script = ''] of read(page).matchAll(/\b(scripts\/[a-z-]+)/g)) {
        assert.ok(existsSync(join(root, script)), script);
      }
    });

    it(`${page} names source files that exist`, () => {
      for (const [, file = ''] of read(page).matchAll(/`((?:[a-z0-9-]+\/)+[a-z0-9.-]+\.ts)`/g)) {
        const places = ['', 'agent/', 'docs/', dirname(page)].map((folder) =>
          join(root, folder, file),
        );
        assert.ok(places.some(existsSync), file);
      }
    });
  }

  it('CONTRIBUTING.md has twenty rows and more of what to open for a change, and their paths exist', () => {
    const [, section = ''] = read('CONTRIBUTING.md').split('### To change X, open Y');
    const [table = ''] = section.split('\n### ');
    const rows = table.split('\n').filter((line) => line.startsWith('| ') && line.includes('`'));
    assert.ok(rows.length >= 20, `${rows.length} rows`);
    for (const row of rows) {
      const paths = [...(row.split('|')[2] ?? '').matchAll(/`([^`]+)`/g)].map(
        ([, path = '']) => path,
      );
      assert.ok(paths.length > 0, row);
      for (const path of paths) assert.ok(existsSync(join(root, path)), path);
    }
  });

  it('names only flags that exist', () => {
    const ours = new Set(Object.keys(OPTIONS));
    const [, usage = ''] = readFileSync(join(root, 'scripts/deploy/install'), 'utf8').split('END');
    for (const [, flag = ''] of usage.matchAll(/--([a-z][a-z-]+[a-z])/g)) ours.add(flag);
    // Of other programs: k3s, containerd's ctr, helm, kubectl, our scripts.
    const theirs = new Set([
      'create-namespace',
      // skopeo
      'all',
      // git, npm, gh and cosign, for releases
      'annotate',
      'certificate-identity',
      'certificate-oidc-issuer',
      'message',
      'no-git-tag-version',
      'predicate-type',
      'privileged',
      'repo',
      'version',
      'logs',
      'namespace',
      'node-taint',
      'register-with-taints',
      'raw',
      'set',
      'only',
      'embedded-registry',
      'hosts-dir',
      'skip-metadata',
      'sync',
      'keep',
      'inspect',
      'before',
      'after',
      'runs',
      'rounds',
      'schemes',
      'profile',
      'idle-seconds',
      'nodes',
      'links',
      'images',
      'kill',
      'how',
      'wave',
      'cold',
      'parallel-fetch',
      'svg',
      'json',
      'lookups',
      'simulated-lookups',
      'join-nodes',
      'join-spread',
      'join-restart',
      'throttle',
      'wave',
      'kill',
      'how',
      'parallel-fetch',
      'join-bootstrap',
      'simulated-nodes',
      'simulated-hours',
      'simulated-minutes',
      'simulated-start',
      'seconds',
      'rate',
      'hosts',
      'peers',
      'followers',
      'slow',
      'transfer',
      'directory',
      'check',
      'help',
      'format',
      'test',
      'platform',
      'revision',
      'source',
      'name',
      'output',
      'from-oci-layout',
      'from-file',
      'reuse-values',
      'dry-run',
      'swarm-key',
      'max-old-space-size',
      'no-flush-bytecode',
      'no-lazy-feedback-allocation',
    ]);
    for (const [, flag = ''] of everything.matchAll(/(?<![\w-])--([a-z][a-z-]+[a-z])/g)) {
      assert.ok(ours.has(flag) || theirs.has(flag), `--${flag}`);
    }
  });

  it('names only metrics that exist, and lists all of them in METRICS.md', () => {
    const names = new Set(Object.keys(METRICS));
    for (const [name] of everything.matchAll(/\b(?:spegel|peerglass)_[a-z]+_[a-z_]+/g)) {
      assert.ok(names.has(name), name);
    }
    for (const name of names) assert.match(read('docs/METRICS.md'), new RegExp(`\`${name}\``));
  });

  it('lists the labels of each metric in METRICS.md, and all values of the closed ones', () => {
    const documented = Object.fromEntries(
      read('docs/METRICS.md')
        .split('\n')
        .filter((line) => line.startsWith('| `'))
        .map((line) => {
          const [, name = '', , , labels = ''] = line.split('|').map((cell) => cell.trim());
          return [name.replaceAll('`', ''), parseLabels(labels)];
        }),
    );
    const declared = Object.fromEntries(
      Object.entries<MetricRow>(METRICS).map(([name, row]) => [name, closedLabels(row)]),
    );
    assert.deepEqual(documented, declared, 'run scripts/generate-docs');
  });

  it('selects metrics only by labels and values that exist', () => {
    assert.deepEqual(undeclaredMatchers(everything), []);
  });

  it('has one section for each check of doctor', () => {
    const [, section = ''] = read('docs/TROUBLESHOOTING.md').split('## What `doctor` checks\n');
    const [checks = ''] = section.split('\n## ');
    const sections = [...checks.matchAll(/^### `([a-z0-9-]+)`$/gm)].map(([, id]) => id);
    assert.deepEqual(
      sections,
      CHECKS.map(({ id }) => id),
    );
  });

  it('lists every option and variable in CONFIGURATION.md', () => {
    for (const [flag, option] of Object.entries(OPTIONS)) {
      assert.match(read('docs/CONFIGURATION.md'), new RegExp(`\`--${flag}\``));
      assert.match(
        read('docs/CONFIGURATION.md'),
        new RegExp(`\`${environmentName(flag, option)}\``),
      );
    }
  });

  it('lists exactly the dependencies of package.json in ARCHITECTURE.md', () => {
    const [, section = ''] = read('docs/ARCHITECTURE.md').split('## Dependencies');
    const rows = section.split('\n').filter((line) => line.startsWith('| `'));
    const named = rows.flatMap((row) =>
      [...(row.split('|')[1] ?? '').matchAll(/`([^`]+)`/g)].map(([, name]) => name),
    );
    assert.deepEqual(named.sort(), Object.keys(packageJson.dependencies).sort());
  });
});

/** The values of each closed label, by the name of the label; `open` for one that has others. */
type LabelValues = Readonly<Record<string, readonly string[] | 'open'>>;

function closedLabels(row: MetricRow): LabelValues {
  return Object.fromEntries(
    Object.entries(labelsOf(row)).map(([label, values]) => [
      label,
      typeof values === 'string' ? 'open' : Object.keys(values),
    ]),
  );
}

/** Reads a cell of METRICS.md: a line for each label, with each value in backticks and its meaning in brackets. */
function parseLabels(cell: string): LabelValues {
  const lines = cell === '' ? [] : cell.split('<br>');
  return Object.fromEntries(
    lines.map((line) => {
      const [, label = '', text = ''] = /^\*\*`(\w+)`\*\*: (.*)$/.exec(line) ?? [];
      const isClosed = /^`[^`]+`(?: \([^)]*\))?(?:, `[^`]+`(?: \([^)]*\))?)*$/.test(text);
      const values = text.replaceAll(/ \([^)]*\)/g, '').matchAll(/`([^`]+)`/g);
      return [label, isClosed ? Array.from(values, ([, value = '']) => value) : 'open'];
    }),
  );
}
