/** The files of the credentials cannot be used. The message names the option, the file, the reason and what to do. */
export class BasicAuthError extends Error {
  override readonly name = 'BasicAuthError';
  readonly code = 'ERR_BASIC_AUTH';
}
