import { readdirSync, readFileSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';

const MOUNT = '/sys/fs/cgroup';

/**
 * Control groups of this name: one in all with version 2, one a controller with version 1. Pods of a run are in groups
 * below them, which is how they are found when nothing else speaks for them.
 */
export function controlGroups(name: string): string[] {
  return rootGroups().filter((path) => path.endsWith(`/${name}`));
}

/** Names of all groups at the top that begin so. */
export function controlGroupNames(prefix: string): string[] {
  const names = rootGroups().map((path) => path.slice(path.lastIndexOf('/') + 1));
  return names.filter((name) => name.startsWith(prefix));
}

/** The processes in the group and those below it. */
export function processesInGroup(group: string): number[] {
  return [group, ...groupsBelow(group)].flatMap((path) => {
    try {
      const text = readFileSync(join(path, 'cgroup.procs'), 'utf8');
      return text.split('\n').filter(Boolean).map(Number);
    } catch {
      return [];
    }
  });
}

/** Removes the group and those below it, as far as nothing runs in them. */
export function removeGroup(group: string): void {
  for (const path of [...groupsBelow(group).reverse(), group]) {
    try {
      rmdirSync(path);
    } catch {
      // Gone already, or not empty yet.
    }
  }
}

function rootGroups(): string[] {
  const top = foldersIn(MOUNT);
  return [...top, ...top.flatMap(foldersIn)];
}

/** Parents first. */
function groupsBelow(group: string): string[] {
  return foldersIn(group).flatMap((path) => [path, ...groupsBelow(path)]);
}

function foldersIn(folder: string): string[] {
  try {
    return readdirSync(folder, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => join(folder, entry.name));
  } catch {
    return [];
  }
}
