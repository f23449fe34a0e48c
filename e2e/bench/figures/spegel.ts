import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import pLimit from 'p-limit';

import { toArchive } from '../../../scripts/oci-image/archive.ts';
import { initLayout } from '../../../scripts/oci-image/oci-layout.ts';
import { ContainerdNode } from '../../harness/containerd-node.ts';
import { containerdRelease } from '../../harness/containerd-versions.ts';
import { Network } from '../../harness/namespaces.ts';
import { putSmallImages } from '../support/images.ts';
import type { Report } from '../support/report.ts';
import type { Content, SpegelFigure, SpegelInit, SpegelMachine } from '../programs/spegel.ts';

/** A program of Spegel's that the tester provides. Nothing of it is in this repository. */
const SPEGEL = process.env['PEERGLASS_E2E_SPEGEL'];
const PROGRAM = new URL('../programs/spegel.ts', import.meta.url).pathname;
/** Keys of the start that shows what a start costs by itself. */
const FEW_KEYS = 50;
/** Its containerd has content events only from 2.1 on. */
const SUITE = 'forky';
/** The label that a pull leaves, without which Spegel does not advertise the blobs of an image. */
const SOURCE_LABEL = 'containerd.io/distribution.source.registry.example';
/** Commands of containerd at a time. */
const CONCURRENCY = 4;

/** Options of {@link measureSpegel}. */
export interface MeasureSpegelInit {
  readonly nodes: number;
  readonly keys: number;
  readonly rounds: number;
}

/**
 * The same figures of as many nodes of Spegel, where its program is there. It needs containerd, so all of them use one
 * daemon, the holders another of its namespaces. It announces no loopback address, and takes eight connections of an IP at
 * most, so each is on a machine of its own. Beyond 30 of them the kernel's table of neighbours is too small by default.
 */
export async function measureSpegel(report: Report, init: MeasureSpegelInit): Promise<void> {
  if (SPEGEL === undefined) {
    report.progress('spegel: SKIPPED, PEERGLASS_E2E_SPEGEL names no program');
    return;
  }
  await using network = await Network.create();
  const host = await network.addHost('spegel');
  await using containerd = await ContainerdNode.start({
    host,
    release: await containerdRelease(SUITE),
  });
  const machines: SpegelMachine[] = [];
  while (machines.length < init.nodes) {
    const { address, namespace } = await network.addHost(`s${machines.length}`);
    machines.push({ address, namespace });
  }
  const sizes = Array.from({ length: init.rounds }, () => [FEW_KEYS, init.keys]).flat();
  const contents: Content[] = [];
  for (const keys of [...sizes, init.keys]) {
    report.progress(`spegel: ${keys} keys into containerd`);
    contents.push(await fill(containerd, `content-${contents.length}`, keys));
  }

  const { socket, contentPath } = containerd;
  const argument: SpegelInit = {
    program: SPEGEL,
    folder: host.directory,
    socket,
    contentPath,
    machines,
    contents,
  };
  const inside = ['nsenter', `--net=/run/netns/${host.namespace}`, process.execPath] as const;
  const file = join(host.directory, 'spegel.json');
  await writeFile(file, JSON.stringify(argument));
  const [command, ...words] = [...inside, PROGRAM, file];
  const child = spawn(command, words, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  child.on('message', (message) => {
    const { what, value, unit = '', note } = message as SpegelFigure;
    if (value === undefined) report.progress(`spegel: ${what}`);
    else report.add('spegel', what, value, unit, note);
  });
  const [code] = (await once(child, 'exit')) as [number | null];
  if (code !== 0) throw new Error(`the program that measures Spegel ended with ${code}`);
}

/** Puts images into a namespace of containerd as if they had been pulled. */
async function fill(containerd: ContainerdNode, namespace: string, keys: number): Promise<Content> {
  const folder = join(containerd.host.directory, namespace);
  const archive = `${folder}.tar`;
  await initLayout(folder);
  const paths = await putSmallImages(folder, keys);
  await toArchive(folder, archive);
  // The last `-n` counts. Its random layers cannot be unpacked.
  await containerd.ctr(
    '-n',
    namespace,
    'image',
    'import',
    '--no-unpack',
    '--all-platforms',
    archive,
  );
  const limit = pLimit(CONCURRENCY);
  const blobs = paths.flatMap((path) => {
    const [, repository, digest] =
      /^\/v2\/(.*)\/(?:blobs|manifests)\/(sha256:\w+)/.exec(path) ?? [];
    return repository === undefined || digest === undefined ? [] : [{ repository, digest }];
  });
  await Promise.all(
    blobs.map(({ repository, digest }) =>
      limit(() =>
        containerd.ctr(
          '-n',
          namespace,
          'content',
          'label',
          digest,
          `${SOURCE_LABEL}=${repository}`,
        ),
      ),
    ),
  );
  return { namespace, paths };
}
