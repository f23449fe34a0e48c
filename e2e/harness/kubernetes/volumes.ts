import { chmod, chown, mkdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import type { MountSpec } from '../pod.ts';
import type { HostPaths } from './host-paths.ts';
import type { Container, Volume } from './objects.ts';

/** What files a Secret or a ConfigMap has. */
export type FileSource = (
  kind: 'Secret' | 'ConfigMap',
  name: string,
) => Readonly<Record<string, string>>;

/** What the volumes of a pod are made of. */
export interface VolumesInit {
  /** Folder of the pod, for those that are its own. */
  readonly directory: string;
  readonly paths: HostPaths;
  readonly files: FileSource;
  readonly fsGroup?: number | undefined;
}

/**
 * Makes the volumes ready and gives the path of each on the machine.
 *
 * @throws Error when a folder of the node is not there that has to be
 */
export async function prepareVolumes(
  volumes: readonly Volume[],
  init: VolumesInit,
): Promise<ReadonlyMap<string, string>> {
  const result = new Map<string, string>();
  for (const volume of volumes) result.set(volume.name, await prepare(volume, init));
  return result;
}

/** The mounts of a container. */
export function mountsOf(
  { name, volumeMounts = [] }: Container,
  volumes: ReadonlyMap<string, string>,
): MountSpec[] {
  return volumeMounts.map((mount) => {
    const hostPath = volumes.get(mount.name);
    if (hostPath === undefined) throw new Error(`${name}: there is no volume ${mount.name}`);
    return { hostPath, containerPath: mount.mountPath, readonly: mount.readOnly ?? false };
  });
}

async function prepare(volume: Volume, init: VolumesInit): Promise<string> {
  const { name, hostPath, emptyDir, secret, configMap } = volume;
  if (hostPath !== undefined) return prepareHostPath(hostPath, init.paths);
  const folder = join(init.directory, 'volumes', name);
  await mkdir(folder, { recursive: true });
  if (emptyDir !== undefined) {
    await chmod(folder, 0o777);
    if (init.fsGroup !== undefined) {
      await chown(folder, 0, init.fsGroup);
      await chmod(folder, 0o2777);
    }
    return folder;
  }
  const source =
    secret === undefined
      ? (['ConfigMap', configMap?.name] as const)
      : (['Secret', secret.secretName] as const);
  if (source[1] === undefined) throw new Error(`volume ${name} is of no kind`);
  for (const [file, text] of Object.entries(init.files(source[0], source[1]))) {
    await writeFile(join(folder, file), text, { mode: secret?.defaultMode ?? 0o644 });
  }
  return folder;
}

async function prepareHostPath(
  { path, type = '' }: { readonly path: string; readonly type?: string },
  paths: HostPaths,
): Promise<string> {
  const folder = paths.resolve(path);
  if (type === 'DirectoryOrCreate') await mkdir(folder, { recursive: true, mode: 0o755 });
  else if (type !== 'Directory') throw new Error(`hostPath of type "${type}"`);
  if (!(await stat(folder)).isDirectory()) throw new Error(`${path} is no folder of the node`);
  return folder;
}
