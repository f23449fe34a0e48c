import { RegistriesError } from '../hosts/registries/finding.ts';
import type { ParsedRegistries } from '../hosts/registries/parse-registries.ts';
import { findRegistriesFile, readRegistriesFile } from '../hosts/registries/registries-file.ts';

/** A registries.yaml of this node. */
export interface RegistriesYaml {
  readonly path: string;
  /** Absent when the file cannot be read. */
  readonly parsed?: ParsedRegistries;
  /** Why the file cannot be read. */
  readonly problem?: string;
}

/**
 * Reads and checks the registries.yaml of k3s.
 *
 * @param option a path, `auto` to find the file, `off` for none
 * @returns undefined when there is none
 */
export async function readRegistriesYaml(option: string): Promise<RegistriesYaml | undefined> {
  if (option === '' || option === 'off') return undefined;
  const path = option === 'auto' ? findRegistriesFile() : option;
  if (path === undefined) return undefined;
  try {
    const text = readRegistriesFile(path);
    const [{ parseRegistries }, { checkFiles }] = await Promise.all([
      import('../hosts/registries/parse-registries.ts'),
      import('../hosts/registries/check-files.ts'),
    ]);
    return { path, parsed: parseRegistries(text, checkFiles) };
  } catch (error) {
    if (error instanceof RegistriesError) return { path, problem: error.message };
    throw error;
  }
}
