import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';

import { readVersionFiles, releaseNotes, releaseProblems, type VersionFiles } from './versions.ts';

const CHANGELOG = `# Changelog

## Unreleased

## 1.2.0 - 2026-01-31

### Added

- a thing

## [1.1.0] - 2025-12-24

- older

## 1.0.0 - 2025-01-01
`;

function files(version: string, changed: Partial<VersionFiles> = {}): VersionFiles {
  return {
    packageJson: JSON.stringify({ version }),
    packageLock: JSON.stringify({ version, packages: { '': { version } } }),
    chart: `version: ${version}\nappVersion: '${version}'\n`,
    changelog: CHANGELOG,
    ...changed,
  };
}

test('releaseProblems finds none when all versions agree', () => {
  assert.deepEqual(releaseProblems(files('1.2.0'), 'v1.2.0'), []);
  assert.deepEqual(releaseProblems(files('1.1.0'), 'v1.1.0'), []);
});

test('releaseProblems names every version that differs', () => {
  const other = { version: '1.1.0', packages: { '': { version: '1.0.0' } } };
  const problems = releaseProblems(
    files('1.2.0', {
      packageLock: JSON.stringify(other),
      chart: 'version: 1.1.0\nappVersion: 1.3.0\n',
    }),
    'v1.2.1',
  );
  assert.deepEqual(problems, [
    'version of package-lock.json is 1.1.0, and package.json has 1.2.0',
    'version of the root in package-lock.json is 1.0.0, and package.json has 1.2.0',
    'version of Chart.yaml is 1.1.0, and package.json has 1.2.0',
    'appVersion of Chart.yaml is 1.3.0, and package.json has 1.2.0',
    'the tag is v1.2.1, and package.json has 1.2.0',
  ]);
});

test('releaseProblems requires release notes in the changelog', () => {
  for (const version of ['2.0.0', '1.0.0']) {
    const [problem, ...more] = releaseProblems(files(version), `v${version}`);
    assert.match(problem ?? '', /CHANGELOG\.md has no section "## \d\.0\.0 - YYYY-MM-DD"/);
    assert.deepEqual(more, []);
  }
});

test('releaseProblems refuses a version that cannot be the tag of an image', () => {
  for (const version of ['1.2', '01.2.3', '1.2.3+build', 'latest']) {
    assert.match(releaseProblems(files(version)).join(), /not a semantic version/, version);
  }
  for (const version of ['1.2.3', '1.2.3-rc.1']) {
    assert.deepEqual(releaseProblems(files(version)), [], version);
  }
});

test('releaseNotes returns the section of the version', () => {
  assert.equal(releaseNotes(CHANGELOG, '1.2.0'), '### Added\n\n- a thing');
  assert.equal(releaseNotes(CHANGELOG, '1.1.0'), '- older');
  assert.equal(releaseNotes(CHANGELOG, '1.2'), undefined);
});

test('releaseProblems finds none in this checkout', async () => {
  const root = join(import.meta.dirname, '../..');
  assert.deepEqual(releaseProblems(await readVersionFiles(root)), []);
});
