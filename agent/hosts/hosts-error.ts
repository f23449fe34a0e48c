import { codeOf } from '../errors/system-error.ts';

/**
 * The configuration of containerd cannot be read or written. The message has the reason and, if there is one, the remedy.
 * Each file then has either its old or its new content.
 */
export class HostsConfigError extends Error {
  override readonly name = 'HostsConfigError';
  readonly code = 'ERR_HOSTS_CONFIG';
}

/** What a code of the file system means, and what to do about it. */
const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'no such file or folder',
  EISDIR: 'a folder',
  EBUSY: 'a mount point; change what is mounted there',
  ENOSPC: 'no space left on the device',
  EDQUOT: 'the quota is used up',
  EROFS: 'the file system is read-only; mount it so that it can be written',
  EACCES: 'not permitted; this needs root',
  EPERM: 'not permitted by the file system or its owner',
  ELOOP: 'too many symbolic links',
  ENOTDIR: 'a part of the path is not a folder',
};

/** Why a file operation failed, in words; the code of the error if there are none for it. */
export function fileReason(error: unknown): string {
  const code = codeOf(error) ?? 'unknown error';
  return REASONS[code] ?? code;
}

/** Turns an error of the file system into a {@link HostsConfigError}; returns other errors as they are. */
export function asHostsError(error: unknown, action: string): unknown {
  if (!(error instanceof Error && 'syscall' in error && 'code' in error)) return error;
  const code = String(error.code);
  // Errors such as ENOSPC concern the whole device, so the file that hit them first is not named.
  const isOfFile = ['EACCES', 'EPERM'].includes(code) && 'path' in error;
  const what = isOfFile ? `${action}, ${String(error.path)}` : action;
  return new HostsConfigError(`${what}: ${fileReason(error)}`, { cause: error });
}
