import { registryFolders } from '../../hosts/hosts-toml.ts';
import { mirrorPositions } from '../certs-folder.ts';
import type { Facts } from '../facts.ts';

/**
 * Finds out why containerd would not ask the mirror for images of a registry, as far as hosts.toml files say.
 *
 * @returns undefined when it would, or when that cannot be found out
 */
export async function whyNotAsked(facts: Facts, registry: string): Promise<string | undefined> {
  const config = await facts.config().catch(() => undefined);
  if (config?.configPath === '') return 'config_path is not set: see config-path';
  const [files, mark] = await Promise.all([
    facts.files().catch(() => undefined),
    facts.mirrorMark(),
  ]);
  // Without any folder the files may be elsewhere, such as outside of this pod.
  if (files === undefined || files.length === 0) return undefined;
  const file = registryFolders(registry)
    .map((name) => files.find(({ folder }) => folder === name))
    .find((it) => it !== undefined);
  if (file === undefined) return `${facts.certsFolder} has no hosts.toml for it`;
  if (file.problem !== undefined) return `it ignores ${file.path}: ${file.problem}`;
  if (file.hosts === undefined) return `${file.path} is not there, and its folder hides _default`;
  if (mirrorPositions(file, mark).length > 0) return undefined;
  return `${file.path} does not name the mirror`;
}
