import { COMMON_OPTIONS, REGISTRY_OPTIONS, type RegistryConfig } from '../config/options.ts';
import { resolveOptions } from '../config/resolve.ts';

/** The options of an open agent on ports that the system chooses, as the command line gives them to it. */
export function registryConfig(
  flags: Readonly<Record<string, string | readonly string[]>>,
): RegistryConfig {
  const written = {
    'metrics-addr': '127.0.0.1:0',
    'registry-addr': '127.0.0.1:0',
    'router-addr': '127.0.0.1:0',
    'registries-yaml': 'off',
    open: 'true',
    ...flags,
  };
  const texts = Object.fromEntries(
    Object.entries(written).map(([flag, text]) => [flag, [text].flat()]),
  );
  return resolveOptions({ ...REGISTRY_OPTIONS, ...COMMON_OPTIONS }, texts, {});
}
