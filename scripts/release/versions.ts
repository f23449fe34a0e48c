import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { parse } from 'yaml';

/** The texts of the files that contain the version of the project. */
export interface VersionFiles {
  readonly packageJson: string;
  readonly packageLock: string;
  readonly chart: string;
  readonly changelog: string;
}

/** Reads the files of a checkout. */
export async function readVersionFiles(root: string): Promise<VersionFiles> {
  const read = (path: string): Promise<string> => readFile(join(root, path), 'utf8');
  return {
    packageJson: await read('package.json'),
    packageLock: await read('package-lock.json'),
    chart: await read('charts/peerglass/Chart.yaml'),
    changelog: await read('CHANGELOG.md'),
  };
}

/** Semantic Versioning 2.0.0, without build metadata, because a tag of an image cannot contain a plus sign. */
const VERSION =
  /^(?:0|[1-9]\d*)\.(?:0|[1-9]\d*)\.(?:0|[1-9]\d*)(?:-(?:0|[1-9]\d*|\d*[A-Za-z-][\dA-Za-z-]*)(?:\.(?:0|[1-9]\d*|\d*[A-Za-z-][\dA-Za-z-]*))*)?$/;

/**
 * The reasons, one line each, why the checkout cannot be released under a tag. Without a tag, only the files are compared.
 *
 * @param tag `v0.2.0`
 */
export function releaseProblems(files: VersionFiles, tag?: string): string[] {
  const { version } = JSON.parse(files.packageJson) as { version: string };
  const lock = JSON.parse(files.packageLock) as {
    version: string;
    packages: Record<string, { version?: string }>;
  };
  const chart = parse(files.chart) as { version: unknown; appVersion: unknown };
  const problems: string[] = [];
  const compare = (what: string, found: unknown): void => {
    if (found !== version) {
      problems.push(`${what} is ${String(found)}, and package.json has ${version}`);
    }
  };
  if (!VERSION.test(version)) problems.push(`package.json: ${version} is not a semantic version`);
  compare('version of package-lock.json', lock.version);
  compare('version of the root in package-lock.json', lock.packages['']?.version);
  compare('version of Chart.yaml', chart.version);
  compare('appVersion of Chart.yaml', chart.appVersion);
  if (tag === undefined) return problems;

  if (tag !== `v${version}`) problems.push(`the tag is ${tag}, and package.json has ${version}`);
  if (releaseNotes(files.changelog, version) === undefined) {
    problems.push(
      `CHANGELOG.md has no section "## ${version} - YYYY-MM-DD" with anything in it; rename "## Unreleased"`,
    );
  }
  return problems;
}

/** The section of a version in the changelog, without its heading; undefined if it is missing or empty. */
export function releaseNotes(changelog: string, version: string): string | undefined {
  for (const section of changelog.split(/^## /m).slice(1)) {
    const [heading = '', ...lines] = section.split('\n');
    const [, named = ''] = /^\[?([^\]\s]+)\]? - \d{4}-\d{2}-\d{2}$/.exec(heading.trim()) ?? [];
    const text = lines.join('\n').trim();
    if (named === version) return text === '' ? undefined : text;
  }
  return undefined;
}
