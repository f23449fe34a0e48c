/**
 * The configuration of containerd cannot be read or written; the message says why and, where there is a remedy, which.
 * Each file is then as it was before, or as it is to be.
 */
export class HostsConfigError extends Error {
  override readonly name = 'HostsConfigError';
  readonly code = 'ERR_HOSTS_CONFIG';
}

const REASONS: Record<string, string> = {
  ENOSPC: 'no space left on the device',
  EDQUOT: 'the quota is used up',
  EROFS: 'the file system is read-only; mount it so that it can be written',
  EACCES: 'not permitted; this needs root',
  EPERM: 'not permitted by the file system or its owner',
  ELOOP: 'symbolic links that lead nowhere',
  ENOTDIR: 'a part of the path is no folder',
};

/** Makes an error of the file system one that people can act on; others pass. */
export function asHostsError(error: unknown, action: string): unknown {
  if (!(error instanceof Error && 'syscall' in error && 'code' in error)) return error;
  const code = String(error.code);
  // What is wrong with the whole device is not wrong with the file that happened to be the first.
  const isOfFile = ['EACCES', 'EPERM'].includes(code) && 'path' in error;
  const what = isOfFile ? `${action}, ${String(error.path)}` : action;
  return new HostsConfigError(`${what}: ${REASONS[code] ?? code}`, { cause: error });
}
