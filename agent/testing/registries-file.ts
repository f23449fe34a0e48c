import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';

/** A correct registries.yaml, with credentials. */
export const GOOD = `mirrors:
  docker.io:
    endpoint: ["https://m.example"]
configs:
  m.example:
    auth: { username: hunter2, password: hunter2 }
`;

/** A registries.yaml with two errors and a warning, and with credentials. */
export const BAD = `mirrors:
  *:
configs:
  m.example:
    auth:
      passwrod: hunter2
`;

/** To be called in a suite: the path of a registries.yaml in a temporary folder, which is removed after the suite. */
export function useRegistriesFile(): { readonly folder: string; readonly file: string } {
  const folder = mkdtempSync(join(tmpdir(), 'peerglass-registries-'));
  after(() => {
    rmSync(folder, { recursive: true });
  });
  return { folder, file: join(folder, 'registries.yaml') };
}
