import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { runCommand } from '../system/command.ts';

/** A chart to be packed. */
export interface ChartPackageInit {
  /** Folder of the repository. */
  readonly root: string;
  /** The program `helm`. */
  readonly helm: string;
  /** Repository of the image that the chart is to name by default, `ghcr.io/owner/peerglass`. */
  readonly image: string;
  /** Folder that receives the archive. */
  readonly output: string;
}

const PLACEHOLDER = '\n  repository: localhost/peerglass\n';

/**
 * Packs the chart with the image that was released with it: in the sources it names none that could be pulled, since they
 * do not say where they will be published.
 *
 * @returns the archive, `peerglass-0.1.0.tgz`
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
    const file = join(chart, 'values.yaml');
    const values = await readFile(file, 'utf8');
    if (values.split(PLACEHOLDER).length !== 2)
      throw new Error('values.yaml: no place for the image');
    await writeFile(file, values.replace(PLACEHOLDER, `\n  repository: ${image}\n`));
    await mkdir(output, { recursive: true });
    const said = await runCommand([helm, 'package', chart, '--destination', output]);
    const [, archive] = /saved it to: (.+\.tgz)/.exec(said) ?? [];
    if (archive === undefined) throw new Error(`helm does not say what it made: ${said}`);
    return archive;
  } finally {
    await rm(folder, { recursive: true });
  }
}
