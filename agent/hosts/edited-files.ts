import { join } from 'node:path';

import { asHostsError, HostsConfigError } from './hosts-error.ts';
import { HOSTS_TOML, listFolder, readRegistryFolder } from './registry-folder.ts';

/**
 * Paths of the `hosts.toml` files that peerglass wrote and that were edited since. `cleanup` leaves them as they are.
 *
 * @param root folder of all registries
 * @throws HostsConfigError
 */
export async function editedFiles(root: string): Promise<string[]> {
  const edited: string[] = [];
  try {
    for (const name of await listFolder(root)) {
      const folder = await readRegistryFolder(root, name).catch((error: unknown) => {
        // Not a registry's folder, or a file that peerglass does not read.
        if (!(error instanceof HostsConfigError)) throw error;
      });
      if (folder?.current?.origin === 'edited') edited.push(join(folder.path, HOSTS_TOML));
    }
  } catch (error) {
    throw asHostsError(error, `cannot read ${root}`);
  }
  return edited;
}
