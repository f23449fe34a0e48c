import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { runCommand } from '../system/command.ts';

/** Options of {@link packageChart}. */
export interface ChartPackageInit {
  /** Folder of the repository. */
  readonly root: string;
  /** Path of the program `helm`. */
  readonly helm: string;
  /** Repository of the chart's default image, `ghcr.io/owner/peerglass`. */
  readonly image: string;
  /** Output folder of the archive. */
  readonly output: string;
}

/** Where the sources have the placeholder, and the text around it. */
const PLACEHOLDERS: Readonly<Record<string, (image: string) => string>> = {
  'values.yaml': (image) => `\n  repository: ${image}\n`,
  // What runs in place of Spegel's image.
  'templates/_helpers.tpl': (image) => `printf "${image}:%s"`,
};

/**
 * Packs the chart with the image of its release as the default. The sources have a placeholder, because they do not know
 * where the image will be published.
 *
 * @returns path of the archive, `peerglass-0.1.0.tgz`
 */
export async function packageChart({
  root,
  helm,
  image,
  output,
}: ChartPackageInit): Promise<string> {
  if (!/^[a-z0-9.-]+(?::\d+)?(?:\/[a-z0-9._-]+)+$/.test(image)) {
    throw new Error(`${image} is not the repository of an image`);
  }
  const folder = await mkdtemp(join(tmpdir(), 'peerglass-chart-'));
  try {
    const chart = join(folder, 'peerglass');
    await cp(join(root, 'charts/peerglass'), chart, { recursive: true });
    for (const [name, textWith] of Object.entries(PLACEHOLDERS)) {
      const file = join(chart, name);
      const parts = (await readFile(file, 'utf8')).split(textWith('localhost/peerglass'));
      if (parts.length !== 2) throw new Error(`${name}: not exactly one placeholder for the image`);
      await writeFile(file, parts.join(textWith(image)));
    }
    await mkdir(output, { recursive: true });
    const report = await runCommand([helm, 'package', chart, '--destination', output]);
    const [, archive] = /saved it to: (.+\.tgz)/.exec(report) ?? [];
    if (archive === undefined) throw new Error(`helm reported no archive: ${report}`);
    return archive;
  } finally {
    await rm(folder, { recursive: true });
  }
}
