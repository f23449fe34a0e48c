import packageJson from '../../package.json' with { type: 'json' };

/** The version of this agent, from package.json. */
export const VERSION: string = packageJson.version;

/** Prints the version on stdout. */
export function printVersion(format: 'text' | 'json'): void {
  const text =
    format === 'json'
      ? JSON.stringify({ version: VERSION, node: process.versions.node })
      : `peerglass ${VERSION} (Node ${process.versions.node})`;
  process.stdout.write(`${text}\n`);
}
